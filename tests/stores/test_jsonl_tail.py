"""Following a jsonl store: every record once, across rotation, compression, deletion, and from many processes."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from otel_tracker.errors import QueryError, StoreUnreadableError
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker_exporters.jsonl import sources
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.names import put_aside_files, put_aside_path, signal_path
from otel_tracker_exporters.jsonl.otlp_encoding import encode_event_line, encode_span_line
from otel_tracker_exporters.jsonl.reader import JsonlReader
from otel_tracker_exporters.jsonl.writer import JsonlWriter

from .helpers import BEGIN_NS, SECOND_NS, make_event, make_span
from .jsonl_support import finish, rotating_processes

DEADLINE_S = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.jsonl"


@pytest.fixture
def reader(path: Path) -> Iterator[JsonlReader]:
    """Of a store that is empty at first."""
    path.touch()
    with JsonlReader(str(path)) as opened:
        yield opened


def append(path: Path, *records: SpanRecord | EventRecord) -> None:
    with path.open("ab") as file:
        file.write(b"".join(map(encode_line, records)))


def rotate(path: Path, number: int, *, is_compressed: bool = False) -> None:
    """Put the file aside, under a time ``number`` seconds after `BEGIN_NS`."""
    target = put_aside_path(path, BEGIN_NS + number * SECOND_NS)
    path.rename(target)
    if is_compressed:
        compress(target)


def compress(target: Path) -> None:
    target.with_name(f"{target.name}.gz").write_bytes(gzip.compress(target.read_bytes(), 1))
    target.unlink()


def numbers(reader: JsonlReader, after: str | None = None) -> tuple[list[int], str | None]:
    """The numbers of the spans stored after a position, and the position behind them."""
    found: list[int] = []
    for record, position in reader.stored(after):
        assert isinstance(record, SpanRecord)
        found.append(int(record.span_id, 16) - 1)
        after = position
    return found, after


def test_everything_comes_in_the_order_in_which_it_was_stored(path: Path, reader: JsonlReader) -> None:
    """The oldest file first, repeats included, and what cannot be read left out and counted."""
    append(path, make_span(5), make_event(1))
    rotate(path, 1, is_compressed=True)
    append(path, make_span(3), make_span(5))
    rotate(path, 2)
    append(path, make_span(4))
    with path.open("ab") as file:
        file.write(b"garbage\n\n" + encode_line(make_span(0)))
    found = [stored.record for stored in reader.stored()]
    assert found == [make_span(5), make_event(1), make_span(3), make_span(5), make_span(4), make_span(0)]
    assert reader.skipped_lines == 1


@pytest.mark.parametrize("first", range(7))
def test_a_position_survives_rotation_and_compression(path: Path, reader: JsonlReader, first: int) -> None:
    """Wherever one stopped reading, the rest comes once, also for another reader."""
    for number in range(6):
        append(path, make_span(number))
        if number % 2:
            rotate(path, number)
    append(path)
    read = list(islice(reader.stored(), first))
    position = read[-1].position if read else None
    for file in put_aside_files(path)[:2]:
        compress(file.path)
    append(path, make_span(6), make_span(7))
    assert numbers(reader, position)[0] == list(range(first, 8))
    with JsonlReader(str(path)) as another:
        assert numbers(another, position)[0] == list(range(first, 8))
    rotate(path, 8, is_compressed=True)
    assert numbers(reader, position)[0] == list(range(first, 8))


def test_a_position_in_a_deleted_file_goes_on_with_what_is_left(path: Path, reader: JsonlReader) -> None:
    """Retention took the file: its rest is lost, what came after it is not, and nothing comes again."""
    for number in range(6):
        append(path, make_span(number), make_span(100 + number))
        rotate(path, number)
    path.touch()
    positions = [stored.position for stored in reader.stored()]
    for file in put_aside_files(path)[:2]:
        file.path.unlink()
    assert numbers(reader, positions[0])[0] == [2, 102, 3, 103, 4, 104, 5, 105]
    put_aside_files(path)[1].path.unlink()
    assert numbers(reader, positions[6])[0] == [4, 104, 5, 105]
    for file in put_aside_files(path)[-2:]:
        file.path.unlink()
    assert numbers(reader, positions[-1])[0] == []


def test_a_file_that_was_deleted_and_made_anew_is_read_from_its_beginning(path: Path, reader: JsonlReader) -> None:
    """So is one that was emptied in place; what was put aside before does not come again."""
    append(path, make_span(0))
    rotate(path, 1)
    append(path, make_span(1), make_span(2))
    found, position = numbers(reader)
    assert found == [0, 1, 2]
    path.unlink()
    assert numbers(reader, position)[0] == []
    append(path, make_span(3), make_span(4), make_span(5))
    found, position = numbers(reader, position)
    assert found == [3, 4, 5]
    os.truncate(path, 0)
    assert numbers(reader, position)[0] == []
    append(path, make_span(3))  # the same first line, in a shorter file
    found, position = numbers(reader, position)
    assert found == [3]
    os.truncate(path, 0)
    append(path, make_span(7), make_span(8), make_span(9), make_span(10))
    assert numbers(reader, position)[0] == [7, 8, 9, 10]


@pytest.mark.parametrize("end", ["deleted", "replaced", "put aside and deleted", "moved away"])
def test_what_was_written_last_to_a_file_that_is_gone_is_followed(
    path: Path, reader: JsonlReader, end: str, tmp_path: Path
) -> None:
    """Between two looks a file may get more, go, and be begun anew: first comes the rest of it, then the new one."""
    append(path, make_span(0), make_event(1))
    tail = reader.tail(last=2, poll_s=0.05, timeout_s=DEADLINE_S)
    assert list(islice(tail, 2)) == [make_span(0), make_event(1)]
    append(path, make_span(2))
    assert next(tail) == make_span(2)
    append(path, make_span(3), make_span(4))
    if end == "put aside and deleted":
        rotate(path, 1)
        put_aside_files(path)[0].path.unlink()
    elif end == "moved away":
        path.rename(tmp_path / "elsewhere")
    else:
        path.unlink()
    if end != "deleted":
        append(path, make_span(5))
    expected = [make_span(3), make_span(4), *([make_span(5)] if end != "deleted" else [])]
    assert list(islice(tail, len(expected))) == expected
    append(path, make_span(6))
    assert next(tail) == make_span(6)


def test_following_lets_go_of_files_that_are_gone(path: Path, reader: JsonlReader) -> None:
    """What was read to its end takes no room on the disk any more, and at the end nothing is open."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc to see what is open")

    def opened() -> int:
        return sum(os.path.realpath(entry).startswith(str(path.parent)) for entry in descriptors.iterdir())

    tail = reader.tail(last=1, poll_s=0.05, timeout_s=DEADLINE_S)
    for number in range(6):
        append(path, make_span(number))
        assert next(tail) == make_span(number)
        path.unlink()
    assert 0 < opened() <= 4
    tail.close()  # type: ignore[attr-defined]
    assert opened() == 0


