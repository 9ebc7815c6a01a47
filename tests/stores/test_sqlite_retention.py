"""The sqlite store keeps within its bounds: whole traces go, the longest inactive first, and nobody is disturbed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.query import StoreReader
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.settings import SQLITE_MAX_AGE_DAYS, SQLITE_MAX_BYTES
from otel_tracker.stores import find_place
from otel_tracker.writing import Pruned, Retention
from otel_tracker_exporters.sqlite import SqliteLogExporter, SqliteSpanExporter, keeping, retention
from otel_tracker_exporters.sqlite.keeping import NS_PER_DAY, Keeper
from otel_tracker_exporters.sqlite.pruning import prune
from otel_tracker_exporters.sqlite.retention import bytes_in_use
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .helpers import BEGIN_NS, SECOND_NS, StoreUnderTest, left_beside, make_event, make_log, make_metric, make_span

MIB = 2**20
PAYLOAD = {"text": "x" * 500}


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
def _look_after_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_LOOK_S", 0.0)


def trace_id(number: int) -> str:
    return f"{number + 1:032x}"


def span_of(trace: int, number: int, second: float, **fields: Any) -> SpanRecord:
    """Span ``number`` of a trace, so many seconds after `BEGIN_NS`."""
    values = {"args": PAYLOAD, "trace_id": trace_id(trace), "span_id": f"{trace + 1:08x}{number + 1:08x}", **fields}
    return make_span(0, start_ns=BEGIN_NS + round(second * SECOND_NS), **values)


def traces_of(count: int, first: int = 0, **fields: Any) -> list[SpanRecord]:
    """Traces of ten spans, one trace a second."""
    numbers = range(first, first + count)
    return [span_of(trace, number, trace + number / 100, **fields) for trace in numbers for number in range(10)]


def spans_by_trace(reader: StoreReader) -> dict[str, int]:
    counts: dict[str, int] = {}
    for span in reader.query_executions(limit=None):
        counts[span.trace_id] = counts.get(span.trace_id, 0) + 1
    return counts


def kept(store: StoreUnderTest) -> dict[str, int]:
    with find_place(store.path).open_reader() as reader:
        return spans_by_trace(reader)


def writer_with(store: StoreUnderTest, max_bytes: int = 0, max_age_ns: int = 0, now_ns: int = BEGIN_NS) -> SqliteWriter:
    writer = SqliteWriter(str(store.path), keeper=Keeper(max_bytes, max_age_ns, clock_ns=lambda: now_ns))
    store.writers.append(writer)
    return writer


def in_use(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return bytes_in_use(connection)


def rows_of(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def write_in_batches(writer: SqliteWriter, records: list[SpanRecord], size: int = 250) -> None:
    for begin in range(0, len(records), size):
        assert writer.write(records[begin : begin + size])


def test_a_store_stays_below_its_bytes(store: StoreUnderTest) -> None:
    """However much is written, the newest traces are there, each whole, and the file hardly grows beyond the bound."""
    writer = writer_with(store, max_bytes=MIB)
    write_in_batches(writer, traces_of(500))
    found = kept(store)
    assert set(found) == {trace_id(number) for number in range(500 - len(found), 500)}
    assert set(found.values()) == {10}
    assert 0.5 * MIB < in_use(store.path) <= MIB
    assert store.path.stat().st_size < 1.5 * MIB


def test_what_is_too_old_goes_with_its_events(store: StoreUnderTest) -> None:
    """Age is counted from the start of a trace's newest span; an event outside of any trace has its own time."""
    events = [make_event(second, trace_id=trace_id(second)) for second in (3, 40)]
    store.write(*traces_of(60), *events, make_event(5), make_event(50))
    writer_with(store, max_age_ns=30 * SECOND_NS, now_ns=BEGIN_NS + 60 * SECOND_NS).write([make_event(70)])
    assert set(kept(store)) == {trace_id(number) for number in range(30, 60)}
    assert [event.time_ns for event in store.reader().events()] == [
        BEGIN_NS + second * SECOND_NS for second in (70, 50, 40)
    ]


