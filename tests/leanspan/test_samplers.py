"""Every sampler decides through its real interface, and decides for a lean span what it decides for the SDK's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    StaticSampler,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from otel_tracker import span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import (
    REMOTE_SAMPLED,
    REMOTE_UNSAMPLED,
    Collected,
    CountingIds,
    assert_equal_in_both,
    attributes,
    context_of,
    engine,
    is_child,
    provider,
)
from .samplers import SAMPLERS, Asked

if TYPE_CHECKING:
    from collections.abc import Callable


LOCAL_SAMPLED = SpanContext(0x5E0, 0x5E3, False, TraceFlags(1))
LOCAL_UNSAMPLED = SpanContext(0x5E0, 0x5E4, False, TraceFlags(0))
PARENTS = [None, REMOTE_SAMPLED, REMOTE_UNSAMPLED, LOCAL_SAMPLED, LOCAL_UNSAMPLED]


class SpreadIds(CountingIds):
    """Trace ids that lie evenly in the whole range, the same in every run."""

    def generate_trace_id(self) -> int:
        self.trace_id += 1
        return self.trace_id * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128


seen: list[SpanContext] = []
"""The contexts that were current inside."""


@traced(attributes={"region": "eu"}, kind=SpanKind.CLIENT)
def work(number: int) -> int:
    seen.append(trace.get_current_span().get_span_context())
    with span("inside", number=number):
        seen.append(trace.get_current_span().get_span_context())
        return number


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize("parent", PARENTS, ids=["root", "remote", "remote unsampled", "local", "local unsampled"])
def test_decision_is_that_for_a_span_of_the_sdk(make: Callable[[], Sampler], parent: SpanContext | None) -> None:
    """For the same trace ids, under the same parent, the same spans arrive with the same flags and trace state."""

    def program() -> None:
        for number in range(20):
            if parent is None:
                work(number)
            else:
                with trace.use_span(NonRecordingSpan(parent)):
                    work(number)

    seen.clear()
    assert_equal_in_both(program, lambda: {"sampler": make(), "id_generator": SpreadIds()})
    half = len(seen) // 2
    assert [_shown(one) for one in seen[:half]] == [_shown(one) for one in seen[half:]]


def _shown(found: SpanContext) -> Any:
    flags, state = int(found.trace_flags), list(found.trace_state.items())
    return (found.trace_id, found.is_remote, flags, state, found.is_valid)


def test_ratio_of_lean_traces_is_the_ratio_that_was_asked_for() -> None:
    """Of many traces a ratio of 0.3 keeps about that share, and a trace is kept or dropped as a whole."""
    with engine("lean"), provider(sampler=ParentBasedTraceIdRatio(0.3), id_generator=SpreadIds()) as collected:
        for number in range(1000):
            work(number)
    assert 500 <= len(collected.finished) <= 700
    kept = [context_of(found).trace_id for found in collected.finished]
    assert sorted(set(kept) | set(kept)) == sorted(kept[::2])


def test_sampler_is_asked_what_the_span_will_be() -> None:
    """It gets the context, the trace id, the name, the kind, the attributes and the links of the span to come."""
    sampler = Asked()
    link = trace.Link(REMOTE_UNSAMPLED, {"why": "batch"})
    with engine("lean"), provider(sampler=sampler) as collected:
        with trace.use_span(NonRecordingSpan(REMOTE_SAMPLED)):
            traced(lambda: None, name="named", kind=SpanKind.CONSUMER, attributes={"region": "eu"}, links=[link])()
    (asked,) = sampler.questions
    assert isinstance(collected.started[0], LeanSpan)
    assert (asked["parent"], asked["trace_id"]) == (REMOTE_SAMPLED.span_id, REMOTE_SAMPLED.trace_id)
    assert (asked["name"], asked["kind"], asked["links"]) == ("named", SpanKind.CONSUMER, [REMOTE_UNSAMPLED])
    assert asked["attributes"]["region"] == "eu"


def test_sampler_is_asked_the_same_by_both_engines() -> None:
    """Question by question, in the same order, once a span."""

    def questions(name: str) -> list[dict[str, Any]]:
        sampler = Asked()
        with engine(name), provider(sampler=sampler, id_generator=CountingIds()):
            work(1)
            with trace.use_span(NonRecordingSpan(REMOTE_SAMPLED)):
                work(2)
            traced(lambda: None, name="fresh", new_trace=True)()
        return sampler.questions

    lean = questions("lean")
    assert lean == questions("sdk")
    assert len(lean) == 5


def test_what_the_sampler_adds_arrives(lean: Collected) -> None:
    """Attributes and trace state of the sampler's answer are the span's, and the state is its children's too."""
    with provider(sampler=Asked(note="kept")) as collected:
        work(1)
    for found in collected.finished:
        assert attributes(found)["sampler.note"] == "kept"
        assert dict(context_of(found).trace_state) == {"sampler": "kept"}
    assert collected.started[0].attributes is not None
    assert collected.started[0].attributes["region"] == "eu"


