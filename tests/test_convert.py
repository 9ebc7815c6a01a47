"""Converting a store into another: everything once, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory_store import Interrupted, Memory, fill, memory

from otel_tracker.convert import Conversion, ConversionError, Progress, conversion
from otel_tracker.errors import OtelTrackerError, StoreNotFoundError, StoreUnwritableError, UnknownStoreError
from otel_tracker.records import EventRecord, SpanRecord

__all__ = ["memory"]


def span(number: int, **fields: object) -> SpanRecord:
    record = SpanRecord(f"{number + 1:032x}", f"{number + 1:016x}", "work", number, number + 1)
    return replace(record, **fields)  # type: ignore[arg-type]


def started(number: int) -> SpanRecord:
    return span(number, end_ns=None, status="started")


def event(number: int) -> EventRecord:
    return EventRecord("cart.paid", number, properties={"amount": number})


MIXED: tuple[SpanRecord | EventRecord, ...] = (
    *(started(0), event(1), span(0), event(1), span(2), event(3), started(4), span(5), span(5), event(1)),
    *(record for number in range(6, 40) for record in (span(number), event(number % 7))),
)
"""Starts with and without an end, a span that was stored twice, and events that are alike."""


def keys(records: list[SpanRecord | EventRecord]) -> Counter[str]:
    return Counter(json.dumps(record.to_dict(), sort_keys=True) for record in records)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "BATCH_RECORDS", 4)


@pytest.fixture
def source(memory: Memory, tmp_path: Path) -> str:
    return fill(memory, tmp_path / "a.mem", MIXED)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "b.mem")
    assert os.listdir(tmp_path) == []  # no state is left


def test_everything_arrives_in_its_order(memory: Memory, source: str, target: str) -> None:
    """An empty target becomes a faithful copy, repeats and starts included."""
    converted = Conversion(source, target).run()
    assert tuple(memory.stores[target]) == MIXED
    assert (converted.counts.spans, converted.counts.events) == (40, 38)
    assert (converted.counts.spans_there, converted.counts.events_there, converted.is_resumed) == (0, 0, False)


def test_converting_twice_adds_nothing(memory: Memory, source: str, target: str) -> None:
    """The second time everything is there already, and said to be."""
    Conversion(source, target).run()
    again = Conversion(source, target).run()
    assert tuple(memory.stores[target]) == MIXED
    assert (again.counts.spans, again.counts.events) == (0, 0)
    assert (again.counts.spans_there, again.counts.events_there) == (40, 38)


def test_large_records_are_moved_a_few_at_a_time(memory: Memory, tmp_path: Path, target: str) -> None:
    """A batch ends when it holds enough bytes, wherever in a record they are: memory does not grow with them."""
    large = "x" * 3_000_000
    records = [
        *(event(1), replace(event(2), body=[large]), span(3, args={"a": {large: 1}}), span(4, attributes={"k": large})),
        *(event(5), event(6), event(7), event(8), event(9)),
    ]
    source = fill(memory, tmp_path / "a.mem", records)
    Conversion(source, target).run()
    assert memory.stores[target] == records
    assert memory.writes == 5  # two, one, one, four of these small batches, one


def test_only_what_is_missing_is_added(memory: Memory, source: str, target: str) -> None:
    """Events that are alike end up as often as in the source; spans that are known by an end are not added."""
    memory.stores[target] = [event(1), span(0), started(2), event(100)]
    converted = Conversion(source, target).run()
    expected = keys([*MIXED, started(2), event(100)]) - keys([started(0)])
    assert keys(memory.stores[target]) == expected
    assert (converted.counts.spans_there, converted.counts.events_there) == (2, 1)


@pytest.mark.parametrize("keeps", [0, 1, 3, 4])
@pytest.mark.parametrize("interrupt_at", [1, 2, 3, 10, 19])
def test_an_interrupted_conversion_goes_on(
    memory: Memory, source: str, target: str, interrupt_at: int, keeps: int
) -> None:
    """However much of the batch in flight was written, the end is as if nothing had happened."""
    memory.interrupt_at, memory.keeps = interrupt_at, keeps
    with pytest.raises(Interrupted):
        Conversion(source, target).run()
    converted = Conversion(source, target).run()
    assert tuple(memory.stores[target]) == MIXED
    assert converted.is_resumed is (interrupt_at > 1)
    written = converted.counts.spans + converted.counts.events
    there = converted.counts.spans_there + converted.counts.events_there
    assert (written, there) == ((len(MIXED), 0) if converted.is_resumed else (len(MIXED) - keeps, keeps))


def test_a_conversion_goes_on_again_and_again(memory: Memory, source: str, target: str) -> None:
    """Twenty interruptions at random moments leave no trace."""
    chance = random.Random(7)
    for _ in range(20):
        memory.interrupt_at, memory.keeps = memory.writes + chance.randint(1, 3), chance.randint(0, 4)
        try:
            Conversion(source, target).run()
        except Interrupted:
            continue
        break
    memory.interrupt_at = None
    Conversion(source, target).run()
    assert tuple(memory.stores[target]) == MIXED


def test_it_does_not_read_again_what_is_certainly_written(memory: Memory, source: str, target: str) -> None:
    """The next run begins at the batch that was interrupted."""
    memory.interrupt_at = 15
    with pytest.raises(Interrupted):
        Conversion(source, target).run()
    seen: list[Progress] = []
    Conversion(source, target).run(seen.append)
    assert [progress.done for progress in seen] == [60, 64, 68, 72, 76, 78]
    assert {progress.total for progress in seen} == {78}


def test_the_state_is_private(memory: Memory, source: str, target: str, tmp_path: Path) -> None:
    """Between two runs there is one small file beside the target that only its owner may read."""
    memory.interrupt_at = 3
    with pytest.raises(Interrupted):
        Conversion(source, target).run()
    assert os.listdir(tmp_path) == [".b.mem.convert"]
    assert stat.S_IMODE((tmp_path / ".b.mem.convert").stat().st_mode) == 0o600
    Conversion(source, target).run()


@pytest.mark.parametrize(
    "change", ["deleted", "replaced", "cut", "another source", "source replaced", "another format"]
)
def test_state_that_does_not_fit_begins_again(
    memory: Memory, source: str, target: str, tmp_path: Path, change: str
) -> None:
    """Whatever happened between two runs, everything arrives, and nothing twice."""
    memory.interrupt_at = 12
    with pytest.raises(Interrupted):
        Conversion(source, target).run()
    before: list[SpanRecord | EventRecord] = []
    if change == "deleted":
        del memory.stores[target]
    elif change == "replaced":
        before = [event(900 + number) for number in range(60)]
        memory.stores[target] = list(before)
    elif change == "cut":
        del memory.stores[target][10:]
    elif change == "another source":
        source = fill(memory, tmp_path / "c.mem", MIXED)
    elif change == "source replaced":
        fill(memory, Path(source), [event(77), *MIXED])
        before = [event(77)]
    else:
        state = json.loads((tmp_path / ".b.mem.convert").read_text())
        state["state"]["job"]["target_format"] = "otlp"
        (tmp_path / ".b.mem.convert").write_text(json.dumps(state))
    converted = Conversion(source, target).run()
    assert not converted.is_resumed
    missing = keys([*before, *MIXED]) - keys(memory.stores[target])
    assert not missing - keys([span(5)])  # a repeat is no loss
    assert not keys(memory.stores[target]) - keys([*before, *MIXED])


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", '{"version": 1}', '{"version": 2, "state": {}}', "\x00", "[" * 100_000),
        '{"version": 1, "state": {"job": {"source": "x"}}}',
    ],
)
def test_broken_state_is_no_state(memory: Memory, source: str, target: str, tmp_path: Path, content: str) -> None:
    """A file that cannot be understood costs nothing but the way back."""
    (tmp_path / ".b.mem.convert").write_text(content)
    Conversion(source, target).run()
    assert tuple(memory.stores[target]) == MIXED


@pytest.mark.parametrize("field", ["source_position", "target_position", "witness_position", "records", "counts"])
@pytest.mark.parametrize("value", [None, "nonsense", -1, [], {"spans": "many"}])
def test_state_with_nonsense_is_never_followed_into_a_loss(
    memory: Memory, source: str, target: str, tmp_path: Path, field: str, value: object
) -> None:
    """A position that the store does not understand, or no position at all, begins again."""
    memory.interrupt_at = 12
    with pytest.raises(Interrupted):
        Conversion(source, target).run()
    state = json.loads((tmp_path / ".b.mem.convert").read_text())
    state["state"][field] = value
    (tmp_path / ".b.mem.convert").write_text(json.dumps(state))
    Conversion(source, target).run()
    assert keys(memory.stores[target]) >= keys(list(MIXED)) - keys([span(5)])


@pytest.mark.skipif(os.name != "posix", reason="pipes and links as POSIX has them")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_file_of_ours_is_no_state(memory: Memory, source: str, tmp_path: Path, kind: str) -> None:
    """Nothing blocks, nothing is followed or overwritten, and the conversion is done."""
    path = tmp_path / ".b.mem.convert"
    (tmp_path / "precious").write_text("mine")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "precious")
    else:
        path.mkdir()
    Conversion(source, str(tmp_path / "b.mem")).run()
    assert tuple(memory.stores[str(tmp_path / "b.mem")]) == MIXED
    assert (tmp_path / "precious").read_text() == "mine"


def test_failure_of_the_target_is_said_and_can_be_gone_on_from(memory: Memory, source: str, target: str) -> None:
    """The writer's sentence reaches the caller; the next run completes the work."""
    memory.fails = True
    first = Conversion(source, target)
    with pytest.raises(StoreUnwritableError, match="full"):
        first.run()
    assert not first.can_go_on  # nothing was written
    memory.fails = False
    memory.interrupt_at = memory.writes + 3
    second = Conversion(source, target)
    with pytest.raises(Interrupted):
        second.run()
    assert second.can_go_on
    second.run()
    assert tuple(memory.stores[target]) == MIXED


