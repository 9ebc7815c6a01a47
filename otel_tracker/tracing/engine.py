"""Opens the span of a call: the engine slot, and the portable engine that fills it.

The portable engine uses the OpenTelemetry API alone and works with any tracer. An engine that knows the SDK takes the
slot (`use_engine`) when `configure()` sets up one, or at the first call for which the SDK is there; it is found by
name, so that this half imports nothing of the other. Everything around the slot stays the same.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, INVALID_SPAN_CONTEXT, Link, ProxyTracerProvider, Span, Tracer

from otel_tracker import current, settings, switch
from otel_tracker.attributes import ARGS_JSON_PREFIX, ARGS_PREFIX, SCOPE
from otel_tracker.diagnostics import logger, report_internal_error
from otel_tracker.setting_values import LEAN
from otel_tracker.tracing.execution import UNRECORDED, Execution, SteppedExecution, kept_length
from otel_tracker.tracing.plan import LazyAttributes, plan_of
from otel_tracker.tracing.spec import SpanSpec
from otel_tracker.version import __version__

_SDK_MODULE = "opentelemetry.sdk.trace"
_LEAN_MODULE = "otel_tracker.leanspan"
_CAPTURED = (ARGS_PREFIX, ARGS_JSON_PREFIX)


class Engine(Protocol):
    """Opens executions for plans. Neither method ever raises; arguments are looked at only for a recorded span.

    Whether tracing is switched off is the caller's to ask: generated wrappers do it first of all.
    """

    def open_call(self, spec: SpanSpec, values: tuple[Any, ...]) -> Execution | None:
        """The execution of a call with its span current, or None when the call is to be forwarded.

        A span that does not record is opened only where it has to be current, so that what runs below it is not
        recorded either.
        """

    def open_steps(self, spec: SpanSpec, values: tuple[Any, ...]) -> SteppedExecution:
        """The execution of a generator, not yet current; `UNRECORDED` when there is no span."""


class PortableEngine:
    """Any tracer provider through the API; the provider may be set or replaced at any time."""

    def __init__(self) -> None:
        self._provider: object = None
        self._tracer: Tracer | None = None

    def open_call(self, spec: SpanSpec, values: tuple[Any, ...]) -> Execution | None:
        """See `Engine.open_call`."""
        started = self._start(spec, values)
        if started is None:
            return None
        run = Execution(spec, *started)
        run.enter()
        return run

    def open_steps(self, spec: SpanSpec, values: tuple[Any, ...]) -> SteppedExecution:
        """See `Engine.open_steps`."""
        started = self._start(spec, values)
        return UNRECORDED if started is None else SteppedExecution(spec, *started)

    def _start(self, spec: SpanSpec, values: tuple[Any, ...]) -> tuple[Span, Context] | None:
        try:
            context = current.get()
            if context.get(current.SUPPRESS_KEY):
                return None
            span = self._started(spec, values, context)
        except Exception as error:  # providers, samplers and processors are not ours
            report_internal_error("starting a span", error)
            return None
        return None if span is None else (span, context)

    def _started(self, spec: SpanSpec, values: tuple[Any, ...], context: Context) -> Span | None:
        tracer = self._current_tracer()
        if tracer is None:
            return None
        attributes = LazyAttributes(spec, values)
        links = () if callable(spec.links) else spec.links
        parent_context = context
        if spec.new_trace:
            parent_context, links = as_root(context, links)
        span = tracer.start_span(
            spec.name, context=parent_context, kind=spec.kind, attributes=attributes, links=list(links)
        )
        if span.is_recording():
            _mend_cut_arguments(span, spec, values, attributes.settle())
            add_made_links(span, spec, values)
            return span
        return span if changes_sampling(span, parent_context) else None

    def _current_tracer(self) -> Tracer | None:
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._tracer = (
                None if isinstance(provider, ProxyTracerProvider) else provider.get_tracer(SCOPE, __version__)
            )
            self._provider = provider
        return self._tracer


class EngineChoice:
    """Fills the slot at the first call for which the SDK is loaded; until then nobody can have set its provider."""

    def open_call(self, spec: SpanSpec, values: tuple[Any, ...]) -> Execution | None:
        """See `Engine.open_call`."""
        return self._chosen().open_call(spec, values)

    def open_steps(self, spec: SpanSpec, values: tuple[Any, ...]) -> SteppedExecution:
        """See `Engine.open_steps`."""
        return self._chosen().open_steps(spec, values)

    def _chosen(self) -> Engine:
        if _SDK_MODULE not in sys.modules:
            return _portable
        choose_engine()
        return _engine


def choose_engine() -> None:
    """Fill the slot with what ``OTEL_TRACKER_SPAN_ENGINE`` says; the SDK is loaded, or may be."""
    use_engine(_lean_engine() or _portable)


def prepare() -> None:
    """Choose now, with the SDK loaded: a fork while another thread's first call imports the engine would hang."""
    if isinstance(_engine, EngineChoice):
        choose_engine()