def test_a_torn_line_is_given_when_it_is_complete(path: Path, reader: JsonlReader) -> None:
    """A last line without its newline is neither given nor passed, and not counted as broken."""
    append(path, make_span(0))
    line = encode_line(make_span(1))
    position = numbers(reader)[1]
    for begin, end in ((0, 10), (10, len(line) - 1)):
        with path.open("ab") as file:
            file.write(line[begin:end])
        assert (numbers(reader, position)[0], reader.skipped_lines) == ([], 0)
    with path.open("ab") as file:
        file.write(line[-1:] + b"torn for ever")
    found, position = numbers(reader, position)
    assert found == [1]
    with path.open("ab") as file:
        file.write(b"\n" + encode_line(make_span(2)))
    assert (numbers(reader, position)[0], reader.skipped_lines) == ([2], 1)


def test_a_first_line_that_is_not_complete_is_waited_for(path: Path, reader: JsonlReader) -> None:
    """A file is known by its first line; before that there is nothing to say about it."""
    line = encode_line(make_span(0))
    path.write_bytes(line[:50])
    position = reader._position_before_last(0)
    assert numbers(reader, position) == ([], position)
    path.write_bytes(line)
    assert numbers(reader, position)[0] == [0]


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 5, 6, 100])
def test_tail_begins_with_the_last_ones_of_all_files(path: Path, reader: JsonlReader, last: int) -> None:
    """The records before the present, over rotated and compressed files, and then the new ones."""
    for number in range(5):
        append(path, make_span(number))
        if number in (0, 2):
            rotate(path, number, is_compressed=number == 0)
    tail = reader.tail(last=last, poll_s=0.01, timeout_s=DEADLINE_S)
    append(path, make_span(5))
    wanted = [make_span(n) for n in range(max(0, 5 - last), 6)]
    assert list(islice(tail, len(wanted))) == wanted


