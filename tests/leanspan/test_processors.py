"""Processors see a lean span at its start, while it ends and at its end, in order, and cannot harm the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
)
from support import run_script

from otel_tracker import span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import Collected, assert_equal_in_both, attributes, engine, provider

if TYPE_CHECKING:
    from opentelemetry.context import Context


class Notes(SpanProcessor):
    """Notes each call under its own name in a list that several processors may share."""

    def __init__(self, name: str, notes: list[Any]) -> None:
        self.name, self.notes = name, notes

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.notes.append((self.name, "start", span.name))

    def _on_ending(self, span: Span) -> None:
        self.notes.append((self.name, "ending", span.name))

    def on_end(self, span: ReadableSpan) -> None:
        self.notes.append((self.name, "end", span.name))


def test_start_shows_a_live_span_with_its_attributes(lean: Collected) -> None:
    """At the start the span records, has its name, kind, parent, attributes and start time, and no end."""
    seen: list[dict[str, Any]] = []

    class Looks(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            assert isinstance(span, LeanSpan)
            times = (span.start_time is not None, span.end_time)
            parent = trace.get_current_span(parent_context).get_span_context()
            seen.append(
                {
                    "recording": span.is_recording(),
                    "kind": span.kind,
                    "times": times,
                    "given": dict(span.attributes or {}),
                }
            )
            assert span.parent == (parent if parent.is_valid else None)

    lean.provider.add_span_processor(Looks())
    traced(lambda x: None, name="f", kind=trace.SpanKind.CLIENT, attributes={"region": "eu"})(5)
    with span("outer"), span("block", rows=3):
        pass
    function, _, block = seen
    assert function["recording"]
    assert function["times"] == (True, None)
    assert function["kind"] is trace.SpanKind.CLIENT
    assert function["given"]["region"] == "eu"
    assert function["given"]["otel_tracker.args.x"] == 5
    assert block["given"] == {"rows": 3}


class Stamps(SpanProcessor):
    """Writes on the span at its start, as baggage and context processors do, and once it is ending."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        span.set_attribute("stamp", 1)
        span.set_attributes({"rows": "overwritten", "more": [1]})
        span.add_event("started", {"by": "processor"})
        span.update_name(f"stamped {span.name}")
        span.set_status(trace.StatusCode.ERROR, "at first")
        span.add_link(trace.SpanContext(1, 2, True))

    def _on_ending(self, span: Span) -> None:
        span.set_attribute("too late", 1)
        span.update_name("too late")

    def on_end(self, span: ReadableSpan) -> None:
        if isinstance(span, Span):
            span.set_attribute("too late", 2)


def stamped() -> None:
    provider_now: Any = trace.get_tracer_provider()
    provider_now.add_span_processor(Stamps())
    traced(lambda rows: rows, name="f", capture_result=True)(5)
    with span("block", rows=3) as current:
        current.set_attribute("rows", "by the program")
        current.set_status(trace.StatusCode.OK)


def test_processor_may_write_at_the_start_and_not_at_the_end() -> None:
    """What a processor writes at the start arrives; once the span has ended nothing is changed any more."""
    function, block = assert_equal_in_both(stamped)
    assert (function.name, block.name) == ("stamped f", "stamped block")
    assert attributes(block) == {"stamp": 1, "more": (1,), "rows": "by the program"}
    assert block.status.is_ok
    assert [event.name for event in block.events] == ["started"]


def test_processors_are_called_in_the_order_of_registration(lean: Collected) -> None:
    """Each of the three calls comes once a span, to one processor after the other."""
    notes: list[Any] = []
    for name in ("first", "second"):
        lean.provider.add_span_processor(Notes(name, notes))
    with span("block"):
        notes.append("inside")
    calls = [[(name, call, "block") for name in ("first", "second")] for call in ("start", "ending", "end")]
    assert notes == [*calls[0], "inside", *calls[1], *calls[2]]


def test_processor_that_is_added_later_sees_what_follows(lean: Collected) -> None:
    """It hears of the ends of spans that are open, and of the starts of those that come."""
    notes: list[Any] = []
    function = traced(lambda: None, name="f")
    function()
    with span("open"):
        lean.provider.add_span_processor(Notes("late", notes))
        function()
    assert [(call, name) for _, call, name in notes if call != "ending"] == [
        ("start", "f"),
        ("end", "f"),
        ("end", "open"),
    ]


