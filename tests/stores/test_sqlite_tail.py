"""The sqlite store in the order in which it was stored: positions, pages, and following several writers live."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from otel_tracker.errors import QueryError, StoreUnreadableError
from otel_tracker.query import StoreReader
from otel_tracker.records import EventRecord, LogRecord, Record, SpanRecord
from otel_tracker.stores import open_store
from otel_tracker_exporters.sqlite import storing_order

from .helpers import StoreUnderTest, make_event, make_log, make_metric, make_span

DEADLINE_S = 30.0


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture(params=["rows", "bytes"])
def _small_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that end because they hold enough rows, or enough bytes: three of the store's spans, one of its events."""
    if request.param == "rows":
        monkeypatch.setattr(storing_order, "PAGE_ROWS", 7)
    else:
        monkeypatch.setattr(storing_order, "_PAGE_BYTES", 150)


def stored_of(reader: StoreReader, after: str | None = None) -> list[Record]:
    return [stored.record for stored in reader.stored(after)]


@pytest.mark.usefixtures("_small_pages")
def test_everything_comes_in_the_order_of_storing(store: StoreUnderTest) -> None:
    """Spans, events and logs each in the order in which they came, between each other by time."""
    spans, events = [make_span(n) for n in range(40)], [make_event(n) for n in range(0, 40, 2)]
    logs = [make_log(n) for n in range(0, 40, 3)]
    store.write(*spans[::-1])
    store.write(*events, *logs)
    with store.reader() as reader:
        found = stored_of(reader)
        assert [record for record in found if isinstance(record, SpanRecord)] == spans[::-1]
        assert [record for record in found if isinstance(record, EventRecord)] == events
        assert [record for record in found if isinstance(record, LogRecord)] == logs
        assert stored_of(reader) == found


@pytest.mark.usefixtures("_small_pages")
def test_every_position_leads_on(store: StoreUnderTest) -> None:
    """From each position, also in another reader, exactly the rest comes, in the same order."""
    for n in range(12):
        store.write(make_span(n), *(make_event(n) for _ in range(n % 3)), *(make_log(n) for _ in range(n % 2)))
    with store.reader() as reader, open_store(store.path) as other:
        everything = list(reader.stored())
        for index, stored in enumerate(everything):
            assert list(other.stored(stored.position)) == everything[index + 1 :]


def test_a_span_that_is_stored_again_comes_again(store: StoreUnderTest) -> None:
    """Its end after its start is news; what is not taken over is none."""
    store.write(make_span(1, status="started", end_ns=None), make_span(2))
    with store.reader() as reader:
        position = list(reader.stored())[-1].position
        store.write(make_span(1))
        assert stored_of(reader, position) == [make_span(1)]
        position = list(reader.stored())[-1].position
        store.write(make_span(1, status="started", end_ns=None))
        assert stored_of(reader, position) == []
        assert stored_of(reader) == [make_span(2), make_span(1)]


@pytest.mark.parametrize("position", ["", "1", "1:2", "a:b:c", "1:2:3:4:5:6", "0:-1:0", "0:1:2 OR 1"])
def test_what_is_no_position_is_refused(store: StoreUnderTest, position: str) -> None:
    """A sentence says so."""
    store.write(make_span(1))
    with pytest.raises(QueryError, match="position"):
        list(store.reader().stored(position))


def test_a_position_of_an_earlier_version_leads_on(store: StoreUnderTest) -> None:
    """It knows no metric points, or no logs either: whoever comes with it sees all of those."""
    store.write(make_span(1), make_event(2), make_log(3), make_metric(4))
    last = list(store.reader().stored())[-1].position
    assert last is not None
    assert stored_of(store.reader(), last.rsplit(":", 1)[0]) == [make_metric(4)]
    assert stored_of(store.reader(), last.rsplit(":", 2)[0]) == [make_log(3), make_metric(4)]


