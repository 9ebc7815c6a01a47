"""A store that is deleted, moved or replaced under a running program: others' files are kept, and it goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExporter

from otel_tracker.stores import open_store

from ..helpers import BEGIN_NS, SECOND_NS, StoreUnderTest, make_span
from .support import (
    Ledger,
    Refusal,
    TracedProgram,
    ask,
    ask_everything,
    assert_is_whole,
    assert_said_once,
    numbers_in,
    numbers_of,
    through_exporter,
)

LETTER = b"Dear grandmother, this file is mine and no store.\n" * 40
ExporterOn = Callable[[str, Path], SpanExporter]
ProgramOn = Callable[[str, Path], TracedProgram]


def files_of(path: Path) -> list[Path]:
    """The store's file and what lies beside it under its name."""
    return sorted(path.parent.glob(f"{path.name}*"))


# --- deleted and moved away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["the file alone", "all of its files"])
def test_a_store_that_is_deleted_again_and_again_is_begun_anew(
    store: StoreUnderTest, ledger: Ledger, sentences: Sequence[str], which: str
) -> None:
    """After each deletion the very next batch is in a new store, whole and alone, and nothing is said."""
    for _ in range(4):
        assert ledger.batch(20)
        for path in [store.path] if which == "the file alone" else files_of(store.path):
            path.unlink()
        ledger.stored.clear()
        assert ledger.batch(20)
        ledger.check(store.path)
        assert_is_whole(store.kind, store.path)
    assert len(sentences) == 0


def test_a_store_that_is_moved_away_keeps_what_it_had(store: StoreUnderTest, ledger: Ledger) -> None:
    """All its files under another name are a store of their own; what comes later is in a new one."""
    assert ledger.batch(20)
    (store.path.parent / "moved").mkdir()
    for path in files_of(store.path):
        path.rename(path.parent / "moved" / path.name)
    assert ledger.batch(20)
    moved = store.path.parent / "moved" / store.path.name
    assert numbers_in(store.path) == set(range(20, 40))
    assert numbers_in(moved) == set(range(20))
    store.close()
    assert numbers_in(moved) == set(range(20))
    assert_is_whole(store.kind, moved)


def test_a_file_that_is_renamed_without_its_neighbours_harms_nothing(store: StoreUnderTest, ledger: Ledger) -> None:
    """Neither of the two stores is damaged; what came before is in the one, what comes later in the other.

    What a database has in its log alone is lost with the log, as SQLite says; this one was closed once before.
    """
    assert ledger.batch(20)
    store.writers.pop().close()
    assert ledger.batch(1)
    renamed = store.path.with_name(f"renamed{store.path.suffix}")
    store.path.rename(renamed)
    assert ledger.batch(20)
    assert numbers_in(store.path) >= set(range(21, 41))
    assert ledger.batch(20)
    store.close()
    assert numbers_in(renamed) >= set(range(20))
    assert numbers_in(store.path) >= set(range(21, 61))
    assert_is_whole(store.kind, renamed)
    assert_is_whole(store.kind, store.path)


def test_an_exporter_follows_a_store_that_another_one_replaced(
    kind: str, store: StoreUnderTest, ledger: Ledger, exporter_on: ExporterOn
) -> None:
    """Two programs, one of which begins the store anew: both write to the new one, and neither to the old."""
    exporting = Ledger(through_exporter(exporter_on(kind, store.path)), next_number=1_000)
    assert exporting.batch()
    assert ledger.batch()
    for path in files_of(store.path):
        path.unlink()
    exporting.stored.clear()
    ledger.stored.clear()
    for _ in range(3):
        assert ledger.batch()
        assert exporting.batch()
    assert numbers_in(store.path) == ledger.stored | exporting.stored
    assert_is_whole(kind, store.path)


def test_a_reader_that_is_in_the_middle_ends_or_says_why(store: StoreUnderTest, ledger: Ledger) -> None:
    """What is deleted under a reader gives an answer or a sentence, and the next question sees the new store."""
    assert ledger.batch(500)
    reader = store.reader()
    unfinished = reader.query_executions(limit=None)
    next(unfinished)
    for path in files_of(store.path):
        path.unlink()
    ledger.stored.clear()
    assert ledger.batch(20)
    assert len(list(unfinished)) in (499, 0, 20)
    with open_store(store.path) as other:
        assert numbers_of(other.query_executions(limit=None)) == ledger.stored


