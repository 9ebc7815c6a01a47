"""Files of other versions: older ones are migrated whole or not at all, newer ones are left as they are."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.errors import StoreUnreadableError
from otel_tracker.stores import installed_stores, open_store
from otel_tracker.writing import Retention
from otel_tracker_exporters.sqlite import database
from otel_tracker_exporters.sqlite.database import open_to_write
from otel_tracker_exporters.sqlite.schema import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .helpers import BEGIN_NS, SECOND_NS, StoreUnderTest, ids, left_beside, make_event, make_log, make_span

# The tables as version 1 made them; never to be changed.
VERSION_1 = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE functions (
    id INTEGER PRIMARY KEY, module TEXT NOT NULL, function TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (module, function, name)
);
CREATE TABLE resources (id INTEGER PRIMARY KEY, attributes TEXT NOT NULL UNIQUE);
CREATE TABLE stored_spans (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    parent_span_id BLOB,
    function_id INTEGER NOT NULL REFERENCES functions (id),
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER,
    args TEXT,
    result TEXT,
    error TEXT,
    attributes TEXT,
    events TEXT,
    links TEXT,
    status_code TEXT NOT NULL,
    status_message TEXT NOT NULL,
    scope TEXT NOT NULL,
    resource_id INTEGER REFERENCES resources (id),
    UNIQUE (trace_id, span_id)
);
CREATE TABLE stored_events (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    severity TEXT NOT NULL,
    trace_id BLOB,
    span_id BLOB,
    properties TEXT,
    body TEXT,
    error TEXT,
    resource_id INTEGER REFERENCES resources (id)
);
CREATE INDEX spans_by_start ON stored_spans (start_ns);
CREATE INDEX spans_by_function ON stored_spans (function_id, start_ns, end_ns, status);
CREATE INDEX events_by_time ON stored_events (time_ns);
CREATE INDEX events_by_name ON stored_events (name, time_ns);
CREATE INDEX events_by_trace ON stored_events (trace_id) WHERE trace_id IS NOT NULL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
INSERT INTO functions VALUES (1, 'shop', 'total', 'shop.total');
INSERT INTO resources VALUES (1, '{{"service.name":"shop"}}');
"""
# What version 2 had beside them; never to be changed, but for views that are shortened here.
ADDED_BY_VERSION_2 = """
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO marks VALUES ('span_floor', 0), ('event_floor', 0), ('generation', 0), ('keeper', 0), ('store', 77);
CREATE INDEX spans_not_completed ON stored_spans (function_id, status, start_ns) WHERE status <> 'completed';
CREATE INDEX spans_by_resource ON stored_spans (resource_id);
CREATE INDEX events_by_resource ON stored_events (resource_id);
CREATE VIEW executions AS SELECT s.kind AS kind, f.name AS name, r.attributes AS resource FROM stored_spans AS s
    LEFT JOIN functions AS f ON f.id = s.function_id LEFT JOIN resources AS r ON r.id = s.resource_id;
CREATE VIEW events AS SELECT name FROM stored_events;
PRAGMA user_version = 2;
"""
# What version 3 changed; never to be changed, as above.
ADDED_BY_VERSION_3 = """
DROP VIEW executions;
CREATE TABLE new_functions (
    id INTEGER PRIMARY KEY,
    module TEXT NOT NULL,
    function TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '',
    status_code TEXT NOT NULL DEFAULT '',
    scope TEXT NOT NULL DEFAULT '',
    attributes TEXT NOT NULL DEFAULT '',
    UNIQUE (module, function, name, kind, status_code, scope, attributes)
);
INSERT INTO new_functions (id, module, function, name) SELECT id, module, function, name FROM functions;
DROP TABLE functions;
ALTER TABLE new_functions RENAME TO functions;
ALTER TABLE resources ADD COLUMN last_ns INTEGER;
CREATE INDEX resources_by_last ON resources (last_ns);
DROP INDEX spans_by_resource;
DROP INDEX events_by_resource;
CREATE VIEW executions AS SELECT s.kind AS kind, f.name AS name, r.attributes AS resource FROM stored_spans AS s
    LEFT JOIN functions AS f ON f.id = s.function_id LEFT JOIN resources AS r ON r.id = s.resource_id;
PRAGMA user_version = 3;
"""
# What version 4 added; never to be changed, as above.
ADDED_BY_VERSION_4 = """
CREATE TABLE stored_logs (
    id INTEGER PRIMARY KEY,
    logger TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    severity TEXT NOT NULL,
    trace_id BLOB,
    span_id BLOB,
    attributes TEXT,
    body TEXT,
    error TEXT,
    resource_id INTEGER REFERENCES resources (id)
);
CREATE INDEX logs_by_time ON stored_logs (time_ns);
CREATE INDEX logs_by_logger ON stored_logs (logger, time_ns);
CREATE INDEX logs_by_trace ON stored_logs (trace_id) WHERE trace_id IS NOT NULL;
INSERT INTO marks VALUES ('log_floor', 0);
CREATE VIEW logs AS SELECT logger FROM stored_logs;
PRAGMA user_version = 4;
"""
OLDER = {
    1: VERSION_1,
    2: VERSION_1 + ADDED_BY_VERSION_2,
    3: VERSION_1 + ADDED_BY_VERSION_2 + ADDED_BY_VERSION_3,
    4: VERSION_1 + ADDED_BY_VERSION_2 + ADDED_BY_VERSION_3 + ADDED_BY_VERSION_4,
}
INSERT_SPAN = """
INSERT INTO stored_spans (trace_id, span_id, function_id, kind, status, start_ns, end_ns, args, status_code,
    status_message, scope, resource_id) VALUES (?, ?, 1, 'internal', 'completed', ?, ?, '{"a":1}', 'UNSET', '', '', 1)
"""
INSERT_EVENT = "INSERT INTO stored_events (name, time_ns, severity) VALUES ('checkout.completed', ?, 'INFO')"


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture(params=sorted(OLDER))
def version(request: pytest.FixtureRequest) -> int:
    """Each of the older versions."""
    number: int = request.param
    return number


