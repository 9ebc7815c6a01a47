"""JSONL files in which other things stand: every good line is found, every other one is counted, memory is bounded."""

from __future__ import annotations

import gzip
import json
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.records import SpanRecord
from otel_tracker.stores import open_store
from otel_tracker_exporters.jsonl.reader import JsonlReader

from ..helpers import StoreUnderTest, make_event, make_span
from .support import Ledger, Refusal, ask, ask_everything, numbers_of, through_writer

SEED = 20_261_124


@pytest.fixture
def kind() -> str:
    return "jsonl"


def line(number: int, **fields: Any) -> bytes:
    """A span's line, as the format says and without our own encoder."""
    return json.dumps(make_span(number, **fields).to_dict()).encode() + b"\n"


def event_line(number: int) -> bytes:
    return json.dumps(make_event(number).to_dict()).encode() + b"\n"


def read(path: Path) -> tuple[set[int], int, int]:
    """The numbers of the spans, how many events, and how many lines were passed over by a reader of all spans."""
    answers = ask_everything(path)
    refusals = [answer for answer in answers.values() if isinstance(answer, Refusal)]
    assert not refusals, refusals
    assert answers["stored"] == answers["executions"]
    with JsonlReader(str(path)) as reader:
        list(reader.query_executions(limit=None))
        skipped = reader.skipped_lines
        list(reader.events(limit=None))
        assert reader.skipped_lines <= skipped  # what is no event by its first words need not be looked at
    return answers["executions"], answers["events"], skipped


# --- foreign formats --------------------------------------------------------------------------------------------------


