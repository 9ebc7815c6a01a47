"""From records to documents: every field of a record, in the types that queries need, straight into protobuf.

The layout is that of docs/firestore.md. What an execution was given and gave back lies in it as values of Firestore's
(`payloads`), what nobody asks for as JSON text. A document is at most 1 MiB large; of one that would be larger the
payloads are cut, and the field ``cut`` names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from otel_tracker.attributes import CUSTOM_FIELDS_JSON_PREFIX, CUSTOM_FIELDS_PREFIX, SERVICE_NAME, SUBCOLLECTION
from otel_tracker.records import INT64_MAX, INT64_MIN, SCHEMA, EventRecord, LogRecord, SpanRecord
from otel_tracker.severities import severity_number
from otel_tracker.timestamps import NS_PER_MS
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.identities import shard_of
from otel_tracker_exporters.firestore.payloads import FORMS, NAMED, encoded_input, encoded_payload
from otel_tracker_exporters.firestore.values import clean, json_text

UNSET = "UNSET"
FORM_FIELDS = {form: [] if form == NAMED else [wire.field(f.INPUT_FORM, wire.text(form))] for form in FORMS}
"""The field that says in which form the arguments lie; the usual one needs none."""

HAS_OUTPUT = wire.field(f.HAS_OUTPUT, wire.TRUE)
NO_ERROR = wire.field(f.ERROR, wire.NULL)
NO_OUTPUT = wire.field(f.OUTPUT, wire.NULL)
_TRACE_SIZE, _SPAN_SIZE = 32, 16
_EXECUTION_HEAD = wire.text_field_head(f.EXECUTION_ID, _TRACE_SIZE + _SPAN_SIZE)
_TRACE_HEAD, _SPAN_HEAD = wire.text_field_head(f.TRACE_ID, _TRACE_SIZE), wire.text_field_head(f.SPAN_ID, _SPAN_SIZE)

MAX_CUSTOM_FIELDS = 32
MAX_INDEXED = 1_400
"""Bytes of a text that queries compare: of more than 1,500 the index holds a part."""


class Encoder:
    """Encodes the fields of documents for one store; used by one thread at a time. Remembers what recurs.

    Its methods raise ValueError, TypeError or RecursionError for a record that no document holds.
    """

    def __init__(self, ttl_ns: int, shards: int) -> None:
        self._ttl_ns = ttl_ns
        self._shards = shards
        self._resource: Mapping[str, Any] | None = None
        self._resource_fields: list[bytes] = []
        self._names: dict[tuple[str, str, str], tuple[str, str, tuple[str, ...]]] = {}

    def span_fields(self, record: SpanRecord, document_id: str) -> list[bytes]:
        """The fields of a span's document."""
        as_json: list[str] = []
        form, args = encoded_input(record.args, as_json)
        output = encoded_payload(record.result, f.OUTPUT, as_json)
        attributes, others = self.attribute_fields(record.attributes)
        found = [
            *self.label_fields(record),
            *identity_fields(record.trace_id, record.span_id, record.parent_span_id),
            *self.time_fields(record.start_ns, record.end_ns),
            wire.field(f.STATUS, wire.text(record.status)),
            wire.field(f.INPUT, args),
            *FORM_FIELDS[form],
            wire.field(f.OUTPUT, output),
            _error_field(record.error),
            *others,
        ]
        if attributes:
            found.append(attributes)
        if record.has_result:
            found.append(HAS_OUTPUT)
        if record.status_message:
            found.append(wire.field(f.STATUS_MESSAGE, wire.text(clean(record.status_message))))
        for key, items in ((f.EVENTS, record.events), (f.LINKS, record.links)):
            if items:
                found.append(wire.field(key, wire.text(json_text([dict(item) for item in items]))))
        if as_json:
            found.append(json_paths(as_json))
        return [*found, *self.shard_fields(document_id)]

    def label_fields(self, record: SpanRecord) -> list[bytes]:
        """What all spans of a function have in common, but its attributes."""
        qualified, function, names = self._names_of(record)
        found = [
            wire.field(f.FUNCTION_NAME, wire.text(function)),
            wire.field(f.QUALIFIED_NAME, wire.text(qualified)),
            wire.field(f.NAMES, wire.array([wire.text(name) for name in names])),
            wire.field(f.MODULE, wire.text(cut_text(record.module))),
            wire.field(f.KIND, wire.text(record.kind)),
            *self._resource_of(record.resource),
        ]
        name = clean(record.name)
        if name != qualified:
            found.append(wire.field(f.NAME, wire.text(name)))
        if record.status_code != UNSET:
            found.append(wire.field(f.STATUS_CODE, wire.text(record.status_code)))
        if not record.function:
            found.append(wire.field(f.IS_BLOCK, wire.TRUE))
        if record.scope:
            found.append(wire.field(f.SCOPE, wire.text(clean(record.scope))))
        return found

    def time_fields(self, start_ns: int, end_ns: int | None) -> list[bytes]:
        """When a span began, how long it took, and when its document may go."""
        found = [
            wire.field(f.TIMESTAMP, wire.time(start_ns)),
            wire.field(f.START_TIME_NS, wire.integer(start_ns)),
        ]
        if end_ns is None:
            found.append(wire.field(f.EXECUTION_TIME_MS, wire.NULL))
        else:
            duration_ns = end_ns - start_ns
            found += (
                wire.field(f.END_TIME_NS, wire.integer(end_ns)),
                wire.field(f.DURATION_NS, wire.integer(max(INT64_MIN, min(duration_ns, INT64_MAX)))),
                wire.field(f.EXECUTION_TIME_MS, wire.value(duration_ns / NS_PER_MS)),
            )
        return [*found, *self._expiry_fields(start_ns)]

    def shard_fields(self, document_id: str) -> list[bytes]:
        """The shard, where there are any."""
        return [wire.field(f.SHARD, wire.integer(shard_of(document_id, self._shards)))] if self._shards else []

    def event_fields(self, record: EventRecord, document_id: str) -> list[bytes]:
        """The fields of an event's document."""
        return [
            wire.field(f.NAME, wire.text(cut_text(record.name))),
            wire.field(f.CATEGORY, wire.text(cut_text(record.category))),
            *_json_fields(f.PROPERTIES, record.properties),
            *self._timed_fields(record, document_id),
        ]

    def log_fields(self, record: LogRecord, document_id: str) -> list[bytes]:
        """The fields of a log record's document."""
        return [
            wire.field(f.LOGGER, wire.text(cut_text(record.logger))),
            wire.field(f.SEVERITY_NUMBER, wire.integer(severity_number(record.severity))),
            *_json_fields(f.ATTRIBUTES, record.attributes),
            *self._timed_fields(record, document_id),
        ]

    def _timed_fields(self, record: EventRecord | LogRecord, document_id: str) -> list[bytes]:
        found = [
            wire.field(f.SEVERITY, wire.text(clean(record.severity))),
            wire.field(f.TIMESTAMP, wire.time(record.time_ns)),
            wire.field(f.TIME_NS, wire.integer(record.time_ns)),
            wire.field(f.TRACE_ID, wire.text(record.trace_id)),
            wire.field(f.SPAN_ID, wire.text(record.span_id)),
            *self._resource_of(record.resource),
            *self._expiry_fields(record.time_ns),
            *self.shard_fields(document_id),
        ]
        if record.body is not None:
            found.append(wire.field(f.BODY, wire.text(json_text(record.body))))
        if record.error:
            found.append(_error_field(record.error))
        return found

    def attribute_fields(self, attributes: Mapping[str, Any]) -> tuple[bytes, list[bytes]]:
        """The field of the attributes, empty where there are none; and those that some of them have of their own."""
        custom: list[tuple[bytes, bytes]] = []
        rest: dict[str, Any] = {}
        found = []
        for key, item in attributes.items():
            pair = _custom_field(key, item) if len(custom) < MAX_CUSTOM_FIELDS else None
            if pair is not None:
                custom.append(pair)
            elif key == SUBCOLLECTION:
                found.append(wire.field(f.SUBCOLLECTION, wire.text(clean(str(item)))))
            else:
                rest[key] = item
        return b"".join(_json_fields(f.ATTRIBUTES, rest)), [wire.field(f.CUSTOM_FIELDS, wire.map_of(custom)), *found]

    def _expiry_fields(self, begin_ns: int) -> list[bytes]:
        return [wire.field(f.EXPIRE_AT, wire.time(begin_ns + self._ttl_ns))] if self._ttl_ns else []

    def _resource_of(self, resource: Mapping[str, Any]) -> list[bytes]:
        if resource is not self._resource:
            found = [wire.field(f.SCHEMA_VERSION, wire.integer(SCHEMA)), *_json_fields(f.RESOURCE, resource)]
            if resource:
                found.append(wire.field(f.SERVICE, wire.text(cut_text(str(resource.get(SERVICE_NAME, ""))))))
            self._resource, self._resource_fields = resource, found
        return self._resource_fields

    def _names_of(self, record: SpanRecord) -> tuple[str, str, tuple[str, ...]]:
        """Qualified name, function name and all names of a span; of a function the same each time."""
        key = record.module, record.function, record.name
        known = self._names.get(key)
        if known is None:
            if len(self._names) >= 1_000:
                self._names.clear()
            known = self._names[key] = names_of(record)
        return known


