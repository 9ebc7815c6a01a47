"""What is special about the jsonl store: its lines, torn and foreign ones, and files that are rotated or full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.errors import StoreUnreadableError
from otel_tracker.stores import open_store
from otel_tracker_exporters.jsonl.files import lines_backwards, open_file
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.reader import JsonlReader

from .helpers import FULL_EVENT, FULL_SPAN, StoreUnderTest, ids, make_event, make_span


@pytest.fixture
def kind() -> str:
    return "jsonl"


def read(path: Path) -> tuple[list[str], int]:
    """The span ids found, newest first, and the number of lines passed over."""
    with JsonlReader(str(path)) as reader:
        found = ids(reader.query_executions(limit=None))
        return found, reader.skipped_lines


def test_a_line_is_the_records_json(store: StoreUnderTest) -> None:
    """Keys in their order, absent ones left out, one record a line, spans and events in one file."""
    store.write(FULL_SPAN, FULL_EVENT, make_span(1))
    lines = store.path.read_text().splitlines()
    expected = [FULL_SPAN.to_dict(), FULL_EVENT.to_dict(), make_span(1).to_dict()]
    assert [list(json.loads(line).items()) for line in lines] == [list(fields.items()) for fields in expected]
    assert store.path.read_bytes().endswith(b"}\n")
    assert b"\n\n" not in store.path.read_bytes()


def test_text_is_readable_in_the_file(store: StoreUnderTest) -> None:
    """Letters of any language are written as they are, and the file is valid UTF-8 whatever comes."""
    store.write(make_span(1, name="größe \N{SNOWMAN}"), make_span(2, name="half \ud800"))
    text = store.path.read_text(encoding="utf-8")
    assert "größe \N{SNOWMAN}" in text
    assert "half \\ud800" in text


def test_a_torn_last_line_takes_no_neighbour_along(store: StoreUnderTest) -> None:
    """What a killed process left half is alone on its line when the next batch comes."""
    store.write(make_span(1))
    with store.path.open("ab") as file:
        file.write(encode_line(make_span(2))[:-20])
    store.write(make_span(3))
    assert read(store.path) == (ids([make_span(3), make_span(1)]), 1)
    assert store.path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("cut", range(0, 420, 30))
def test_a_line_torn_anywhere_is_skipped(store: StoreUnderTest, cut: int) -> None:
    """Wherever a line ends too early, it is one line skipped and nothing else."""
    line = encode_line(make_span(2, args={"a": {"b": 1}}, attributes={"c": {}}, resource={"d": "e"}))[:-1]
    torn = line[: min(cut + 1, len(line) - 1)]
    store.path.write_bytes(encode_line(make_span(1)) + torn + b"\n" + encode_line(make_span(3)))
    assert read(store.path) == (ids([make_span(3), make_span(1)]), 1)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"{",
        b"[1, 2]",
        b"17",
        b"null",
        b'{"foo": 1}',
        b'{"schema": 1, "type": "span"}',
        b'{"schema": 99, "type": "span", "trace_id": "x"}',
        b'{"schema": 1, "type": "span", "trace_id": 5, "span_id": 6, "name": "x", "start": 7}',
        b'{"schema": 1,"type":"span","trace_id":"zz","span_id":"b","name":"x","start":"2026-01-01"}',
        b'{"schema": 1,"type":"event","name":"x","time":"yesterday"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b"\xff\xfe\x00\x01",
        b'"' + b"x" * 3_000_000,
        b"\x00" * 100,
    ],
    ids=range(17),
)
def test_lines_that_are_no_records_are_skipped_and_counted(store: StoreUnderTest, line: bytes) -> None:
    """Garbage, foreign and too new lines cost no neighbour, in every kind of query."""
    good = encode_line(make_span(1)) + encode_line(make_event(1))
    store.path.write_bytes(good + line + b"\n" + encode_line(make_span(2)))
    with JsonlReader(str(store.path)) as reader:
        for ask in (
            lambda: list(reader.query_executions()),
            lambda: list(reader.events()),
            lambda: reader.function_statistics(),
            lambda: reader.get_trace(make_span(1).trace_id),
        ):
            assert len(ask()) in (1, 2)
            assert reader.skipped_lines == 1


@pytest.mark.parametrize("line", [b"", b"   ", b"\r"])
def test_blank_lines_are_not_counted(store: StoreUnderTest, line: bytes) -> None:
    """They are passed over as what they are."""
    store.path.write_bytes(encode_line(make_span(1)) + line + b"\n" + encode_line(make_span(2)))
    assert read(store.path) == (ids([make_span(2), make_span(1)]), 0)


def test_the_last_line_counts_without_its_newline_when_it_is_whole(store: StoreUnderTest) -> None:
    """A whole record is read; a part of one may still be growing, and is neither read nor counted."""
    first, second = encode_line(make_span(1)), encode_line(make_span(2))
    store.path.write_bytes(first + second[:-1])
    assert read(store.path) == (ids([make_span(2), make_span(1)]), 0)
    store.path.write_bytes(first + second[:-5])
    assert read(store.path) == (ids([make_span(1)]), 0)


def test_files_that_other_tools_have_rewritten_are_read(store: StoreUnderTest) -> None:
    """Carriage returns, a byte order mark, spaces, another order of keys and invalid UTF-8 do no harm."""
    fields = make_span(3, name="x").to_dict()
    shuffled = json.dumps(dict(reversed(fields.items())), indent=None).encode()
    invalid = encode_line(make_span(4, status_message="Q")).replace(b'"Q"', b'"\xff"')
    windows = encode_line(make_span(1)).replace(b"\n", b"\r\n")
    store.path.write_bytes(b"\xef\xbb\xbf" + windows + b"  " + shuffled + b"\n" + invalid)
    assert read(store.path) == (ids([make_span(n) for n in (4, 3, 1)]), 0)
    with open_store(store.path) as reader:
        assert next(reader.query_executions()).status_message == "\ufffd"
        assert len(list(reader.query_executions("total"))) == 3
        assert len(reader.get_trace(make_span(3).trace_id)) == 1


def test_bare_words_of_other_writers_become_text(store: StoreUnderTest) -> None:
    """NaN and the infinities, which are no JSON, are read as a record holds them."""
    line = encode_line(make_span(1, args={"x": "Q"})).replace(b'"Q"', b"[NaN, Infinity, -Infinity]")
    store.path.write_bytes(line)
    with open_store(store.path) as reader:
        assert next(reader.query_executions()).args == {"x": ["NaN", "Infinity", "-Infinity"]}


def test_times_beyond_64_bits_are_read(store: StoreUnderTest) -> None:
    """A line of the year 9999 sorts before all others and breaks no statistics."""
    line = encode_line(make_span(1)).replace(b'"start":"2', b'"start":"0').replace(b'"end":"2', b'"end":"9')
    store.path.write_bytes(line + encode_line(make_span(2)))
    with open_store(store.path) as reader:
        assert ids(reader.query_executions()) == ids([make_span(2), make_span(1)])
        assert reader.get_statistics("total").total == 2


def test_a_line_without_end_is_passed_over_in_bounded_memory(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without newlines is not taken into memory whole."""
    monkeypatch.setattr("otel_tracker_exporters.jsonl.files.MAX_LINE_BYTES", 3_000_000)
    store.path.write_bytes(encode_line(make_span(1)) + b"x" * 10_000_000 + b"\n" + encode_line(make_span(2)))
    with open_file(str(store.path)) as file:
        assert max(len(line) for _, line in lines_backwards(file)) < 5_000_000
    assert read(store.path) == (ids([make_span(2), make_span(1)]), 1)