def test_parallel_processors_get_lean_spans() -> None:
    """The SDK's processor that calls others in threads of its own has them all called before the call returns."""
    notes: list[Any] = []
    active = ConcurrentMultiSpanProcessor(2)
    try:
        with engine("lean"), provider(active_span_processor=active) as collected:
            for name in ("first", "second"):
                collected.provider.add_span_processor(Notes(name, notes))
            with span("block"):
                assert sorted(notes) == [("first", "start", "block"), ("second", "start", "block")]
            assert len(notes) == 6
            assert isinstance(collected.started[0], LeanSpan)
            assert collected.names == ["block"]
    finally:
        active._executor.shutdown()


def test_active_processor_of_ones_own_is_called() -> None:
    """A subclass of the SDK's chain that does something else is not mistaken for it."""

    class Doubles(SynchronousMultiSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            super().on_end(span)
            super().on_end(span)

    with engine("lean"), provider(active_span_processor=Doubles()) as collected, span("block"):
        pass
    assert collected.names == ["block", "block"]


def test_chain_that_is_exchanged_by_hand_is_followed(lean: Collected) -> None:
    """Vendors that replace the tuple of processors of a running provider are obeyed at the next span."""
    notes: list[Any] = []
    traced(lambda: None)()
    lean.provider._active_span_processor._span_processors = (Notes("only", notes),)
    traced(lambda: None, name="f")()
    assert [call for _, call, _ in notes] == ["start", "ending", "end"]
    assert len(lean.finished) == 1


class Fails(SpanProcessor):
    """Raises in one of its methods."""

    def __init__(self, where: str) -> None:
        setattr(self, where, self._fail)

    def _fail(self, *_: object, **__: object) -> None:
        raise RuntimeError("processor")


@pytest.mark.parametrize("where", ["on_start", "_on_ending", "on_end"])
@pytest.mark.parametrize("name", ["lean", "sdk"])
def test_processor_that_fails_does_not_reach_the_program(name: str, where: str) -> None:
    """Result and exception of the program are its own, the context is restored, and the next call works as well."""

    @traced
    def function(error: Exception | None) -> str:
        if error is not None:
            raise error
        return "result"

    with engine(name), provider() as collected:
        collected.provider.add_span_processor(Fails(where))
        with span("block") as handed:
            assert isinstance(handed, trace.Span)
            assert function(None) == "result"
        assert function(None) == "result"
        error = ValueError("mine")
        with pytest.raises(ValueError) as caught:
            function(error)
        assert caught.value is error
        assert error.__context__ is None
        assert trace.get_current_span() is trace.INVALID_SPAN


def test_internal_metrics_of_the_sdk_count_lean_spans() -> None:
    """With OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED the SDK's own counters are the same for either engine."""
    script = """
        import json, os
        from opentelemetry import trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, StaticSampler
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
        from otel_tracker import lifecycle, span

        def counted(name, sampler):
            os.environ["OTEL_TRACKER_SPAN_ENGINE"] = name
            lifecycle.forget_cached_settings()
            reader = InMemoryMetricReader()
            meters = MeterProvider([reader], shutdown_on_exit=False)
            trace._TRACER_PROVIDER = TracerProvider(sampler, shutdown_on_exit=False, meter_provider=meters)
            for _ in range(2):
                with span("outer"), span("inner"): pass
            with trace.use_span(NonRecordingSpan(SpanContext(1, 2, True, TraceFlags(1)))), span("remote"):
                data = json.loads(reader.get_metrics_data().to_json())
            return sorted(
                [metric["name"], sorted(point["attributes"].items()), point["value"]]
                for resource in data["resource_metrics"] for scope in resource["scope_metrics"]
                for metric in scope["metrics"] for point in metric["data"]["data_points"]
                if "span" in metric["name"]
            )

        samplers = [ALWAYS_ON, StaticSampler(Decision.RECORD_ONLY), StaticSampler(Decision.DROP)]
        print(json.dumps([[counted(name, sampler) for sampler in samplers] for name in ("lean", "sdk")]))
    """
    ended = run_script(script, OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED="true")
    assert ended.status == 0, ended.stderr
    lean, sdk = json.loads(ended.stdout)
    assert lean == sdk
    started = {tuple(key for _, key in at): value for name, at, value in lean[0] if name.endswith("started")}
    assert sorted(started.values()) == [1, 2, 2]
    assert [value for name, _, value in lean[0] if name.endswith("live")] == [1]
