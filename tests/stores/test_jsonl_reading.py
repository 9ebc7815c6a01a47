"""Reading a jsonl store of many files: rotated, compressed, of both formats, of others, and hostile ones."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker_exporters.jsonl import compressed, sources
from otel_tracker_exporters.jsonl.files import TOO_LONG, Line, lines_forward, open_file
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.names import put_aside_path, signal_path
from otel_tracker_exporters.jsonl.otlp_encoding import encode_event_line, encode_span_line
from otel_tracker_exporters.jsonl.reader import JsonlReader

from .helpers import BEGIN_NS, SECOND_NS, ids, left_beside, make_event, make_span
from .jsonl_support import OTLP_EXAMPLE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.jsonl"


def lines(*records: SpanRecord | EventRecord) -> bytes:
    return b"".join(map(encode_line, records))


def put_aside(path: Path, number: int, *records: SpanRecord | EventRecord, is_compressed: bool = False) -> Path:
    """A file that was put aside ``number`` seconds after `BEGIN_NS`."""
    target = put_aside_path(path, BEGIN_NS + number * SECOND_NS)
    content = lines(*records)
    if is_compressed:
        target = target.with_name(f"{target.name}.gz")
        content = gzip.compress(content, 1)
    target.write_bytes(content)
    return target


def read(path: Path) -> tuple[list[str], int]:
    """The span ids found, newest first, and the number of lines passed over."""
    with JsonlReader(str(path)) as reader:
        return ids(reader.query_executions(limit=None)), reader.skipped_lines


def test_all_files_of_a_store_answer_together(path: Path) -> None:
    """What was put aside, what was compressed, both formats and every signal are one store under its path."""
    put_aside(path, 1, make_span(0), make_event(0), is_compressed=True)
    put_aside(path, 3, make_span(2))
    path.write_bytes(lines(make_span(4), make_event(4)))
    traces, logs = signal_path(path, "traces"), signal_path(path, "logs")
    put_aside(traces, 6, make_span(5), is_compressed=True)
    traces.write_bytes(encode_span_line(make_span(7)))
    logs.write_bytes(encode_event_line(make_event(8)))
    with JsonlReader(str(path)) as reader:
        assert ids(reader.query_executions()) == ids([make_span(n) for n in (7, 5, 4, 2, 0)])
        assert [event.time_ns for event in reader.events()] == [make_event(n).time_ns for n in (8, 4, 0)]
        assert reader.get_statistics("total").total == 5
        assert all(len(reader.get_trace(make_span(n).trace_id)) == 1 for n in (0, 2, 4, 5, 7))
        assert len(list(reader.stored())) == 8
    assert read(traces)[0] == ids([make_span(7), make_span(5)])
    assert read(logs) == ([], 0)


def test_a_span_that_began_in_another_file_than_it_ended_is_one(path: Path) -> None:
    """The end counts, wherever it lies, and says what the start could not."""
    span = make_span(1)
    start = replace(span, status="started", end_ns=None)
    put_aside(path, 2, start, is_compressed=True)
    path.write_bytes(lines(span))
    with JsonlReader(str(path)) as reader:
        assert list(reader.query_executions()) == [span]
        assert list(reader.query_executions(status="started")) == []
        assert reader.get_trace(span.trace_id) == [span]
        assert reader.get_statistics("total").running == 0


def test_a_traceback_is_found_in_another_file(path: Path) -> None:
    """The deepest span, which has it, was put aside and compressed before the outer one ended."""
    error = {"type": "ValueError", "message": "bad"}
    outer = make_span(1, status="failed", status_code="ERROR", error=error)
    inner = make_span(2, trace_id=outer.trace_id, status="failed", error={**error, "traceback": "deep"})
    older = put_aside(path, 0, make_span(0), is_compressed=True)
    put_aside(path, 3, inner, is_compressed=True)
    path.write_bytes(lines(outer))
    older.write_bytes(b"")
    with JsonlReader(str(path)) as reader:
        assert [span.error["traceback"] for span in reader.query_executions()] == ["deep", "deep"]
        assert [span.error["traceback"] for span in reader.get_trace(outer.trace_id)] == ["deep", "deep"]
        assert [span.error["traceback"] for span in reader.query_executions(trace_id=outer.trace_id)] == ["deep"] * 2


def test_a_file_that_was_put_aside_is_read_alone(path: Path) -> None:
    """Its own name means itself, also when it has been compressed meanwhile."""
    plain = put_aside(path, 1, make_span(0))
    packed = put_aside(path, 2, make_span(1), is_compressed=True)
    path.write_bytes(lines(make_span(2)))
    assert read(plain) == (ids([make_span(0)]), 0)
    assert read(packed) == (ids([make_span(1)]), 0)
    with JsonlReader(str(plain)) as reader:
        plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        assert ids(reader.query_executions()) == ids([make_span(0)])


def test_a_store_is_missing_only_when_all_its_files_are(path: Path) -> None:
    """One file of any kind is enough."""
    with pytest.raises(StoreNotFoundError, match=r"shop\.jsonl"):
        JsonlReader(str(path))
    only = put_aside(signal_path(path, "logs"), 1)
    assert read(path) == ([], 0)
    reader = JsonlReader(str(path))
    only.unlink()
    with pytest.raises(StoreNotFoundError):
        list(reader.query_executions())
    path.write_bytes(lines(make_span(1)))
    assert len(list(reader.query_executions())) == 1
    reader.close()


def test_what_was_put_aside_too_early_is_not_opened(path: Path) -> None:
    """A query for the last hour does not unpack last week; nor does one for the newest when it has enough."""
    old = put_aside(path, 1_000, *(make_span(n) for n in range(1_000)))
    damaged = put_aside(path, 500, make_span(1), is_compressed=True)
    damaged.write_bytes(b"no gzip at all")
    path.write_bytes(lines(*(make_span(n) for n in range(2_000, 4_100))))
    with JsonlReader(str(path)) as reader:
        assert len(list(reader.query_executions(start_time="2026-09-21T14:40:00Z", limit=None))) == 2_100
        assert reader.skipped_lines == 0
        assert reader.get_statistics("total", start_time="2026-09-21T14:40:00Z").total == 2_100
        assert reader.skipped_lines == 0
        assert len(list(reader.query_executions(limit=100))) == 100
        assert reader.skipped_lines == 0
        assert len(list(reader.query_executions(limit=None))) == 3_100
        assert reader.skipped_lines == 1
    assert old.exists()


@pytest.mark.parametrize("cut", [-1, -4, -8, -9, -30, 60, 5, 0])
def test_a_cut_gzip_file_gives_what_is_left(path: Path, cut: int) -> None:
    """What could be unpacked is used, and that something is missing is counted, in every kind of query."""
    spans = [make_span(n, args={"text": os.urandom(30).hex()}) for n in range(200)]
    packed = put_aside(path, 500, *spans, is_compressed=True)
    packed.write_bytes(packed.read_bytes()[:cut])
    path.write_bytes(lines(make_span(1_000)))
    with JsonlReader(str(path)) as reader:
        found = len(list(reader.query_executions(limit=None)))
        assert 1 <= found <= 201
        assert (found == 201) or not -9 < cut < 0
        assert reader.skipped_lines == 1
        assert sum(entry.total for entry in reader.function_statistics()) == found
        assert reader.skipped_lines == 1
        assert len(list(reader.stored())) == found


def test_a_gzip_file_that_is_corrupt_in_the_middle_gives_what_stands_before(path: Path) -> None:
    """So does one with garbage behind it; and one of several members, or with zeros behind, is whole."""
    packed = put_aside(path, 500, *(make_span(n, args={"x": os.urandom(30).hex()}) for n in range(200)))
    content = gzip.compress(packed.read_bytes(), 1)
    packed.unlink()
    packed = packed.with_name(f"{packed.name}.gz")
    middle = len(content) // 2
    packed.write_bytes(content[:middle] + b"\xff" * 50 + content[middle + 50 :])
    found, skipped = read(path)
    assert 0 < len(found) < 200
    assert skipped >= 1
    packed.write_bytes(content + b"garbage")
    assert (len(read(path)[0]), read(path)[1]) == (200, 1)
    packed.write_bytes(content + gzip.compress(lines(make_span(300))) + b"\0" * 100)
    assert (len(read(path)[0]), read(path)[1]) == (201, 0)


def test_unpacked_files_are_given_back(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no name, are made once, and go when their file is gone or the reader closes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    made: list[compressed.Unpacked] = []
    unpacked = compressed.Unpacked

    def make(*arguments: object) -> compressed.Unpacked:
        made.append(unpacked(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(sources, "Unpacked", make)
    first = put_aside(path, 1, make_span(0), is_compressed=True)
    put_aside(path, 2, make_span(1), is_compressed=True)
    reader = JsonlReader(str(path))
    for _ in range(3):
        assert len(list(reader.query_executions())) == 2
    assert (len(made), left_beside(folder / "x")) == (2, [])
    unfinished = reader.query_executions(limit=None)
    next(unfinished)
    first.unlink()
    assert len(list(reader.query_executions())) == 1
    assert sorted(entry._file.closed for entry in made) == [False, True]
    assert len(list(unfinished)) == 1
    reader.close()
    assert all(entry._file.closed for entry in made)


def test_no_room_to_unpack_is_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where the room is missing, and what to set."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    put_aside(path, 1, *(make_span(n) for n in range(1_000)), is_compressed=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    reader = JsonlReader(str(path))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(StoreUnreadableError, match=r"cannot be unpacked.*TMPDIR"):
            list(reader.query_executions())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(list(reader.query_executions())) == 100
    reader.close()


def test_a_line_with_many_spans_gives_each(path: Path) -> None:
    """A batch of a collector's is one line; any page, any trace and any position in it."""
    content = json.dumps(OTLP_EXAMPLE, separators=(",", ":")).encode()
    path.write_bytes(content + b"\n" + lines(make_span(100)) + content.replace(b"/", b"/again/") + b"\n")
    with JsonlReader(str(path)) as reader:
        assert [span.name for span in reader.query_executions(limit=3)] == [
            "shop.total",
            "GET /again/4",
            "GET /again/3",
        ]
        assert len(list(reader.query_executions())) == 6
        assert sum(entry.total for entry in reader.function_statistics()) == 6
        found = list(reader.stored())
        assert len(found) == 11
        assert [len(list(reader.stored(stored.position))) for stored in found] == list(range(10, -1, -1))
        assert [reader.get_trace(f"{n + 1:032x}")[0].name for n in range(5)] == [f"GET /again/{n}" for n in range(5)]
        assert len(list(reader.query_executions(trace_id=f"{2:032X}"))) == 1
        assert len(list(reader.query_executions("GET /again/2"))) == 1
        assert len(list(reader.query_executions(start_time="2026-09-21T14:13:22Z"))) == 4