def test_logs_go_with_their_trace_and_by_their_own_time(store: StoreUnderTest) -> None:
    """As events do, by age and by bytes; ids that were given are never given again, and a dry run counts the same."""
    logs = [make_log(second, trace_id=trace_id(second)) for second in (3, 40)]
    store.write(*traces_of(60), *logs, make_log(5), make_log(50), make_event(6))
    bound = Retention(before_ns=BEGIN_NS + 30 * SECOND_NS)
    counted = prune(str(store.path), bound, True)
    assert (counted.traces, counted.spans, counted.events, counted.logs) == (30, 300, 1, 2)
    removed = prune(str(store.path), bound, False)
    assert (removed.traces, removed.spans, removed.events, removed.logs) == (30, 300, 1, 2)
    assert [log.time_ns for log in store.reader().logs()] == [BEGIN_NS + second * SECOND_NS for second in (50, 40)]
    prune(str(store.path), Retention(max_bytes=1), False)
    assert list(store.reader().stored()) == []
    store.write(make_log(7))
    assert rows_of(store.path, "SELECT id FROM stored_logs") == [(5,)]


def test_metric_points_go_by_their_own_time(store: StoreUnderTest) -> None:
    """By age and by bytes, in their turn among traces; ids are never given again, and a dry run counts the same."""
    store.write(*traces_of(60), *(make_metric(second) for second in (5, 29, 30, 50)))
    bound = Retention(before_ns=BEGIN_NS + 30 * SECOND_NS)
    for dry_run in (True, False):
        pruned = prune(str(store.path), bound, dry_run)
        assert (pruned.traces, pruned.spans, pruned.metrics) == (30, 300, 2)
    assert [point.time_ns for point in store.reader().metrics()] == [
        BEGIN_NS + second * SECOND_NS for second in (50, 30)
    ]
    prune(str(store.path), Retention(max_bytes=1), False)
    assert list(store.reader().stored()) == []
    store.write(make_metric(7))
    assert rows_of(store.path, "SELECT id FROM stored_metrics") == [(5,)]


def test_a_writer_keeps_metric_points_within_age_and_bytes(store: StoreUnderTest) -> None:
    """A program that only counts does not fill the disk, and the resource of what is left stays."""
    old, new = (make_metric(second, resource={"service.name": f"{second}"}) for second in (1, 60))
    writer_with(store, max_age_ns=30 * SECOND_NS, now_ns=BEGIN_NS + 61 * SECOND_NS).write([old, new])
    assert list(store.reader().metrics()) == [new]
    assert rows_of(store.path, "SELECT attributes FROM resources") == [('{"service.name":"60"}',)]
    empty = in_use(store.path)
    points = [make_metric(second, attributes={"padding": "x" * 500}) for second in range(100, 1_100)]
    bounded = writer_with(store, max_bytes=empty + 100_000)
    for begin in range(0, len(points), 50):
        bounded.write(points[begin : begin + 50])
    left = list(store.reader().metrics(limit=None))
    assert 0 < len(left) < 600
    assert left == points[::-1][: len(left)]


def test_resource_of_a_log_stays_as_long_as_the_log(store: StoreUnderTest) -> None:
    """It is the last that refers to it."""
    log = make_log(100, resource={"service.name": "logger"})
    store.write(log, *traces_of(20, resource={"service.name": "shop"}))
    prune(str(store.path), Retention(before_ns=BEGIN_NS + 90 * SECOND_NS), False)
    assert list(store.reader().logs()) == [log]
    assert rows_of(store.path, "SELECT attributes FROM resources") == [('{"service.name":"logger"}',)]


def test_a_trace_with_recent_activity_is_not_old(store: StoreUnderTest) -> None:
    """That its root began long ago does not matter; it goes whole when its newest span is old."""
    root, recent = span_of(900, 0, 0), span_of(900, 1, 100)
    event = make_event(1, trace_id=root.trace_id)
    store.write(root, recent, event, *traces_of(20))
    bound = Retention(before_ns=BEGIN_NS + 90 * SECOND_NS)
    assert prune(str(store.path), bound, False) == Pruned(20, 200, 0, bytes=prune_bytes(store, 0))
    assert kept(store) == {root.trace_id: 2}
    assert list(store.reader().events()) == [event]
    prune(str(store.path), Retention(before_ns=BEGIN_NS + 101 * SECOND_NS), False)
    assert kept(store) == {}
    assert list(store.reader().events()) == []


