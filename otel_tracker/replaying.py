"""Makes of records what exporters of OpenTelemetry's take: finished spans and log records; the inverse of recording.

Anything that receives spans from the SDK can so receive a store. What comes out is complete and ended, belongs to no
provider and passes no processor. A text is sent as UTF-8, so a lone surrogate in it becomes U+FFFD here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_tracker import records
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.to_otel import LogForm, event_form, log_form, span_form

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def readable_span(record: SpanRecord) -> ReadableSpan:
    """The span whose record this is; raises ValueError or TypeError for a record that no span can have.

    A span that has not ended has no ``end_time``; exporters expect one.
    """
    form = span_form(record)
    description = utf8(form.status_message) if form.status_code == "ERROR" else None
    return ReadableSpan(
        name=utf8(record.name),
        context=_context(record.trace_id, record.span_id),
        parent=_context(record.trace_id, form.parent_span_id) if form.parent_span_id else None,
        resource=sdk_resource(form.resource),
        attributes=utf8_values(form.attributes),
        events=[Event(utf8(name), utf8_values(attributes), time_ns) for name, time_ns, attributes in form.events],
        links=[
            Link(_context(trace_id, span_id), utf8_values(attributes)) for trace_id, span_id, attributes in form.links
        ],
        kind=SpanKind[form.kind.upper()],
        status=Status(StatusCode[form.status_code], description),
        start_time=form.start_ns,
        end_time=form.end_ns,
        instrumentation_scope=InstrumentationScope(utf8(record.scope)),
    )


def readable_log(record: EventRecord | records.LogRecord) -> ReadableLogRecord:
    """The log record of an event or a log; raises as `readable_span`."""
    if isinstance(record, EventRecord):
        return _readable_log(record, event_form(record), event_name=record.name)
    return _readable_log(record, log_form(record), logger=record.logger)


def _readable_log(
    record: EventRecord | records.LogRecord, form: LogForm, *, event_name: str = "", logger: str = ""
) -> ReadableLogRecord:
    log = LogRecord(
        timestamp=form.time_ns,
        observed_timestamp=form.time_ns,
        context=_log_context(record),
        severity_text=utf8(record.severity) or None,
        severity_number=SeverityNumber(form.severity_number) if form.severity_number else None,
        body=utf8_values(form.body),
        attributes=utf8_values(form.attributes),
        event_name=utf8(event_name) or None,
    )
    scope = InstrumentationScope(utf8(logger)) if logger else None
    return ReadableLogRecord(log, sdk_resource(form.resource), scope)


def utf8(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def utf8_values(value: Any) -> Any:
    """A plain value with each of its texts as `utf8` gives it."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {utf8(key): utf8_values(item) for key, item in value.items()}
    return [utf8_values(item) for item in value] if isinstance(value, list) else value


def _context(trace_id: str, span_id: str, flags: TraceFlags = _SAMPLED) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)


def _log_context(record: EventRecord | records.LogRecord) -> Context:
    """A context with the ids of the record, also where it has none: an empty one would let in whatever is current."""
    flags = _SAMPLED if record.trace_id else TraceFlags(TraceFlags.DEFAULT)
    return set_span_in_context(
        NonRecordingSpan(_context(record.trace_id or "0", record.span_id or "0", flags)), Context()
    )


def sdk_resource(attributes: Mapping[str, Any]) -> Resource:
    """The resource; kept for as long as the records share theirs, because exporters group by it."""
    global _last_resource
    known, resource = _last_resource
    if known is not attributes:
        resource = Resource(utf8_values(dict(attributes)))
        _last_resource = attributes, resource
    return resource


_last_resource: tuple[Mapping[str, Any] | None, Resource] = (None, Resource.get_empty())
