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
    from otel_tracker.events import track as track
    from otel_tracker.lifecycle import configure as configure
    from otel_tracker.lifecycle import flush as flush
    from otel_tracker.lifecycle import shutdown as shutdown
    from otel_tracker.propagation import child_environment as child_environment
    from otel_tracker.propagation import propagate as propagate
    from otel_tracker.query import StoreReader as StoreReader
    from otel_tracker.records import EventRecord as EventRecord
    from otel_tracker.records import SpanRecord as SpanRecord
    from otel_tracker.stats import Statistics as Statistics
    from otel_tracker.stores import open_store as open_store
    from otel_tracker.tracing.blocks import span as span
    from otel_tracker.tracing.decorator import traced as traced
    from otel_tracker.tracing.switch import disable as disable
    from otel_tracker.tracing.switch import enable as enable

_HOMES = {
    "DeliveryReport": "otel_tracker.delivery.counts",
    "EventRecord": "otel_tracker.records",
    "OtelTrackerError": "otel_tracker.errors",
    "Sensitive": "otel_tracker.capture",
    "SpanRecord": "otel_tracker.records",
    "Statistics": "otel_tracker.stats",
    "StoreReader": "otel_tracker.query",
    "child_environment": "otel_tracker.propagation",
    "configure": "otel_tracker.lifecycle",
    "delivery_report": "otel_tracker.delivery.lanes",
    "disable": "otel_tracker.tracing.switch",
    "enable": "otel_tracker.tracing.switch",
    "flush": "otel_tracker.lifecycle",
    "open_store": "otel_tracker.stores",
    "propagate": "otel_tracker.propagation",
    "shutdown": "otel_tracker.lifecycle",
    "span": "otel_tracker.tracing.blocks",
    "track": "otel_tracker.events",
    "traced": "otel_tracker.tracing.decorator",
}

__all__ = [
    "DeliveryReport",
    "EventRecord",
    "OtelTrackerError",
    "Sensitive",
    "SpanRecord",
    "Statistics",
    "StoreReader",
    "__version__",
    "child_environment",
    "configure",
    "delivery_report",
    "disable",
    "enable",
    "flush",
    "open_store",
    "propagate",
    "shutdown",
    "span",
    "traced",
    "track",
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
