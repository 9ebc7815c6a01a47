"""What ``otel-tracker doctor firestore`` does: one document is written, read and deleted again, each step in words."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

from otel_tracker.errors import OtelTrackerError
from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.failures import code_of, fate_of_document, sentence_of
from otel_tracker_exporters.firestore.options import options_of, require_client

OK, NOTE, PROBLEM = "ok", "note", "problem"
TIMEOUT_S = 10.0

_PROBES = "otel_tracker_probes"
_EMULATOR = "FIRESTORE_EMULATOR_HOST"


def findings() -> Iterator[tuple[str, str]]:
    """Pairs of verdict (``ok``, ``note``, ``problem``) and sentence; never raises for what a server does."""
    options = options_of({})
    if os.environ.get(_EMULATOR):
        yield NOTE, f"{_EMULATOR} is set: everything goes to the emulator at {os.environ[_EMULATOR]}."
    connection = Connection(options)
    try:
        require_client()
        yield from _tried(connection)
    except OtelTrackerError as error:
        yield PROBLEM, str(error)
    except Exception as error:
        yield PROBLEM, sentence_of(error, options)
    finally:
        connection.close()


def _tried(connection: Connection) -> Iterator[tuple[str, str]]:
    path, text = f"{_PROBES}/{uuid.uuid4().hex}", uuid.uuid4().hex
    name = f"{connection.document_root()}/{path}"
    (status,) = connection.batch_write([wire.write(name, [wire.field("probe", wire.text(text))])], TIMEOUT_S)
    if status.code:
        yield PROBLEM, f"The probe document was refused ({fate_of_document(status).value}): {status.message}."
        return
    project = connection.client().project
    yield OK, f"A probe document was written to project {project}, database {connection.options.database}."
    document = connection.client().document(path)
    try:
        found = document.get(retry=None, timeout=TIMEOUT_S).to_dict() or {}
        document.delete(retry=None, timeout=TIMEOUT_S)
    except Exception as error:
        yield NOTE, f"It cannot be read back (code {code_of(error)}); an account that only writes needs no more."
        return
    if found.get("probe") == text:
        yield OK, "It was read back and deleted."
    else:
        yield PROBLEM, "It was not found again. See that readers and writers name the same database."
