"""No provider, unsampled, disabled: the call is forwarded, and nothing is looked at or loaded."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace import TracerProvider as ApiTracerProvider

from otel_tracker import disable, enable, span, traced

from .helpers import CountingObject, Recorder, args, current_span_id, is_child, is_root

UNSAMPLED_PARENT = SpanContext(0x5E0, 0x5E1, is_remote=True, trace_flags=TraceFlags(0))
SAMPLED_PARENT = SpanContext(0x5E0, 0x5E1, is_remote=True, trace_flags=TraceFlags(1))


@traced(capture_result=True)
def work(*values: Any, **named: Any) -> Any:
    """Decorated once, when this module is imported, whatever provider comes later."""
    return values[0] if values else None


def test_call_is_forwarded_without_provider() -> None:
    """With nobody listening the result comes, nothing is looked at, and no span is current."""
    watched = CountingObject()
    assert work(watched, x=watched) is watched
    assert watched.looks == []
    assert traced(current_span_id)() == 0


@pytest.mark.parametrize(
    "sampler",
    [ALWAYS_OFF, TraceIdRatioBased(0), ParentBased(ALWAYS_OFF), ParentBasedTraceIdRatio(0)],
    ids=["always off", "ratio 0", "parent based always off", "parent based ratio 0"],
)
def test_unsampled_call_is_forwarded(install: Callable[..., Recorder], sampler: Sampler) -> None:
    """A call that the sampler drops is forwarded, makes no span, and its arguments are not looked at."""
    recorder = install(sampler)
    watched = CountingObject()
    assert work(watched, x=watched) is watched
    assert watched.looks == []
    assert recorder.finished == []


def test_unsampled_call_leaves_the_context_as_it_was(unsampled: Recorder) -> None:
    """After an unsampled call the caller's context is back."""
    work(1)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_unsampled_trace_of_a_caller_stays_unsampled(install: Callable[..., Recorder]) -> None:
    """Under a caller whose trace is not sampled nothing is recorded, and its trace id is kept for what is called."""
    recorder = install(DEFAULT_ON)
    watched = CountingObject()
    with trace.use_span(NonRecordingSpan(UNSAMPLED_PARENT)):
        assert work(watched) is watched
        inside = traced(lambda: trace.get_current_span().get_span_context())()
    assert inside.trace_id == UNSAMPLED_PARENT.trace_id
    assert not inside.trace_flags.sampled
    assert watched.looks == []
    assert recorder.finished == []


def test_sampled_remote_caller_is_the_parent(install: Callable[..., Recorder]) -> None:
    """Under a remote caller whose trace is sampled the span is its child."""
    recorder = install(DEFAULT_ON)
    with trace.use_span(NonRecordingSpan(SAMPLED_PARENT)):
        work(1)
    found = recorder.one()
    assert found.parent is not None
    assert found.parent.span_id == SAMPLED_PARENT.span_id
    assert found.get_span_context().trace_id == SAMPLED_PARENT.trace_id


