"""How the jsonl store is written: its formats and options, what it refuses, and what it is recognised by."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_tracker.errors import StoreUnwritableError
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stores import find_place
from otel_tracker_exporters.jsonl import STORE, JsonlLogExporter, JsonlSpanExporter
from otel_tracker_exporters.jsonl.formats import format_of
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.names import put_aside_files
from otel_tracker_exporters.jsonl.writer import JsonlWriter

from .helpers import FULL_EVENT, FULL_SPAN, make_event, make_span
from .jsonl_support import spans_in

OTLP_LINE = b'{"resourceSpans":[]}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.jsonl"


def write(path: Path, *records: SpanRecord | EventRecord, format: str | None = None) -> None:
    """Through the writer that `otel-tracker convert` uses."""
    writer = find_place(path).open_writer(format)
    try:
        writer.store(records)
    finally:
        writer.close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def first_keys(path: Path) -> list[str]:
    """The first key of each line."""
    return [next(iter(json.loads(line))) for line in path.read_bytes().splitlines()]


def use(spans: JsonlSpanExporter, events: JsonlLogExporter, count: int = 1) -> None:
    """So many spans and events, through the SDK."""
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(events))
    for _ in range(count):
        tracers.get_tracer("lib").start_span("one").end()
        loggers.get_logger("lib").emit(event_name="tick")
    tracers.shutdown()
    loggers.shutdown()


def test_spans_and_events_share_one_file_by_default(path: Path) -> None:
    """The format `record`."""
    use(JsonlSpanExporter(path=path), JsonlLogExporter(path=path))
    assert names_in(path.parent) == ["shop.jsonl"]
    assert first_keys(path) == ["schema", "schema"]


def test_the_format_otlp_has_one_file_a_signal(path: Path) -> None:
    """As the specification of the OTLP file exporter wants it."""
    use(JsonlSpanExporter(path=path, format="otlp"), JsonlLogExporter(path=path, format="otlp"))
    assert names_in(path.parent) == ["shop.logs.jsonl", "shop.traces.jsonl"]
    assert first_keys(path.with_name("shop.traces.jsonl")) == ["resourceSpans"]
    assert first_keys(path.with_name("shop.logs.jsonl")) == ["resourceLogs"]


@pytest.mark.parametrize("name", ["shop.traces.jsonl", "shop.logs.jsonl"])
def test_the_name_of_a_signals_file_means_the_same_store(path: Path, name: str) -> None:
    """Spans never land in the file for events, whichever is named."""
    use(
        JsonlSpanExporter(path=path.with_name(name), format="otlp"),
        JsonlLogExporter(path=path.with_name(name), format="otlp"),
    )
    assert names_in(path.parent) == ["shop.logs.jsonl", "shop.traces.jsonl"]


@pytest.mark.parametrize("format", STORE.formats)
def test_records_of_a_batch_go_to_their_files_in_order(path: Path, format: str) -> None:
    """A mixed batch through the writer of `convert`, to the last one."""
    spans, events = [make_span(n) for n in range(5)], [make_event(n) for n in range(3)]
    write(path, spans[0], events[0], *spans[1:], *events[1:], format=format)
    found = {file.name: file.read_bytes().count(b"\n") for file in path.parent.iterdir()}
    assert found == ({"shop.jsonl": 8} if format == "record" else {"shop.traces.jsonl": 5, "shop.logs.jsonl": 3})


def test_no_file_is_made_before_its_first_record(path: Path) -> None:
    """Neither by opening nor by an empty batch nor for the signal that does not come."""
    for format in STORE.formats:
        writer = JsonlWriter(str(path), format=format)
        assert writer.write([])
        writer.close()
    assert names_in(path.parent) == []
    write(path, make_event(1), format="otlp")
    assert names_in(path.parent) == ["shop.logs.jsonl"]


@pytest.mark.parametrize("as_argument", [True, False])
def test_options_fall_back_to_their_settings(path: Path, as_argument: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Format, size and backups; an argument goes before the environment."""
    options: dict[str, Any] = {"path": path, "format": "otlp", "max_bytes": "1KiB", "backups": 2}
    for name, value in options.items():
        other: dict[str, object] = {"path": path.with_name("wrong"), "format": "record", "max_bytes": 0, "backups": 0}
        monkeypatch.setenv(f"OTEL_TRACKER_JSONL_{name.upper()}", str(other[name] if as_argument else value))
    arguments = options if as_argument else {}
    use(JsonlSpanExporter(**arguments), JsonlLogExporter(**arguments), 20)
    for name in ("shop.traces.jsonl", "shop.logs.jsonl"):
        assert path.with_name(name).stat().st_size <= 1024
        assert len(put_aside_files(path.with_name(name))) == 2