def test_a_position_beyond_everything_has_nothing_behind_it(store: StoreUnderTest) -> None:
    """Numbers of any size are taken."""
    store.write(make_span(1))
    position = next(iter(store.reader().stored())).position
    assert position is not None
    number = position.partition(":")[0]
    assert stored_of(store.reader(), f"{number}:{10**19 - 1}:{10**19 - 1}") == []


def test_the_last_ones_are_those_stored_last(store: StoreUnderTest) -> None:
    """``tail(last=n)`` begins with the newest n of all kinds; a store with fewer gives all."""
    for n in range(4):
        store.write(make_span(n), make_event(n), make_log(n))
    reader = store.reader()
    everything = stored_of(reader)
    for last in (0, 1, 2, 5, 11, 12, 13, 10**9):
        assert list(reader.tail(last=last, timeout_s=0)) == everything[len(everything) - min(last, 12) :]


def test_progress_counts_what_was_passed(store: StoreUnderTest) -> None:
    """From nothing to the whole, also after the oldest rows were removed."""
    store.write(
        *(make_span(n) for n in range(50)), *(make_event(n) for n in range(7)), *(make_log(n) for n in range(3))
    )
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM stored_spans WHERE id <= 20")
        connection.commit()
    reader = store.reader()
    positions = [stored.position for stored in reader.stored()]
    assert reader.stored_size() == 40
    assert [reader.progress(str(position)) for position in positions] == list(range(1, 41))
    assert store.reader().progress(str(positions[-1])) == 40


def test_an_empty_store_is_followed_from_its_beginning(store: StoreUnderTest) -> None:
    """A file without tables yet holds nothing, and everything that comes is news."""
    store.path.touch()
    reader = store.reader()
    assert reader.stored_size() == 0
    assert stored_of(reader) == []
    records = reader.tail(poll_s=0.01, timeout_s=DEADLINE_S)
    store.write(make_span(1))
    assert next(records) == make_span(1)


def test_nothing_is_held_while_a_record_is_used(store: StoreUnderTest) -> None:
    """A slow consumer does not keep the log from being merged."""
    store.write(*(make_span(n) for n in range(2_000)))
    records = store.reader().stored()
    next(records)
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert len(list(records)) == 1_999


def test_a_store_that_was_replaced_is_followed_from_its_beginning(store: StoreUnderTest) -> None:
    """Deleted and begun anew between two looks: what the new file holds comes, with the same ids as before."""
    store.write(*(make_span(n) for n in range(5)))
    records = store.reader().tail(poll_s=0.01, timeout_s=DEADLINE_S)
    store.write(make_span(5))
    assert next(records) == make_span(5)
    for path in store.path.parent.iterdir():
        path.unlink()
    store.write(*(make_span(n) for n in range(10, 14)))
    assert list(islice(records, 4)) == [make_span(n) for n in range(10, 14)]


def test_a_store_that_is_missing_for_a_while_is_waited_for(store: StoreUnderTest) -> None:
    """Between deletion and the next batch there is no file; following goes on."""
    store.write(make_span(1))
    reader = store.reader()
    assert list(reader.tail(last=1, timeout_s=0)) == [make_span(1)]
    records = reader.tail(last=1, poll_s=0.01, timeout_s=DEADLINE_S)
    assert next(records) == make_span(1)
    for path in store.path.parent.iterdir():
        path.unlink()
    timer = threading.Timer(0.2, store.write, [make_span(2)])
    timer.start()
    assert next(records) == make_span(2)
    timer.join()


@pytest.mark.parametrize("is_begun_anew", [False, True])
def test_a_store_that_was_taken_away_is_said_once(
    store: StoreUnderTest, sentences: list[str], is_begun_anew: bool
) -> None:
    """What was stored after the last look cannot be had any more, whether or not another store lies there now."""
    store.write(make_span(1))
    records = store.reader().tail(last=1, poll_s=0.01, timeout_s=0.3)
    assert next(records) == make_span(1)
    for _ in range(2):
        for path in store.path.parent.iterdir():
            path.unlink()
        if is_begun_anew:
            store.write(make_span(2))
            assert next(records) == make_span(2)
    assert list(records) == []
    assert [sentence.endswith("the last moment before that is not shown.") for sentence in sentences] == [True]


