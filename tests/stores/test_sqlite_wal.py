"""The write-ahead log of the sqlite store stays short, whoever writes and whoever reads."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from otel_tracker.stores import open_store
from otel_tracker_exporters.sqlite import log
from otel_tracker_exporters.sqlite.log import LogBound
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .helpers import StoreUnderTest, make_span

KIB = 1024
SOFT_BYTES, HARD_BYTES = 256 * KIB, 1024 * KIB


@pytest.fixture
def kind() -> str:
    return "sqlite"


def writer_with(store: StoreUnderTest, soft_bytes: int = SOFT_BYTES, hard_bytes: int = HARD_BYTES) -> SqliteWriter:
    writer = SqliteWriter(str(store.path))
    writer._log = LogBound(str(store.path), soft_bytes, hard_bytes)
    store.writers.append(writer)
    return writer


def log_bytes(store: StoreUnderTest) -> int:
    return os.path.getsize(f"{store.path}-wal")


def write_batches(writer: SqliteWriter, batches: int, first: int = 0) -> int:
    """The largest log that was seen after a batch of about 80 kB."""
    largest = 0
    for batch in range(first, first + batches):
        assert writer.write([make_span(batch * 20 + n, args={"text": "x" * 4_000}) for n in range(20)])
        largest = max(largest, os.path.getsize(f"{writer.location}-wal"))
    return largest


@contextmanager
def old_state_held(store: StoreUnderTest) -> Iterator[sqlite3.Connection]:
    """Somebody reads the state of this moment, for as long as it takes."""
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM stored_spans").fetchone()
        yield connection


def test_one_writer_keeps_the_log_below_its_soft_limit(store: StoreUnderTest) -> None:
    """The batch that passes it is the last before the log is cut."""
    assert write_batches(writer_with(store), 60) < SOFT_BYTES
    assert len(list(store.reader().query_executions(limit=None))) == 1_200


@pytest.mark.slow
def test_several_processes_keep_the_log_bounded(store: StoreUnderTest) -> None:
    """While four write flat out and a reader polls, no batch fails and the log stays below the hard limit's reach."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.test_sqlite_wal import *
store = StoreUnderTest("sqlite", Path({str(store.path)!r}))
write_batches(writer_with(store), 20, first=int(sys.argv[1]))
store.close()
"""
    store.write(make_span(10**6))
    children = [subprocess.Popen([sys.executable, "-c", script, str(1_000 * n)]) for n in range(4)]
    store.children += children  # type: ignore[arg-type]
    largest, deadline_s = 0, time.monotonic() + 60
    while any(child.poll() is None for child in children):
        assert time.monotonic() < deadline_s
        largest = max(largest, log_bytes(store))
        with open_store(store.path) as reader:
            assert len(list(reader.query_executions(limit=20))) >= 1
    assert [child.returncode for child in children] == [0] * 4
    assert largest < 2 * HARD_BYTES
    assert len(list(store.reader().query_executions(limit=None))) == 4 * 400 + 1


def test_a_reader_of_an_old_state_does_not_block_writers_for_ever(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Writers wait once, say so once at level info, and go on; when the reader ends, the log is cut."""
    monkeypatch.setattr(log, "_MAX_WAIT_S", 0.1)
    monkeypatch.setattr(log, "_ATTEMPT_S", 0.02)
    caplog.set_level(logging.INFO, "otel_tracker")
    writer = writer_with(store)
    write_batches(writer, 1)
    with old_state_held(store):
        begin_s = time.monotonic()
        assert write_batches(writer, 20, first=1) > HARD_BYTES
        assert time.monotonic() - begin_s < 10
    said = [record for record in caplog.records if "write-ahead log" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.INFO]
    assert write_batches(writer, 2, first=100) < HARD_BYTES


@pytest.mark.slow
def test_writers_wait_at_the_hard_limit_until_the_log_was_cut(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that ends in time costs no growth."""
    monkeypatch.setattr(log, "_MAX_WAIT_S", 20.0)
    writer = writer_with(store)
    write_batches(writer, 1)
    with old_state_held(store) as reader:
        while log_bytes(store) < HARD_BYTES:
            batch = len(list(store.reader().query_executions(limit=None))) // 20
            write_batches(writer, 1, first=batch)
        timer = threading.Timer(0.3, reader.execute, ["COMMIT"])
        timer.start()
        assert write_batches(writer, 1, first=500) < SOFT_BYTES
        timer.join()


def test_the_timeout_of_the_writer_is_as_it_was(store: StoreUnderTest) -> None:
    """Cutting the log waits for less long than a batch does, and leaves no trace of that."""
    writer = writer_with(store, soft_bytes=1)
    write_batches(writer, 2)
    assert writer._opened is not None
    assert writer._opened.connection.execute("PRAGMA busy_timeout").fetchone() == (5_000,)
