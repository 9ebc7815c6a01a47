"""The `otlp` store: an endpoint of OTLP over HTTP, to which what was stored elsewhere is replayed. It cannot be read.

`STORE` opens a writer for an ``http://`` or ``https://`` url. Spans and events that a program makes go to an endpoint
without it, through ``OTEL_TRACES_EXPORTER=otlp``. Everything heavier than this page is imported on first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from otel_tracker.stores import Store

if TYPE_CHECKING:
    from otel_tracker.writing import StoreWriter

__all__ = ["STORE"]

# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
_ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_DEFAULT_ENDPOINT = "http://localhost:4318"


def _open_writer(location: str, _format: str | None) -> StoreWriter:
    from otel_tracker_exporters.otlp.writer import OtlpWriter

    return OtlpWriter(location)


def _default_location() -> str:
    return os.environ.get(_ENDPOINT_VARIABLE) or _DEFAULT_ENDPOINT


def _recognises(_head: bytes) -> bool:
    """False: no file is an endpoint."""
    return False


STORE = Store(
    name="otlp",
    schemes=("http", "https"),
    suffixes=(),
    open_reader=None,
    default_location=_default_location,
    recognises=_recognises,
    open_writer=_open_writer,
    keeps_scheme=True,
)
