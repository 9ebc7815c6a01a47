"""Opens the span of a call: the engine slot, and the portable engine that fills it.

The portable engine uses the OpenTelemetry API alone and works with any tracer. An engine that knows the SDK may
take the slot (`use_engine`); everything around it stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, get_current
from opentelemetry.trace import INVALID_SPAN, Link, ProxyTracerProvider, Span, Tracer

from otel_tracker.attributes import SCOPE
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.tracing import switch
from otel_tracker.tracing.execution import UNRECORDED, Execution, SteppedExecution, kept_length
from otel_tracker.tracing.spec import LazyAttributes, SpanSpec
from otel_tracker.version import __version__


class Engine(Protocol):
    """Starts spans for plans; may raise, which the callers of the slot contain."""

    def start(self, spec: SpanSpec, values: tuple[Any, ...], context: Context) -> Span | None:
        """A started span, or None when the call is to be forwarded as if it were not traced.

        A span that does not record is returned only where it has to become current, so that what runs below
        it is not recorded either. Arguments are looked at only if the span records.
        """


class PortableEngine:
    """Any tracer provider through the API; the provider may be set or replaced at any time."""

    def __init__(self) -> None:
        self._provider: object = None
        self._tracer: Tracer | None = None

    def start(self, spec: SpanSpec, values: tuple[Any, ...], context: Context) -> Span | None:
        """See `Engine.start`."""
        tracer = self._current_tracer()
        if tracer is None:
            return None
        attributes = LazyAttributes(spec, values)
        links = () if callable(spec.links) else spec.links
        parent_context = context
        if spec.new_trace:
            parent_context, links = _as_root(context, links)
        span = tracer.start_span(
            spec.name, context=parent_context, kind=spec.kind, attributes=attributes, links=list(links)
        )
        if span.is_recording():
            _mend_cut_arguments(span, spec, values, attributes.settle())
            _add_made_links(span, spec, values)
            return span
        return span if _changes_sampling(span, context) else None

    def _current_tracer(self) -> Tracer | None:
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._tracer = (
                None if isinstance(provider, ProxyTracerProvider) else provider.get_tracer(SCOPE, __version__)
            )
            self._provider = provider
        return self._tracer


_engine: Engine = PortableEngine()


def use_engine(engine: Engine) -> None:
    """Fill the slot; calls that run already keep what they have."""
    global _engine
    _engine = engine


def open_execution(spec: SpanSpec, values: tuple[Any, ...]) -> Execution | None:
    """The execution of a call with its span current, or None when the call is to be forwarded. Never raises."""
    started = _start(spec, values)
    if started is None:
        return None
    run = Execution(spec, *started)
    run.enter()
    return run


def open_steps(spec: SpanSpec, values: tuple[Any, ...]) -> SteppedExecution:
    """The execution of a generator, not yet current; `UNRECORDED` when there is no span. Never raises."""
    started = _start(spec, values)
    return UNRECORDED if started is None else SteppedExecution(spec, *started)


def _start(spec: SpanSpec, values: tuple[Any, ...]) -> tuple[Span, Context] | None:
    if not switch.is_enabled():
        return None
    try:
        context = get_current()
        if context.get(_SUPPRESS_INSTRUMENTATION_KEY):
            return None
        span = _engine.start(spec, values, context)
    except Exception as error:  # providers, samplers and processors are not ours
        report_internal_error("starting a span", error)
        return None
    return None if span is None else (span, context)


def _mend_cut_arguments(span: Span, spec: SpanSpec, values: tuple[Any, ...], given: Mapping[str, Any]) -> None:
    """Capture again, shorter, what the span's own length limit has cut: cut JSON is no JSON any more."""
    limit = min((size for key, value in given.items() if (size := kept_length(span, key, value))), default=0)
    if limit:
        span.set_attributes(spec.arguments_for(values, limit))


def _add_made_links(span: Span, spec: SpanSpec, values: tuple[Any, ...]) -> None:
    """Links that a callable makes come after the start: it is not called for a span that is not recorded."""
    if callable(spec.links):
        for link in spec.links_for(values):
            span.add_link(link.context, link.attributes)


def _as_root(context: Context, links: Sequence[Link]) -> tuple[Context, list[Link]]:
    """A context without a current span, and the links with one to the span that was current."""
    caller = trace.get_current_span(context).get_span_context()
    linked = [*links, Link(caller)] if caller.is_valid else list(links)
    return trace.set_span_in_context(INVALID_SPAN, context), linked


def _changes_sampling(span: Span, context: Context) -> bool:
    """Whether what runs below has to see this span: it is not recorded, and its parent's context does not say so."""
    own = span.get_span_context()
    parent = trace.get_current_span(context).get_span_context()
    if not own.is_valid or own == parent:
        return False
    return not parent.is_valid or parent.is_remote or parent.trace_flags.sampled
