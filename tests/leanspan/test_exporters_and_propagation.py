"""Lean spans pass through the SDK's processors and exporters, through headers, and beside baggage."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_tracker import span, traced

from .helpers import REMOTE_SAMPLED, Collected, CountingIds, context_of, engine, is_child, provider, run_with

TRACEPARENT = "00-000000000000000000000000000005e0-00000000000005e1-01"


@traced(kind=trace.SpanKind.SERVER, attributes={"region": "eu"})
def order(number: int) -> None:
    """Everything that an exporter may have to write: a child, events, links, a failure that is handled."""
    current = trace.get_current_span()
    current.add_event("half-way", {"share": 0.5}, 1_000_000_000)
    current.add_link(REMOTE_SAMPLED, {"why": "batch"})
    with span("inside", rows=[1, 2], text="ä"):
        pass
    try:
        fail()
    except ValueError:
        current.set_status(trace.StatusCode.ERROR, "no stock")


@traced
def fail() -> None:
    raise ValueError("no stock")


class Remembering(SpanExporter):
    """An exporter that notes each batch as it came."""

    def __init__(self) -> None:
        self.batches: list[list[ReadableSpan]] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.batches.append(list(spans))
        return SpanExportResult.SUCCESS


def test_batch_processor_exports_lean_spans(lean: Collected) -> None:
    """The SDK's batch processor takes lean spans and those of other tracers, in the order of their ends."""
    exporter = Remembering()
    lean.provider.add_span_processor(BatchSpanProcessor(exporter))
    order(1)
    with lean.provider.get_tracer("somebody.else").start_as_current_span("theirs"), span("ours"):
        pass
    assert lean.provider.force_flush()
    names = [found.name.rpartition(".")[2] for batch in exporter.batches for found in batch]
    assert names == ["inside", "fail", "order", "ours", "theirs"]


def test_simple_processor_exports_each_span_when_it_ends(lean: Collected) -> None:
    """The SDK's simple processor hands a lean span over before the call returns, one at a time."""
    exporter = Remembering()
    lean.provider.add_span_processor(SimpleSpanProcessor(exporter))
    order(1)
    assert [len(batch) for batch in exporter.batches] == [1, 1, 1]


def test_in_memory_exporter_keeps_lean_spans(lean: Collected) -> None:
    """The exporter that everybody tests with gives complete spans back."""
    exporter = InMemorySpanExporter()
    lean.provider.add_span_processor(SimpleSpanProcessor(exporter))
    order(1)
    inside, failed, outer = exporter.get_finished_spans()
    assert is_child(inside, outer)
    assert is_child(failed, outer)
    assert outer.status.description == "no stock"


def test_console_exporter_prints_lean_spans(lean: Collected) -> None:
    """The console exporter prints one JSON object a span."""
    out = io.StringIO()
    lean.provider.add_span_processor(
        SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=lambda found: found.to_json(indent=None) + "\n"))
    )
    order(1)
    printed = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["name"].rpartition(".")[2] for one in printed] == ["inside", "fail", "order"]
    assert printed[2]["attributes"]["region"] == "eu"
    assert printed[0]["parent_id"] == printed[2]["context"]["span_id"]


def test_console_exporter_prints_with_its_own_format(lean: Collected) -> None:
    """The console exporter as it is made by default prints JSON that can be read."""
    out = io.StringIO()
    lean.provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out)))
    with span("block", rows=3):
        pass
    assert json.loads(out.getvalue())["attributes"] == {"rows": 3}


def without_times(value: Any) -> Any:
    """JSON without the fields that differ from run to run."""
    if isinstance(value, dict):
        drop = ("start_time", "end_time", "exception.stacktrace")
        kept = {key: without_times(inner) for key, inner in value.items() if key not in drop}
        return {**kept, "timestamp": None} if kept.get("name") == "exception" else kept
    if isinstance(value, list):
        return [without_times(inner) for inner in value]
    return value


def test_json_of_a_lean_span_is_that_of_the_sdk() -> None:
    """`to_json()` gives the same keys, in the same order, with the same values."""
    texts = [
        [found.to_json() for found in run_with(name, lambda: order(1), id_generator=CountingIds())]
        for name in ("lean", "sdk")
    ]
    lean, sdk = ([json.dumps(without_times(json.loads(text))) for text in each] for each in texts)
    assert lean == sdk
    assert len(lean) == 3


