"""`track`: what users and the program did, as OpenTelemetry events.

An event is a log record that bears an event name (specification: "Event" in the Logs data model); it needs no span
and shares the ids of the one that is current. This is the one module that touches ``opentelemetry._logs``.
"""

from __future__ import annotations

from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber, get_logger_provider
from opentelemetry.context import Context, get_current

from otel_tracker.attributes import SCOPE
from otel_tracker.capture import capture_tree
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.tracing import switch
from otel_tracker.version import __version__


def track(event_name: str, /, **properties: Any) -> None:
    """Record one event, inside or outside a span: ``track("order.placed", order_id=42, total=9.99)``.

    Property values are bounded and redacted; any name is legal. Inside a sampled span the event carries its trace
    and span id. Without a logger provider nothing happens; nothing is ever raised or written on the caller's path.
    """
    if not switch.is_enabled():
        return
    try:
        _emit(event_name, properties)
    except Exception as error:  # providers and processors are not ours
        report_internal_error("tracking an event", error)


def _emit(event_name: str, properties: dict[str, Any]) -> None:
    logger = _loggers.current()
    if not logger.enabled(severity_number=SeverityNumber.INFO, event_name=event_name):
        return
    logger.emit(
        timestamp=time_ns(),
        context=_sampled_context(),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        event_name=event_name,
        attributes={name: capture_tree(value, name) for name, value in properties.items()},
    )


def _sampled_context() -> Context:
    """The current context, without its span where that one is not sampled: its ids would lead nowhere."""
    context = get_current()
    span_context = trace.get_current_span(context).get_span_context()
    if span_context.is_valid and not span_context.trace_flags.sampled:
        return trace.set_span_in_context(trace.INVALID_SPAN, context)
    return context


class _Loggers:
    """The logger of whatever provider is in force, looked up again when that changes."""

    def __init__(self) -> None:
        self._provider: object = None
        self._logger: Logger | None = None

    def current(self) -> Logger:
        provider = get_logger_provider()
        if self._logger is None or provider is not self._provider:
            self._logger = provider.get_logger(SCOPE, __version__)
            self._provider = provider
        return self._logger


_loggers = _Loggers()
