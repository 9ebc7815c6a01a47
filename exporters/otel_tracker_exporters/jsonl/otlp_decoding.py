"""Records from parsed OTLP JSON: a line of ours, of a collector's, or a whole document.

Lenient as the specification wants receivers to be: unknown keys are passed over, numbers may be text, ids may be in
upper case or, as protobuf itself writes them, base64. Each span and log record is judged by itself; a broken one is
counted and never takes its neighbours along. Nothing here raises.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_tracker import attributes as keys
from otel_tracker.from_otel import FORMER_EVENT_NAME, event_of, is_event, log_of, severity_of, span_of
from otel_tracker.otel_rest import is_id
from otel_tracker.records import KINDS, EventRecord, LogRecord, Record, SpanRecord
from otel_tracker.severities import SEVERITIES
from otel_tracker.timestamps import format_time
from otel_tracker.to_otel import MAX_TIME_NS, STATUS_CODES
from otel_tracker_exporters.jsonl.otlp_values import attributes_of, integer_of, value_of

_KIND_NAMES = {f"SPAN_KIND_{kind.upper()}": number for number, kind in enumerate(KINDS, start=1)}
_STATUS_NAMES = {f"STATUS_CODE_{code}": number for number, code in enumerate(STATUS_CODES)}
_SEVERITY_NAMES = {f"SEVERITY_NUMBER_{name}": number for number, name in enumerate(SEVERITIES, start=1)}
_METRIC_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
_FAULTS = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(slots=True)
class Decoded:
    """What was found: records in their order, how much is valid but no record of ours, and how much is broken.

    ``others`` counts metric data points.
    """

    records: list[Record] = field(default_factory=list)
    others: int = 0
    broken: int = 0


def is_otlp(fields: Mapping[str, Any]) -> bool:
    """Whether a parsed JSON object is OTLP of any signal."""
    return "resourceSpans" in fields or "resourceLogs" in fields or "resourceMetrics" in fields


def decode_otlp(fields: Mapping[str, Any]) -> Decoded:
    """What a parsed JSON object holds, which is one line or a whole document."""
    found = Decoded()
    for of_resource in _entries(fields, "resourceSpans", found):
        _take(of_resource, "scopeSpans", "spans", _span, found)
    for of_resource in _entries(fields, "resourceLogs", found):
        _take(of_resource, "scopeLogs", "logRecords", _log, found)
    for of_resource in _entries(fields, "resourceMetrics", found):
        for of_scope in _entries(of_resource, "scopeMetrics", found):
            found.others += sum(_points(metric) for metric in _entries(of_scope, "metrics", found))
    return found


def _take(
    of_resource: Mapping[str, Any],
    scopes: str,
    items: str,
    decode: Callable[[Mapping[str, Any], str, Mapping[str, Any]], Record],
    found: Decoded,
) -> None:
    """Add every span or log record of one resource."""
    try:
        resource = _resource_of(of_resource.get("resource"))
    except _FAULTS:  # hostile depth
        found.broken += 1
        resource = {}
    for of_scope in _entries(of_resource, scopes, found):
        scope = _scope_of(of_scope)
        for item in _entries(of_scope, items, found):
            try:
                found.records.append(decode(item, scope, resource))
            except _FAULTS:
                found.broken += 1


def _entries(fields: Mapping[str, Any], key: str, found: Decoded) -> Iterator[Mapping[str, Any]]:
    """The objects in a list; null is an empty list, and anything else is broken."""
    entries = fields.get(key)
    if not isinstance(entries, list):
        found.broken += entries is not None
        return
    for entry in entries:
        if isinstance(entry, dict):
            yield entry
        else:
            found.broken += 1


def _span(fields: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> SpanRecord:
    status = fields.get("status") or {}
    return span_of(
        trace_id=_required_id(fields.get("traceId"), 16),
        span_id=_required_id(fields.get("spanId"), 8),
        parent_span_id=_id(fields.get("parentSpanId"), 8),
        name=_text(fields.get("name")),
        kind=_named(KINDS, _number(fields.get("kind"), _KIND_NAMES) - 1),
        start_ns=_time(fields.get("startTimeUnixNano")),
        end_ns=_time(fields.get("endTimeUnixNano")) or None,
        attributes=attributes_of(fields.get("attributes")),
        events=[_span_event(event) for event in _mappings(fields.get("events"))],
        links=[link for link in map(_link, _mappings(fields.get("links"))) if link is not None],
        status_code=_named(STATUS_CODES, _number(status.get("code"), _STATUS_NAMES)),
        status_message=_text(status.get("message")),
        scope=scope,
        resource=resource,
    )


def _log(fields: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> EventRecord | LogRecord:
    """The event or log in a log record."""
    attributes = attributes_of(fields.get("attributes"))
    name = _text(fields.get("eventName"))
    if not name and keys.RECORD not in attributes:
        name = _text(attributes.pop(FORMER_EVENT_NAME, ""))
    text, number = _text(fields.get("severityText")), _number(fields.get("severityNumber"), _SEVERITY_NAMES)
    alike: dict[str, Any] = {
        "time_ns": _time(fields.get("timeUnixNano")) or _time(fields.get("observedTimeUnixNano")),
        "trace_id": _id(fields.get("traceId"), 16),
        "span_id": _id(fields.get("spanId"), 8),
        "attributes": attributes,
        "body": value_of(fields.get("body")),
        "resource": resource,
    }
    if is_event(name, attributes):
        return event_of(name=name, severity=severity_of(text, number), **alike)
    return log_of(logger=scope, severity=severity_of(text, number, ""), **alike)


def _span_event(fields: Mapping[str, Any]) -> dict[str, Any]:
    event = {"name": _text(fields.get("name")), "time": format_time(_time(fields.get("timeUnixNano")))}
    attributes = attributes_of(fields.get("attributes"))
    return {**event, "attributes": attributes} if attributes else event


def _link(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The link; None, and with it nothing, for one that leads nowhere."""
    trace_id, span_id = _id(fields.get("traceId"), 16), _id(fields.get("spanId"), 8)
    if not (trace_id and span_id):
        return None
    link: dict[str, Any] = {"trace_id": trace_id, "span_id": span_id}
    attributes = attributes_of(fields.get("attributes"))
    return {**link, "attributes": attributes} if attributes else link