def test_store_without_an_order_is_converted_all_the_same(memory: Memory, source: str, target: str) -> None:
    """There is no position to go on from, so an interrupted run begins again and passes over what is there."""
    memory.is_ordered = False
    memory.interrupt_at, memory.keeps = 9, 2
    with pytest.raises(Interrupted):
        Conversion(source, target).run()
    assert not Conversion(source, target).run().is_resumed
    assert keys(memory.stores[target]) == keys(list(MIXED))


def test_two_at_once_are_kept_apart(memory: Memory, source: str, target: str, tmp_path: Path) -> None:
    """The second is refused with a sentence; a lock that a killed process left behind holds nobody up."""
    fcntl = pytest.importorskip("fcntl", reason="locks as POSIX has them")
    lock = tmp_path / ".b.mem.convert.lock"
    with lock.open("w") as held_by_another:
        fcntl.flock(held_by_another, fcntl.LOCK_EX)
        with pytest.raises(StoreUnwritableError, match=r"at work with b\.mem"):
            Conversion(source, target).run()
        assert lock.exists()
    Conversion(source, target).run()
    assert tuple(memory.stores[target]) == MIXED


class TestWriteOnly:
    """A target that nothing can be read back from."""

    url = "wire://collector"

    def test_each_span_is_sent_once(self, memory: Memory, source: str, target: str) -> None:
        """Repeats in the source are not sent, events that are alike are; a start without an end is counted."""
        converted = Conversion(source, self.url).run()
        sent = memory.stores[self.url]
        expected = keys([record for record in MIXED if not isinstance(record, SpanRecord) or record.end_ns]) - keys(
            [span(5)]
        )
        assert keys(sent) == expected
        counts = converted.counts
        assert (counts.spans, counts.events, counts.spans_there, counts.unfinished) == (37, 38, 1, 1)

    def test_it_goes_on_behind_the_last_batch_that_was_sent(self, memory: Memory, source: str, target: str) -> None:
        """The state lies beside the source; repeats are known across the interruption."""
        records = [*MIXED, span(2), *MIXED[:3]]
        fill(memory, Path(source), records)
        memory.interrupt_at = 12
        first = Conversion(source, self.url)
        with pytest.raises(Interrupted):
            first.run()
        assert first.can_go_on
        assert os.listdir(Path(source).parent) == [".a.mem.convert"]
        converted = Conversion(source, self.url).run()
        assert converted.is_resumed
        ended = keys([record for record in MIXED if not isinstance(record, SpanRecord) or record.end_ns])
        assert keys(memory.stores[self.url]) == ended - keys([span(5)]) + keys([event(1)])
        assert converted.counts.unfinished == 1

    def test_it_goes_on_although_the_source_has_lost_its_oldest(self, memory: Memory, source: str, target: str) -> None:
        """Retention and spans that end meanwhile are no reason to send everything again."""
        memory.interrupt_at = 12
        with pytest.raises(Interrupted):
            Conversion(source, self.url).run()
        fill(memory, Path(source), [event(-1), *MIXED[1:]])
        assert Conversion(source, self.url).run().is_resumed
        assert event(-1) not in memory.stores[self.url]

    def test_nothing_can_be_read_from_it(self, memory: Memory, target: str) -> None:
        """As a source it is refused."""
        with pytest.raises(OtelTrackerError, match="only be written"):
            Conversion(self.url, target).run()


