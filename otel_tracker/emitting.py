"""Makes events: log records that bear an event name, given to whatever logger provider is in force.

Specification: https://opentelemetry.io/docs/specs/otel/logs/data-model/#events. On this side of the SDK this is the
one module that touches ``opentelemetry._logs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber, get_logger_provider
from opentelemetry.context import Context

from otel_tracker import current, request_context, settings
from otel_tracker.attributes import SCOPE
from otel_tracker.capture import capture_tree, rules_in_force
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.redaction import REDACTED
from otel_tracker.version import __version__

MAX_PROPERTIES = 100
"""Properties kept of an event: a log record takes 128 attributes, some of which are the context's."""

INFO, ERROR = SeverityNumber.INFO, SeverityNumber.ERROR


def emit(
    event_name: str,
    properties: Mapping[str, Any],
    *,
    severity: SeverityNumber = INFO,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Make one event here and now; ``attributes`` are plain already. Never raises.

    Properties are bounded and redacted, and go before what the request context says.
    """
    try:
        if not _is_enabled():
            return
        logger = _loggers.current()
        if not logger.enabled(severity_number=severity, event_name=event_name):
            return
        context = current.get()
        logger.emit(
            timestamp=time_ns(),
            context=_sampled(context),
            severity_number=severity,
            severity_text=severity.name,
            event_name=event_name,
            attributes={
                **request_context.attributes_of(context),
                **_captured(properties),
                **(attributes or {}),
            },
        )
    except Exception as error:  # providers and processors are not ours
        report_internal_error("making an event", error)


def reset() -> None:
    """Read the settings again at the next event."""
    global _enabled
    _enabled = None


_enabled: bool | None = None


def _is_enabled() -> bool:
    global _enabled
    if _enabled is None:
        _enabled = settings.EVENTS_ENABLED.read()
    return _enabled


def _captured(properties: Mapping[str, Any]) -> dict[str, Any]:
    if not properties:
        return {}
    rules = rules_in_force()
    is_secret, known = rules.redact.is_secret_key, rules.known_texts
    found: dict[str, Any] = {}
    for name, value in properties.items():
        if type(name) is not str or len(found) >= MAX_PROPERTIES:
            return _captured_slowly(properties)
        kind = type(value)
        if is_secret(name):
            found[name] = REDACTED
        elif kind is bool or kind is float or (kind is str and value in known):
            found[name] = value
        else:
            found[name] = capture_tree(value)
    return found


def _captured_slowly(properties: Mapping[Any, Any]) -> dict[str, Any]:
    """For names that are no text, and more properties than a log record takes."""
    found: dict[str, Any] = {}
    for name, value in islice(properties.items(), MAX_PROPERTIES):
        found.update(capture_tree({name: value}))
    left = len(properties) - MAX_PROPERTIES
    return {**found, "...": f"{left} more"} if left > 0 else found


def _sampled(context: Context) -> Context:
    """The context, without its span where that one is not sampled: its ids would lead nowhere."""
    span: Any = context.get(current.SPAN_KEY)
    if span is not None:
        span_context = span.get_span_context()
        if span_context.is_valid and not span_context.trace_flags & 1:
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
