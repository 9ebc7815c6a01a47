"""Turns what leaves the SDK into records: the one place where a span or a log record is read field by field.

Exporters call `span_record`, `event_record` and `log_record` on their own thread and hand only records on. What
attributes mean is said in `otel_tracker.from_otel`; here every text that did not go through capture (exception
messages, tracebacks, urls, log messages, attributes of other instrumentors) is redacted once more on its way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_tracker import attributes as keys
from otel_tracker.from_otel import event_of, is_event, log_of, severity_of, span_of
from otel_tracker.records import EventRecord, LogRecord, SpanRecord, plain
from otel_tracker.redaction import Redactor, redactor
from otel_tracker.timestamps import format_time

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link


def span_record(span: ReadableSpan) -> SpanRecord:
    """The record of a span, ended or (for a span that is still open) started."""
    redact = redactor()
    context, parent = span.get_span_context(), span.parent
    return span_of(
        trace_id=f"{context.trace_id:032x}" if context else "",
        span_id=f"{context.span_id:016x}" if context else "",
        parent_span_id=f"{parent.span_id:016x}" if parent else "",
        name=redact.text(span.name),
        kind=span.kind.name.lower(),
        start_ns=span.start_time or 0,
        end_ns=span.end_time,
        attributes=attribute_fields(span.attributes, redact),
        events=[event_fields(event, redact) for event in span.events],
        links=[_link_fields(link, redact) for link in span.links],
        status_code=span.status.status_code.name,
        status_message=redact.text(span.status.description or ""),
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        resource=resource_fields(span.resource),
    )


def event_record(readable: ReadableLogRecord) -> EventRecord | None:
    """The record of an event, or None for a log record that bears no event name."""
    log = readable.log_record
    if not is_event(log.event_name or "", log.attributes or {}):
        return None
    number = log.severity_number
    return event_of(
        name=redactor().text(log.event_name or ""),
        severity=severity_of(log.severity_text, number.value if number else None),
        **_log_fields(readable),
    )


def log_record(readable: ReadableLogRecord) -> LogRecord | None:
    """The record of a log record that bears no event name, or None for an event."""
    log = readable.log_record
    if is_event(log.event_name or "", log.attributes or {}):
        return None
    number, scope = log.severity_number, readable.instrumentation_scope
    return log_of(
        logger=scope.name if scope else "",
        severity=severity_of(log.severity_text, number.value if number else None, ""),
        **_log_fields(readable),
    )


def _log_fields(readable: ReadableLogRecord) -> dict[str, Any]:
    """What events and logs have alike."""
    redact, log = redactor(), readable.log_record
    return {
        "time_ns": log.timestamp or log.observed_timestamp or 0,
        "trace_id": f"{log.trace_id:032x}" if log.trace_id else "",
        "span_id": f"{log.span_id:016x}" if log.span_id else "",
        "attributes": attribute_fields(log.attributes, redact),
        "body": redact.value(plain(log.body)),
        "resource": resource_fields(readable.resource),
    }


def attribute_fields(attributes: Mapping[str, Any] | None, redact: Redactor) -> Mapping[str, Any]:
    """The attributes plain and without secrets."""
    if not attributes:
        return {}
    found = plain(attributes)
    if keys.RECORD not in found:
        return redact.mapping(found)
    rest = found.pop(keys.RECORD)
    return {**redact.mapping(found), keys.RECORD: _redacted_json(rest, redact)}


def _redacted_json(text: Any, redact: Redactor) -> Any:
    """JSON text without what stands under a secret name in it, and still JSON; any other text as every text."""
    try:
        tree = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return redact.value(text)
    redacted = redact.value(tree)
    return text if redacted is tree else json.dumps(redacted)


def event_fields(event: Event, redact: Redactor) -> dict[str, Any]:
    """An event of a span as it lies in a record."""
    fields = {"name": event.name, "time": format_time(event.timestamp)}
    attributes = redact.mapping(plain(event.attributes or {}))
    return {**fields, "attributes": dict(attributes)} if attributes else fields


def _link_fields(link: Link, redact: Redactor) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "trace_id": f"{link.context.trace_id:032x}",
        "span_id": f"{link.context.span_id:016x}",
    }
    attributes = redact.mapping(plain(link.attributes or {}))
    return {**fields, "attributes": dict(attributes)} if attributes else fields


def resource_fields(resource: Resource | None) -> dict[str, Any]:
    """The resource as plain values; kept per resource, because a process has one for all its spans."""
    if resource is None:
        return {}
    known = _resources.get(id(resource))
    if known is None or known[0] is not resource:
        if len(_resources) >= _MAX_RESOURCES:
            _resources.clear()
        known = _resources[id(resource)] = (resource, dict(redactor().mapping(plain(resource.attributes))))
    return known[1]


_MAX_RESOURCES = 16
_resources: dict[int, tuple[Resource, dict[str, Any]]] = {}