def old_span(number: int) -> Any:
    return make_span(number, args={"a": 1}, resource={"service.name": "shop"})


def old_row(number: int) -> tuple[Any, ...]:
    span = old_span(number)
    return bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id), span.start_ns, span.end_ns


def make_older(path: Path, version: int, spans: int = 20) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLDER[version])
        connection.executemany(INSERT_SPAN, [old_row(number) for number in range(spans)])
        connection.executemany(INSERT_EVENT, [(BEGIN_NS + number * SECOND_NS,) for number in range(3)])
        connection.commit()


def select(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_an_older_file_is_read_as_it_is(store: StoreUnderTest, version: int) -> None:
    """Reading needs no migration, and all questions are answered."""
    make_older(store.path, version)
    with open_store(store.path) as reader:
        assert list(reader.query_executions(limit=None)) == [old_span(number) for number in reversed(range(20))]
        assert list(reader.events()) == [make_event(number) for number in reversed(range(3))]
        assert reader.get_statistics("total").total == 20
        assert reader.get_trace(old_span(3).trace_id) == [old_span(3)]
        assert list(reader.logs()) == []
        assert len(list(reader.stored())) == 23
        assert len(list(reader.tail(last=5, timeout_s=0))) == 5
    prune = installed_stores()["sqlite"].prune
    assert prune is not None
    assert prune(str(store.path), Retention(before_ns=BEGIN_NS + SECOND_NS), True).spans == 1
    assert version_of(store.path) == version
    assert left_beside(store.path) == ["store.db"]


def test_the_first_writer_migrates(store: StoreUnderTest, version: int) -> None:
    """Nothing is lost, what comes is added, and the order of storing goes on where it was."""
    make_older(store.path, version)
    with open_store(store.path) as reader:
        position = list(reader.stored())[-1].position
    store.write(old_span(20), make_event(3), make_log(30))
    assert version_of(store.path) == SCHEMA_VERSION
    with open_store(store.path) as reader:
        assert ids(reader.query_executions(limit=None)) == [old_span(number).span_id for number in reversed(range(21))]
        assert [record for record, _ in reader.stored(position)] == [make_event(3), old_span(20), make_log(30)]
        assert list(reader.logs()) == [make_log(30)]


def test_a_migrated_file_is_as_a_new_one(store: StoreUnderTest, version: int) -> None:
    """Tables, indexes and views are the same, but for what would have had to be built from all rows."""
    make_older(store.path, version)
    new = store.path.with_name("new.db")
    for path in (store.path, new):
        open_to_write(str(path)).close()
    is_view_made = version < 3
    sql = f"SELECT name, CASE WHEN name = 'executions' AND {is_view_made} THEN sql END FROM sqlite_master"
    found, expected = (dict(select(path, sql)) for path in (store.path, new))
    absent = {"spans_not_completed", "events"} if version == 1 else set()  # the test's own file has no views
    assert found == {name: text for name, text in expected.items() if name not in absent}
    assert select(store.path, "SELECT DISTINCT kind, name, resource FROM executions") == [
        ("internal", "shop.total", '{"service.name":"shop"}')
    ]
    assert select(store.path, "PRAGMA foreign_key_check") == []


def test_resources_of_an_older_version_are_kept(store: StoreUnderTest, version: int) -> None:
    """A program of that version may still use them, and does not say when."""
    make_older(store.path, version)
    store.write(make_span(500, resource={"service.name": "new"}), make_span(900))
    prune = installed_stores()["sqlite"].prune
    assert prune is not None
    prune(str(store.path), Retention(before_ns=BEGIN_NS + 800 * SECOND_NS), False)
    assert select(store.path, "SELECT attributes FROM resources") == [('{"service.name":"shop"}',)]


def test_every_older_version_has_a_migration() -> None:
    """A version that is raised brings the step from the one before."""
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_a_writer_of_the_older_version_goes_on(store: StoreUnderTest, version: int) -> None:
    """A program that has the file open while another one migrates it loses nothing."""
    make_older(store.path, version)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as older:
        older.execute(INSERT_SPAN, old_row(20))
        store.write(old_span(21))
        older.execute(INSERT_SPAN, old_row(22))
    store.write(old_span(23))
    assert len(list(store.reader().query_executions(limit=None))) == 24


def test_several_that_begin_at_once_migrate_once(store: StoreUnderTest, version: int) -> None:
    """Threads and processes may open the same old file in the same moment."""
    make_older(store.path, version)
    children = [store.start_process("write", 100 * n, 10, 5) for n in range(1, 4)]
    writers = [SqliteWriter(str(store.path)) for _ in range(4)]
    threads = [threading.Thread(target=writer.write, args=[[old_span(20 + n)]]) for n, writer in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.close()
    assert [child.wait(30) for child in children] == [0, 0, 0]
    assert len(list(store.reader().query_executions(limit=None))) == 20 + 4 + 30
    assert version_of(store.path) == SCHEMA_VERSION


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_kill_in_the_middle_leaves_the_older_version(store: StoreUnderTest, version: int) -> None:
    """A migration is there or it is not."""
    make_older(store.path, version)
    script = f"""
import os, signal
from otel_tracker_exporters.sqlite import database, schema
from otel_tracker_exporters.sqlite.writer import SqliteWriter
class Killing(tuple):
    def __iter__(self):
        yield from super().__iter__()
        os.kill(os.getpid(), signal.SIGKILL)
database.MIGRATIONS = {{**schema.MIGRATIONS, {version}: Killing(schema.MIGRATIONS[{version}])}}
database.open_to_write({str(store.path)!r})
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert version_of(store.path) == version
    assert len(list(store.reader().query_executions(limit=None))) == 20
    assert store.write(old_span(20))
    assert version_of(store.path) == SCHEMA_VERSION


def test_a_failed_migration_changes_nothing(
    store: StoreUnderTest, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that goes wrong takes those before it back."""
    make_older(store.path, version)
    before = select(store.path, "SELECT name, sql FROM sqlite_master ORDER BY name")
    last = SCHEMA_VERSION - 1
    monkeypatch.setattr(database, "MIGRATIONS", {**MIGRATIONS, last: (*MIGRATIONS[last], "CREATE TABLE marks (x)")})
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        open_to_write(str(store.path))
    assert select(store.path, "SELECT name, sql FROM sqlite_master ORDER BY name") == before
    assert version_of(store.path) == version


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}


def test_a_newer_file_is_not_changed_by_a_byte(store: StoreUnderTest, sentences: list[str]) -> None:
    """Not even what lies unmerged in its log: that is for the program that knows the file."""
    folder = store.path.parent / "newer"
    folder.mkdir()
    store.write(make_span(1))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version = 99")
        newer.execute("CREATE TABLE of_the_future (x)")
        for name in ("store.db", "store.db-wal"):
            (folder / name).write_bytes((store.path.parent / name).read_bytes())
    path = folder / "store.db"
    before = contents(path)
    assert before["store.db-wal"]
    writer = store.new_writer(path)
    assert not writer.write([make_span(2)])
    assert ["written by a newer otel-tracker (schema 99" in sentence for sentence in sentences] == [True]
    writer.close()
    with pytest.raises(StoreUnreadableError, match="newer"):
        open_store(path)
    assert contents(path) == before


def test_a_large_file_is_migrated_at_once(store: StoreUnderTest, version: int) -> None:
    """No table of spans is rebuilt: the log holds a few pages afterwards, and those of an index that goes."""
    make_older(store.path, version, spans=20_000)
    with closing(open_to_write(str(store.path))):
        assert os.path.getsize(f"{store.path}-wal") < os.path.getsize(store.path) / 10
