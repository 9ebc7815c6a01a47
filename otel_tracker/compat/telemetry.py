"""The telemetry module's own names: ``from otel_tracker.compat.telemetry import track, track_duration, Telemetry``.

What differs from `otel_tracker`'s names of the same kind: the first use calls `configure()`; a ``config.yaml`` in the
working directory that has a ``telemetry:`` mapping is read, below every other setting; decorators record no arguments;
and context that is set while Flask serves a request is forgotten when that request is torn down, also when its handler
raised.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from otel_tracker import events, lifecycle, request_context, setting_sources, switch
from otel_tracker.diagnostics import report_internal_error, say_once
from otel_tracker.event_decorators import watched
from otel_tracker.events import EventCategory
from otel_tracker.telemetry_file import TELEMETRY_AREA, settings_of
from otel_tracker.tracing.decorator import TracedDecorator
from otel_tracker.tracing.watches import CallWatch, DurationWatch, ErrorWatch

__all__ = ["EventCategory", "Telemetry", "track", "track_duration", "track_error", "track_event", "track_function"]

CONFIG_FILE = "config.yaml"

_lock = threading.RLock()
_is_configured = False


def track(event_name: str, /, **properties: Any) -> None:
    """As `otel_tracker.track`."""
    _configure()
    events.track(event_name, **properties)


def track_event(event_name: str, properties: Mapping[str, Any] | None = None) -> None:
    """As `otel_tracker.track_event`."""
    _configure()
    events.track_event(event_name, properties)


def track_duration(event_prefix: str) -> TracedDecorator:
    """As `otel_tracker.track_duration`."""
    _configure()
    return watched(DurationWatch(event_prefix), capture_args=False)


def track_function(event_name: str, /, **extra_props: Any) -> TracedDecorator:
    """As `otel_tracker.track_function`."""
    _configure()
    return watched(CallWatch(event_name, extra_props), capture_args=False)


def track_error(event_name: str) -> TracedDecorator:
    """As `otel_tracker.track_error`."""
    _configure()
    return watched(ErrorWatch(event_name), capture_args=False)


class Telemetry:
    """The object of the telemetry module; all that it sets belongs to the process, request or task, not to it."""

    _instance: Telemetry | None = None

    def __init__(self) -> None:
        _configure()

    @classmethod
    def get_instance(cls) -> Telemetry:
        """The object that all callers share."""
        with _lock:
            if cls._instance is None:
                cls._instance = cls()
            return cls._instance

    def set_context(self, **values: Any) -> None:
        """As `otel_tracker.set_context`; while Flask serves a request, until that is torn down."""
        _forget_with_flask()
        request_context.set_context(**values)

    def get_context(self) -> dict[str, Any]:
        """As `otel_tracker.get_context`."""
        return request_context.get_context()

    def clear_context(self) -> None:
        """As `otel_tracker.clear_context`."""
        request_context.clear_context()

    def context(self, **values: Any) -> request_context.context:
        """As `otel_tracker.context`."""
        return request_context.context(**values)

    def track(self, event_name: str, /, **properties: Any) -> None:
        """As `otel_tracker.track`."""
        events.track(event_name, **properties)

    def track_event(self, event_name: str, properties: Mapping[str, Any] | None = None) -> None:
        """As `otel_tracker.track_event`."""
        events.track_event(event_name, properties)

    def flush(self) -> None:
        """As `otel_tracker.flush`."""
        lifecycle.flush()

    def enable(self) -> None:
        """As `otel_tracker.enable`."""
        switch.enable()

    def disable(self) -> None:
        """As `otel_tracker.disable`."""
        switch.disable()


def _configure() -> None:
    """What the first use does."""
    global _is_configured
    if _is_configured:
        return
    with _lock:
        if not _is_configured:
            _is_configured = True
            setting_sources.adopt(_from_config_file())
            lifecycle.configure()


def _from_config_file() -> dict[str, object]:
    """The settings that a ``config.yaml`` of the telemetry module's kind holds; nothing for any other file."""
    try:
        if not (os.path.isfile(CONFIG_FILE) and setting_sources.is_own(CONFIG_FILE)):
            return {}
        content = setting_sources.parsed(CONFIG_FILE)
        has_area = isinstance(content, Mapping) and TELEMETRY_AREA in content
        return settings_of(content[TELEMETRY_AREA]) if has_area else {}  # type: ignore[index]
    except Exception as error:  # whatever the file holds, the program goes on
        reason = " ".join(str(error).split())[:200]
        say_once(f"The settings file {CONFIG_FILE} cannot be used: {reason}. Mend it; its settings are ignored.")
        return {}


_hooked_flask: object = None


def _forget_with_flask() -> None:
    """Forget the context of Flask's requests when they are torn down: ``after_request`` is left out after an error."""
    global _hooked_flask
    flask = sys.modules.get("flask")
    if flask is None or flask is _hooked_flask:
        return
    try:
        flask.request_tearing_down.connect(_forget)
        _hooked_flask = flask
    except Exception as error:
        report_internal_error("watching Flask's requests", error)


def _forget(sender: object, **details: Any) -> None:
    request_context.clear_context()
