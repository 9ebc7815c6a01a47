"""What lies in a journal comes back as it was, whatever it is; what is damaged takes nothing else along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel_tracker import traced
from otel_tracker.delivery.codec import Codec
from otel_tracker.delivery.log_codec import LOG_CODEC
from otel_tracker.delivery.segment import Segment
from otel_tracker.delivery.span_codec import SPAN_CODEC
from otel_tracker.recording import event_record, span_record
from otel_tracker.span_texts import SpanTexts

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
ATTRIBUTES = st.dictionaries(st.text(min_size=1), VALUES, max_size=5)


def there_and_back(codec: Codec[Any], items: list[Any], folder: Path) -> list[Any]:
    """Write the items into a segment, take it over as another process would, and read them."""
    path = folder / "1.journal"
    segment = Segment.create(path, {"signal": "any"})
    lines, unfit = codec.lines(items, segment)
    segment.append(lines)
    segment.close()
    claimed = Segment.claim(path)
    assert claimed is not None
    read, end = claimed.lines_from(claimed.done, 10_000)
    found, damaged = codec.items(read, claimed)
    assert (unfit, damaged, end) == (0, 0, claimed.size)
    claimed.remove()
    return found


def facts(span: ReadableSpan) -> list[str]:
    """All that an exporter can ask a span for, as text, since NaN is not itself."""
    asked = (
        span.get_span_context(),
        span.parent,
        span.name,
        span.kind,
        span.start_time,
        span.end_time,
        span.status.status_code,
        span.status.description,
        dict(span.attributes or {}),
        [
            (event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes)
            for event in span.events
        ],
        [(link.context, dict(link.attributes or {}), link.dropped_attributes) for link in span.links],
        span.dropped_attributes,
        span.dropped_events,
        span.dropped_links,
        span.resource.attributes,
        span.resource.schema_url,
        span.instrumentation_scope,
    )
    return [repr(fact) for fact in asked]


@pytest.fixture
def recorder() -> tuple[TracerProvider, InMemorySpanExporter]:
    limits = SpanLimits(max_span_attributes=3, max_events=2, max_links=1, max_event_attributes=1, max_link_attributes=1)
    resource = Resource({"service.name": "shop", "list": ("a", "b")}, "https://example.org/schema")
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def test_span_comes_back_with_all_that_an_exporter_can_ask_for(
    recorder: tuple[TracerProvider, InMemorySpanExporter], tmp_path: Path
) -> None:
    """Remote parent, trace state, links, events, status, counts of what limits took, scope and resource."""
    provider, exporter = recorder
    remote = SpanContext(2**127, 2**63, True, TraceFlags(1), TraceState([("vendor", "x=1")]))
    tracer = provider.get_tracer("scope", "1.0", "https://example.org/scope", {"part": "checkout"})
    links = [Link(remote, {"why": "batch", "more": 1}), Link(remote)]
    context = set_span_in_context(NonRecordingSpan(remote))
    span = tracer.start_span("order", context, SpanKind.CONSUMER, {"a": 1, "b": 2.5}, links)
    span.set_attributes({"c": [True, False], "d": {"e": [1, {"f": b"\x00\xff"}]}})
    for number in range(3):
        span.add_event(f"step {number}", {"n": number, "m": "x"})
    span.record_exception(ValueError("no \ud800 stock"))
    span.set_status(Status(StatusCode.ERROR, "no stock"))
    span.end()
    tracer.start_span("plain").end()
    originals = list(exporter.get_finished_spans())
    copies = there_and_back(SPAN_CODEC, originals, tmp_path)
    assert [facts(copy) for copy in copies] == [facts(original) for original in originals]
    assert all(isinstance(copy, ReadableSpan) for copy in copies)
    assert [span_record(copy) for copy in copies] == [span_record(original) for original in originals]


@given(attributes=ATTRIBUTES, name=st.text(), message=st.text())
def test_any_attribute_comes_back(
    tmp_path_factory: pytest.TempPathFactory, attributes: dict[str, Any], name: str, message: str
) -> None:
    """Text that is no UTF-8, bytes, NaN, integers of any size, nested containers."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("test").start_span(name, attributes=attributes)
    span.add_event(message, attributes)
    span.end()
    originals = list(exporter.get_finished_spans())
    copies = there_and_back(SPAN_CODEC, originals, tmp_path_factory.mktemp("journal"))
    assert [facts(copy) for copy in copies] == [facts(original) for original in originals]


