"""What is special about the sqlite store: its views, its neighbours on disk, and files that are no stores."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.errors import StoreUnreadableError
from otel_tracker.records import MetricRecord
from otel_tracker.stats import tally
from otel_tracker.stores import open_store
from otel_tracker_exporters.sqlite.database import has_schema, open_to_read
from otel_tracker_exporters.sqlite.schema import APPLICATION_ID
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .helpers import (
    BEGIN_NS,
    FULL_EVENT,
    FULL_EXPONENTIAL,
    FULL_METRIC,
    FULL_SPAN,
    FULL_SUMMARY,
    SECOND_NS,
    StoreUnderTest,
    left_beside,
    let_others_pass,
    make_event,
    make_metric,
    make_span,
)

JSON_COLUMNS = (
    *("args", "result", "error", "attributes", "events", "links", "resource", "properties", "body"),
    *("buckets", "exponential", "quantiles", "exemplars"),
)


@pytest.fixture
def kind() -> str:
    return "sqlite"


def select(path: Path, sql: str, *values: Any) -> list[dict[str, Any]]:
    """What a user's own SQL finds, as dictionaries."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def as_record_json(row: dict[str, Any]) -> dict[str, Any]:
    """A view's row in the form of a record's JSON: containers parsed, absent keys left out."""
    return {key: json.loads(value) if key in JSON_COLUMNS else value for key, value in row.items() if value is not None}


def test_the_views_have_the_records_keys_as_columns(store: StoreUnderTest) -> None:
    """A row of a view is the record's JSON, key by key and in the same order."""
    store.write(FULL_SPAN, FULL_EVENT)
    for view, record in (("executions", FULL_SPAN), ("events", FULL_EVENT)):
        (row,) = select(store.path, f"SELECT * FROM {view}")
        expected = {key: value for key, value in record.to_dict().items() if key not in ("schema", "type")}
        expected |= {"result": None} if view == "executions" else {}
        assert as_record_json(row) == expected
        assert list(row) == list(expected)


@pytest.mark.parametrize("point", [FULL_METRIC, FULL_EXPONENTIAL, FULL_SUMMARY, make_metric(1)], ids=lambda m: m.kind)
def test_the_view_of_metrics_has_the_records_keys_as_columns(store: StoreUnderTest, point: MetricRecord) -> None:
    """As the others, for each kind of point; the keys that another kind has are NULL."""
    store.write(point)
    (row,) = select(store.path, "SELECT * FROM metrics")
    expected = {key: value for key, value in point.to_dict().items() if key not in ("schema", "type")}
    assert as_record_json(row) == expected
    assert [key for key in row if key in expected] == list(expected)


def test_metrics_answer_own_sql(store: StoreUnderTest) -> None:
    """Totals by label, as anybody would ask for them."""
    store.write(*(make_metric(n, value=n, attributes={"region": "eu" if n % 2 else "us"}) for n in range(5)))
    sql = "SELECT json_extract(attributes, '$.region') AS region, sum(value) AS total FROM metrics GROUP BY 1"
    assert select(store.path, sql) == [{"region": "eu", "total": 4}, {"region": "us", "total": 6}]


def test_absent_values_are_null_in_the_views(store: StoreUnderTest) -> None:
    """What a record does not have is NULL, not an empty text."""
    span = make_span(1, function="", module="", status="started", end_ns=None)
    store.write(span, make_event(1, name="tick"))
    (row,) = select(store.path, "SELECT * FROM executions")
    assert as_record_json(row) == {key: value for key, value in span.to_dict().items() if key not in ("schema", "type")}
    (event,) = select(store.path, "SELECT * FROM events")
    assert (event["category"], event["trace_id"], event["properties"]) == ("tick", None, None)