class _DropsByName(Sampler):
    def __init__(self, name: str) -> None:
        self.name = name

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *_: Any,
        **__: Any,
    ) -> SamplingResult:
        drop = name == self.name
        return SamplingResult(Decision.DROP if drop else Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return f"DropsByName{{{self.name}}}"


def test_children_of_an_unsampled_root_are_unsampled(install: Callable[..., Recorder]) -> None:
    """One decision per trace: what an unsampled function calls does not begin traces of its own."""
    recorder = install(ParentBased(_DropsByName("root")))

    @traced("root")
    def root() -> int:
        with span("block"):
            pass
        return work(1)

    assert root() == 1
    assert recorder.finished == []
    work(1)
    assert recorder.names == ["work"]


def test_decision_is_asked_once_per_call(install: Callable[..., Recorder]) -> None:
    """The sampler hears of each call once."""
    asked: list[str] = []

    class Counting(_DropsByName):
        def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
            asked.append(given[2] if len(given) > 2 else named["name"])
            return super().should_sample(*given, **named)

    recorder = install(Counting("nothing"))
    work(1)
    assert len(asked) == 1
    assert len(recorder.finished) == 1


def test_provider_may_come_after_decoration(install: Callable[..., Recorder]) -> None:
    """A function that was decorated and called before there was a provider is recorded afterwards."""
    decorated = traced(lambda: 1)
    assert decorated() == 1
    recorder = install()
    assert decorated() == 1
    assert len(recorder.finished) == 1


def test_provider_may_come_before_decoration(install: Callable[..., Recorder]) -> None:
    """A function that is decorated when there is a provider is recorded at once."""
    recorder = install()
    assert traced(lambda: 1)() == 1
    assert len(recorder.finished) == 1


def test_provider_may_be_replaced(install: Callable[..., Recorder], make_recorder: Callable[..., Recorder]) -> None:
    """Spans go to the provider that is set when the call is made."""
    first = install()
    work(1)
    second = make_recorder()
    trace._TRACER_PROVIDER = second.provider
    work(2)
    trace._TRACER_PROVIDER = None
    work(3)
    trace._TRACER_PROVIDER = first.provider
    work(4)
    assert [args(found)["values"] for found in first.finished] == [[1], [4]]
    assert [args(found)["values"] for found in second.finished] == [[2]]


def test_provider_may_be_replaced_during_a_call(
    install: Callable[..., Recorder], make_recorder: Callable[..., Recorder]
) -> None:
    """A span that began with one provider ends there."""
    first, second = install(), make_recorder()

    @traced
    def switch() -> None:
        trace._TRACER_PROVIDER = second.provider
        work(1)

    switch()
    assert first.names == ["switch"]
    assert second.names == ["work"]


def test_provider_of_the_api_alone_is_enough() -> None:
    """A provider that records nothing (the API's own) is no problem."""
    trace.set_tracer_provider(trace.NoOpTracerProvider())
    watched = CountingObject()
    assert work(watched) is watched
    assert watched.looks == []


def test_foreign_tracer_provider_is_used(make_recorder: Callable[..., Recorder]) -> None:
    """Any implementation of the API receives the spans, not only the SDK's own."""
    recorder = make_recorder()

    class Wrapping(ApiTracerProvider):
        def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
            return recorder.provider.get_tracer(*given, **named)

    trace.set_tracer_provider(Wrapping())

    @traced
    def outer() -> Any:
        return work(1)

    assert outer() == 1
    assert args(recorder["work"]) == {"values": [1], "named": {}}
    assert is_child(recorder["work"], recorder["outer"])


def test_shut_down_provider_is_no_problem(spans: Recorder) -> None:
    """Calls after the provider was shut down are forwarded."""
    spans.provider.shutdown()
    assert work(1) == 1


def test_disable_silences_this_package_alone(spans: Recorder, tracer: trace.Tracer) -> None:
    """After `disable()` nothing of ours is recorded or looked at, and other tracers go on."""
    watched = CountingObject()
    disable()
    with tracer.start_as_current_span("theirs"):
        assert work(watched) is watched
        with span("ours"):
            pass
    assert watched.looks == []
    assert spans.names == ["theirs"]


def test_enable_takes_it_back(spans: Recorder) -> None:
    """After `enable()` the same functions are recorded again; both may be called twice."""
    disable()
    disable()
    work(1)
    enable()
    enable()
    work(2)
    assert args(spans.one())["values"] == [2]


def test_function_decorated_while_disabled_works_after_enable(spans: Recorder) -> None:
    """`disable()` holds for calls; what is decorated meanwhile is recorded once it is taken back."""
    disable()
    decorated = traced(lambda: 1)
    decorated()
    enable()
    decorated()
    assert len(spans.finished) == 1


def test_disabling_during_a_call_ends_the_span(spans: Recorder) -> None:
    """A span that is open when the package is disabled ends in order."""

    @traced
    def outer() -> None:
        disable()
        work(1)

    outer()
    assert spans.names == ["outer"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_enabling_during_a_call_makes_a_root(spans: Recorder) -> None:
    """What is called after `enable()` inside a call that began disabled has no parent of ours."""

    @traced
    def outer() -> None:
        enable()
        work(1)

    disable()
    outer()
    assert is_root(spans.one())


def test_suppressed_instrumentation_is_respected(spans: Recorder) -> None:
    """Code that suppresses instrumentation (an exporter at work) makes no spans."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with suppress_instrumentation():
        assert work(1) == 1
    assert spans.finished == []


def test_sampler_decides_for_each_provider(make_recorder: Callable[..., Recorder]) -> None:
    """A function that was unsampled with one provider is recorded with the next."""
    off, on = make_recorder(ALWAYS_OFF), make_recorder(ALWAYS_ON)
    trace.set_tracer_provider(off.provider)
    work(1)
    trace._TRACER_PROVIDER = on.provider
    work(2)
    assert off.finished == []
    assert args(on.one())["values"] == [2]
    assert isinstance(on.provider, TracerProvider)


def test_recorded_but_not_sampled(install: Callable[..., Recorder]) -> None:
    """A sampler that says "record only" gets spans with arguments to its processors; no exporter sees them."""

    class RecordOnly(_DropsByName):
        def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_ONLY, super().should_sample(*given, **named).attributes)

    class Ends(SpanProcessor):
        ended: list[ReadableSpan] = []

        def on_end(self, span: ReadableSpan) -> None:
            self.ended.append(span)

    processor = Ends()
    recorder = install(RecordOnly(""), processor)
    work(1)
    assert [args(found) for found in processor.ended] == [{"values": [1], "named": {}}]
    assert recorder.finished == []


def test_ids_limits_and_resource_of_the_provider_hold() -> None:
    """The provider's own id generator, resource and limits are used for our spans."""

    class Ids(IdGenerator):
        def generate_span_id(self) -> int:
            return 0x51

        def generate_trace_id(self) -> int:
            return 0x71

    exporter = InMemorySpanExporter()
    limits = SpanLimits(max_events=2)
    resource = Resource({"service.name": "shop"})
    provider = TracerProvider(id_generator=Ids(), resource=resource, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    @traced
    def many_events() -> None:
        for number in range(5):
            trace.get_current_span().add_event(str(number))

    many_events()
    (found,) = exporter.get_finished_spans()
    assert (found.get_span_context().trace_id, found.get_span_context().span_id) == (0x71, 0x51)
    assert found.resource.attributes["service.name"] == "shop"
    assert len(found.events) == 2


def test_span_is_as_good_as_the_sdks_own(spans: Recorder) -> None:
    """Inside a function the current span takes what any span takes; finished, it can be written as JSON."""

    @traced
    def busy() -> None:
        current = trace.get_current_span()
        current.set_attribute("rows", 3)
        current.set_attributes({"more": [1, 2]})
        current.add_event("half-way", {"x": 1})
        current.add_link(current.get_span_context())
        current.update_name("renamed")
        current.record_exception(ValueError("noted"))
        current.set_status(trace.StatusCode.OK)

    busy()
    found = spans["renamed"]
    assert (found.attributes or {})["rows"] == 3
    assert (found.attributes or {})["more"] == (1, 2)
    assert [event.name for event in found.events] == ["half-way", "exception"]
    assert len(found.links) == 1
    assert found.status.status_code is trace.StatusCode.OK
    assert json.loads(found.to_json())["name"] == "renamed"
    assert found.end_time is not None


def test_trace_state_is_inherited(install: Callable[..., Recorder]) -> None:
    """What other systems put into the trace state is carried on."""
    recorder = install(DEFAULT_ON)
    state = trace.TraceState([("vendor", "1")])
    parent = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    with trace.use_span(NonRecordingSpan(parent)):
        work(1)
    assert recorder.one().get_span_context().trace_state.get("vendor") == "1"
