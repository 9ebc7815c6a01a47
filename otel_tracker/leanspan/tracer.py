"""A tracer for instrumentors of anybody's whose spans are lean ones.

`LeanProvider` stands in front of a provider and is given to an instrumentor as its ``tracer_provider``. Where the
provider behind it makes the SDK's own tracer, its spans are made here, with the outcome of `Tracer.start_span`; links,
and samplers that have to be asked, are left to that, as is everything that is no SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, get_current_span

from otel_tracker.current import SPAN_KEY
from otel_tracker.current import get as get_context
from otel_tracker.leanspan import sdk
from otel_tracker.leanspan.sdk import TracerFacts, are_native, new_span
from otel_tracker.tracing.plan import CapturePlan, plan_of
from otel_tracker.tracing.spec import SpanSpec

_LOW_64_BITS = (1 << 64) - 1
_MAX_NAMES = 1_000


class LeanProvider(trace_api.TracerProvider):
    """Tracers of ``provider``, or of the global one that is set when a span starts, with lean spans."""

    def __init__(self, provider: trace_api.TracerProvider | None) -> None:
        self._provider = provider

    def get_tracer(self, *names: Any, **scope: Any) -> trace_api.Tracer:
        """See the API."""
        return LeanTracer(self._provider, names, scope)


class LeanTracer(trace_api.Tracer):
    """See the module."""

    def __init__(self, provider: Any, names: tuple[Any, ...], scope: Mapping[str, Any]) -> None:
        self._given = provider
        self._names, self._scope = names, scope
        self._provider: Any = self  # nobody's provider: looked up at the first span
        self._tracer: trace_api.Tracer
        self._facts: TracerFacts | None = None
        self._specs: dict[tuple[str, SpanKind], SpanSpec] = {}

    def start_span(  # noqa: PLR0917 - as the API has it
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """See the API."""
        tracer, facts = self._now()
        if facts is not None and not links and record_exception and set_status_on_exception:
            within = get_context() if context is None else context
            span = self._started(facts, plan_of(self._spec(name, kind)), within, attributes, start_time)
            if span is not None:
                return span
        return tracer.start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )

    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        """See the API; a span of the SDK's own."""
        return self._now()[0].start_as_current_span(*args, **options)

    def _now(self) -> tuple[trace_api.Tracer, TracerFacts | None]:
        """The tracer of the provider that is in force, and what is known of it where it is the SDK's."""
        provider = trace_api.get_tracer_provider() if self._given is None else self._given
        if provider is not self._provider:
            self._tracer = tracer = provider.get_tracer(*self._names, **self._scope)
            self._facts = TracerFacts(tracer) if type(tracer) is Tracer and not sdk.has_metrics(tracer) else None
            self._provider = provider
        elif self._facts is not None and not self._facts.are_current():
            self._facts = TracerFacts(self._facts.tracer)
        facts = self._facts
        return self._tracer, facts if facts is not None and not facts.is_disabled() else None

    def _spec(self, name: str, kind: SpanKind) -> SpanSpec:
        known = self._specs.get((name, kind))
        if known is None:
            if len(self._specs) >= _MAX_NAMES:
                self._specs.clear()
            known = self._specs[name, kind] = SpanSpec(name, kind)
        return known

    def _started(
        self, facts: TracerFacts, plan: CapturePlan, context: Context, attributes: Any, start_ns: int | None
    ) -> Span | None:
        """The span; None where the sampler has to be asked."""
        above: SpanContext | None = None
        if SPAN_KEY in context:
            above = get_current_span(context).get_span_context()
        if above is None or not above.is_valid:
            above = None
            trace_id, bound, flags, state = facts.new_trace_id(), facts.decisions[0], facts.root_flags, sdk.NO_STATE
        else:
            bound = facts.decisions[(1 if above.is_remote else 3) + (not above.trace_flags & 1)]
            trace_id, flags, state = above.trace_id, sdk.FLAGS[above.trace_flags >> 1 & 1], above.trace_state
        if bound is None:
            return None
        is_sampled = trace_id & _LOW_64_BITS < bound
        own = facts.new_context(trace_id, flags[is_sampled], state)
        if not is_sampled:
            return NonRecordingSpan(own)
        found: Any = dict(attributes or ())
        if len(found) > facts.room or not are_native(found):
            found = facts.bounded(found)
        span = new_span(facts, plan, own, above, facts.lineage_below(own), found, context, start_ns=start_ns)
        span.is_captured = False
        span._caller = None  # it may be kept for long, and nobody asks it
        return span