def _mappings(items: Any) -> list[Mapping[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _required_id(identifier: Any, size: int) -> str:
    found = _id(identifier, size)
    if not found:
        raise ValueError("a span without ids")
    return found


def _id(identifier: Any, size: int) -> str:
    """The id in lower-case hexadecimal, or empty where there is none."""
    if not isinstance(identifier, str):
        return ""
    if is_id(identifier, 2 * size):
        return identifier
    if len(identifier) == 2 * size:
        lower = identifier.lower()
        return lower if is_id(lower, 2 * size) else ""
    try:
        binary = base64.b64decode(identifier, validate=True)
    except ValueError:
        return ""
    return binary.hex() if len(binary) == size and any(binary) else ""


def _number(number: Any, names: Mapping[str, int]) -> int:
    """An enumeration's number, which may be written as its name; 0 for one that is unknown."""
    if isinstance(number, str) and not number.isdecimal():
        return names.get(number, 0)
    return integer_of(number)


def _named(names: tuple[str, ...], index: int) -> str:
    return names[index] if 0 <= index < len(names) else names[0]


def _time(number: Any) -> int:
    """Nanoseconds, 0 for none; raises ValueError for what is no unsigned 64-bit integer."""
    time_ns = integer_of(number)
    if not 0 <= time_ns <= MAX_TIME_NS:
        raise ValueError("a time beyond 64 bits")
    return time_ns


def _text(text: Any) -> str:
    return text if isinstance(text, str) else "" if text is None else str(text)


def _scope_of(of_scope: Mapping[str, Any]) -> str:
    scope = of_scope.get("scope")
    return _text(scope.get("name")) if isinstance(scope, dict) else ""


def _resource_of(fields: Any) -> Mapping[str, Any]:
    """The resource's attributes: the same object as for the line before where they are equal, which most are."""
    global _last_resource
    pairs = fields.get("attributes") if isinstance(fields, dict) else None
    if not pairs:
        return _NO_RESOURCE
    known, resource = _last_resource
    if known != pairs:
        resource = attributes_of(pairs)
        _last_resource = pairs, resource
    return resource


def _points(metric: Mapping[str, Any]) -> int:
    found = (metric.get(kind) for kind in _METRIC_KINDS)
    points = (data.get("dataPoints") for data in found if isinstance(data, dict))
    return sum(len(items) for items in points if isinstance(items, list))


_NO_RESOURCE: Mapping[str, Any] = {}
_last_resource: tuple[Any, Mapping[str, Any]] = (None, _NO_RESOURCE)