def png() -> bytes:
    """A real picture: signature, header, noise for pixels, end."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\x00" + random.Random(row).randbytes(64 * 3) for row in range(64))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


FOREIGN: dict[str, bytes] = {
    "csv": b"trace_id,span_id,name,start\n" + b'0af7,b7ad,"shop.total",2026-11-24T00:00:00Z\n' * 50,
    "logfmt": b'level=info ts=2026-11-24T00:00:00Z msg="checkout" trace_id=0af7 span_id=b7ad\n' * 50,
    "json lines of another logger": b'{"level":"info","ts":1700000000.5,"msg":"x","trace_id":"0af7","span":{}}\n' * 50,
    "json lines of ECS": b'{"@timestamp":"2026-11-24T00:00:00Z","log.level":"info","type":"span","message":"x"}\n' * 50,
    "png": png(),
    "gzip": gzip.compress(b"".join(line(number) for number in range(50)), mtime=0),
    "noise": random.Random(SEED).randbytes(50_000),
    "pretty json": json.dumps([{"a": [1, {"b": None}]}] * 20, indent=2).encode() + b"\n",
    "xml": b"<?xml version='1.0'?>\n<spans>\n" + b"<span id='1'/>\n" * 50 + b"</spans>\n",
    "sqlite": b"SQLite format 3\x00" + bytes(5_000),
    "utf-16": "".join(line(number).decode() for number in range(20)).encode("utf-16"),
    "utf-32": "".join(line(number).decode() for number in range(20)).encode("utf-32"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_answered_with_nothing_or_a_sentence(store: StoreUnderTest, name: str) -> None:
    """Another program's file under the store's name ends in no exception of ours, and is never read as records."""
    store.path.write_bytes(FOREIGN[name])
    for answer in ask_everything(store.path).values():
        assert isinstance(answer, Refusal) or not answer or name == "gzip"
    assert store.path.read_bytes() == FOREIGN[name]


@pytest.mark.parametrize("name", FOREIGN)
def test_good_lines_around_a_foreign_part_are_all_found(store: StoreUnderTest, name: str) -> None:
    """Whatever stands between, before and behind it every record is found, and something is counted."""
    before = b"".join(line(number) for number in range(10)) + event_line(1)
    behind = b"\n" + b"".join(line(number) for number in range(100, 110)) + event_line(2)
    store.path.write_bytes(before + FOREIGN[name] + behind)
    numbers, events, skipped = read(store.path)
    assert numbers == {*range(10), *range(100, 110)}
    assert events == 2
    assert 1 <= skipped <= FOREIGN[name].count(b"\n") + 1


@pytest.mark.parametrize("name", FOREIGN)
def test_records_are_written_behind_a_foreign_part(store: StoreUnderTest, name: str) -> None:
    """A writer appends to what it finds: not a byte of it changes, and its own records are found."""
    store.path.write_bytes(FOREIGN[name])
    ledger = Ledger(through_writer(store))
    assert ledger.batch()
    assert ledger.batch()
    ledger.check(store.path)
    assert store.path.read_bytes().startswith(FOREIGN[name])


# --- single lines -----------------------------------------------------------------------------------------------------


def deep(levels: int, opening: bytes, closing: bytes) -> bytes:
    return opening * levels + b"1" + closing * levels


SKIPPED: dict[str, bytes] = {
    "torn at the front": line(50)[30:-1],
    "torn at the end": line(50)[:-30],
    "two torn ones that met": line(50)[:-60] + line(51)[40:-1],
    "NULs": bytes(5_000),
    "invalid UTF-8 alone": b"\xc3\x28\xa0\xa1\xe2\x28\xa1\xf0\x28\x8c\xbc",
    "lone continuation bytes": b"\x80" * 1_000,
    "deep lists": deep(200_000, b"[", b"]"),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and open": b"[" * 500_000,
    "a record with deep args": line(50)[:-2] + b',"args":' + deep(100_000, b"[", b"]") + b"}",
    "a huge whole number": b"9" * 100_000,
    "a record that starts with a huge number": line(50).replace(b'"start": "', b'"start": ' + b"9" * 5_000 + b',"x":"'),
    "a record of a newer schema": line(50).replace(b'"schema": 1', b'"schema": 2'),
    "a record of a schema of text": line(50).replace(b'"schema": 1', b'"schema": "one"'),
    "a record of a huge schema": line(50).replace(b'"schema": 1', b'"schema": 1e999'),
    "a list": b"[" + line(50)[:-1] + b"]",
    "a text": json.dumps(line(50).decode()).encode(),
    "true": b"true",
    "empty object": b"{}",
    "only a type": b'{"schema": 1, "type": "span"}',
    "ids that are numbers": line(50).replace(make_span(50).trace_id.encode(), b"@").replace(b'"@"', b"17"),
    "impossible time": line(50).replace(b'"start": "2026-', b'"start": "2026-99-'),
    "control characters": bytes(range(1, 10)) + bytes(range(11, 32)),
    "two records on one line": line(50)[:-1] + line(51)[:-1],
    "a byte order mark of UTF-16": b"\xff\xfe" + "{}".encode("utf-16-le").replace(b"\n", b""),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_bad_line_is_one_line_lost_wherever_it_stands(store: StoreUnderTest, name: str) -> None:
    """At the front, in the middle twice, and last: neighbours are found, and exactly the bad ones counted."""
    bad = SKIPPED[name].replace(b"\n", b" ") + b"\n"
    store.path.write_bytes(bad + line(1) + bad + bad + line(2) + event_line(3) + line(4) + bad)
    assert read(store.path) == ({1, 2, 4}, 1, 4)


READ: dict[str, bytes] = {
    "carriage return": line(50).replace(b"\n", b"\r\n"),
    "blanks around": b" \t " + line(50)[:-1] + b" \t\r\n",
    "duplicated keys": line(50).replace(b'"name":', b'"name": "other", "name":'),
    "unknown keys": line(50)[:-2] + b', "colour": "red", "nested": {"a": [1]}}\n',
    "a huge whole number in attributes": line(50)[:-2] + b', "attributes": {"n": ' + b"9" * 3_000 + b"}}\n",
    "a huge exponent in attributes": line(50)[:-2] + b', "attributes": {"n": 1e999999}}\n',
    "words that are no JSON": line(50)[:-2] + b', "attributes": {"n": NaN, "m": -Infinity}}\n',
    "invalid UTF-8 in a text": line(50, attributes={"t": "@"}).replace(b"@", b"\xff\xfe\xc3\x28"),
    "lone surrogates": line(50, attributes={"t": "@"}).replace(b"@", b"\\ud800"),
    "NUL in a text": line(50, attributes={"t": "@"}).replace(b"@", b"\\u0000"),
    "deep arguments that are still read": line(50)[:-2] + b', "args": {"a": ' + deep(100, b"[", b"]") + b"}}\n",
    "a text of 2 MB": line(50, attributes={"t": "x" * 2_000_000}),
}


@pytest.mark.parametrize("name", READ)
def test_a_strange_record_is_still_a_record(store: StoreUnderTest, name: str) -> None:
    """What can be understood is understood, and counts once."""
    store.path.write_bytes(line(1) + READ[name] + line(2))
    assert read(store.path) == ({1, 2, 50}, 0, 0)
    with open_store(store.path) as reader:
        for record in reader.query_executions(limit=None):
            json.dumps(record.to_dict(), allow_nan=False).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b"\n\n\n", b"\r\n\r\n", b" \n", b"\x00\n"])
def test_what_editors_put_in_front_costs_no_record(store: StoreUnderTest, mark: bytes) -> None:
    """A byte order mark, blank lines and Windows line ends before the first record."""
    store.path.write_bytes(mark + line(1).replace(b"\n", b"\r\n") + line(2))
    numbers, _, skipped = read(store.path)
    assert numbers == {1, 2}
    assert skipped == (mark == b"\x00\n")


@pytest.mark.parametrize("content", [b"", b"\n", b"\n" * 10_000, b"\r\n" * 10_000, b" \t\n" * 10_000, b"\xef\xbb\xbf"])
def test_a_blank_file_is_an_empty_store(store: StoreUnderTest, content: bytes) -> None:
    """Nothing is in it, nothing is counted, and the first record is found."""
    store.path.write_bytes(content)
    assert read(store.path) == (set(), 0, 0)
    ledger = Ledger(through_writer(store))
    assert ledger.batch()
    assert read(store.path) == (ledger.stored, 0, 0)


def test_a_file_cut_at_every_byte_loses_the_cut_line_alone(store: StoreUnderTest) -> None:
    """Wherever the end is missing, all lines before it are found and the next writer's are whole."""
    content = line(1) + line(2, args={"ö": [1, {"x": None}]}) + line(3)
    second, third = content.index(b"\n") + 1, content.rindex(b"\n", 0, -1) + 1
    for cut in range(0, len(content), 7):
        store.path.write_bytes(content[:cut])
        found = ask(store.path)
        whole = {1} if cut >= second - 1 else set()
        whole |= {2} if cut >= third - 1 else set()
        assert found == whole, cut


