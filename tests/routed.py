"""Three destinations of events in memory, behind a real router: the fixture `routed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.util._once import Once

from otel_tracker.event_routes import parse_routes
from otel_tracker.routing import Branch, EventRouter

Got = Callable[[], dict[str, list[str]]]


@pytest.fixture
def routed() -> Iterator[Callable[..., Got]]:
    """Sets up the destinations a, b and c, after any others; gives what each of the three got."""
    providers: list[LoggerProvider] = []

    def set_up(routes: str, *first: Branch, ratio: float = 1.0) -> Got:
        exporters = {name: InMemoryLogRecordExporter() for name in "abc"}
        found = {name: parse_routes(routes).of(name) for name in exporters}
        branches = [
            Branch(name, SimpleLogRecordProcessor(exporter), found[name], takes_every_event=found[name] is None)
            for name, exporter in exporters.items()
        ]
        providers.append(LoggerProvider(shutdown_on_exit=False))
        providers[-1].add_log_record_processor(EventRouter([*first, *branches], ratio))
        set_logger_provider(providers[-1])
        return lambda: {
            name: [record.log_record.event_name or "" for record in exporter.get_finished_logs()]
            for name, exporter in exporters.items()
        }

    yield set_up
    for provider in providers:
        provider.shutdown()
    logs_internal._LOGGER_PROVIDER, logs_internal._LOGGER_PROVIDER_SET_ONCE = None, Once()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
