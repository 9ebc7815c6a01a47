"""A real meter provider for a test, and what it has measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import opentelemetry.metrics._internal as metrics_internal
import pytest
from opentelemetry import trace
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.util._once import Once

from otel_tracker import instruments, metrics

from .helpers import Measured


@pytest.fixture(autouse=True)
def clean_instruments() -> Iterator[None]:
    """No instrument, and no label of one, from another test."""
    instruments.forget_all()
    metrics._duration_timing.cache_clear()
    yield
    instruments.forget_all()
    metrics._duration_timing.cache_clear()


@pytest.fixture
def provide() -> Iterator[Callable[[], Measured]]:
    """Sets a meter provider, in place of an earlier one."""
    made: list[MeterProvider] = []

    def set_up() -> Measured:
        reader = InMemoryMetricReader()
        made.append(MeterProvider([reader], shutdown_on_exit=False))
        _forget_provider()
        set_meter_provider(made[-1])
        return Measured(reader)

    yield set_up
    for provider in made:
        provider.shutdown()
    _forget_provider()


@pytest.fixture
def measured(provide: Callable[[], Measured]) -> Measured:
    """What a global meter provider has measured."""
    return provide()


@pytest.fixture
def trace_with() -> Iterator[Callable[..., InMemorySpanExporter]]:
    """Sets a tracer provider; gives what its spans are exported to."""
    made: list[TracerProvider] = []

    def set_up(sampler: Sampler = ALWAYS_ON) -> InMemorySpanExporter:
        exporter = InMemorySpanExporter()
        made.append(TracerProvider(sampler=sampler, shutdown_on_exit=False))
        made[-1].add_span_processor(SimpleSpanProcessor(exporter))
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
        trace.set_tracer_provider(made[-1])
        return exporter

    yield set_up
    for provider in made:
        provider.shutdown()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()


def _forget_provider() -> None:
    metrics_internal._METER_PROVIDER, metrics_internal._METER_PROVIDER_SET_ONCE = None, Once()
