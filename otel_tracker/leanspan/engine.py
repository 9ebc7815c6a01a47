"""The engine that fills the slot of `otel_tracker.tracing.engine` where the SDK makes the spans.

It does what `opentelemetry.sdk.trace.Tracer.start_span` does, in the same order and with the same outcome, but asks a
sampler only where its answer is not known beforehand, and makes lean spans. Whatever is not the SDK's own tracer is
left to the portable engine.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from weakref import WeakSet

from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import NonRecordingSpan, ProxyTracerProvider, Span, SpanContext, get_current_span

from otel_tracker import current
from otel_tracker.attributes import SCOPE
from otel_tracker.current import PART_KEY, SPAN_KEY, SUPPRESS_KEY, attach
from otel_tracker.current import get as get_context
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.leanspan import sdk
from otel_tracker.leanspan.sdk import LeanSpan, SdkSpan, TracerFacts, are_native, child_context, new_span
from otel_tracker.tracing import defaults
from otel_tracker.tracing.engine import Engine, add_made_links, as_root, changes_sampling
from otel_tracker.tracing.execution import UNRECORDED, Execution, SteppedExecution
from otel_tracker.tracing.plan import LazyAttributes, plan_of
from otel_tracker.tracing.spec import SpanSpec
from otel_tracker.version import __version__

_LOW_64_BITS = (1 << 64) - 1
_TRACE_ID, _IS_REMOTE, _FLAGS, _STATE, _IS_VALID = 0, 2, 3, 4, 5


class LeanEngine:
    """See the module; ``portable`` serves every tracer that is not exactly the SDK's."""

    def __init__(self, portable: Engine) -> None:
        self._portable = portable
        self._provider: object = self  # nobody's provider: looked up at the first call
        self._facts: TracerFacts | None = None
        _engines.add(self)

    def forget_facts(self) -> None:
        """Look at the provider again at the next call."""
        self._provider = self

    def open_call(self, spec: SpanSpec, values: tuple[Any, ...]) -> Execution | LeanSpan | None:
        """See `Engine.open_call`.

        The way of a child of a lean span is written out in one piece: a call of a function costs 3 % of such a span.
        """
        facts = self._facts
        try:
            context = get_context()
            size = len(context)
            if (
                facts is None
                or trace_api._TRACER_PROVIDER is not self._provider
                or (size != 1 and (size != 2 or PART_KEY not in context))
            ):
                return self._opened(spec, values, context)
            parent: Any = context.get(SPAN_KEY)
            kind = type(parent)
            if kind is LeanSpan:
                lineage = parent._lineage if parent._facts is facts else facts.lineage_below(parent._context)
            elif kind is SdkSpan:
                lineage = facts.lineage_below(parent._context)
            elif kind is NonRecordingSpan and facts.drops_below(parent._context) and not spec.new_trace:
                return None
            else:
                lineage = None
            plan = spec.plan
            if lineage is not None and plan is not None and plan.is_simple and plan.defaults is defaults.current:
                constant = plan.constant
                attributes = constant.copy() if constant is not None else plan.simple_attributes(values)
                if len(attributes) <= facts.room:
                    own = child_context(lineage)
                    span = new_span(facts, plan, own, parent._context, lineage, attributes, context)
                    known = {SPAN_KEY: span} if size == 1 else {SPAN_KEY: span, PART_KEY: context[PART_KEY]}
                    span._token = attach(Context(known))
                    return span
            return self._opened(spec, values, context)
        except Exception as error:  # providers, samplers and processors are not ours
            report_internal_error("starting a span", error)
            return None

    def open_steps(self, spec: SpanSpec, values: tuple[Any, ...]) -> SteppedExecution:
        """See `Engine.open_steps`."""
        try:
            facts, context = self._facts_now(), get_context()
            if facts is None:
                return self._portable.open_steps(spec, values)
            span = started(facts, spec, values, context)
            return UNRECORDED if span is None else SteppedExecution(spec, span, context)
        except Exception as error:
            report_internal_error("starting a span", error)
            return UNRECORDED

    def _opened(self, spec: SpanSpec, values: tuple[Any, ...], context: Context) -> Execution | LeanSpan | None:
        facts = self._facts
        if facts is None or trace_api._TRACER_PROVIDER is not self._provider or not facts.are_current():
            facts = self._facts_now()
            if facts is None:
                return self._portable.open_call(spec, values)
        span = started(facts, spec, values, context)
        if span is None:
            return None
        run = span if type(span) is LeanSpan else Execution(spec, span, context)
        run._token = attach(Context({SPAN_KEY: span}) if not context else current.with_span(span, context))
        return run

    def _facts_now(self) -> TracerFacts | None:
        """What is known of the tracer of the provider that is set now; None where the portable engine serves."""
        if trace_api._TRACER_PROVIDER is not self._provider:
            self._facts = self._looked_up()
        elif self._facts is not None and not self._facts.are_current():
            self._facts = TracerFacts(self._facts.tracer)
        return self._facts

    def _looked_up(self) -> TracerFacts | None:
        provider = trace_api.get_tracer_provider()
        if isinstance(provider, ProxyTracerProvider):
            self._provider = None
            return None
        tracer = provider.get_tracer(SCOPE, __version__)
        facts = TracerFacts(tracer) if type(tracer) is Tracer and not sdk.has_metrics(tracer) else None
        self._provider = provider
        return facts