def test_lines_are_found_across_blocks(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets and contents are right wherever the blocks that are read begin."""
    content = b"".join(b"%d" % n * (n % 7) + b"\n" for n in range(60)) + b"rest"
    store.path.write_bytes(content)
    for size in (1, 2, 3, 7, 64, 1_000):
        monkeypatch.setattr("otel_tracker_exporters.jsonl.files._BLOCK_BYTES", size)
        with open_file(str(store.path)) as file:
            found = list(lines_backwards(file))
        assert [line for _, line in reversed(found)] == content.split(b"\n")
        assert all(content[offset : offset + len(line)] == line for offset, line in found)


def test_a_rotated_file_is_left_and_a_new_one_begun(store: StoreUnderTest) -> None:
    """After another process has renamed the file, records go to the path again, and an open reader follows."""
    store.write(make_span(1))
    reader = store.reader()
    assert ids(reader.query_executions()) == ids([make_span(1)])
    store.path.rename(store.path.with_suffix(".old"))
    store.write(make_span(2))
    assert ids(reader.query_executions()) == ids([make_span(2)])
    assert read(store.path.with_suffix(".old")) == (ids([make_span(1)]), 0)


def test_a_file_that_was_emptied_in_place_is_read_anew(store: StoreUnderTest) -> None:
    """A reader that knew where tracebacks lay does not take other lines for them."""
    error = {"type": "ValueError", "message": "bad"}
    inner = make_span(1, status="failed", error={**error, "traceback": "first"})
    outer = make_span(2, trace_id=inner.trace_id, status="failed", error=error)
    store.write(inner, outer)
    reader = store.reader()
    assert [span.error["traceback"] for span in reader.query_executions()] == ["first"] * 2
    os.truncate(store.path, 0)
    store.write(outer, make_span(3))
    assert [span.error.get("traceback") for span in reader.query_executions("total")] == [None, None]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_lock_that_somebody_keeps_does_not_stop_writing(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded wait the batch is appended all the same."""
    import fcntl

    monkeypatch.setattr("otel_tracker_exporters.jsonl.writer._LOCK_WAIT_S", 0.02)
    store.write(make_span(1))
    with store.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.write(make_span(2))
    assert read(store.path)[0] == ids([make_span(2), make_span(1)])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no resource limits")
def test_a_full_disk_fails_the_batch_and_leaves_no_half_line(store: StoreUnderTest) -> None:
    """A write that comes short is taken back, so that the same batch can be written again without repeats."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.helpers import *
store = StoreUnderTest("jsonl", Path({str(store.path)!r}))
print(store.write(make_span(1)))
resource.setrlimit(resource.RLIMIT_FSIZE, (store.path.stat().st_size + 500, resource.RLIM_INFINITY))
batch = [make_event(n) for n in range(100)]
print(store.write(*batch), store.write(*batch), store.path.read_bytes().count(b"\\n"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.write(*batch))
store.close()
"""
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    assert result.stdout.split() == ["True", "False", "False", "1", "True"]
    assert result.stderr.count("cannot be written") == 1
    with JsonlReader(str(store.path)) as reader:
        assert len(list(reader.events(limit=None))) == 100
        assert reader.skipped_lines == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting(store: StoreUnderTest, sentences: list[str]) -> None:
    """Opening a pipe that nobody reads would block; it is said instead, for writing and for reading."""
    os.mkfifo(store.path)
    assert not store.write(make_span(1))
    assert ["no regular file" in sentence for sentence in sentences] == [True]
    with pytest.raises(StoreUnreadableError, match="no regular file"):
        open_store(store.path)


def test_repeats_do_not_push_others_out_of_the_answer(store: StoreUnderTest) -> None:
    """With many repeats among the newest lines the answer is still as long as was asked for."""
    spans: list[Any] = [make_span(n) for n in range(400)]
    for _ in range(6):
        store.write(*spans)
    with open_store(store.path) as reader:
        assert ids(reader.query_executions(limit=350)) == ids(spans[:49:-1])