def prune_bytes(store: StoreUnderTest, at_least: int) -> Any:
    """Equal to any number of bytes from so many on."""

    class _Bytes(int):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, int) and other >= self

        __hash__ = None  # type: ignore[assignment]

    return _Bytes(at_least)


def test_by_bytes_the_longest_inactive_trace_goes_first(store: StoreUnderTest) -> None:
    """Whatever the order in which traces began and were stored."""
    long_ago = [span_of(100 + number, 0, number) for number in range(20)]
    activity = [span_of(100 + number, 1, 1_000 - number) for number in range(20)]
    store.write(*long_ago, *activity, *traces_of(50))
    size = in_use(store.path)
    prune(str(store.path), Retention(max_bytes=size // 4), False)
    found = kept(store)
    assert 0 < len(found) <= 20
    assert set(found) == {trace_id(100 + number) for number in range(len(found))}
    assert set(found.values()) == {2}


def test_a_single_trace_larger_than_the_bound_goes_too(store: StoreUnderTest, sentences: list[str]) -> None:
    """The bound holds, also where one trace fills the store; that is said once."""
    writer = writer_with(store, max_bytes=MIB // 2)
    write_in_batches(writer, [span_of(0, number, number) for number in range(3_000)])
    assert in_use(store.path) <= MIB
    assert ["newest trace alone was larger" in sentence for sentence in sentences] == [True]
    assert sum(kept(store).values()) < 3_000


def test_a_large_trace_is_measured_and_goes_in_slices(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace beyond what one transaction takes is as old as its newest span, like any other."""
    monkeypatch.setattr(retention, "_LARGE_TRACE_SPANS", 50)
    monkeypatch.setattr(retention, "_MAX_ADDED_SPANS", 10)
    monkeypatch.setattr(retention, "_TRANSACTION_ROWS", 30)
    store.write(*(span_of(900, number, number) for number in range(200)), *traces_of(20), make_event(1))
    bound = Retention(before_ns=BEGIN_NS + 150 * SECOND_NS)
    counted, done = (prune(str(store.path), bound, dry_run) for dry_run in (True, False))
    assert (counted.traces, counted.spans, counted.events) == (done.traces, done.spans, done.events) == (20, 200, 1)
    assert kept(store) == {trace_id(900): 200}
    bound = Retention(before_ns=BEGIN_NS + 200 * SECOND_NS)
    counted, done = (prune(str(store.path), bound, dry_run) for dry_run in (True, False))
    assert (counted.traces, counted.spans) == (done.traces, done.spans) == (1, 200)
    assert kept(store) == {}


def test_a_large_trace_that_goes_on_is_kept(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was added since it was measured counts."""
    monkeypatch.setattr(retention, "_LARGE_TRACE_SPANS", 50)
    store.write(*traces_of(3), *(span_of(900, number, 200 + number / 10) for number in range(100)))
    store.write(span_of(900, 200, 299))
    writer = writer_with(store, max_age_ns=10 * SECOND_NS, now_ns=BEGIN_NS + 300 * SECOND_NS)
    for number in range(5):
        writer.write([span_of(900, 300 + number, 280)])
    assert kept(store) == {trace_id(900): 106}


def test_a_late_span_of_a_trace_that_is_gone_goes_too(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root is stored last with the earliest start; what comes behind the walk is found by the next."""
    writer = writer_with(store, max_age_ns=10 * SECOND_NS, now_ns=BEGIN_NS + 300 * SECOND_NS)
    monkeypatch.setattr(keeping, "_WALK_S", 0.0)
    writer.write([span_of(1, 1, 100), span_of(2, 1, 299)])
    writer.write([span_of(1, 0, 50)])
    for number in range(2):
        writer.write([span_of(2, 10 + number, 299)])
    assert kept(store) == {trace_id(2): 3}


def test_ids_are_not_used_again(store: StoreUnderTest) -> None:
    """Who follows the store misses nothing when the newest rows were removed meanwhile."""
    store.write(*traces_of(5), make_event(1))
    with find_place(store.path).open_reader() as reader:
        position = list(reader.stored())[-1].position
        prune(str(store.path), Retention(before_ns=BEGIN_NS + 1_000 * SECOND_NS), False)
        assert list(reader.stored()) == []
        store.write(span_of(7, 0, 7), make_event(8))
        assert [stored.record for stored in reader.stored(position)] == [span_of(7, 0, 7), make_event(8)]


def test_unused_names_and_resources_go_and_come_back(store: StoreUnderTest) -> None:
    """A writer that remembers their ids notices that they are gone."""
    fields = {"name": "old.f", "function": "f", "module": "old", "resource": {"service.name": "old"}}
    both = {"name": "new.f", "function": "f", "module": "new", "resource": {"service.name": "both"}}
    store.write(
        *traces_of(3, **fields), *traces_of(3, first=100, **both), make_event(1, resource={"service.name": "e"})
    )
    store.write(make_event(200, resource={"service.name": "both"}))
    prune(str(store.path), Retention(before_ns=BEGIN_NS + 50 * SECOND_NS), False)
    assert rows_of(store.path, "SELECT name FROM functions") == [("new.f",)]
    assert rows_of(store.path, "SELECT attributes FROM resources") == [('{"service.name":"both"}',)]
    store.write(*traces_of(1, first=300, **both), *traces_of(1, first=200, **fields))
    with find_place(store.path).open_reader() as reader:
        assert list(reader.query_executions("old.f", limit=None)) == traces_of(1, first=200, **fields)[::-1]
        assert reader.get_statistics("new.f").total == 40


def test_prune_gives_the_space_back(store: StoreUnderTest) -> None:
    """The file is smaller afterwards, and nothing lies beside it."""
    store.write(*traces_of(300))
    store.writers[0].close()
    size = store.path.stat().st_size
    pruned = prune(str(store.path), Retention(max_bytes=size // 3), False)
    assert pruned.bytes >= size // 2
    assert store.path.stat().st_size <= size // 3
    assert left_beside(store.path) == ["store.db"]
    assert rows_of(store.path, "PRAGMA integrity_check") == [("ok",)]


def test_a_dry_run_counts_and_changes_nothing(store: StoreUnderTest) -> None:
    """What it says is what a run then does; bytes are an estimate."""
    store.write(*traces_of(100), make_event(1), make_event(500), *(make_event(2, trace_id=trace_id(2)),))
    store.writers[0].close()
    before = store.path.read_bytes()
    for bound in (Retention(before_ns=BEGIN_NS + 50 * SECOND_NS), Retention(max_bytes=len(before) // 3)):
        counted = prune(str(store.path), bound, True)
        assert store.path.read_bytes() == before
        assert left_beside(store.path) == ["store.db"]
        done = prune(str(store.path), bound, False)
        assert done.traces == pytest.approx(counted.traces, rel=0.2, abs=0 if bound.before_ns else 10)
        assert done.bytes == pytest.approx(counted.bytes, rel=0.3)
        store.path.write_bytes(before)


def test_nothing_to_remove_is_nothing_removed(store: StoreUnderTest) -> None:
    """No bound, an empty file and one that is within its bounds."""
    store.path.touch()
    assert prune(str(store.path), Retention(max_bytes=1), True) == Pruned()
    store.write(*traces_of(3))
    for bound in (Retention(), Retention(max_bytes=MIB), Retention(before_ns=BEGIN_NS)):
        assert prune(str(store.path), bound, True) == prune(str(store.path), bound, False) == Pruned()


def test_a_store_that_is_not_there_or_not_ours_is_said(store: StoreUnderTest) -> None:
    """Nothing is made by looking, and nothing of others is touched."""
    for dry_run in (True, False):
        with pytest.raises(StoreNotFoundError):
            prune(str(store.path), Retention(max_bytes=1), dry_run)
    assert left_beside(store.path) == []
    store.path.write_bytes(b"no database " * 1_000)
    for dry_run in (True, False):
        with pytest.raises(StoreUnreadableError, match="is no SQLite database"):
            prune(str(store.path), Retention(max_bytes=1), dry_run)


@pytest.mark.slow
def test_several_processes_write_while_the_oldest_go(store: StoreUnderTest) -> None:
    """No batch fails, nothing recent is lost, and the bound holds."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.test_sqlite_retention import *
keeping._LOOK_S, keeping._LEASE_NS = 0, SECOND_NS // 10
begin = int(sys.argv[1])
writer = SqliteWriter({str(store.path)!r}, keeper=Keeper(MIB, 0))
write_in_batches(writer, traces_of(60, first=begin), 50)
writer.close()
"""
    children = [subprocess.Popen([sys.executable, "-c", script, str(1_000 * n)]) for n in range(1, 4)]
    store.children += children  # type: ignore[arg-type]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert in_use(store.path) <= 1.5 * MIB
    found = kept(store)
    assert set(found.values()) == {10}
    assert trace_id(3_059) in found


def test_one_process_at_a_time_removes(store: StoreUnderTest) -> None:
    """The others leave it to the one that has begun, for as long as it shows signs of life."""
    now = [BEGIN_NS + 1_000 * SECOND_NS]
    writer = SqliteWriter(str(store.path), keeper=Keeper(0, SECOND_NS, clock_ns=lambda: now[0]))
    store.writers.append(writer)
    store.new_writer().write([span_of(1, 1, 1)])
    with closing(sqlite3.connect(store.path)) as another:
        another.execute("UPDATE marks SET value = ? WHERE name = 'keeper'", (now[0] + 5 * SECOND_NS,))
        another.commit()
    writer.write([span_of(2, 1, 2)])
    assert kept(store) == {trace_id(1): 1, trace_id(2): 1}
    now[0] += 60 * SECOND_NS
    writer.write([span_of(3, 1, 3)])
    assert kept(store) == {}
    assert rows_of(store.path, "SELECT value FROM marks WHERE name = 'keeper'") == [(0,)]


def test_a_failure_of_retention_does_not_fail_the_batch(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is stored, and the next batch as well."""

    def failing(*_: Any) -> Any:
        raise sqlite3.OperationalError("database is locked")

    writer = writer_with(store, max_age_ns=SECOND_NS, now_ns=BEGIN_NS + 1_000 * SECOND_NS)
    with monkeypatch.context() as patched:
        patched.setattr(retention.Remover, "remove_some", failing)
        assert writer.write([span_of(1, 1, 1), span_of(2, 1, 999.5)])
    assert set(kept(store)) == {trace_id(1), trace_id(2)}
    assert writer.write([span_of(2, 2, 999.6)])
    assert kept(store) == {trace_id(2): 2}


def test_exporters_take_bounds_and_fall_back_to_the_settings(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both exporters bound the store; 0 is no bound."""
    monkeypatch.setenv(SQLITE_MAX_BYTES.variable, "5MiB")
    monkeypatch.setenv(SQLITE_MAX_AGE_DAYS.variable, "2")
    for exporter_class in (SqliteSpanExporter, SqliteLogExporter):
        for arguments, expected in (({}, (5 * MIB, 2 * NS_PER_DAY)), ({"max_bytes": 0, "max_age_days": 0}, (0, 0))):
            exporter = exporter_class(path=store.path, **arguments)
            keeper = exporter._writer._keeper
            assert (keeper._max_bytes, keeper._max_age_ns) == expected
            exporter.shutdown()


def test_what_convert_writes_is_kept(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer of the store itself knows no bounds, whatever the settings say."""
    monkeypatch.setenv(SQLITE_MAX_BYTES.variable, "1")
    with closing(find_place(store.path).open_writer()) as writer:
        writer.store([span_of(1, 1, 1), EventRecord("old", 1)])
        writer.store([span_of(2, 1, 2)])
    assert len(kept(store)) == 2