# --- replaced ---------------------------------------------------------------------------------------------------------


def test_another_store_in_its_place_is_written_to(store: StoreUnderTest, ledger: Ledger, tmp_path: Path) -> None:
    """A backup that is put back under a running program keeps what it had and takes what comes."""
    backup = StoreUnderTest(store.kind, tmp_path / "backup" / store.path.name)
    assert backup.write(*(make_span(number) for number in range(1_000, 1_020)))
    backup.close()
    assert ledger.batch(20)
    for path in files_of(store.path):
        path.unlink()
    os.replace(backup.path, store.path)
    ledger.stored.clear()
    assert ledger.batch(20)
    ledger.stored.update(range(1_000, 1_020))
    ledger.check(store.path)
    assert_is_whole(store.kind, store.path)


def test_another_store_over_its_file_alone_is_not_harmed(store: StoreUnderTest, ledger: Ledger, tmp_path: Path) -> None:
    """A backup that is moved over the file, as people do, while the program's log still lies beside it."""
    backup = StoreUnderTest(store.kind, tmp_path / "backup" / store.path.name)
    assert backup.write(*(make_span(number) for number in range(1_000, 1_200)))
    backup.close()
    assert ledger.batch(200)
    os.replace(backup.path, store.path)
    ledger.stored.clear()
    assert ledger.batch(20)
    store.close()
    found = numbers_in(store.path)
    assert found >= set(range(1_000, 1_200)) | ledger.stored
    assert_is_whole(store.kind, store.path)


def directory(path: Path) -> None:
    path.mkdir()


def symlink_loop(path: Path) -> None:
    path.symlink_to(path.name)


def symlink_into_nothing(path: Path) -> None:
    path.symlink_to("no-such-folder/store")


def letter(path: Path) -> None:
    path.write_bytes(LETTER)


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('Ada')")
        connection.commit()


def newer_store(path: Path) -> None:
    store = StoreUnderTest("sqlite", path)
    assert store.write(make_span(1))
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


NO_FILES = (directory, symlink_loop, symlink_into_nothing)
FOREIGN_FILES = (letter, foreign_database, newer_store)


@pytest.mark.parametrize("replacement", NO_FILES, ids=lambda make: make.__name__)
def test_what_is_no_file_in_its_place_is_waited_out(
    store: StoreUnderTest,
    ledger: Ledger,
    sentences: Sequence[str],
    replacement: Callable[[Path], None],
) -> None:
    """Batches fail with one sentence as long as the thing is there, and it is not touched; then it goes on."""
    assert ledger.batch()
    for path in files_of(store.path):
        path.unlink()
    replacement(store.path)
    before = store.path.lstat()
    ledger.stored.clear()
    assert not ledger.batch()
    assert not ledger.batch()
    assert_said_once(sentences, store.path)
    assert all(isinstance(answer, Refusal) for answer in ask_everything(store.path).values())
    assert (store.path.lstat().st_ino, store.path.lstat().st_mode) == (before.st_ino, before.st_mode)
    store.path.rmdir() if store.path.is_dir() else store.path.unlink()
    assert ledger.batch()
    ledger.check(store.path)


@pytest.mark.parametrize("task", ["write", "ask"])
def test_a_pipe_in_its_place_is_refused_without_waiting(store: StoreUnderTest, task: str) -> None:
    """Opening a pipe waits for its other end, for ever if there is none: it is not opened at all."""
    assert store.write(make_span(1))
    for path in files_of(store.path):
        path.unlink()
    os.mkfifo(store.path)
    done: list[object] = []

    def run() -> None:
        done.append(store.write(make_span(2)) if task == "write" else ask(store.path))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(2.0)
    if thread.is_alive():
        _let_go(store.path)
        thread.join(2.0)
        pytest.fail(f"{task} waits for the other end of a pipe")
    assert done[0] is False or isinstance(done[0], Refusal)
    store.path.unlink()
    assert store.write(make_span(3))
    assert numbers_in(store.path) == {3}


