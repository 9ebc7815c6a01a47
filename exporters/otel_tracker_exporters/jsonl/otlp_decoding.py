"""Records from parsed OTLP JSON: a line of ours, of a collector's, or a whole document.

Lenient as the specification wants receivers to be: unknown keys are passed over, numbers may be text, ids may be in
upper case or, as protobuf itself writes them, base64. Each span, log record and metric point is judged by
itself; a broken one is counted and never takes its neighbours along. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otel_tracker import attributes as keys
from otel_tracker.from_otel import FORMER_EVENT_NAME, event_of, is_event, log_of, severity_of, span_of
from otel_tracker.records import KINDS, EventRecord, LogRecord, SpanRecord
from otel_tracker.severities import SEVERITIES
from otel_tracker.timestamps import format_time
from otel_tracker.to_otel import STATUS_CODES
from otel_tracker_exporters.jsonl.otlp_fields import (
    FAULTS,
    Decoded,
    entries,
    id_of,
    mappings,
    named,
    number_of,
    resource_of,
    scope_of,
    text_of,
    time_of,
)
from otel_tracker_exporters.jsonl.otlp_metric_decoding import add_points
from otel_tracker_exporters.jsonl.otlp_values import attributes_of, value_of

_KIND_NAMES = {f"SPAN_KIND_{kind.upper()}": number for number, kind in enumerate(KINDS, start=1)}
_STATUS_NAMES = {f"STATUS_CODE_{code}": number for number, code in enumerate(STATUS_CODES)}
_SEVERITY_NAMES = {f"SEVERITY_NUMBER_{name}": number for number, name in enumerate(SEVERITIES, start=1)}


def is_otlp(fields: Mapping[str, Any]) -> bool:
    """Whether a parsed JSON object is OTLP of any signal."""
    return "resourceSpans" in fields or "resourceLogs" in fields or "resourceMetrics" in fields


def decode_otlp(fields: Mapping[str, Any]) -> Decoded:
    """What a parsed JSON object holds, which is one line or a whole document."""
    found = Decoded()
    for span in _items(fields, ("resourceSpans", "scopeSpans", "spans"), found):
        found.add(_span, *span)
    for log in _items(fields, ("resourceLogs", "scopeLogs", "logRecords"), found):
        found.add(_log, *log)
    for metric in _items(fields, ("resourceMetrics", "scopeMetrics", "metrics"), found):
        add_points(*metric, found)
    return found


def _items(
    fields: Mapping[str, Any], keys_inwards: tuple[str, str, str], found: Decoded
) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """Every span, log record or metric with the name of its scope and its resource."""
    resources, scopes, items = keys_inwards
    for of_resource in entries(fields, resources, found):
        try:
            resource = resource_of(of_resource.get("resource"))
        except FAULTS:  # hostile depth
            found.broken += 1
            resource = {}
        for of_scope in entries(of_resource, scopes, found):
            scope = scope_of(of_scope)
            for item in entries(of_scope, items, found):
                yield item, scope, resource


def _span(fields: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> SpanRecord:
    status = fields.get("status") or {}
    return span_of(
        trace_id=_required_id(fields.get("traceId"), 16),
        span_id=_required_id(fields.get("spanId"), 8),
        parent_span_id=id_of(fields.get("parentSpanId"), 8),
        name=text_of(fields.get("name")),
        kind=named(KINDS, number_of(fields.get("kind"), _KIND_NAMES) - 1),
        start_ns=time_of(fields.get("startTimeUnixNano")),
        end_ns=time_of(fields.get("endTimeUnixNano")) or None,
        attributes=attributes_of(fields.get("attributes")),
        events=[_span_event(event) for event in mappings(fields.get("events"))],
        links=[link for link in map(_link, mappings(fields.get("links"))) if link is not None],
        status_code=named(STATUS_CODES, number_of(status.get("code"), _STATUS_NAMES)),
        status_message=text_of(status.get("message")),
        scope=scope,
        resource=resource,
    )


def _log(fields: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> EventRecord | LogRecord:
    """The event or log in a log record."""
    attributes = attributes_of(fields.get("attributes"))
    name = text_of(fields.get("eventName"))
    if not name and keys.RECORD not in attributes:
        name = text_of(attributes.pop(FORMER_EVENT_NAME, ""))
    text, number = text_of(fields.get("severityText")), number_of(fields.get("severityNumber"), _SEVERITY_NAMES)
    alike: dict[str, Any] = {
        "time_ns": time_of(fields.get("timeUnixNano")) or time_of(fields.get("observedTimeUnixNano")),
        "trace_id": id_of(fields.get("traceId"), 16),
        "span_id": id_of(fields.get("spanId"), 8),
        "attributes": attributes,
        "body": value_of(fields.get("body")),
        "resource": resource,
    }
    if is_event(name, attributes):
        return event_of(name=name, severity=severity_of(text, number), **alike)
    return log_of(logger=scope, severity=severity_of(text, number, ""), **alike)


def _span_event(fields: Mapping[str, Any]) -> dict[str, Any]:
    event = {"name": text_of(fields.get("name")), "time": format_time(time_of(fields.get("timeUnixNano")))}
    attributes = attributes_of(fields.get("attributes"))
    return {**event, "attributes": attributes} if attributes else event


def _link(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The link; None, and with it nothing, for one that leads nowhere."""
    trace_id, span_id = id_of(fields.get("traceId"), 16), id_of(fields.get("spanId"), 8)
    if not (trace_id and span_id):
        return None
    link: dict[str, Any] = {"trace_id": trace_id, "span_id": span_id}
    attributes = attributes_of(fields.get("attributes"))
    return {**link, "attributes": attributes} if attributes else link


def _required_id(identifier: Any, size: int) -> str:
    found = id_of(identifier, size)
    if not found:
        raise ValueError("a span without ids")
    return found
