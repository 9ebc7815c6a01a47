"""A disk that is full: batches fail with one sentence, nothing is torn or lost, and it goes on when there is space."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExporter

from otel_tracker.stores import open_store

from ..helpers import SUFFIXES, StoreUnderTest
from .ground import SmallDisk
from .support import (
    Ledger,
    TracedProgram,
    ask_everything,
    assert_is_sentence,
    assert_is_whole,
    assert_said_once,
    numbers_in,
    through_exporter,
)

TEXT = "x" * 2_000
NOISE = random.Random(3).randbytes(1_000).hex()
"""As long as `TEXT`, and half as long when it is compressed."""
ExporterOn = Callable[[str, Path], SpanExporter]
ProgramOn = Callable[[str, Path], TracedProgram]


def test_a_disk_that_the_store_itself_fills_costs_only_what_does_not_fit(
    disk_store: StoreUnderTest, disk_ledger: Ledger, small_disk: SmallDisk, sentences: Sequence[str]
) -> None:
    """Batches are stored whole or not at all; freed space is used at once, by the same writer."""
    small_disk.take(900_000)
    assert disk_ledger.batch()
    disk_ledger.batches_until(False, text=TEXT)
    for _ in range(5):
        disk_ledger.batch(10, TEXT)
    assert_said_once(sentences, disk_store.path, "full")
    disk_ledger.check(disk_store.path)
    small_disk.free()
    assert disk_ledger.batch(10, TEXT)
    disk_ledger.check(disk_store.path)
    assert_is_whole(disk_store.kind, disk_store.path)
    assert len(sentences) == 1


def test_a_disk_that_another_file_fills_is_waited_out(
    disk_store: StoreUnderTest, disk_ledger: Ledger, small_disk: SmallDisk, sentences: Sequence[str]
) -> None:
    """Filled and freed three times: each time the writer goes on, and it is said once in all."""
    for _ in range(3):
        assert disk_ledger.batch()
        small_disk.fill()
        disk_ledger.batches_until(False, text=TEXT)
        disk_ledger.check(disk_store.path)
        small_disk.free()
        assert disk_ledger.batch()
    disk_ledger.check(disk_store.path)
    assert_is_whole(disk_store.kind, disk_store.path)
    assert_said_once(sentences, disk_store.path, "full")


@pytest.mark.parametrize("leave_bytes", [0, 4_096, 3 * 4_096, 10 * 4_096])
def test_a_disk_that_is_full_from_the_start_is_waited_out(
    disk_store: StoreUnderTest,
    disk_ledger: Ledger,
    small_disk: SmallDisk,
    sentences: Sequence[str],
    leave_bytes: int,
) -> None:
    """A store that was half made when the space ended is completed later, by the same writer."""
    small_disk.fill(leave_bytes)
    disk_ledger.batches_until(False, text=TEXT)
    disk_ledger.batch()
    if disk_ledger.stored:
        disk_ledger.check(disk_store.path)
    else:
        ask_everything(disk_store.path)  # a store that is half made is empty, or refused with a sentence
    assert_said_once(sentences, disk_store.path, "full")
    small_disk.free()
    assert disk_ledger.batch(10, TEXT)
    disk_ledger.check(disk_store.path)
    assert_is_whole(disk_store.kind, disk_store.path)


def test_a_second_writer_finds_a_full_disk_as_the_first_left_it(
    disk_store: StoreUnderTest, disk_ledger: Ledger, small_disk: SmallDisk
) -> None:
    """Who comes later, on the still full disk and after it, neither loses nor repairs what is whole."""
    disk_ledger.batch(20, TEXT)
    small_disk.fill()
    disk_ledger.batches_until(False, text=TEXT)
    disk_store.writers[0].close()
    disk_ledger.check(disk_store.path)
    disk_store.writers.insert(0, disk_store.new_writer())
    disk_ledger.batch(20, TEXT)
    disk_ledger.check(disk_store.path)
    small_disk.free()
    assert disk_ledger.batch(20, TEXT)
    disk_ledger.check(disk_store.path)
    assert_is_whole(disk_store.kind, disk_store.path)


def test_a_traced_program_does_not_notice_a_full_disk(
    kind: str, small_disk: SmallDisk, program_on: ProgramOn, sentences: Sequence[str]
) -> None:
    """Results and exceptions come through unchanged, the export ends in time, and later spans are stored."""
    path = small_disk.path / f"store{SUFFIXES[kind]}"
    program = program_on(kind, path)
    program.run("before")
    small_disk.fill()
    for _ in range(3):
        program.run("meanwhile", text=TEXT)
    small_disk.free()
    program.run("afterwards")
    with open_store(path) as reader:
        assert len(list(reader.query_executions("before"))) == 40
        assert len(list(reader.query_executions("afterwards"))) == 40
        assert len(list(reader.query_executions("meanwhile", limit=None))) < 120
    assert_is_whole(kind, path)
    assert_said_once(sentences, path, "full")


def test_a_disk_that_fills_up_while_files_are_put_aside_loses_nothing(
    small_disk: SmallDisk, exporter_on: ExporterOn, monkeypatch: pytest.MonkeyPatch, sentences: Sequence[str]
) -> None:
    """Rotation and compression, which need space themselves, leave every line where it can be read."""
    monkeypatch.setenv("OTEL_TRACKER_JSONL_MAX_BYTES", "100000")
    monkeypatch.setenv("OTEL_TRACKER_JSONL_BACKUPS", "1000")
    path = small_disk.path / "store.jsonl"
    ledger = Ledger(through_exporter(exporter_on("jsonl", path)))
    small_disk.take(1_750_000)
    ledger.batches_until(False, text=NOISE, most=2_000)
    for _ in range(20):
        ledger.batch(10, NOISE)
    ledger.check(path)
    small_disk.free()
    for _ in range(20):
        assert ledger.batch(10, TEXT)
    ledger.check(path)
    assert_is_whole("jsonl", path)
    assert len(list(path.parent.glob("store-*.jsonl*"))) >= 3
    assert all(file.stat().st_size < 200_000 for file in path.parent.glob("store*.jsonl"))
    _check_sentences(sentences, path)


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", [16 * 2**20], indirect=True)
def test_a_disk_that_fills_up_while_the_oldest_are_removed_loses_no_newer_ones(
    small_disk: SmallDisk, exporter_on: ExporterOn, monkeypatch: pytest.MonkeyPatch, sentences: Sequence[str]
) -> None:
    """Retention at work on a full disk removes from the old end only, and goes on when there is space."""
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_MAX_BYTES", "400000")
    path = small_disk.path / "store.db"
    ledger = Ledger(through_exporter(exporter_on("sqlite", path)))
    small_disk.take(8 * 2**20)
    for _ in range(30):
        assert ledger.batch(10, TEXT)
    small_disk.fill()
    for _ in range(30):
        ledger.batch(10, TEXT)
    found = numbers_in(path)
    assert found == {number for number in ledger.stored if number >= min(found)}
    small_disk.free()
    ledger.batches_until(True, text=TEXT, most=2)
    assert numbers_in(path) >= {max(ledger.stored)}
    for _ in range(20):  # it looks from time to time, and not at every batch
        for _ in range(20):
            assert ledger.batch(10, TEXT)
        found = numbers_in(path)
        assert found == {number for number in ledger.stored if number >= min(found)}
        if min(found) > 0:
            break
    assert min(found) > 0
    assert_is_whole("sqlite", path)
    _check_sentences(sentences, path)


def _check_sentences(sentences: Sequence[str], path: Path) -> None:
    """Rotation and retention may say for themselves what they cannot do; once each."""
    said = list(sentences)
    assert len(said) <= 2, said
    for sentence in said:
        assert_is_sentence(sentence, path)