def names_of(record: SpanRecord) -> tuple[str, str, tuple[str, ...]]:
    """Qualified name, function name and all names by which `otel_tracker.query.names_function` finds the span."""
    qualified = cut_text(record.qualified_name)
    if not record.function:
        return qualified, qualified, (qualified,)
    function = cut_text(record.function)
    bare = cut_text(record.function.rpartition(".")[2])
    return qualified, function, tuple(dict.fromkeys((function, bare, qualified)))


def cut_text(text: str) -> str:
    """A text that is compared, short enough for an index to hold it whole."""
    cleaned = clean(text)
    if len(cleaned) <= MAX_INDEXED // 4:
        return cleaned
    encoded = cleaned.encode("utf-8")
    if len(encoded) <= MAX_INDEXED:
        return cleaned
    return encoded[: MAX_INDEXED - 3].decode("utf-8", "ignore") + "..."


def identity_fields(trace_id: str, span_id: str, parent_span_id: str) -> list[bytes]:
    """Who a span is."""
    if len(trace_id) == _TRACE_SIZE and len(span_id) == _SPAN_SIZE:
        trace, span = trace_id.encode(), span_id.encode()
        found = [_EXECUTION_HEAD + trace + span, _TRACE_HEAD + trace, _SPAN_HEAD + span]
    else:
        keys = (f.EXECUTION_ID, trace_id + span_id), (f.TRACE_ID, trace_id), (f.SPAN_ID, span_id)
        found = [wire.field(key, wire.text(text)) for key, text in keys]
    return [*found, wire.field(f.PARENT_SPAN_ID, wire.text(parent_span_id))] if parent_span_id else found