def test_tail_follows_every_signal(path: Path, reader: JsonlReader) -> None:
    """Spans and events of the format otlp lie in files of their own; the last ones are the latest of all."""
    traces, logs = signal_path(path, "traces"), signal_path(path, "logs")
    traces.write_bytes(b"".join(encode_span_line(make_span(n)) for n in (0, 2, 4)))
    logs.write_bytes(b"".join(encode_event_line(make_event(n)) for n in (1, 3)))
    tail = reader.tail(last=2, poll_s=0.01, timeout_s=DEADLINE_S)
    assert [next(tail), next(tail)] == [make_span(4), make_event(3)]
    for number in range(5, 8):
        rotate(logs, number, is_compressed=True)
        logs.write_bytes(encode_event_line(make_event(number)))
        assert next(tail) == make_event(number)
        with traces.open("ab") as file:
            file.write(encode_span_line(make_span(number)))
        assert next(tail) == make_span(number)
    tail.close()  # type: ignore[attr-defined]


def test_the_file_may_appear_later(path: Path) -> None:
    """Opened while there was only a file of one signal."""
    traces = signal_path(path, "traces")
    traces.write_bytes(encode_span_line(make_span(0)))
    with JsonlReader(str(path)) as reader:
        tail = reader.tail(poll_s=0.01, timeout_s=DEADLINE_S)
        append(path, make_span(1))
        assert next(tail) == make_span(1)
        for file in (path, traces):
            file.unlink()
        append(path, make_span(2))
        assert next(tail) == make_span(2)


