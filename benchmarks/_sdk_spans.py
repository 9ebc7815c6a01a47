"""What the benchmarks take from the SDK: providers whose spans go nowhere, the unit B, and what calls run inside.

B is what ``@tracer.start_as_current_span("x")`` adds to a function: a recorded child span without attributes, given to
a processor that discards it. Providers for it are never the global one, so that it is the same whatever a part of a
benchmark makes of that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from _workloads import Decorator, Function
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer


class Discard(SpanProcessor):
    """Takes every ended span and keeps none."""

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing is done with it."""


class DiscardAtBothEnds(Discard):
    """Wants to know of every start as well."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing is done with it."""


class NullExporter(SpanExporter):
    """Says that every batch was exported."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Nothing is done with them."""
        return SpanExportResult.SUCCESS


def tracer_with(processor: SpanProcessor, sampler: Sampler | None = None, *, is_global: bool = False) -> Tracer:
    """A tracer of a new provider; the default sampler records whatever has a sampled parent or none."""
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(processor)
    if is_global:
        trace.set_tracer_provider(provider)
    return provider.get_tracer("benchmarks")


def sdk_decorator(tracer: Tracer) -> Decorator:
    """The SDK's own."""

    def decorate(function: Function) -> Function:
        decorated: Function = tracer.start_as_current_span("x")(function)
        return decorated

    return decorate


def recorded_parent(tracer: Tracer) -> Callable[[], AbstractContextManager[object]]:
    """A parent span that is recorded."""
    return lambda: tracer.start_as_current_span("parent")


def unsampled_parent(*, is_remote: bool) -> Callable[[], AbstractContextManager[object]]:
    """A parent span that is not sampled, of this process or from a request's headers."""
    context = SpanContext(0x5F2C9A, 0x758755, is_remote, TraceFlags(TraceFlags.DEFAULT))
    return lambda: trace.use_span(NonRecordingSpan(context))


def switched(
    off: Callable[[], None], on: Callable[[], None], inside: Callable[[], AbstractContextManager[object]]
) -> Callable[[], AbstractContextManager[object]]:
    """Off meanwhile, inside a parent span that is recorded all the same."""

    @contextmanager
    def surroundings() -> Iterator[None]:
        with inside():
            off()
            try:
                yield
            finally:
                on()

    return surroundings
