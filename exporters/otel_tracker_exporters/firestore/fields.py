"""The fields of the documents by name: what `documents` writes, `decoding` reads, queries ask for, indexes cover."""

from __future__ import annotations

from typing import Final

# The structure that the Firestore tracker documents.
EXECUTION_ID: Final = "execution_id"
FUNCTION_NAME: Final = "function_name"
MODULE: Final = "module"
TIMESTAMP: Final = "timestamp"
STATUS: Final = "status"
INPUT: Final = "input"
OUTPUT: Final = "output"
EXECUTION_TIME_MS: Final = "execution_time_ms"
ERROR: Final = "error"
CUSTOM_FIELDS: Final = "custom_fields"

# OpenTelemetry's identity, and what makes a document as exact as the record.
TRACE_ID: Final = "trace_id"
SPAN_ID: Final = "span_id"
PARENT_SPAN_ID: Final = "parent_span_id"
NAME: Final = "name"
NAMES: Final = "names"
"""Every text by which the execution is found: its qualified, bare and dotted name, or the name of its span."""
QUALIFIED_NAME: Final = "qualified_name"
"""What statistics group by."""
KIND: Final = "kind"
STATUS_CODE: Final = "status_code"
STATUS_MESSAGE: Final = "status_message"
SERVICE: Final = "service"
SCOPE: Final = "scope"
START_TIME_NS: Final = "start_time_ns"
END_TIME_NS: Final = "end_time_ns"
DURATION_NS: Final = "duration_ns"
ATTRIBUTES: Final = "attributes"
EVENTS: Final = "events"
LINKS: Final = "links"
RESOURCE: Final = "resource"
SCHEMA_VERSION: Final = "schema_version"
EXPIRE_AT: Final = "expire_at"
SHARD: Final = "shard"
SUBCOLLECTION: Final = "subcollection"
JSON_TEXT: Final = "json_text"
"""Which payloads are JSON text because Firestore takes no such value: ``output``, ``input.kwargs.items``."""
HAS_OUTPUT: Final = "has_output"
IS_BLOCK: Final = "is_block"
"""True for a span that stands for no function."""
INPUT_FORM: Final = "input_form"
"""How the arguments lie in ``input``; see `payloads`."""
CUT: Final = "cut"
"""The fields of which less was stored than there was, because a document holds 1 MiB."""

# Events and logs.
CATEGORY: Final = "category"
SEVERITY: Final = "severity"
SEVERITY_NUMBER: Final = "severity_number"
LOGGER: Final = "logger"
TIME_NS: Final = "time_ns"
PROPERTIES: Final = "properties"
BODY: Final = "body"

# Rollups.
HOUR: Final = "hour"
INSTANCE: Final = "instance"
COUNTS: Final = "counts"
BUCKETS: Final = "buckets"
ZEROS: Final = "zeros"
FINISHED: Final = "finished"
WRITTEN_AT: Final = "written_at"

NOT_INDEXED: Final = (
    EXECUTION_ID,
    SPAN_ID,
    PARENT_SPAN_ID,
    KIND,
    INPUT,
    OUTPUT,
    ERROR,
    NAME,
    STATUS_MESSAGE,
    SCOPE,
    START_TIME_NS,
    END_TIME_NS,
    EXECUTION_TIME_MS,
    ATTRIBUTES,
    EVENTS,
    LINKS,
    RESOURCE,
    SCHEMA_VERSION,
    JSON_TEXT,
    HAS_OUTPUT,
    IS_BLOCK,
    INPUT_FORM,
    CUT,
)
"""What no query asks for; without an exemption every one of them would have two index entries a document."""

_OF_BOTH: Final = (SEVERITY_NUMBER, TIME_NS, BODY, ERROR, RESOURCE, SCHEMA_VERSION, SPAN_ID, CUT)
NOT_INDEXED_OF_EVENTS: Final = (*_OF_BOTH[1:], PROPERTIES)
NOT_INDEXED_OF_LOGS: Final = (*_OF_BOTH, ATTRIBUTES)
"""Of each collection only what it has: a database may have 200 such settings, of all collections together."""