def test_what_is_broken_inside_of_a_line_counts_as_passed_over(path: Path) -> None:
    """Each by itself: spans, metric points, and a line that says what it is and no more."""
    points = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{}, {}, 5]}}]}]}]}
    broken = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "?"}, 5]}]}]}
    other = [b'{"type":"metric"}', json.dumps(points).encode()]
    path.write_bytes(b"\n".join([*other, json.dumps(broken).encode(), b""]) + lines(make_span(1)))
    with JsonlReader(str(path)) as reader:
        assert len(list(reader.query_executions())) == 1
        assert reader.skipped_lines == 3  # the second holds no span, and is not looked at
        reader.get_statistics("total")
        assert reader.skipped_lines == 4
        assert [point.value for point in reader.metrics()] == [None, None]


@pytest.mark.parametrize(
    "content",
    [
        "{}\n".encode("utf-16") + lines(make_span(1)).decode().encode("utf-16-le"),
        b"\0" * 300_000,
        b"\xff" * 300_000,
        b"\n" * 30_000,
        b"{\n" * 500 + b"}\n" * 500,
        b'{"a":\n' * 3_000,
        b"[" * 1_000_000,
        b'{"resourceSpans":' * 10_000 + b"\n",
        b'{"schema":1,"type":"span","trace_id":"' + b"1" * 1_000_000 + b"}\n",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"' + b"9" * 10_000 + b'"}]}]}]}\n',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":' + b"9" * 10_000 + b"}]}]}]}\n",
        encode_line(make_span(1))[:-2] + b',"x":' + b"9" * 10_000 + b"}\n",
        b'{"resourceSpans":5}\n{"resourceLogs":[5]}\n{"resourceMetrics":{}}\n{"resourceSpans":null}\n',
        gzip.compress(b"a file named wrongly"),
    ],
    ids=range(14),
)
def test_every_file_has_an_answer(path: Path, content: bytes) -> None:
    """Whatever lies there: no exception, no end of memory, and nothing found that is not there."""
    path.write_bytes(content)
    put_aside(path, 1, make_span(0))
    asked: list[Callable[[JsonlReader], int]] = [
        lambda reader: len(list(reader.query_executions(limit=None))),
        lambda reader: len(reader.get_trace(f"{1:032x}")),
        lambda reader: len(list(reader.stored())),
        lambda reader: sum(entry.total for entry in reader.function_statistics()),
    ]
    with JsonlReader(str(path)) as reader:
        assert all(1 <= ask(reader) <= 2 for ask in asked)
        assert list(reader.events()) == []
        assert reader.progress(list(reader.stored())[-1].position or "") <= reader.stored_size()
        assert list(reader.tail(timeout_s=0)) == []