def test_random_bytes_between_records_never_confuse_the_reader(store: StoreUnderTest) -> None:
    """Lines with bits flipped, cut, joined and repeated, from a fixed seed: the untouched ones are all found."""
    chance = random.Random(SEED)
    content, untouched = bytearray(), set()
    for number in range(400):
        whole = bytearray(line(number, attributes={"t": "x" * chance.randrange(200)}))
        if chance.random() < 0.5:
            untouched.add(number)
        else:
            for _ in range(chance.randrange(1, 6)):
                whole[chance.randrange(len(whole) - 1)] = chance.choice(b'{}[]",:\\\x00\xff9e-')
        content += whole
    store.path.write_bytes(bytes(content))
    answers = ask_everything(store.path)
    assert not [answer for answer in answers.values() if isinstance(answer, Refusal)]
    assert answers["executions"] >= untouched
    assert answers["stored"] >= untouched


# --- size -------------------------------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from otel_tracker.stores import open_store
def ask():
    with open_store(sys.argv[1]) as reader:
        found = len(list(reader.query_executions(limit=None))), len(list(reader.events()))
        reader.function_statistics(); reader.get_trace("0" * 31 + "2"); list(reader.stored())
        return found
open_small = sys.argv.pop(1)
large = sys.argv.pop(1)
sys.argv.insert(1, open_small)
ask()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.argv[1] = large
print(*ask(), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def memory_for(small: Path, large: Path) -> tuple[int, int, int]:
    """How many spans and events a reader finds in the large file, and how many bytes more it takes for that."""
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    spans, events, grown = map(int, result.stdout.split())
    return spans, events, grown


LONG: dict[str, tuple[bytes, bytes]] = {
    "without structure": (b"", b"x"),
    "an open text": (b'{"schema": 1, "type": "span", "name": "', b"x"),
    "an open list": (b'{"schema": 1, "type": "span", "args": [', b"1,"),
    "opening brackets": (b"", b"["),
    "NULs": (b"", b"\x00"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_line_of_100_megabytes_is_passed_over_in_bounded_memory(tmp_path: Path, name: str) -> None:
    """Reading takes less memory than the line is long, and the lines around it are found."""
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    small.write_bytes(line(1) + event_line(1))
    beginning, filling = LONG[name]
    with large.open("wb") as file:
        file.write(line(1) + beginning)
        for _ in range(100):
            file.write(filling * (1_000_000 // len(filling)))
        file.write(b"\n" + line(2) + event_line(3))
    spans, events, grown = memory_for(small, large)
    assert (spans, events) == (2, 1)
    assert grown < 80_000_000


@pytest.mark.slow
def test_a_store_of_many_megabytes_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """20 MB of bad lines among good ones take no more memory than a few of them."""
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    small.write_bytes(line(1))
    with large.open("wb") as file:
        for number in range(50):
            file.write(b'{"level":"info","msg":"' + b"y" * 200 + b'"}\n' * 850)
            file.write(b"z" * 180_000 + b"\n" + line(number))
    spans, _, grown = memory_for(small, large)
    assert spans == 50
    assert grown < 10_000_000


def test_records_are_spans() -> None:
    """What the helpers of these tests stand on."""
    assert numbers_of(iter([make_span(5), make_event(6)])) == {5}
    assert isinstance(make_span(5), SpanRecord)
