"""Makes events: log records that bear an event name, given to whatever logger provider is in force.

Specification: https://opentelemetry.io/docs/specs/otel/logs/data-model/#events. On this side of the SDK this is the
one module that touches ``opentelemetry._logs``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from math import isfinite
from time import time_ns
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber, get_logger_provider
from opentelemetry.context import Context

from otel_tracker import current, request_context, settings
from otel_tracker.attributes import SCOPE
from otel_tracker.capture import INT64_MAX, INT64_MIN, SHORT, capture_tree, rules_in_force
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.redaction import REDACTED
from otel_tracker.setting_values import LEAN
from otel_tracker.version import __version__

MAX_PROPERTIES = 100
"""Properties kept of an event: a log record takes 128 attributes, some of which are the context's."""

Emitter = Callable[[str, "dict[str, Any]", SeverityNumber, Context], None]

INFO, ERROR = SeverityNumber.INFO, SeverityNumber.ERROR


def emit(
    event_name: str,
    properties: Mapping[str, Any] | None,
    *,
    severity: SeverityNumber = INFO,
    attributes: Mapping[str, Any] | None = None,
    is_of_user: bool = False,
) -> None:
    """Make one event here and now; ``attributes`` are plain already. Never raises, whatever it is given.

    Properties are bounded and redacted, and go before what the request context says; of that an event ``is_of_user``,
    whose properties are the user's, gets the keys of `request_context.CONTEXT_KEYS` alone.
    """
    try:
        if not _is_enabled():
            return
        if type(event_name) is not str:
            event_name = str(getattr(event_name, "value", event_name))
        provider = get_logger_provider()
        if provider is not _target.provider:
            _look_up(provider)
        asked = _target.asked
        if asked is not None and not asked.enabled(severity_number=severity, event_name=event_name):
            return
        context = current.get()
        found = _captured(properties) if properties else {}
        if attributes:
            found.update(attributes)
        stamped = request_context.event_attributes_of(context)
        if is_of_user:
            stamped = {key: value for key, value in stamped.items() if key in _KNOWN_KEYS}
        _target.emit(event_name, {**stamped, **found} if stamped else found, severity, context)
    except Exception as error:  # providers and processors are not ours
        report_internal_error("making an event", error)


def prepare() -> None:
    """Look at the provider now, not at the first event: a fork while another thread's imports for it would hang."""
    _look_up(get_logger_provider())


def reset() -> None:
    """Read the settings, and look at the provider, again at the next event."""
    global _enabled, _target
    _enabled = None
    _target = _NOBODY


_enabled: bool | None = None
_KNOWN_KEYS = frozenset(request_context.CONTEXT_KEYS.values())


def _is_enabled() -> bool:
    global _enabled
    if _enabled is None:
        _enabled = settings.EVENTS_ENABLED.read()
    return _enabled


def _captured(properties: Mapping[str, Any]) -> dict[str, Any]:
    if type(properties) is not dict and not isinstance(properties, Mapping):
        return {}
    rules = rules_in_force()
    is_secret, known = rules.redact.is_secret_key, rules.known_texts
    found: dict[str, Any] = {}
    for name, value in properties.items():
        if type(name) is not str or not name or len(found) >= MAX_PROPERTIES:
            return _captured_slowly(properties)
        kind = type(value)
        if is_secret(name):
            found[name] = REDACTED
        elif (
            (kind is str and len(value) <= SHORT and value in known)
            or kind is bool
            or (kind is float and isfinite(value))
            or (kind is int and INT64_MIN <= value <= INT64_MAX)
        ):
            found[name] = value
        else:
            found[name] = capture_tree(value)
    return found


def _captured_slowly(properties: Mapping[Any, Any]) -> dict[str, Any]:
    """For names that are no text or empty, which the SDK refuses, and more properties than a log record takes."""
    found: dict[str, Any] = {}
    for name, value in islice(properties.items(), MAX_PROPERTIES):
        found.update(capture_tree({name: value}))
    found.pop("", None)
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


class _Target(NamedTuple):
    """What takes the events of a provider's; ``asked``, where there is one, says whether an event would go anywhere."""

    provider: object
    emit: Emitter
    asked: Logger | None = None


def _by_the_api(logger: Logger) -> Emitter:
    """Emits events by any logger."""

    def emit(event_name: str, attributes: dict[str, Any], severity: SeverityNumber, context: Context) -> None:
        logger.emit(
            timestamp=time_ns(),
            context=_sampled(context),
            severity_number=severity,
            severity_text=severity.name,
            event_name=event_name,
            attributes=attributes,
        )

    return emit


def _look_up(provider: Any) -> None:
    global _target
    logger = provider.get_logger(SCOPE, __version__)
    lean = None
    if _SDK_MODULE in sys.modules and settings.SPAN_ENGINE.read() == LEAN:
        lean = importlib.import_module(_LEAN_MODULE).emitter_for(logger)
    _target = _Target(provider, lean) if lean else _Target(provider, _by_the_api(logger), logger)


_SDK_MODULE, _LEAN_MODULE = "opentelemetry.sdk._logs", "otel_tracker.lean_events"
_NOBODY = _Target(None, lambda *event: None)
_target = _NOBODY