@pytest.mark.slow
def test_a_line_of_a_hundred_megabytes_is_passed_over(path: Path) -> None:
    """It is counted, its neighbours are found in both directions, and memory stays bounded."""
    tracemalloc = pytest.importorskip("tracemalloc")
    path.write_bytes(lines(make_span(1)))
    os.truncate(path, 100_000_000)  # a hole of zeros
    with path.open("ab") as file:
        file.write(b"\n" + lines(make_span(2)))
    tracemalloc.start()
    with JsonlReader(str(path)) as reader:
        assert ids(reader.query_executions()) == ids([make_span(2), make_span(1)])
        assert reader.skipped_lines == 1
        assert reader.get_statistics("total").total == 2
        assert reader.skipped_lines == 1
        found = list(reader.stored())
    assert [stored.record for stored in found] == [make_span(1), make_span(2)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150_000_000


def test_lines_are_found_across_blocks_forward(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets and contents are right wherever blocks begin, and a line that is too long takes no neighbour along."""
    monkeypatch.setattr("otel_tracker_exporters.jsonl.files.MAX_LINE_BYTES", 50)
    content = b"".join(b"%d" % n * (n % 7) + b"\n" for n in range(60)) + b"x" * 200 + b"\nlast\n" + b"rest"
    path.write_bytes(content)
    for size in (1, 2, 3, 7, 64, 1_000):
        monkeypatch.setattr("otel_tracker_exporters.jsonl.files._BLOCK_BYTES", size)
        with open_file(str(path)) as file:
            found = list(lines_forward(file))
            rest = list(lines_forward(file, found[30].offset))
        expected = [TOO_LONG if len(line) > max(50, size) else line for line in content.split(b"\n")]
        assert [line.content for line in found] == expected
        assert [line.next_offset for line in found[:-1]] == [line.offset for line in found[1:]]
        assert (found[-1], rest) == (Line(len(content) - 4, b"rest", len(content), False), found[30:])


def test_files_may_go_and_come_while_a_query_reads(path: Path) -> None:
    """A query answers from the files that were there when it began."""
    first = put_aside(path, 1, *(make_span(n) for n in range(200)), is_compressed=True)
    second = put_aside(path, 300, *(make_span(n) for n in range(200, 400)))
    path.write_bytes(lines(*(make_span(n) for n in range(400, 600))))
    with JsonlReader(str(path)) as reader:
        unfinished = reader.query_executions(limit=None)
        newest = next(unfinished)
        first.unlink()
        shutil.move(second, second.with_suffix(".elsewhere"))
        path.rename(put_aside_path(path, BEGIN_NS + 900 * SECOND_NS))
        path.write_bytes(lines(make_span(1_000)))
        assert ids([newest, *unfinished]) == ids([make_span(n) for n in range(599, -1, -1)])
        assert len(list(reader.query_executions(limit=None))) == 201


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_file_that_moves_between_listing_and_opening_is_read_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_compressed: bool
) -> None:
    """Whatever a rotation changes just then, nothing is missed and nothing comes twice."""
    put_aside(path, 1, make_span(0))
    path.write_bytes(lines(make_span(1)))
    counts = iter(range(2, 8))
    find = sources.StoreFiles.find

    def find_and_rotate(files: sources.StoreFiles) -> list[sources.Found]:
        found = find(files)
        number = next(counts, None)
        if number is not None:
            with path.open("ab") as file:  # it grows first, after it may have been opened
                file.write(lines(make_span(100 + number)))
            target = put_aside_path(path, BEGIN_NS + number * SECOND_NS)
            path.rename(target)
            if is_compressed:
                target.with_name(f"{target.name}.gz").write_bytes(gzip.compress(target.read_bytes()))
                target.unlink()
            path.write_bytes(lines(make_span(number)))
        return found

    reader = JsonlReader(str(path))
    monkeypatch.setattr(sources.StoreFiles, "find", find_and_rotate)
    with reader:
        expected = [*range(107, 101, -1), *range(7, -1, -1)]
        assert ids(reader.query_executions()) == ids([make_span(n) for n in expected])
        assert len(list(reader.stored())) == 14


def test_queries_answer_while_files_are_rotated_and_deleted(path: Path) -> None:
    """Never an exception, and never a span twice; those of the file that is written are always there."""
    path.write_bytes(lines(make_span(1, function="kept")))
    is_over = threading.Event()

    def rotate() -> None:
        number = 2
        while not is_over.wait(0.0005):
            target = put_aside_path(path, BEGIN_NS + number * SECOND_NS)
            path.rename(target)
            path.write_bytes(lines(make_span(number), make_span(1, function="kept")))
            if number % 3:
                target.unlink()
            elif number > 30:
                put_aside_path(path, BEGIN_NS + (number - 30) * SECOND_NS).unlink(missing_ok=True)
            number += 1

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        with JsonlReader(str(path)) as reader:
            for _ in range(25):
                try:
                    found = ids(reader.query_executions(limit=None))
                    assert len(set(found)) == len(found)
                    assert reader.get_statistics("kept").total <= 1
                    list(reader.stored())
                except StoreNotFoundError:
                    pass  # the moment between two files of a store that has no other
    finally:
        is_over.set()
        thread.join()
