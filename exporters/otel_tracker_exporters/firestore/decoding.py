"""From documents to records: the inverse of `documents`.

A document that somebody else has written, or an older tool, is read as far as it goes: what a record needs and the
document does not say is taken from what it does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, TypeVar

from otel_tracker.attributes import CUSTOM_FIELDS_JSON_PREFIX, CUSTOM_FIELDS_PREFIX, SUBCOLLECTION
from otel_tracker.records import COMPLETED, INT64_MAX, INT64_MIN, EventRecord, LogRecord, SpanRecord
from otel_tracker.timestamps import NS_PER_MS
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.payloads import NAMED, args_from
from otel_tracker_exporters.firestore.values import json_text

FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What is raised for documents that are no records."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_Record = TypeVar("_Record", SpanRecord, EventRecord, LogRecord)
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("trace_id", "span_id", "parent_span_id", "name", "kind", "function", "module", "status"), str),
    **dict.fromkeys(("status_code", "status_message", "scope", "severity", "logger"), str),
    **dict.fromkeys(("args", "error", "attributes", "resource", "properties"), dict),
    **dict.fromkeys(("start_ns", "time_ns"), int),
    "end_ns": (int, type(None)),
}
"""Of the parts of records that are compared, sorted or shown: what they are, whoever wrote the document."""


def span_of(document_id: str, fields: Mapping[str, Any]) -> SpanRecord:
    """The span of a document; raises one of `FAULTS` for one that is none."""
    as_json = set(fields.get(f.JSON_TEXT) or ())
    start_ns = _time_ns(fields, f.START_TIME_NS)
    output = fields.get(f.OUTPUT)
    record = SpanRecord(
        trace_id=fields.get(f.TRACE_ID) or document_id[16:48],
        span_id=fields.get(f.SPAN_ID) or document_id[:16],
        parent_span_id=fields.get(f.PARENT_SPAN_ID, ""),
        name=fields.get(f.NAME, fields.get(f.QUALIFIED_NAME, fields[f.FUNCTION_NAME])),
        kind=fields.get(f.KIND, "internal"),
        function="" if fields.get(f.IS_BLOCK) else fields[f.FUNCTION_NAME],
        module=fields.get(f.MODULE, ""),
        status=fields.get(f.STATUS, COMPLETED),
        start_ns=start_ns,
        end_ns=_end_ns(fields, start_ns),
        args=args_from(fields.get(f.INPUT) or {}, fields.get(f.INPUT_FORM, NAMED), as_json),
        result=json.loads(str(output)) if f.OUTPUT in as_json else output,
        has_result=bool(fields.get(f.HAS_OUTPUT, output is not None)),
        error=fields.get(f.ERROR) or {},
        attributes=_attributes(fields),
        events=tuple(_json(fields, f.EVENTS, ())),
        links=tuple(_json(fields, f.LINKS, ())),
        status_code=fields.get(f.STATUS_CODE, "UNSET"),
        status_message=fields.get(f.STATUS_MESSAGE, ""),
        scope=fields.get(f.SCOPE, ""),
        resource=_json(fields, f.RESOURCE, {}),
    )
    return _checked(record)


def event_of(fields: Mapping[str, Any]) -> EventRecord:
    """The event of a document; raises as `span_of`."""
    timed = {"severity": "INFO", **_timed(fields)}
    return _checked(EventRecord(name=fields[f.NAME], properties=_json(fields, f.PROPERTIES, {}), **timed))


def log_of(fields: Mapping[str, Any]) -> LogRecord:
    """The log record of a document; raises as `span_of`."""
    record = LogRecord(logger=fields.get(f.LOGGER, ""), attributes=_json(fields, f.ATTRIBUTES, {}), **_timed(fields))
    return _checked(record)


def _checked(record: _Record) -> _Record:
    """The record, if its parts are what they are in every record."""
    for name in _KINDS.keys() & record.__dataclass_fields__.keys():
        if not isinstance(getattr(record, name), _KINDS[name]):
            raise TypeError(name)
    texts = record.error.values()
    items: tuple[object, ...] = (*record.events, *record.links) if isinstance(record, SpanRecord) else ()
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(item, dict) for item in items):
        raise TypeError
    numbers = (record.start_ns, record.end_ns or 0) if isinstance(record, SpanRecord) else (record.time_ns,)
    if not all(INT64_MIN <= number <= INT64_MAX for number in numbers):
        raise ValueError
    return record


def _timed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "time_ns": _time_ns(fields, f.TIME_NS),
        "severity": fields.get(f.SEVERITY, ""),
        "trace_id": fields.get(f.TRACE_ID, ""),
        "span_id": fields.get(f.SPAN_ID, ""),
        "body": _json(fields, f.BODY, None),
        "error": fields.get(f.ERROR) or {},
        "resource": _json(fields, f.RESOURCE, {}),
    }


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    custom = dict(_custom_attribute(name, value) for name, value in (fields.get(f.CUSTOM_FIELDS) or {}).items())
    folder = fields.get(f.SUBCOLLECTION)
    return {**_json(fields, f.ATTRIBUTES, {}), **custom, **({SUBCOLLECTION: folder} if folder else {})}


def _custom_attribute(name: str, value: Any) -> tuple[str, Any]:
    """As an attribute: a list of what is no scalar, and a map, are none."""
    is_nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))
    if is_nested:
        return f"{CUSTOM_FIELDS_JSON_PREFIX}{name}", json_text(value)
    return f"{CUSTOM_FIELDS_PREFIX}{name}", value


def _json(fields: Mapping[str, Any], key: str, absent: Any) -> Any:
    text = fields.get(key)
    return absent if text is None else json.loads(text)


def _time_ns(fields: Mapping[str, Any], key: str) -> int:
    exact = fields.get(key)
    if exact is not None:
        return int(exact)
    moment = fields[f.TIMESTAMP]
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    passed = moment - _EPOCH
    return int((passed.days * 86_400 + passed.seconds) * 10**9 + passed.microseconds * 1_000)


def _end_ns(fields: Mapping[str, Any], start_ns: int) -> int | None:
    exact = fields.get(f.END_TIME_NS)
    if exact is not None:
        return int(exact)
    duration_ms = fields.get(f.EXECUTION_TIME_MS)
    return None if duration_ms is None else start_ns + round(duration_ms * NS_PER_MS)