def test_missing_source_is_said(memory: Memory, target: str, tmp_path: Path) -> None:
    """And nothing is made at the target."""
    with pytest.raises(StoreNotFoundError):
        Conversion(str(tmp_path / "no.mem"), target).run()
    assert memory.stores == {}


def test_target_of_unknown_kind_is_refused(memory: Memory, source: str, tmp_path: Path) -> None:
    """A name that does not say what it shall be."""
    with pytest.raises(UnknownStoreError, match="expected a file ending in"):
        Conversion(source, str(tmp_path / "b.txt"))


def test_unknown_format_is_refused(memory: Memory, source: str, target: str) -> None:
    """The sentence names the formats of that store."""
    with pytest.raises(ConversionError, match="leave --format out"):
        Conversion(source, target, "otlp")
    with pytest.raises(ConversionError, match="expected one of record, otlp"):
        Conversion(source, target.replace(".mem", ".jsonl"), "csv")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x.db", "x.db"),
        ("x.db", "./x.db"),
        ("x.db", "sqlite:///x.db"),
        ("x.jsonl", "x.traces.jsonl"),
        ("x.logs.jsonl", "x.jsonl"),
        ("x-20261124T023421.123456789Z.jsonl", "x.jsonl"),
        ("x.traces-20261124T023421.123456789Z.jsonl.gz", "x.jsonl"),
    ],
)
def test_a_store_is_never_converted_into_itself(
    a: str, b: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor into one of its own files, under whatever name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConversionError, match="belongs to the store"):
        Conversion(a, b)


def test_a_link_to_the_source_is_the_source(tmp_path: Path) -> None:
    """A second name does not make a second store."""
    (tmp_path / "x.db").touch()
    (tmp_path / "y.db").hardlink_to(tmp_path / "x.db")
    (tmp_path / "z.db").symlink_to("x.db")
    for other in ("y.db", "z.db"):
        with pytest.raises(ConversionError, match="belongs to the store"):
            Conversion(str(tmp_path / "x.db"), str(tmp_path / other))