def test_otlp_encoding_of_a_lean_span_is_that_of_the_sdk() -> None:
    """The OTLP protobuf encoder writes the same message, apart from the times."""
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    messages = []
    for name in ("lean", "sdk"):
        message = encoder.encode_spans(run_with(name, lambda: order(1), id_generator=CountingIds()))
        (scope_spans,) = message.resource_spans[0].scope_spans
        for found in scope_spans.spans:
            assert 0 < found.start_time_unix_nano <= found.end_time_unix_nano
            found.ClearField("start_time_unix_nano")
            found.ClearField("end_time_unix_nano")
            for event in found.events:
                if event.name == "exception":
                    event.ClearField("time_unix_nano")
                    event.ClearField("attributes")
        messages.append(message.SerializeToString(deterministic=True))
    assert messages[0] == messages[1]


def test_otlp_parent_flags_tell_whether_the_parent_was_remote(lean: Collected) -> None:
    """The OTLP flags of a span under a remote parent say so, those of its child say the contrary."""
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    with trace.use_span(trace.NonRecordingSpan(REMOTE_SAMPLED)), span("outer"), span("inner"):
        pass
    (scope_spans,) = encoder.encode_spans(lean.finished).resource_spans[0].scope_spans
    is_remote = {found.name: bool(found.flags & 0x200) for found in scope_spans.spans}
    assert is_remote == {"outer": True, "inner": False}
    assert {found.trace_state for found in scope_spans.spans} == {"vendor=a"}


def test_current_span_goes_out_in_a_header(lean: Collected) -> None:
    """W3C headers that are made inside a block carry the block's ids and flags."""
    carrier: dict[str, str] = {}
    with span("block"):
        TraceContextTextMapPropagator().inject(carrier)
    ids = context_of(lean.one())
    flags = f"{int(ids.trace_flags):02x}"
    assert carrier == {"traceparent": f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{flags}"}
    assert ids.trace_flags.sampled


def test_header_that_comes_in_is_the_parent(lean: Collected) -> None:
    """A span under an extracted header is its child, and the trace state goes on in headers that go out."""
    propagator, carrier = TraceContextTextMapPropagator(), {"traceparent": TRACEPARENT, "tracestate": "vendor=a,x=y"}
    outgoing: dict[str, str] = {}
    token = context.attach(propagator.extract(carrier))
    try:
        with span("block"):
            propagator.inject(outgoing)
    finally:
        context.detach(token)
    found = lean.one()
    assert found.parent is not None
    assert (found.parent.trace_id, found.parent.span_id, found.parent.is_remote) == (0x5E0, 0x5E1, True)
    assert not context_of(found).is_remote
    assert outgoing["tracestate"] == "vendor=a,x=y"
    assert outgoing["traceparent"].split("-")[1:3] == [f"{0x5E0:032x}", f"{context_of(found).span_id:016x}"]


def test_baggage_is_kept_inside_and_afterwards(lean: Collected) -> None:
    """What else lies in the context is there inside traced code, and what is added inside is gone afterwards."""
    seen: list[dict[str, object]] = []

    @traced
    def function() -> None:
        context.attach(baggage.set_baggage("added", "inside"))
        with span("block"):
            seen.append(dict(baggage.get_all()))

    token = context.attach(baggage.set_baggage("user", "ada"))
    try:
        function()
        seen.append(dict(baggage.get_all()))
    finally:
        context.detach(token)
    assert seen == [{"user": "ada", "added": "inside"}, {"user": "ada"}]
    assert is_child(*lean.finished)


def test_log_record_inside_a_lean_span_carries_its_ids(lean: Collected) -> None:
    """An event that is logged inside a block belongs to it."""
    exporter = InMemoryLogRecordExporter()
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    with span("block"):
        logs.get_logger("somebody.else").emit(body="text")
    logs.shutdown()
    (logged,) = exporter.get_finished_logs()
    ids, record = context_of(lean.one()), logged.log_record
    assert (record.trace_id, record.span_id, record.trace_flags) == (ids.trace_id, ids.span_id, ids.trace_flags)


def test_measurement_inside_a_lean_span_has_it_as_exemplar(lean: Collected) -> None:
    """A measurement that is made inside a sampled block points to it."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with span("block"):
        meters.get_meter("somebody.else").create_counter("orders").add(1)
    data: Any = reader.get_metrics_data()
    meters.shutdown()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert [found.span_id for found in point.exemplars] == [context_of(lean.one()).span_id]


def test_suppressed_instrumentation_is_no_matter_of_the_engine() -> None:
    """A context key that other packages set is visible inside, whichever engine is on."""
    key = context.create_key("theirs")
    for name in ("lean", "sdk"):
        with engine(name), provider():
            token = context.attach(context.set_value(key, "x"))
            with span("block"):
                assert context.get_value(key) == "x"
            context.detach(token)
            assert context.get_value(key) is None
