"""A store that somebody else keeps locked: waiting is bounded, a sentence says so, and it goes on afterwards."""

from __future__ import annotations

import fcntl
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExporter

from otel_tracker_exporters.sqlite.writer import SqliteWriter

from ..helpers import StoreUnderTest
from .support import (
    Ledger,
    TracedProgram,
    ask,
    assert_is_whole,
    assert_said_once,
    numbers_in,
    through_exporter,
    through_writer,
)

LONGEST_WAIT_S = 8.0
"""No batch may take longer, whatever others do; SQLite's own customary wait is 5 s."""
SHORT_WAIT_S = 0.05
LOCKER = """
import fcntl, sqlite3, sys
kind, path = sys.argv[1:]
if kind == "sqlite":
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
else:
    file = open(path, "ab")
    fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
ExporterOn = Callable[[str, Path], SpanExporter]
ProgramOn = Callable[[str, Path], TracedProgram]


@contextmanager
def locked_by_another_process(kind: str, path: Path) -> Iterator[None]:
    """Another process has the store for itself meanwhile."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", LOCKER, kind, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as locker:
        try:
            assert locker.stdout is not None
            assert select.select([locker.stdout], [], [], 10)[0], "the lock was not got"
            assert locker.stdout.readline() == "locked\n"
            yield
        finally:
            locker.kill()


@contextmanager
def bounded() -> Iterator[None]:
    begin_s = time.monotonic()
    yield
    assert time.monotonic() - begin_s < LONGEST_WAIT_S


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_database_that_is_locked_is_waited_for_and_then_left(
    store: StoreUnderTest, sentences: Sequence[str], begin: str
) -> None:
    """While another connection writes, batches fail and readers answer; afterwards the same writer goes on."""
    store.writers.append(SqliteWriter(str(store.path), busy_timeout_s=SHORT_WAIT_S))
    ledger = Ledger(through_writer(store))
    assert ledger.batch(20)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute(begin)
        for _ in range(3):
            with bounded():
                assert not ledger.batch()
        ledger.check(store.path)
        assert_said_once(sentences, store.path, "locked")
        other.execute("ROLLBACK")
        assert ledger.batch()
        other.execute(begin)
        assert not ledger.batch()
    assert ledger.batch()
    ledger.check(store.path)
    assert len(sentences) == 1
    assert_is_whole("sqlite", store.path)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_database_that_is_locked_before_it_is_opened_is_waited_for(
    store: StoreUnderTest, sentences: Sequence[str]
) -> None:
    """A new writer finds a file that another program is just making, and uses it when it may."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.writers.append(SqliteWriter(str(store.path), busy_timeout_s=SHORT_WAIT_S))
        ledger = Ledger(through_writer(store))
        for _ in range(2):
            with bounded():
                assert not ledger.batch()
        assert_said_once(sentences, store.path, "locked")
        other.execute("ROLLBACK")
        assert ledger.batch()
    ledger.check(store.path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl"])
def test_a_file_that_another_process_keeps_locked_is_written_all_the_same(
    store: StoreUnderTest, ledger: Ledger
) -> None:
    """Advice is not obeyed for ever: each batch is stored within a bounded time."""
    assert ledger.batch()
    with locked_by_another_process("jsonl", store.path):
        with bounded():
            ledger.batch()
        with bounded():
            ledger.check(store.path)
    assert ledger.batch()
    ledger.check(store.path)
    assert_is_whole("jsonl", store.path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl"])
def test_every_lock_beside_a_file_that_is_put_aside_may_be_kept_by_others(
    store: StoreUnderTest, exporter_on: ExporterOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps a lock on any file of the store delays rotation, and loses nobody's lines."""
    monkeypatch.setenv("OTEL_TRACKER_JSONL_MAX_BYTES", "20000")
    monkeypatch.setenv("OTEL_TRACKER_JSONL_BACKUPS", "100")
    ledger = Ledger(through_exporter(exporter_on("jsonl", store.path)))
    for _ in range(5):
        assert ledger.batch(10, "x" * 200)
    kept = [path.open("rb") for path in store.path.parent.iterdir()]
    try:
        for file in kept:
            fcntl.flock(file, fcntl.LOCK_EX)
        for _ in range(3):
            with bounded():
                ledger.batch(10, "x" * 200)
        ledger.check(store.path)
    finally:
        for file in kept:
            file.close()
    for _ in range(10):
        assert ledger.batch(10, "x" * 200)
    ledger.check(store.path)
    assert_is_whole("jsonl", store.path)


@pytest.mark.slow
def test_a_store_that_another_process_has_for_itself_is_waited_for(
    store: StoreUnderTest, ledger: Ledger, sentences: Sequence[str]
) -> None:
    """Writers and readers give up after a bounded wait, with a sentence, and go on when the other has gone."""
    assert ledger.batch(20)
    store.writers.pop().close()
    with locked_by_another_process(store.kind, store.path):
        with bounded():
            ledger.batch()
        with bounded():
            ask(store.path)
    if ledger.refused:
        assert_said_once(sentences, store.path, "locked")
    assert ledger.batch()
    ledger.check(store.path)
    assert_is_whole(store.kind, store.path)


@pytest.mark.slow
def test_a_traced_program_does_not_notice_a_locked_store(
    kind: str, store: StoreUnderTest, program_on: ProgramOn, sentences: Sequence[str]
) -> None:
    """Results and exceptions come through, and spans that end afterwards are stored."""
    program = program_on(kind, store.path)
    program.run("before")
    with locked_by_another_process(kind, store.path) if kind == "jsonl" else _being_written(store.path):
        program.run("meanwhile", calls=1)
    program.run("afterwards")
    assert numbers_in(store.path)
    assert len(sentences) <= 1


@contextmanager
def _being_written(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