def test_span_that_capture_has_written_is_stored_as_before(
    recorder: tuple[TracerProvider, InMemorySpanExporter], tmp_path: Path
) -> None:
    """A span from the journal makes the same line as one from memory, and is trusted as much."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    from opentelemetry import trace

    trace.set_tracer_provider(provider)

    @traced(capture_result=True)
    def total(items: list[int], note: str) -> int:
        return sum(items)

    total([1, 2], "gift")
    total([3], note="wrap")
    trace._TRACER_PROVIDER = None
    originals = list(exporter.get_finished_spans())
    copies = there_and_back(SPAN_CODEC, originals, tmp_path)
    texts = SpanTexts()
    assert [texts.of(copy) for copy in copies] == [texts.of(original) for original in originals]
    assert [span_record(copy) for copy in copies] == [span_record(original) for original in originals]


class _Keeping(LogRecordProcessor):
    def __init__(self) -> None:
        self.kept: list[ReadableLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        resource = log_record.resource or Resource.get_empty()
        kept = ReadableLogRecord(log_record.log_record, resource, log_record.instrumentation_scope, log_record.limits)
        self.kept.append(kept)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


@given(attributes=ATTRIBUTES, body=VALUES, name=st.none() | st.text())
def test_any_log_record_comes_back(
    tmp_path_factory: pytest.TempPathFactory, attributes: dict[str, Any], body: Any, name: str | None
) -> None:
    """Inside and outside a span, with and without a name, a severity and a time."""
    keeping = _Keeping()
    provider = LoggerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(keeping)
    logger = provider.get_logger("scope", "1.0")
    span = set_span_in_context(NonRecordingSpan(SpanContext(5, 6, False, TraceFlags(1))))
    logger.emit(attributes=attributes, body=body, event_name=name, context=span, severity_number=SeverityNumber.WARN)
    logger.emit(attributes=attributes, body=body, event_name=name, timestamp=1, severity_text="odd")
    copies = there_and_back(LOG_CODEC, keeping.kept, tmp_path_factory.mktemp("journal"))
    for copy, original in zip(copies, keeping.kept, strict=True):
        assert repr(event_record(copy)) == repr(event_record(original))
        for field in ("timestamp", "observed_timestamp", "trace_id", "span_id", "trace_flags", "severity_text"):
            assert getattr(copy.log_record, field) == getattr(original.log_record, field)
        assert copy.log_record.severity_number == original.log_record.severity_number
        assert repr(copy.log_record.body) == repr(original.log_record.body)
        assert copy.instrumentation_scope == original.instrumentation_scope


@given(data=st.binary(max_size=200), at=st.integers(0, 2_000))
def test_damaged_bytes_never_raise_and_take_at_most_their_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    """A file of the journal can do no more than be wrong."""
    path = tmp_path_factory.mktemp("journal") / "1.journal"
    segment = Segment.create(path, {"signal": "spans"})
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for number in range(40):
        provider.get_tracer("test").start_span(f"span {number}").end()
    lines, _ = SPAN_CODEC.lines(exporter.get_finished_spans(), segment, 1)
    segment.append(lines)
    segment.close()
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1 + at
    path.write_bytes(whole[:start] + data + whole[start + len(data) :])
    claimed = Segment.claim(path)
    assert claimed is not None
    found, _ = SPAN_CODEC.items(claimed.lines_from(claimed.done, 1_000)[0], claimed)
    touched = whole[start : start + len(data)].count(b"\n") + data.count(b"\n") + 2
    is_definition_touched = at < whole.index(b'\n["i"') - whole.index(b"\n")
    assert len(found) >= 40 - touched or is_definition_touched
    claimed.remove()


def test_line_that_was_cut_is_passed_over(tmp_path: Path) -> None:
    """What a SIGKILL leaves half written takes nothing else along."""
    path = tmp_path / "1.journal"
    segment = Segment.create(path, {"signal": "spans"})
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for number in range(3):
        provider.get_tracer("test").start_span(f"span {number}").end()
    segment.append(SPAN_CODEC.lines(exporter.get_finished_spans(), segment, 1)[0])
    segment.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 20)
    claimed = Segment.claim(path)
    assert claimed is not None
    lines, offset = claimed.lines_from(claimed.done, 100)
    found, damaged = SPAN_CODEC.items(lines, claimed)
    assert ([span.name for span in found], damaged) == (["span 0", "span 1"], 0)
    assert claimed.lines_from(offset, 100) == ([], claimed.size)
    claimed.remove()


def test_segment_that_another_process_holds_cannot_be_claimed(tmp_path: Path) -> None:
    """A lock ends with its process, and not before."""
    path = tmp_path / "1.journal"
    segment = Segment.create(path, {"signal": "spans"})
    assert Segment.claim(path) is None
    segment.close()
    claimed = Segment.claim(path)
    assert claimed is not None
    claimed.remove()
    assert not path.exists()


def test_segment_is_not_claimed_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can know there whether the process that writes it lives."""
    Segment.create(tmp_path / "1.journal", {"signal": "spans"}).close()
    monkeypatch.setattr("otel_tracker.file_locks.fcntl", None)
    assert Segment.claim(tmp_path / "1.journal") is None


def test_file_that_is_no_segment_is_left_alone(tmp_path: Path) -> None:
    """Nor a link to one, nor a folder."""
    (tmp_path / "text.journal").write_text("dear diary\n", encoding="utf-8")
    (tmp_path / "folder.journal").mkdir()
    (tmp_path / "link.journal").symlink_to(tmp_path / "text.journal")
    for name in ("text", "folder", "link", "missing"):
        assert Segment.claim(tmp_path / f"{name}.journal") is None
    assert (tmp_path / "text.journal").read_text(encoding="utf-8") == "dear diary\n"