def reset() -> None:
    """Choose again at the next call; `configure()` calls this."""
    use_engine(EngineChoice())


def use_engine(engine: Engine) -> None:
    """Fill the slot; calls that run already keep what they have."""
    global _engine, open_call, open_steps
    _engine = engine
    open_call, open_steps = engine.open_call, engine.open_steps


def _lean_engine() -> Engine | None:
    """The engine of `otel_tracker.leanspan`, unless the settings, its self-check or its absence say otherwise."""
    if settings.SPAN_ENGINE.read() != LEAN:
        return None
    try:
        engine: Engine | None = importlib.import_module(_LEAN_MODULE).new_engine(_portable)
    except Exception as error:  # an SDK that it does not know, or no such module
        logger.debug("the lean span engine cannot be used (%s); spans are the SDK's own", error)
        return None
    return engine


def as_root(context: Context, links: Sequence[Link]) -> tuple[Context, list[Link]]:
    """A context without a current span, and the links with one to the span that was current."""
    caller = trace.get_current_span(context).get_span_context() or INVALID_SPAN_CONTEXT
    linked = [*links, Link(caller)] if caller.is_valid else list(links)
    return trace.set_span_in_context(INVALID_SPAN, context), linked


def add_made_links(span: Span, spec: SpanSpec, values: tuple[Any, ...]) -> None:
    """Links that a callable makes come after the start: it is not called for a span that is not recorded."""
    if callable(spec.links):
        for link in plan_of(spec).links_for(values):
            span.add_link(link.context, link.attributes)


def changes_sampling(span: Span, context: Context) -> bool:
    """Whether what runs below has to see this span: it is not recorded, and its parent's context does not say so."""
    own = span.get_span_context()
    parent = trace.get_current_span(context).get_span_context() or INVALID_SPAN_CONTEXT
    if not own.is_valid or own == parent:
        return False
    return not parent.is_valid or parent.is_remote or parent.trace_flags.sampled


def _mend_cut_arguments(span: Span, spec: SpanSpec, values: tuple[Any, ...], given: Mapping[str, Any]) -> None:
    """Capture again, shorter, what the span's own length limit has cut: cut JSON is no JSON any more."""
    captured = (item for item in given.items() if item[0].startswith(_CAPTURED))
    limit = min((size for key, value in captured if (size := kept_length(span, key, value))), default=0)
    if limit:
        kept = getattr(span, "attributes", None) or {}
        mended = {**given, **plan_of(spec).arguments_for(values, limit)}
        span.set_attributes({key: mended[key] for key in given if key in kept})  # all, so that they stay in order


_portable = PortableEngine()
_engine: Engine = EngineChoice()
# What generated wrappers call: looked up here at every call, so that a wrapper holds no engine.
open_call = _engine.open_call
open_steps = _engine.open_steps


def open_block(spec: SpanSpec, values: tuple[Any, ...]) -> Execution | None:
    """As `Engine.open_call`, for a caller that has not asked whether tracing is switched on."""
    return open_call(spec, values) if switch.is_on else None
