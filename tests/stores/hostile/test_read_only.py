"""A file system that is read-only: nothing is written, one sentence says so, and everything can be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from otel_tracker.errors import StoreNotFoundError
from otel_tracker.stores import installed_stores, open_store

from ..helpers import SUFFIXES, StoreUnderTest, left_beside
from .ground import FaultyDisk, SmallDisk
from .support import Ledger, Refusal, TracedProgram, ask, assert_is_whole, assert_said_once, numbers_in, through_writer

READ_ONLY = "read-only"
ProgramOn = Callable[[str, Path], TracedProgram]


def test_a_store_on_a_read_only_disk_is_read_and_not_written(
    disk_store: StoreUnderTest, disk_ledger: Ledger, small_disk: SmallDisk, sentences: Sequence[str]
) -> None:
    """Batches fail until the disk may be written again, and then the same writer goes on."""
    assert disk_ledger.batch(20)
    disk_store.writers.pop(0).close()
    small_disk.remount("ro")
    before = disk_store.path.read_bytes()
    assert not disk_ledger.batch()
    assert not disk_ledger.batch()
    assert_said_once(sentences, disk_store.path, READ_ONLY)
    disk_ledger.check(disk_store.path)
    assert disk_store.path.read_bytes() == before
    assert left_beside(disk_store.path) == [disk_store.path.name]
    small_disk.remount("rw")
    assert disk_ledger.batch()
    disk_ledger.check(disk_store.path)
    assert len(sentences) == 1


def test_no_store_on_a_read_only_disk_is_said_as_such(
    disk_store: StoreUnderTest, disk_ledger: Ledger, small_disk: SmallDisk, sentences: Sequence[str]
) -> None:
    """Where no file can be made the writer says why, and the reader that there is none."""
    small_disk.remount("ro")
    assert not disk_ledger.batch()
    assert not disk_ledger.batch()
    assert_said_once(sentences, disk_store.path, READ_ONLY)
    with pytest.raises(StoreNotFoundError):
        installed_stores()[disk_store.kind].open_reader(str(disk_store.path))  # type: ignore[misc]
    small_disk.remount("rw")
    assert disk_ledger.batch()
    disk_ledger.check(disk_store.path)


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("left_over", [["-wal"], ["-wal", "-shm"], ["-shm"]], ids="+".join)
def test_a_log_that_was_left_over_on_a_read_only_disk_is_read_too(
    kind: str, small_disk: SmallDisk, tmp_path: Path, left_over: list[str]
) -> None:
    """What a killed program left in the write-ahead log counts, although nothing can be put in order there.

    SQLite cannot read a log whose index is missing where it cannot make one: that is refused, never left out.
    """
    source = StoreUnderTest(kind, tmp_path / "store.db")
    ledger = Ledger(through_writer(source))
    for _ in range(5):
        assert ledger.batch(20)
    path = small_disk.path / "store.db"
    for ending in ("", *left_over):
        shutil.copyfile(f"{source.path}{ending}", f"{path}{ending}")
    source.close()
    if "-wal" not in left_over:
        shutil.copyfile(source.path, path)  # as its last writer left it
    small_disk.remount("ro")
    if left_over != ["-wal"] or not isinstance(ask(path), Refusal):
        ledger.check(path)
    assert left_beside(path) == sorted(["store.db", *(f"store.db{ending}" for ending in left_over)])


def test_a_disk_that_becomes_read_only_while_in_use_can_still_be_read(
    kind: str, faulty_disk: FaultyDisk, sentences: Sequence[str]
) -> None:
    """After a fault of the disk the open writer fails quietly, and goes on when the disk has been replaced."""
    store = StoreUnderTest(kind, faulty_disk.path / f"store{SUFFIXES[kind]}")
    ledger = Ledger(through_writer(store))
    try:
        assert ledger.batch(20)
        assert ledger.batch(20)
        faulty_disk.break_down()
        assert not ledger.batch()
        assert not ledger.batch()
        assert_said_once(sentences, store.path, READ_ONLY)
        ledger.check(store.path)
        faulty_disk.replace()
        ledger.batches_until(True, most=2)
        ledger.check(store.path)
        assert_is_whole(kind, store.path)
    finally:
        store.close()


def test_a_traced_program_does_not_notice_that_the_disk_broke(
    kind: str, faulty_disk: FaultyDisk, program_on: ProgramOn, sentences: Sequence[str]
) -> None:
    """Results and exceptions come through unchanged, and what was stored can be read."""
    path = faulty_disk.path / f"store{SUFFIXES[kind]}"
    program = program_on(kind, path)
    program.run("before")
    faulty_disk.break_down()
    program.run("meanwhile")
    with open_store(path) as reader:
        assert {span.name for span in reader.query_executions(limit=None)} == {"before"}
    assert numbers_in(path)
    assert_said_once(sentences, path, READ_ONLY)
    program.provider.shutdown()