def json_paths(as_json: list[str]) -> bytes:
    """The field that says which payloads are JSON text."""
    return wire.field(f.JSON_TEXT, wire.array([wire.text(path) for path in as_json]))


def _error_field(error: Mapping[str, str]) -> bytes:
    if not error:
        return NO_ERROR
    return wire.field(f.ERROR, wire.map_of([(wire.key(key), wire.text(clean(text))) for key, text in error.items()]))


def _json_fields(key: str, of: Mapping[str, Any]) -> list[bytes]:
    return [wire.field(key, wire.text(json_text(dict(of))))] if of else []


def _custom_field(key: str, item: Any) -> tuple[bytes, bytes] | None:
    """One of the fields of somebody's own, or None for an attribute that is none, or that Firestore refuses."""
    try:
        if key.startswith(CUSTOM_FIELDS_PREFIX):
            return wire.key(key[len(CUSTOM_FIELDS_PREFIX) :]), wire.value(item)
        if key.startswith(CUSTOM_FIELDS_JSON_PREFIX):
            return wire.key(key[len(CUSTOM_FIELDS_JSON_PREFIX) :]), wire.value(json.loads(item))
    except (ValueError, TypeError):
        pass
    return None


def shortened(value: Any, max_length: int, max_items: int) -> Any:
    """A plain value with every text and container cut, and marked as cut: ``...``, ``"...": "<n> more"``."""
    if isinstance(value, str):
        return value if len(value) <= max_length else f"{value[:max_length]}..."
    if isinstance(value, Mapping):
        kept = {
            shortened(key, max_length, max_items): shortened(item, max_length, max_items)
            for key, item in list(value.items())[:max_items]
        }
        more = len(value) - max_items
        return {**kept, "...": f"{more} more"} if more > 0 else kept
    if isinstance(value, Sequence):
        kept_items = [shortened(item, max_length, max_items) for item in value[:max_items]]
        more = len(value) - max_items
        return [*kept_items, f"... {more} more"] if more > 0 else kept_items
    return value