def test_recorded_only_span_is_recorded_and_not_exported() -> None:
    """RECORD_ONLY gives a recording lean span without the sampled flag: processors get it, exporters do not."""
    exporter = InMemorySpanExporter()
    with engine("lean"), provider(sampler=StaticSampler(Decision.RECORD_ONLY)) as collected:
        collected.provider.add_span_processor(SimpleSpanProcessor(exporter))
        with span("outer") as outer, span("inner") as inner:
            assert isinstance(outer, LeanSpan)
            assert outer.is_recording()
            assert inner.is_recording()
            assert not inner.get_span_context().trace_flags.sampled
    assert is_child(*collected.finished)
    assert exporter.get_finished_spans() == ()


def test_dropped_span_keeps_the_trace_for_what_is_called() -> None:
    """A span that is not sampled has valid ids of its own trace, so that what is called shares the decision."""
    with engine("lean"), provider(sampler=ALWAYS_OFF) as collected, span("outer") as outer:
        assert not outer.is_recording()
        with span("inner"):
            inside = trace.get_current_span().get_span_context()
            assert inside.trace_id == outer.get_span_context().trace_id
            assert not inside.trace_flags.sampled
        assert outer.get_span_context().is_valid
    assert collected.started == []


def test_sampler_may_change_what_it_was_given() -> None:
    """A sampler that works on the attributes in place changes that one span, and not the next."""

    class Changes(Asked):
        def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
            shown = given[4] if len(given) > 4 else named["attributes"]
            shown["asked"] = len(self.questions)
            shown.pop("region", None)
            return super().should_sample(*given, **named)

    def program() -> None:
        work(1)
        work(2)

    assert_equal_in_both(program, lambda: {"sampler": Changes(), "id_generator": CountingIds()})


def test_answer_of_the_sampler_is_not_changed() -> None:
    """A sampler that gives the same attributes each time finds them as they were, whatever is written on spans."""
    answer = {"sampler.note": "x", "rows": [1]}

    class Repeats(Asked):
        def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, answer)

    def program() -> None:
        with span("block") as current:
            current.set_attribute("written", 1)
        work(2)

    spans = assert_equal_in_both(program, lambda: {"sampler": Repeats()})
    assert answer == {"sampler.note": "x", "rows": [1]}
    assert attributes(spans[0])["rows"] == (1,)


def test_sampler_that_fails_does_not_reach_the_program(lean: Collected) -> None:
    """When the sampler raises, the call goes on without a span."""

    class Fails(Asked):
        def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
            raise RuntimeError("no decision")

    with provider(sampler=Fails()) as collected:
        assert work(3) == 3
    assert collected.finished == []


def test_sampler_that_is_exchanged_on_the_tracer_decides_from_then_on() -> None:
    """The tracer's public `sampler` is read at each call, as the SDK does."""

    def program() -> None:
        provider_now: Any = trace.get_tracer_provider()
        for sampler in (ALWAYS_ON, ALWAYS_OFF, Asked()):
            for tracer in provider_now._tracers.values():
                tracer.sampler = sampler
            work(1)

    assert len(assert_equal_in_both(program)) == 4