def test_by_default_nothing_is_put_aside_before_256_mib(path: Path) -> None:
    """And then three files are kept: a GiB in all."""
    exporter = JsonlSpanExporter(path=path)
    rotation = exporter._writer._spans.file._rotation  # type: ignore[attr-defined]
    assert (rotation.max_bytes, rotation.backups) == (256 * 2**20, 3)
    exporter.shutdown()


def test_convert_keeps_everything(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer puts nothing aside, whatever the settings say."""
    monkeypatch.setenv("OTEL_TRACKER_JSONL_MAX_BYTES", "1")
    monkeypatch.setenv("OTEL_TRACKER_JSONL_BACKUPS", "0")
    for number in range(5):
        write(path, make_span(number))
    assert spans_in(path) == [0, 1, 2, 3, 4]
    assert names_in(path.parent) == ["shop.jsonl"]


@pytest.mark.parametrize("format", STORE.formats)
def test_without_a_format_convert_goes_on_in_the_one_that_is_there(path: Path, format: str) -> None:
    """What the store's files hold, whichever of them there is."""
    for record in (make_span(1), make_event(1)):
        write(path, record, format=format)
        files = names_in(path.parent)
        write(path, record)
        assert names_in(path.parent) == files
        for file in path.parent.iterdir():
            assert len({*first_keys(file)}) == 1
            file.unlink()


@pytest.mark.parametrize("content", [None, b"", b" \n\n"])
def test_without_a_format_a_new_store_gets_records(path: Path, content: bytes | None) -> None:
    """An empty file is a new store."""
    if content is not None:
        path.write_bytes(content)
    write(path, make_span(1))
    assert spans_in(path) == [1]


def test_an_otlp_file_of_others_is_gone_on_with_in_its_format(path: Path) -> None:
    """A file that holds all signals stays as it is; ours come beside it, where readers of the store find them."""
    path.write_bytes(OTLP_LINE)
    write(path, FULL_SPAN, FULL_EVENT)
    assert names_in(path.parent) == ["shop.jsonl", "shop.logs.jsonl", "shop.traces.jsonl"]
    assert path.read_bytes() == OTLP_LINE


@pytest.mark.parametrize(
    ("name", "content", "format", "sentence"),
    [
        (
            "shop.jsonl",
            OTLP_LINE,
            "record",
            r"holds the format otlp, and one file holds one format; expected record\. ",
        ),
        ("shop.traces.jsonl", encode_line(make_span(1)), "otlp", r"holds the format record, .* expected otlp\. Name "),
        ("shop.logs.jsonl", encode_line(make_event(1)), "otlp", r"shop\.logs\.jsonl holds the format record"),
        ("shop.jsonl", b'{"question": "why"}\n', None, r"holds something else than records; .* Name another"),
        ("shop.jsonl", b"\x1f\x8b\x08garbage", "record", "holds something else"),
    ],
)
def test_convert_mixes_no_formats(path: Path, name: str, content: bytes, format: str | None, sentence: str) -> None:
    """A file of another format, or of somebody else, is refused in a sentence and left alone."""
    path.with_name(name).write_bytes(content)
    with pytest.raises(StoreUnwritableError, match=sentence):
        write(path, FULL_SPAN, FULL_EVENT, format=format)
    assert path.with_name(name).read_bytes() == content
    assert names_in(path.parent) == [name]


@pytest.mark.parametrize("name", ["shop.jsonl.gz", "x.ndjson.gz", "shop-20261124T023421.123456789Z.jsonl"])
def test_convert_does_not_write_to_a_file_that_was_put_aside(path: Path, name: str) -> None:
    """Its name says that it is complete, or compressed."""
    with pytest.raises(StoreUnwritableError, match=r"put aside, which nobody writes to again\. Name another file"):
        write(path.with_name(name), FULL_SPAN)
    assert names_in(path.parent) == []


def test_an_unknown_format_is_refused(path: Path) -> None:
    """With the ones that there are."""
    with pytest.raises(StoreUnwritableError, match="no format 'csv'; expected one of record, otlp"):
        write(path, FULL_SPAN, format="csv")


def test_an_exporter_does_not_write_plain_lines_to_a_compressed_file(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody could read the file; it is said once, and nothing is made."""
    exporter = JsonlSpanExporter(path=path.with_name("shop.jsonl.gz"))
    for _ in range(2):
        use(exporter, JsonlLogExporter(path=path.with_name("shop.jsonl.gz")))
    assert [record.getMessage() for record in caplog.records if "named as a compressed file" in record.getMessage()]
    assert len(caplog.records) == 1
    assert names_in(path.parent) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_is_no_file_is_refused_without_waiting(path: Path, make: Callable[[Path], None]) -> None:
    """In both formats, and with nothing written to the other signal's file."""
    make(path.with_name("shop.logs.jsonl"))
    writer = JsonlWriter(str(path), format="otlp")
    with pytest.raises(StoreUnwritableError, match=r"shop\.logs\.jsonl"):
        writer.store([FULL_SPAN, FULL_EVENT])
    writer.store([FULL_SPAN])
    writer.close()
    assert path.with_name("shop.traces.jsonl").read_bytes().count(b"\n") == 1


def test_a_record_that_cannot_be_written_is_left_out_alone(path: Path) -> None:
    """In both formats its neighbours are stored, and it is counted."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for format in STORE.formats:
        store = path.with_name(f"{format}.jsonl")
        writer = JsonlWriter(str(store), format=format)
        assert writer.write([make_span(1), make_span(2, args={"deep": deep}), make_span(3)])
        writer.close()
        assert writer.unwritable == 1
        (file,) = path.parent.glob(f"{format}.*")
        assert file.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (encode_line(FULL_SPAN)[:60], "record"),
        (encode_line(make_event(1)), "record"),
        (b'\xef\xbb\xbf\r\n  {"type": "span", "schema": 1}', "record"),
        (encode_line(make_span(1, attributes={"resourceSpans": "x"})), "record"),
        (OTLP_LINE, "otlp"),
        (b'{"resourceLogs":[{"resource":{"attributes":[{"key":"schema"},{"key":"type"}', "otlp"),
        (b'\xef\xbb\xbf{\r\n  "resourceMetrics" : [\r\n    {', "otlp"),
        (b'{\n  "schemaUrl": "x",\n  "resourceSpans": [\n', "otlp"),
        (b"", None),
        (b"\n\n", None),
        (b"{}", None),
        (b'{"a": "resourceSpans"}', None),
        (b'[{"resourceSpans": []}]', None),
        (b"SQLite format 3\x00", None),
        ('{"resourceSpans":[]}'.encode("utf-16"), None),
    ],
)
def test_a_file_is_recognised_by_its_first_bytes(head: bytes, format: str | None) -> None:
    """Lines of ours, OTLP as lines and as a document over several lines, and what is neither."""
    assert format_of(head) == format
    assert STORE.recognises(head) == (format is not None)


def test_files_of_other_endings_are_opened_by_content(path: Path) -> None:
    """A document of the protocol's own, under any name."""
    other = path.with_name("trace.json")
    other.write_text('{\n  "resourceSpans": [\n  ]\n}\n')
    assert find_place(other).store is STORE
    assert find_place(path.with_name("shop-20261124T023421.123456789Z.jsonl.gz")).store is STORE
    assert find_place(path.with_name("shop.ndjson.gz")).store is STORE