def test_closing_ends_following(store: StoreUnderTest) -> None:
    """From another thread, within one look."""
    store.write(make_span(1))
    reader = store.reader()
    timer = threading.Timer(0.1, reader.close)
    timer.start()
    begin_s = time.monotonic()
    assert list(reader.tail(poll_s=0.01, timeout_s=DEADLINE_S)) == []
    assert time.monotonic() - begin_s < DEADLINE_S / 2
    timer.join()
    with pytest.raises(StoreUnreadableError, match="is closed"):
        list(reader.stored())


def test_every_record_of_several_processes_comes_once(store: StoreUnderTest) -> None:
    """While four processes write, a follower misses nothing and sees nothing twice."""
    store.write(make_span(0))
    records = store.reader().tail(poll_s=0.01, timeout_s=DEADLINE_S)
    children = [store.start_process("write", 1_000 * n, 150, 7) for n in range(1, 5)]
    found = list(islice(records, 4 * 2 * 150))
    assert [child.wait(DEADLINE_S) for child in children] == [0] * 4
    spans = [record.span_id for record in found if isinstance(record, SpanRecord)]
    times = [record.time_ns for record in found if isinstance(record, EventRecord)]
    expected = [1_000 * n + i for n in range(1, 5) for i in range(150)]
    assert sorted(spans) == sorted(make_span(n).span_id for n in expected)
    assert sorted(times) == sorted(make_event(n).time_ns for n in expected)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All SQL that readers execute from here on."""
    from otel_tracker_exporters.sqlite import reader as reader_module

    found: list[str] = []
    open_to_read = reader_module.open_to_read

    def traced(location: str) -> sqlite3.Connection:
        connection = open_to_read(location)
        connection.set_trace_callback(found.append)
        return connection

    monkeypatch.setattr(reader_module, "open_to_read", traced)
    return found


def plans_of(path: Path, statements: list[str]) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        for name, arguments in (("is_wanted", 3), ("is_named", 1)):
            connection.create_function(name, arguments, lambda *_: True, deterministic=True)
        queries = [sql for sql in statements if sql.strip().upper().startswith(("SELECT", "WITH"))]
        return [(sql, str(row[3])) for sql in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]


def test_no_question_scans_the_spans(store: StoreUnderTest, statements: list[str]) -> None:
    """Every question that a reader can ask goes along an index, or by row id in the order of storing."""
    store.write(*(make_span(n) for n in range(30)), make_event(1))
    reader = store.reader()
    trace_id, cursor = make_span(3).trace_id, make_span(20)
    questions = (
        lambda: list(reader.query_executions()),
        lambda: list(reader.query_executions("total", status="failed", after=cursor)),
        lambda: list(reader.query_executions("shop.*", start_time="1h", kind="server")),
        lambda: list(reader.query_executions(trace_id=trace_id, min_duration_ms=1)),
        lambda: reader.get_trace(trace_id),
        lambda: reader.get_statistics("total"),
        lambda: reader.function_statistics(start_time="1h"),
        lambda: list(reader._read_failures([trace_id])),
        lambda: list(reader.stored()),
        lambda: list(reader.tail(last=5, timeout_s=0)),
        reader.stored_size,
        lambda: list(reader.events(trace_id=trace_id)),
        lambda: list(reader.events("checkout.completed")),
        lambda: list(reader.events("checkout.*")),
    )
    for ask in questions:
        ask()
    plans = plans_of(store.path, statements)
    assert len(plans) > 20
    scans = {
        (sql, plan)
        for sql, plan in plans
        if plan.startswith("SCAN") and "USING" not in plan and not plan.endswith(("functions", "CONSTANT ROW"))
    }
    assert {plan for sql, plan in scans if "ORDER BY id DESC" not in sql} == set()
