"""The rows of ``decorators.py``, as one list for each of its processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from _rounds import Case, Row, Surroundings
from _sdk_spans import (
    Discard,
    DiscardAtBothEnds,
    NullExporter,
    recorded_parent,
    sdk_decorator,
    switched,
    tracer_with,
    unsampled_parent,
)
from _workloads import (
    ADD,
    ASYNC,
    BIG,
    GENERATOR,
    ITEMS,
    KEYWORD,
    ORDER,
    RAISES,
    Decorator,
    Workload,
    big,
    block_loop,
    timed,
)
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Tracer

from otel_tracker import disable, enable, span, traced
from otel_tracker.processors import DurableSpanProcessor

WITHOUT_CAPTURE = traced(capture_args=False, capture_result=False)
WITH_CAPTURE = traced(capture_args=True, capture_result=True)
ORDER_BARS = {"stdlib": 0.75, "orjson": 0.55}


class Bench:
    """Makes rows that share one plain and one SDK case for each workload.

    ``tracer`` is of the provider in which traced functions record, ``unit_tracer`` of one that records everything.
    """

    def __init__(self, processor: SpanProcessor | None = None, sampler: Sampler | None = None) -> None:
        self.unit_tracer = tracer_with(Discard())
        self.tracer: Tracer = tracer_with(processor or Discard(), sampler, is_global=True)
        self.inside = recorded_parent(self.unit_tracer)
        self._units: dict[Workload, tuple[Case, Case]] = {}

    def unit(self, workload: Workload) -> tuple[Case, Case]:
        """The function with the SDK's decorator, and plain: their difference is B."""
        if workload not in self._units:
            sdk = workload.case("SDK", sdk_decorator(self.unit_tracer), self.inside)
            self._units[workload] = sdk, workload.case("plain", None, self.inside)
        return self._units[workload]

    def row(
        self,
        name: str,
        workload: Workload,
        decorator: Decorator,
        bar: float | None = None,
        around: Surroundings | None = None,
    ) -> Row:
        """What the decorator adds, in B of the same function."""
        unit, plain = self.unit(workload)
        case = workload.case(name, decorator, around or self.inside)
        return Row(name, workload.name, case, plain, unit, plain, bar)

    def block(self, name: str, opened: Callable[[str], object], bar: float | None = None) -> Row:
        """What a ``with`` adds to `add`."""
        unit, plain = self.unit(ADD)
        case = Case(name, timed(block_loop, ADD.function, opened), self.inside)
        return Row(name, "block", case, plain, unit, plain, bar)


def recorded() -> list[Row]:
    """A recorded child span, without orjson; and what is cheap because nothing is recorded."""
    bench = Bench()
    return [
        bench.row("without capture", ADD, WITHOUT_CAPTURE, 0.20),
        bench.row("without capture", ASYNC, WITHOUT_CAPTURE, 0.20),
        bench.row("without capture", ORDER, WITHOUT_CAPTURE),
        bench.row("arguments, result", ADD, WITH_CAPTURE, 0.25),
        bench.row("arguments, result", KEYWORD, WITH_CAPTURE, 0.25),
        bench.row("arguments, result", ASYNC, WITH_CAPTURE),
        *_containers(bench, "stdlib"),
        bench.block('with span("x")', span, 0.30),
        bench.block('SDK\'s with start_as_current_span("x")', bench.unit_tracer.start_as_current_span),
        _generator(bench),
        bench.row("root span", ADD, WITHOUT_CAPTURE, around=nullcontext),
        *_unsampled_parent(bench),
        *_switched_off(bench),
        *_exceptions(bench),
    ]


def with_orjson() -> list[Row]:
    """The rows that an encoder matters to."""
    return _containers(Bench(), "orjson")


def portable() -> list[Row]:
    """The engine that works with any tracer; nothing is promised but that it is there."""
    bench = Bench()
    return [
        bench.row("portable engine", ADD, WITHOUT_CAPTURE),
        bench.row("portable engine", ASYNC, WITHOUT_CAPTURE),
        bench.row("portable engine, arguments, result", ADD, WITH_CAPTURE),
        bench.row("portable engine, arguments, result", ORDER, WITH_CAPTURE),
    ]


def unsampled_root(sampler: Sampler, name: str) -> list[Row]:
    """A call without a parent that the sampler drops."""
    bench = Bench(sampler=sampler)
    label = f"root not sampled, {name}"
    return [
        bench.row(label, ADD, WITHOUT_CAPTURE, 0.15, nullcontext),
        bench.row(f"{label}, arguments, result", ORDER, WITH_CAPTURE, 0.15, nullcontext),
        bench.row(f"SDK's decorator, {label}", ADD, sdk_decorator(bench.tracer), around=nullcontext),
    ]