@pytest.mark.parametrize("start_ns", [0, -1, -(10**9), 10**9 - 1, -(2**63), 2**63 - 1])
def test_the_views_show_times_to_the_nanosecond(store: StoreUnderTest, start_ns: int) -> None:
    """Times before 1970 and at the ends of 64 bits are shown as records show them."""
    span = make_span(1, start_ns=start_ns, end_ns=start_ns)
    store.write(span)
    (row,) = select(store.path, 'SELECT start, "end", duration_ms FROM executions')
    assert row == {"start": span.to_dict()["start"], "end": span.to_dict()["end"], "duration_ms": 0.0}


def test_users_sql_filters_and_counts(store: StoreUnderTest) -> None:
    """The query that the documentation shows works."""
    store.write(*(make_span(n, status="failed" if n % 4 == 0 else "completed") for n in range(8)))
    sql = "SELECT function, count(*) AS failures, avg(duration_ms) AS ms FROM executions WHERE status = ? GROUP BY 1"
    assert select(store.path, sql, "failed") == [{"function": "total", "failures": 2, "ms": 10.0}]


def test_queries_use_their_indexes(store: StoreUnderTest) -> None:
    """Newest first, one function and one trace need no scan and no sorting of everything."""
    store.write(make_span(1))
    for condition, index in (
        ("1", "spans_by_start"),
        ("function_id = 1", "spans_by_function"),
        ("start_ns > 5 AND function_id = 1", "spans_by_function"),
        ("status = 'failed' AND function_id = 1 AND status <> 'completed'", "spans_not_completed"),
    ):
        sql = f"EXPLAIN QUERY PLAN SELECT * FROM stored_spans WHERE {condition} ORDER BY start_ns DESC, span_id DESC"
        plan = " ".join(str(row["detail"]) for row in select(store.path, sql))
        assert index in plan
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan


def test_a_reader_leaves_no_files_beside_a_resting_store(store: StoreUnderTest) -> None:
    """SQLite makes two files for a read-only connection; closing the reader removes them."""
    store.write(make_span(1))
    store.writers[0].close()
    reader = store.reader()
    list(reader.query_executions())
    reader.close()
    assert left_beside(store.path) == ["store.db"]


def test_a_reader_does_not_disturb_the_files_of_a_live_writer(store: StoreUnderTest) -> None:
    """Closing a reader takes nothing from a writer that goes on, nor its unmerged transactions."""
    store.write(make_span(1))
    with open_store(store.path) as reader:
        assert len(list(reader.query_executions())) == 1
    assert left_beside(store.path) == ["store.db", "store.db-shm", "store.db-wal"]
    store.write(make_span(2))
    with open_store(store.path) as reader:
        assert len(list(reader.query_executions())) == 2


def test_the_last_writer_removes_the_log(store: StoreUnderTest) -> None:
    """Of two writers the last one to close leaves a single file."""
    first, second = store.new_writer(), store.new_writer()
    assert isinstance(first, SqliteWriter)
    assert isinstance(second, SqliteWriter)
    first.write([make_span(1)])
    second.write([make_event(1)])
    first.close()
    assert "store.db-wal" in left_beside(store.path)
    second.close()
    assert left_beside(store.path) == ["store.db"]


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, it is a letter to my grandmother\n" * 100)


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('Ada')")
        connection.commit()


