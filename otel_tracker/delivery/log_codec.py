"""A log record, which is what an event is, as a line of the journal, and back."""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import TraceFlags

from otel_tracker.delivery.codec import Codec, Numbers, bounded


def _log_parts(readable: ReadableLogRecord, numbers: Numbers) -> list[Any]:
    log = readable.log_record
    return [
        numbers.of(readable.resource),
        numbers.of(readable.instrumentation_scope),
        log.timestamp,
        log.observed_timestamp,
        log.trace_id,
        log.span_id,
        None if log.trace_flags is None else int(log.trace_flags),
        log.severity_text,
        None if log.severity_number is None else log.severity_number.value,
        log.body,
        dict(log.attributes or {}),
        log.event_name,
        readable.dropped_attributes,
    ]


def _log_from(parts: list[Any], known: dict[int, Any]) -> ReadableLogRecord:
    resource, scope, time, observed, trace_id, span_id, flags, text, number, body, attributes, name, dropped = parts
    log = LogRecord(
        timestamp=time,
        observed_timestamp=observed,
        severity_text=text,
        severity_number=None if number is None else SeverityNumber(number),
        body=body,
        attributes=bounded(attributes, dropped),
        event_name=name,
        context=_NO_CONTEXT,
    )
    log.trace_id, log.span_id = trace_id, span_id
    log.trace_flags = None if flags is None else TraceFlags(flags)  # type: ignore[assignment]
    return ReadableLogRecord(
        log,
        known[resource] if resource else Resource.get_empty(),
        known[scope] if scope else None,
    )


_NO_CONTEXT = Context({"otel_tracker.journal": True})
"""Not empty, so that whatever is current stays out."""

LOG_CODEC: Codec[ReadableLogRecord] = Codec(_log_parts, _log_from)