class _Call(NamedTuple):
    """What a new span is to be for, and where; ``context`` holds its parent."""

    facts: TracerFacts
    spec: SpanSpec
    values: tuple[Any, ...]
    context: Context
    links: Any


def started(facts: TracerFacts, spec: SpanSpec, values: tuple[Any, ...], context: Context) -> Span | None:
    """What `Tracer.start_span` would start here; None when the call is to be forwarded.

    Raises what samplers and processors raise.
    """
    if context.get(SUPPRESS_KEY) or facts.is_disabled():
        return None
    span = context.get(SPAN_KEY)
    # By position, because the names of the fields of a SpanContext are properties, which cost more than all the rest.
    parent: Any = None if span is None else get_current_span(context).get_span_context()
    if parent is None or spec.new_trace or not parent[_IS_VALID]:
        return _started_root(facts, spec, values, context)
    trace_id, is_remote, flags = parent[_TRACE_ID], parent[_IS_REMOTE], parent[_FLAGS]
    bound = facts.decisions[(1 if is_remote else 3) + (not flags & 1)]  # as `sampling_delegates` has them
    if bound is None:
        return _asked(_Call(facts, spec, values, context, spec.links), trace_id, parent)
    flags_of = sdk.FLAGS[flags >> 1 & 1]
    if trace_id & _LOW_64_BITS < bound:
        own = facts.new_context(trace_id, flags_of[1], parent[_STATE])
        return _recorded(_Call(facts, spec, values, context, spec.links), own, parent)
    if is_remote or flags & 1:
        return NonRecordingSpan(facts.new_context(trace_id, flags_of[0], parent[_STATE]))
    return None  # what runs below is not recorded anyway


def _started_root(facts: TracerFacts, spec: SpanSpec, values: tuple[Any, ...], caller: Context) -> Span | None:
    context, links = caller, spec.links
    if spec.new_trace:
        context, links = as_root(caller, () if callable(links) else links)
    trace_id = facts.new_trace_id()
    bound = facts.decisions[0]
    if bound is None:
        return _asked(_Call(facts, spec, values, context, links), trace_id, None)
    if trace_id & _LOW_64_BITS < bound:
        own = facts.new_context(trace_id, facts.root_flags[1], sdk.NO_STATE)
        return _recorded(_Call(facts, spec, values, context, links), own, None)
    return NonRecordingSpan(facts.new_context(trace_id, facts.root_flags[0], sdk.NO_STATE))


def _asked(call: _Call, trace_id: int, parent: SpanContext | None) -> Span | None:
    """What the sampler says through its interface; it may add attributes, and sees those of the call."""
    facts, spec, values, context, links = call
    lazy = LazyAttributes(spec, values, facts.max_length)
    given = [] if callable(links) else list(links)
    answer: Any = facts.sampler.should_sample(context, trace_id, spec.name, spec.kind, lazy, given)
    flags = facts.root_flags if parent is None else sdk.FLAGS[parent.trace_flags >> 1 & 1]
    state = answer.trace_state or sdk.NO_STATE
    own = facts.new_context(trace_id, flags[answer.decision.is_sampled()], state)
    if answer.decision.is_recording():
        return _recorded(call, own, parent, facts.bounded(answer.attributes))
    span = NonRecordingSpan(own)
    return span if changes_sampling(span, context) else None


def _recorded(call: _Call, own: SpanContext, parent: SpanContext | None, attributes: Any = None) -> LeanSpan:
    """A recorded span, after the processors have seen it."""
    facts, spec, values, context, links = call
    plan = plan_of(spec)
    if attributes is None:
        attributes = plan.attributes_for(values, facts.max_length)
        if len(attributes) > facts.room or not are_native(attributes):
            attributes = facts.bounded(attributes)
    given = () if callable(links) else links
    span = new_span(facts, plan, own, parent, facts.lineage_below(own), attributes, context, given)
    if facts.max_length:
        span.max_text_length = facts.max_length
    if plan.adds or type(attributes) is not dict:
        span.is_captured = False
    add_made_links(span, spec, values)
    return span


_engines: WeakSet[LeanEngine] = WeakSet()


def _forget_in_child() -> None:
    """The SDK gives a forked process another resource."""
    for engine in _engines:
        engine.forget_facts()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