def newer_store(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 99")
        connection.execute("CREATE TABLE future (x)")


def damaged_store(path: Path) -> None:
    writer = SqliteWriter(str(path))
    writer.write([make_span(n) for n in range(2_000)])
    writer.close()
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(bytes(content))


BAD_FILES = {
    garbage: "is no SQLite database",
    foreign_database: "database of another program",
    newer_store: "written by a newer otel-tracker",
    damaged_store: "is a damaged SQLite database",
}


@pytest.mark.parametrize("make_bad", BAD_FILES, ids=lambda make: make.__name__)
def test_a_file_that_is_no_store_is_said_and_never_touched(
    store: StoreUnderTest, make_bad: Any, sentences: list[str]
) -> None:
    """Reader and writer name the problem in one sentence, and not a byte of the file changes."""
    make_bad(store.path)
    before = store.path.read_bytes()
    assert not store.write(make_span(1))
    assert not store.write(make_span(2), make_event(1))
    assert [BAD_FILES[make_bad] in sentence for sentence in sentences] == [True]
    with pytest.raises(StoreUnreadableError, match=BAD_FILES[make_bad]), open_store(store.path) as reader:
        list(reader.query_executions())
    store.close()
    assert store.path.read_bytes() == before
    assert left_beside(store.path) == ["store.db"]


def test_a_store_that_is_just_being_made_is_not_taken_for_a_foreign_file(store: StoreUnderTest) -> None:
    """Another process may make the tables at any moment while this one looks what is there."""
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for moment in ("application_id", "user_version", "sqlite_master"):
        with closing(open_to_read(str(store.path))) as connection:
            connection.set_trace_callback(lambda sql, moment=moment: moment in sql and store.write(make_span(1)))
            assert has_schema(connection, str(store.path)) in (True, False)
        store.close()
        store.writers.clear()
        with closing(sqlite3.connect(store.path)) as connection:
            assert connection.execute("SELECT count(*) FROM executions").fetchone() == (1,)
        store.path.unlink()
        with closing(sqlite3.connect(store.path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


KILLED_IN_THE_FIRST_TRANSACTION = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # written to the file before the end
{begun}
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE unfinished (value)")
for _ in range(50):
    connection.execute("INSERT INTO unfinished VALUES (zeroblob(5000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_in_a_transaction(path: Path, begun: str = "") -> None:
    """Leave a file and its rollback journal as a process does that was killed between the two."""
    process = subprocess.run([sys.executable, "-c", KILLED_IN_THE_FIRST_TRANSACTION.format(begun=begun), path])
    assert process.returncode == -signal.SIGKILL
    assert left_beside(path) == [path.name, f"{path.name}-journal"]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_a_store_whose_first_writer_was_killed_while_it_began_is_empty(store: StoreUnderTest) -> None:
    """Readers find nothing, rather than a file that cannot be read, and the next writer begins it."""
    killed_in_a_transaction(store.path)
    with open_store(store.path) as reader:
        assert list(reader.query_executions()) == []
        assert store.write(make_span(1))
        assert len(list(reader.query_executions())) == 1


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_reading_undoes_nothing_in_a_file_that_held_something(store: StoreUnderTest) -> None:
    """What another program left half done in its own database stays as it is."""
    killed_in_a_transaction(store.path, 'connection.execute("CREATE TABLE theirs (value)")')
    before = store.path.read_bytes()
    with pytest.raises(StoreUnreadableError), open_store(store.path) as reader:
        list(reader.query_executions())
    assert store.path.read_bytes() == before


@pytest.fixture
def locking(store: StoreUnderTest) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the store."""
    store.write(make_span(1))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        yield connection


def test_a_locked_store_fails_the_batch_and_takes_the_next(
    store: StoreUnderTest, locking: sqlite3.Connection, sentences: list[str]
) -> None:
    """Who cannot get the lock in time says so, and the same batch can be stored later."""
    writer = SqliteWriter(str(store.path), busy_timeout_s=0.05)
    locking.execute("BEGIN IMMEDIATE")
    assert not writer.write([make_span(2)])
    assert ["is locked by another program" in sentence for sentence in sentences] == [True]
    assert len(list(store.reader().query_executions())) == 1
    locking.execute("ROLLBACK")
    assert writer.write([make_span(2)])
    writer.close()
    assert len(list(store.reader().query_executions())) == 2


def test_a_full_disk_fails_the_batch_and_harms_nothing(store: StoreUnderTest) -> None:
    """Where the file may not grow, batches fail with one sentence, and what is stored stays readable."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.helpers import *
store = StoreUnderTest("sqlite", Path({str(store.path)!r}))
print(store.write(make_span(1)))
size = store.path.stat().st_size + 300_000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
print(store.write(*(make_span(n, args={{"x": "x" * 10_000}}) for n in range(2, 500))), store.write(make_span(2)))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.write(make_span(3)))
store.close()
"""
    if not hasattr(os, "fork"):
        pytest.skip("needs resource limits")
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    stored = result.stdout.split()
    assert (stored[0], stored[1], stored[3]) == ("True", "False", "True")
    assert result.stderr.count(str(store.path)) >= 1
    found = [span.span_id for span in store.reader().query_executions(limit=None)]
    assert found == [make_span(n).span_id for n in (3, *([2] if stored[2] == "True" else []), 1)]
    assert select(store.path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_repeated_names_and_resources_are_stored_once(store: StoreUnderTest) -> None:
    """A thousand spans of one function and process need one row each in the small tables."""
    resource = {"service.name": "shop"}
    for begin in (0, 50):
        store.write(*(make_span(n, resource=dict(resource)) for n in range(begin, begin + 50)))
    assert select(store.path, "SELECT count(*) AS n FROM functions") == [{"n": 1}]
    assert select(store.path, "SELECT count(*) AS n FROM resources") == [{"n": 1}]


def test_more_names_than_are_remembered_are_all_stored(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names without end (paths with ids in them) cost no memory and no record."""
    monkeypatch.setattr("otel_tracker_exporters.sqlite.batch._MAX_KNOWN_FUNCTIONS", 10)
    store.write(*(make_span(n, function="", module="", name=f"GET /items/{n % 40}") for n in range(200)))
    assert len(store.reader().function_statistics(limit=None)) == 40


@pytest.mark.parametrize("group_as", [None, "shop.*"])
def test_a_large_group_has_the_same_statistics(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, group_as: str | None
) -> None:
    """Where SQLite has to sort because memory would not do, every number is the same."""
    spans = [
        make_span(
            n,
            function=f"f{n % 3}",
            name=f"span {n % 2}",
            end_ns=None if n % 11 == 0 else BEGIN_NS + n * SECOND_NS + n * n % 97,
            status="started" if n % 11 == 0 else "failed" if n % 7 == 0 else "completed",
        )
        for n in range(300)
    ]
    store.write(*spans)

    def asked() -> Any:
        with store.reader() as reader:
            found = reader.function_statistics(limit=None) if group_as is None else [reader.get_statistics(group_as)]
            return sorted(found, key=lambda entry: entry.function_name)

    in_memory = asked()
    monkeypatch.setattr("otel_tracker_exporters.sqlite.statistics.LARGE_GROUP", 10)
    assert asked() == in_memory == sorted(tally(spans, group_as), key=lambda entry: entry.function_name)


def test_statements_of_the_store_are_not_traced(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sqlite3 instrumentor wraps `sqlite3.connect`; the store never calls it."""

    def wrapped(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the store would trace itself")

    for module in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(module, "connect", wrapped)
    assert store.write(make_span(1))
    assert len(list(store.reader().query_executions())) == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows lets nobody be somebody else")
def test_an_unmerged_log_on_read_only_media_is_not_passed_over(store: StoreUnderTest) -> None:
    """A store copied with its log is read whole where that is possible, and otherwise refused, never read in part."""
    store.write(make_span(1))
    folder = store.path.parent / "copy"
    folder.mkdir()
    for name in ("store.db", "store.db-wal"):
        (folder / name).write_bytes((store.path.parent / name).read_bytes())
        (folder / name).chmod(0o444)
    folder.chmod(0o555)
    let_others_pass(folder)
    script = f"""
import os, sys
from otel_tracker.stats import tally
from otel_tracker.stores import open_store
import otel_tracker.errors
with open_store({str(store.path)!r}) as reader:  # what reading imports lies where only root may read
    list(reader.query_executions())
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    with open_store({str(folder / "store.db")!r}) as reader:
        print(len(list(reader.query_executions())))
except otel_tracker.errors.StoreUnreadableError as error:
    print("refused")
"""
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    folder.chmod(0o755)
    assert result.stdout.split() in (["1"], ["refused"])