@pytest.mark.slow
def test_tail_gives_every_record_of_four_rotating_processes_once(path: Path) -> None:
    """Many rotations, compressed while they are read, in the order of each process."""
    path.touch()
    per_process = 600
    found: list[int] = []
    with (
        rotating_processes(path, *((4_000, 10_000, n * per_process, per_process, 3) for n in range(4))) as children,
        JsonlReader(str(path)) as reader,
    ):
        tail = reader.tail(poll_s=0.01, timeout_s=DEADLINE_S)
        thread = threading.Thread(target=lambda: found.extend(_numbers_of(islice(tail, 4 * per_process))))
        thread.start()
        finish(children)
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        assert numbers(reader)[0] == found
    assert len(put_aside_files(path)) > 50
    assert sorted(found) == list(range(4 * per_process))
    for n in range(4):
        own = [number for number in found if number // per_process == n]
        assert own == sorted(own)


def _numbers_of(records: Iterator[SpanRecord | EventRecord]) -> Iterator[int]:
    return (int(record.span_id, 16) - 1 for record in records)


def test_tail_gives_every_record_of_a_rotating_writer_once(path: Path, reader: JsonlReader) -> None:
    """The same with one writer, in a moment."""
    writer = JsonlWriter(str(path), max_bytes=2_000, backups=1_000)
    tail = reader.tail(poll_s=0.01, timeout_s=DEADLINE_S)
    for number in range(200):
        assert writer.write([make_span(number)])
        if number % 7 == 6:
            assert list(_numbers_of(islice(tail, 7))) == list(range(number - 6, number + 1))
    writer.close()
    assert len(put_aside_files(path)) > 10
    assert numbers(reader)[0] == list(range(200))


def test_a_poll_without_news_reads_nothing(path: Path, reader: JsonlReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the folder and the files' sizes, whatever garbage or half line they end with."""
    append(path, make_span(0))
    rotate(path, 1, is_compressed=True)
    path.write_bytes(b"garbage\n" * 10 + b"half a line")
    position = numbers(reader)[1]
    assert numbers(reader, position)[0] == []
    monkeypatch.setattr(sources.StoreFiles, "open", lambda *_: pytest.fail("a file was opened"))
    for _ in range(3):
        assert numbers(reader, position)[0] == []


def test_tail_ends_when_the_reader_is_closed_elsewhere(path: Path, reader: JsonlReader) -> None:
    """While it waits, while it reads, and between two records; without an exception."""
    append(path, *(make_span(n) for n in range(3_000)))
    found: list[object] = []
    errors: list[Exception] = []

    def follow(tail: Iterator[SpanRecord | EventRecord]) -> None:
        try:
            found.extend(tail)
        except Exception as error:
            errors.append(error)

    for delay_s in (0.0, 0.001, 0.01, 0.05, 0.1):
        with JsonlReader(str(path)) as opened:
            thread = threading.Thread(target=follow, args=[opened.tail(last=3_000, poll_s=0.01)])
            thread.start()
            opened._closing().wait(delay_s)
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert errors == []


def test_a_closed_reader_gives_nothing_stored(path: Path, reader: JsonlReader) -> None:
    """It says so; a position behind the end is no way around it."""
    reader.close()
    for ask in (lambda: reader.stored(), lambda: reader.tail(), lambda: reader.progress("{}")):
        with pytest.raises(StoreUnreadableError, match="is closed"):
            ask()


def test_tail_ends_at_its_timeout(path: Path, reader: JsonlReader) -> None:
    """Whoever waits for a limited time is not kept longer, also by files full of garbage."""
    path.write_bytes(b"garbage\n" * 1_000)
    begin_s = time.monotonic()
    assert list(reader.tail(last=5, poll_s=0.01, timeout_s=0.1)) == []
    assert time.monotonic() - begin_s < 10


@pytest.mark.parametrize(
    "position", ["", "x", "17", "[]", "null", '{"":5}', '{"":[1,2,3,4]}', '{"":["a",-1,0,""]}', '{"":["a",0,true,""]}']
)
def test_a_position_of_another_kind_is_refused(reader: JsonlReader, position: str) -> None:
    """With a sentence, at once."""
    with pytest.raises(QueryError, match="expected a position"):
        reader.stored(position)
    with pytest.raises(QueryError, match="expected a position"):
        reader.progress(position)


def test_a_position_of_another_store_begins_at_the_beginning(path: Path, reader: JsonlReader) -> None:
    """Nothing of it is here; at least nothing is missed."""
    append(path, make_span(0))
    assert numbers(reader, '{"":["0123456789abcdef",99,0,""],"other":["",0,0,""]}')[0] == [0]


def test_progress_goes_from_nothing_to_the_size(path: Path, reader: JsonlReader) -> None:
    """In plain bytes, over rotated and compressed files, without unpacking what was read already."""
    for number in range(8):
        append(path, make_span(number))
        if number % 3 == 0:
            rotate(path, number, is_compressed=number == 3)
    passed = [reader.progress(stored.position or "") for stored in reader.stored()]
    assert passed == sorted(set(passed))
    line = len(encode_line(make_span(0)))
    assert (passed[0], passed[-1], reader.stored_size()) == (line, 8 * line, 8 * line)
    assert reader.progress("{}") == 0