def _let_go(pipe: Path) -> None:
    """Be the other end for whoever waits at a pipe, until nobody does."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("replacement", FOREIGN_FILES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("is_log_left", [False, True], ids=["alone", "beside the old log"])
def test_a_file_of_somebody_elses_in_its_place_is_never_touched(
    store: StoreUnderTest,
    ledger: Ledger,
    sentences: Sequence[str],
    tmp_path: Path,
    replacement: Callable[[Path], None],
    is_log_left: bool,
) -> None:
    """Batches fail with one sentence, not a byte of the other file changes, and it goes on when it is gone."""
    assert ledger.batch(20)
    foreign = tmp_path / "foreign" / store.path.name
    foreign.parent.mkdir()
    replacement(foreign)
    before = foreign.read_bytes()
    for path in [] if is_log_left else files_of(store.path):
        path.unlink()
    os.replace(foreign, store.path)
    ledger.stored.clear()
    assert not ledger.batch()
    assert not ledger.batch()
    assert_said_once(sentences, store.path)
    assert all(isinstance(answer, Refusal) for answer in ask_everything(store.path).values())
    assert store.path.read_bytes() == before
    store.path.unlink()
    ledger.batches_until(True, most=2)
    ledger.check(store.path)
    store.close()
    assert numbers_in(store.path) == ledger.stored


@pytest.mark.parametrize("kind", ["jsonl"])
def test_lines_of_somebody_elses_in_its_place_are_kept(store: StoreUnderTest, ledger: Ledger) -> None:
    """A text file under the store's name keeps every byte; records come behind it."""
    assert ledger.batch()
    store.path.unlink()
    letter(store.path)
    ledger.stored.clear()
    assert ledger.batch()
    ledger.check(store.path)
    assert store.path.read_bytes().startswith(LETTER)


def test_a_file_that_is_emptied_in_place_goes_on_from_nothing(store: StoreUnderTest, ledger: Ledger) -> None:
    """Cut to no bytes while open, as log rotation by copying does: what comes later is stored, and is all there is."""
    assert ledger.batch(200)
    os.truncate(store.path, 0)
    ask_everything(store.path)
    ledger.stored.clear()
    ledger.batches_until(True, most=3)
    assert ledger.batch(20)
    assert numbers_in(store.path) >= ledger.stored
    store.close()
    assert numbers_in(store.path) >= ledger.stored
    assert_is_whole(store.kind, store.path)


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("removed", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids="+".join)
def test_a_log_that_is_removed_beside_an_open_store_costs_no_more_than_the_log(
    store: StoreUnderTest, ledger: Ledger, removed: list[str]
) -> None:
    """What was in the main file stays, the file is not damaged, and batches are stored again."""
    assert ledger.batch(200)
    store.writers.pop().close()
    before = set(ledger.stored)
    assert ledger.batch(20)
    for ending in removed:
        os.unlink(f"{store.path}{ending}")
    ask_everything(store.path)
    ledger.batches_until(True, most=3)
    last = max(ledger.stored)
    store.close()
    found = numbers_in(store.path)
    assert found >= before
    assert last in found
    assert_is_whole(store.kind, store.path)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_copy_that_is_made_while_it_is_written_is_a_store_or_is_refused(
    store: StoreUnderTest, ledger: Ledger, tmp_path: Path
) -> None:
    """The file copied without its log has what was in it; nobody is told that it is damaged."""
    assert ledger.batch(200)
    store.writers.pop().close()
    before = set(ledger.stored)
    assert ledger.batch(20)
    copy = tmp_path / "copy" / store.path.name
    copy.parent.mkdir()
    shutil.copyfile(store.path, copy)
    assert ask(copy) == before


def test_a_traced_program_does_not_notice_what_happens_to_its_store(
    kind: str, store: StoreUnderTest, program_on: ProgramOn
) -> None:
    """Deleted, replaced by a folder, emptied: results and exceptions come through, and later spans are stored."""
    program = program_on(kind, store.path)
    program.run("before")
    for path in files_of(store.path):
        path.unlink()
    program.run("deleted")
    for path in files_of(store.path):
        path.unlink()
    store.path.mkdir()
    program.run("a folder")
    store.path.rmdir()
    program.run("again")
    os.truncate(store.path, 0)
    program.run("emptied")
    program.run("afterwards")
    with open_store(store.path) as reader:
        found = {span.name for span in reader.query_executions(limit=None)}
    assert "afterwards" in found
    assert "a folder" not in found


def test_numbers_are_told_from_starts() -> None:
    """What the tests here stand on."""
    assert numbers_of(iter([make_span(7)])) == {7}
    assert make_span(7).start_ns == BEGIN_NS + 7 * SECOND_NS
