"""Genuine OpenTelemetry for Python programs, with no infrastructure.

Every public name is imported when it is first used, so that ``import otel_tracker`` costs next to nothing: no SDK,
no framework, no store. Importing and decorating configure nothing; `configure()`, `opentelemetry-instrument` and
``otel-tracker run`` do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_tracker.version import __version__

if TYPE_CHECKING:
    from otel_tracker.capture import Sensitive as Sensitive
    from otel_tracker.delivery.counts import DeliveryReport as DeliveryReport
    from otel_tracker.delivery.lanes import delivery_report as delivery_report
    from otel_tracker.errors import OtelTrackerError as OtelTrackerError
    from otel_tracker.event_decorators import track_duration as track_duration
    from otel_tracker.event_decorators import track_error as track_error
    from otel_tracker.event_decorators import track_function as track_function
    from otel_tracker.events import EventCategory as EventCategory
    from otel_tracker.events import identify as identify
    from otel_tracker.events import track as track
    from otel_tracker.events import track_event as track_event
    from otel_tracker.lifecycle import configure as configure
    from otel_tracker.lifecycle import flush as flush
    from otel_tracker.lifecycle import shutdown as shutdown
    from otel_tracker.metrics import counted as counted
    from otel_tracker.metrics import counter as counter
    from otel_tracker.metrics import gauge as gauge
    from otel_tracker.metrics import histogram as histogram
    from otel_tracker.metrics import timed as timed
    from otel_tracker.metrics import up_down_counter as up_down_counter
    from otel_tracker.process_outputs import emf as emf
    from otel_tracker.process_outputs import logging_output as logging_output
    from otel_tracker.process_tracker import ProcessTracker as ProcessTracker
    from otel_tracker.propagation import child_environment as child_environment
    from otel_tracker.propagation import propagate as propagate
    from otel_tracker.query import StoreReader as StoreReader
    from otel_tracker.records import EventRecord as EventRecord
    from otel_tracker.records import LogRecord as LogRecord
    from otel_tracker.records import MetricRecord as MetricRecord
    from otel_tracker.records import SpanRecord as SpanRecord
    from otel_tracker.request_context import clear_context as clear_context
    from otel_tracker.request_context import context as context
    from otel_tracker.request_context import get_context as get_context
    from otel_tracker.request_context import set_context as set_context
    from otel_tracker.stats import Statistics as Statistics
    from otel_tracker.stores import open_store as open_store
    from otel_tracker.switch import disable as disable
    from otel_tracker.switch import enable as enable
    from otel_tracker.tracing.blocks import span as span
    from otel_tracker.tracing.decorator import traced as traced

_HOMES = {
    "DeliveryReport": "otel_tracker.delivery.counts",
    "EventCategory": "otel_tracker.events",
    "EventRecord": "otel_tracker.records",
    "LogRecord": "otel_tracker.records",
    "MetricRecord": "otel_tracker.records",
    "OtelTrackerError": "otel_tracker.errors",
    "ProcessTracker": "otel_tracker.process_tracker",
    "Sensitive": "otel_tracker.capture",
    "SpanRecord": "otel_tracker.records",
    "Statistics": "otel_tracker.stats",
    "StoreReader": "otel_tracker.query",
    "child_environment": "otel_tracker.propagation",
    "clear_context": "otel_tracker.request_context",
    "configure": "otel_tracker.lifecycle",
    "context": "otel_tracker.request_context",
    "counted": "otel_tracker.metrics",
    "counter": "otel_tracker.metrics",
    "delivery_report": "otel_tracker.delivery.lanes",
    "disable": "otel_tracker.switch",
    "emf": "otel_tracker.process_outputs",
    "enable": "otel_tracker.switch",
    "flush": "otel_tracker.lifecycle",
    "gauge": "otel_tracker.metrics",
    "get_context": "otel_tracker.request_context",
    "histogram": "otel_tracker.metrics",
    "identify": "otel_tracker.events",
    "logging_output": "otel_tracker.process_outputs",
    "open_store": "otel_tracker.stores",
    "propagate": "otel_tracker.propagation",
    "set_context": "otel_tracker.request_context",
    "shutdown": "otel_tracker.lifecycle",
    "span": "otel_tracker.tracing.blocks",
    "timed": "otel_tracker.metrics",
    "traced": "otel_tracker.tracing.decorator",
    "track": "otel_tracker.events",
    "track_duration": "otel_tracker.event_decorators",
    "track_error": "otel_tracker.event_decorators",
    "track_event": "otel_tracker.events",
    "track_function": "otel_tracker.event_decorators",
    "up_down_counter": "otel_tracker.metrics",
}

__all__ = [
    "DeliveryReport",
    "EventCategory",
    "EventRecord",
    "LogRecord",
    "MetricRecord",
    "OtelTrackerError",
    "ProcessTracker",
    "Sensitive",
    "SpanRecord",
    "Statistics",
    "StoreReader",
    "__version__",
    "child_environment",
    "clear_context",
    "configure",
    "context",
    "counted",
    "counter",
    "delivery_report",
    "disable",
    "emf",
    "enable",
    "flush",
    "gauge",
    "get_context",
    "histogram",
    "identify",
    "logging_output",
    "open_store",
    "propagate",
    "set_context",
    "shutdown",
    "span",
    "timed",
    "traced",
    "track",
    "track_duration",
    "track_error",
    "track_event",
    "track_function",
    "up_down_counter",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'otel_tracker' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
