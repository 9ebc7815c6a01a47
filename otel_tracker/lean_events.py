"""Makes the SDK's log records for events of ours, without cleaning once more what capture has bounded.

Written against SDK 1.45. What comes out is what `Logger.emit` makes, but for the attributes, which are a plain dict: a
log record is open to processors, and every reader of it takes any mapping. `emitter_for` compares the two, field by
field, before it is used, and gives None where anything differs.

Private to OpenTelemetry and relied on here, nowhere else: of ``Logger`` the fields ``_resource``,
``_instrumentation_scope``, ``_log_record_limits``, ``_logger_metrics``, ``_multi_log_record_processor`` and the method
``_is_enabled``; that ``LogRecord`` and ``ReadWriteLogRecord`` keep their fields in ``__dict__``; and that a span
context is a tuple of six.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs._internal import Logger
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_tracker.current import SPAN_KEY
from otel_tracker.diagnostics import logger as diagnostics

Emitter = Callable[[str, "dict[str, Any]", SeverityNumber, Context], None]

_TRACE_ID, _SPAN_ID, _FLAGS, _IS_VALID = 0, 1, 3, 5
_new: Any = object.__new__
_NO_SPAN: Any = INVALID_SPAN_CONTEXT


def emitter_for(logger: Any) -> Emitter | None:
    """Emits events by this logger: name, plain attributes (taken over), severity, context; None if it is not for us."""
    if type(logger) is not Logger or type(logger._logger_metrics).__name__ != "NoOpLoggerMetrics":
        return None
    limits = logger._log_record_limits
    room = limits.max_log_record_attributes
    if limits.max_log_record_attribute_length is not None or (room is not None and room < _LEAST_ROOM):
        return None
    differing = _differing_fields()
    if differing:
        diagnostics.debug("lean events cannot be used (they differ in %s)", ", ".join(differing))
        return None
    return _emitter(logger)


_LEAST_ROOM = 128


def _emitter(logger: Logger) -> Emitter:
    scope, limits = logger._instrumentation_scope, logger._log_record_limits
    processors = logger._multi_log_record_processor

    def emit(event_name: str, attributes: dict[str, Any], severity: SeverityNumber, context: Context) -> None:
        if not logger._is_enabled():
            return
        span: Any = context.get(SPAN_KEY)
        ids: Any = _NO_SPAN if span is None else span.get_span_context()
        if not (ids[_IS_VALID] and ids[_FLAGS] & 1):
            ids = _NO_SPAN
        now_ns = time_ns()
        record: LogRecord = _new(LogRecord)
        record.__dict__ = {
            "timestamp": now_ns,
            "observed_timestamp": now_ns,
            "context": context,
            "trace_id": ids[_TRACE_ID],
            "span_id": ids[_SPAN_ID],
            "trace_flags": ids[_FLAGS],
            "severity_text": severity._name_,
            "severity_number": severity,
            "body": None,
            "attributes": attributes,
            "event_name": event_name,
            "exception": None,
        }
        writable: ReadWriteLogRecord = _new(ReadWriteLogRecord)
        writable.__dict__ = {
            "log_record": record,
            "resource": logger._resource,  # another one after a fork
            "instrumentation_scope": scope,
            "limits": limits,
        }
        processors.on_emit(writable)

    return emit


class _Kept(LogRecordProcessor):
    def __init__(self) -> None:
        self.records: list[ReadWriteLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.records.append(log_record)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


_checked: list[str] | None = None


def _differing_fields() -> list[str]:
    """The fields in which a lean event differs from the SDK's own; looked up once a process. Never raises."""
    global _checked
    if _checked is None:
        try:
            _checked = _compared()
        except Exception as error:
            _checked = [f"the self-check, which failed with {type(error).__name__}: {error}"]
    return _checked


def _compared() -> list[str]:
    kept = _Kept()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(kept)
    logger = provider.get_logger("otel_tracker.lean_events")
    if type(logger) is not Logger:
        return []  # the SDK is disabled: there is nothing to be lean about
    ids = SpanContext(1, 2, False, TraceFlags(TraceFlags.SAMPLED))
    context = set_span_in_context(NonRecordingSpan(ids), Context({"other": 1}))
    attributes: dict[str, Any] = {"text": "x", "number": 1}
    _emitter(logger)("self-check", dict(attributes), SeverityNumber.INFO, context)
    logger.emit(
        timestamp=1,
        context=context,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        event_name="self-check",
        attributes=attributes,
    )
    lean, own = (_fields(record) for record in kept.records)
    return sorted(name for name in lean.keys() | own.keys() if lean.get(name, _NO_SPAN) != own.get(name, _NO_SPAN))


def _fields(record: ReadWriteLogRecord) -> dict[str, Any]:
    """Every field; that times are there, and attributes as a dict, for those alone differ."""
    log = record.log_record
    fields = {**vars(record), **vars(log), "attributes": dict(log.attributes or {})}
    return {**fields, "log_record": None, "timestamp": bool(log.timestamp), "observed_timestamp": True}