def processor(made: Callable[[], SpanProcessor], name: str, bar: float | None = None) -> list[Row]:
    """Another processor than the one that B has; ours beside the SDK's decorator."""
    bench = Bench(made())
    around = recorded_parent(bench.tracer)
    return [
        bench.row(name, ADD, WITHOUT_CAPTURE, bar, around),
        bench.row(f"SDK's decorator, {name}", ADD, sdk_decorator(bench.tracer), around=around),
    ]


ROWS: dict[str, Callable[[], list[Row]]] = {
    "recorded": recorded,
    "orjson": with_orjson,
    "portable": portable,
    "ratio-0": partial(unsampled_root, ParentBased(TraceIdRatioBased(0)), "ratio 0"),
    "always-off": partial(unsampled_root, ALWAYS_OFF, "ALWAYS_OFF"),
    "durable": partial(processor, lambda: DurableSpanProcessor(NullExporter()), "DurableSpanProcessor", 0.25),
    "batch": partial(processor, lambda: BatchSpanProcessor(NullExporter()), "BatchSpanProcessor"),
    "both-ends": partial(processor, DiscardAtBothEnds, "on_start and on_end"),
}


def recorded_class() -> str:
    """What kind of span a traced function gets here."""
    found = type(traced(capture_args=False, capture_result=False)(trace.get_current_span)())
    return f"{found.__module__}.{found.__qualname__}"


def check_capture() -> None:
    """Raise RuntimeError if a traced function records less than the rows say: fast would be easy then."""
    seen: list[trace.Span] = []

    @WITH_CAPTURE
    def probe(order: dict[str, object], user_id: int) -> dict[str, object]:
        seen.append(trace.get_current_span())
        return order

    probe({"password": "secret", "id": 1}, 42)
    attributes = getattr(seen[0], "attributes", None) or {}
    text = str(dict(attributes))
    if "order" not in text or "user_id" not in text or "result" not in text or "secret" in text:
        raise RuntimeError(f"A traced function recorded {text}; expected its arguments and its result, redacted.")


def _containers(bench: Bench, encoder: str) -> list[Row]:
    label = f"arguments, result, {encoder}"
    small = bench.row(label, big(BIG), WITH_CAPTURE, 8)
    large = bench.row(f"ten times more, {encoder}", big(10 * BIG), WITH_CAPTURE)
    growth = Row(
        f"ten times more, {encoder}", "big", large.case, large.plain, small.case, small.plain, 1.1, "x 5,000 items"
    )
    return [bench.row(label, ORDER, WITH_CAPTURE, ORDER_BARS[encoder]), small, growth]


def _generator(bench: Bench) -> Row:
    unit, unit_plain = bench.unit(ADD)
    case = GENERATOR.case("generator", WITHOUT_CAPTURE, bench.inside)
    plain = GENERATOR.case("plain", None, bench.inside)
    return Row("generator, per item", GENERATOR.name, case, plain, unit, unit_plain, 0.08, parts=ITEMS)


def _unsampled_parent(bench: Bench) -> list[Row]:
    local, remote = unsampled_parent(is_remote=False), unsampled_parent(is_remote=True)
    return [
        bench.row("unsampled parent", ADD, WITHOUT_CAPTURE, 0.04, local),
        bench.row("unsampled parent, arguments, result", ORDER, WITH_CAPTURE, 0.04, local),
        bench.row("unsampled parent", ASYNC, WITHOUT_CAPTURE, around=local),
        bench.row("unsampled remote parent", ADD, WITHOUT_CAPTURE, around=remote),
        bench.row("SDK's decorator, unsampled parent", ADD, sdk_decorator(bench.unit_tracer), around=local),
    ]


def _switched_off(bench: Bench) -> list[Row]:
    around = switched(disable, enable, bench.inside)
    return [
        bench.row("disabled later", ADD, WITHOUT_CAPTURE, 0.012, around),
        bench.row("disabled later, arguments, result", ORDER, WITH_CAPTURE, 0.012, around),
        bench.row("disabled later", ASYNC, WITHOUT_CAPTURE, around=around),
    ]


def _exceptions(bench: Bench) -> list[Row]:
    in_bare_spans = bench.row("an exception", RAISES, WITHOUT_CAPTURE)
    unit, unit_plain = bench.unit(ADD)
    sdk, plain = bench.unit(RAISES)
    against_sdk = Row(
        "an exception, against the SDK's", RAISES.name, in_bare_spans.case, plain, sdk, plain, unit_name="x SDK"
    )
    alone = Row("an exception", RAISES.name, in_bare_spans.case, plain, unit, unit_plain)
    return [alone, Row("SDK's decorator, an exception", RAISES.name, sdk, plain, unit, unit_plain), against_sdk]
