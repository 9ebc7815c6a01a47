"""Retention of the jsonl store on demand: whole files that were put aside go, oldest first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_tracker.errors import StoreNotFoundError, StoreUnwritableError
from otel_tracker.stores import find_place
from otel_tracker.writing import Pruned, Retention
from otel_tracker_exporters.jsonl.names import put_aside_path

from .helpers import BEGIN_NS, SECOND_NS

SIZE = 1_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of five files of 1,000 bytes that were put aside, one second apart, and one that is written."""
    path = tmp_path / "shop.jsonl"
    for number in range(5):
        aside = put_aside_path(path, BEGIN_NS + number * SECOND_NS)
        (aside if number > 2 else aside.with_name(f"{aside.name}.gz")).write_bytes(b"x" * SIZE)
    path.write_bytes(b"x" * SIZE)
    return path


def prune(path: Path, retention: Retention, *, dry_run: bool = False) -> Pruned:
    place = find_place(path)
    assert place.store.prune is not None
    return place.store.prune(place.location, retention, dry_run)


def pruned(files: int, size: int | None = None) -> Pruned:
    return Pruned(
        **dict.fromkeys(("traces", "spans", "events", "logs", "metrics")),
        files=files,
        bytes=files * SIZE if size is None else size,
    )


def left(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


@pytest.mark.parametrize(
    ("retention", "files"),
    [
        (Retention(), 0),
        (Retention(max_bytes=6 * SIZE), 0),
        (Retention(max_bytes=6 * SIZE - 1), 1),
        (Retention(max_bytes=3 * SIZE), 3),
        (Retention(max_bytes=1), 5),
        (Retention(before_ns=BEGIN_NS), 0),
        (Retention(before_ns=BEGIN_NS + 1), 1),
        (Retention(before_ns=BEGIN_NS + 4 * SECOND_NS), 4),
        (Retention(before_ns=2**63 - 1), 5),
        (Retention(max_bytes=4 * SIZE, before_ns=BEGIN_NS + 1), 2),
        (Retention(max_bytes=5 * SIZE, before_ns=BEGIN_NS + 2 * SECOND_NS + 1), 3),
    ],
)
def test_the_oldest_files_go_by_age_and_by_bytes(path: Path, retention: Retention, files: int) -> None:
    """As many as needed and no more, never the file that is written; a dry run says the same and removes nothing."""
    before = left(path)
    assert prune(path, retention, dry_run=True) == pruned(files)
    assert left(path) == before
    assert prune(path, retention) == pruned(files)
    assert left(path) == before[files:]
    assert prune(path, retention) == pruned(0)


def test_all_forms_of_a_file_go_together(path: Path) -> None:
    """What is being compressed, or was when a process was killed, counts and goes as one file."""
    aside = put_aside_path(path, BEGIN_NS)
    aside.write_bytes(b"x" * 10)
    aside.with_name(f"{aside.name}.gz.part").write_bytes(b"x" * 5)
    assert prune(path, Retention(before_ns=BEGIN_NS + 1)) == pruned(1, SIZE + 15)
    assert len(left(path)) == 5


def test_the_files_of_all_signals_are_one_store(path: Path) -> None:
    """Oldest first over spans and events; a path that names a signal means that alone."""
    traces, logs = path.with_name("shop.traces.jsonl"), path.with_name("shop.logs.jsonl")
    for signal, time_ns in ((traces, BEGIN_NS - 2), (logs, BEGIN_NS - 1), (traces, BEGIN_NS + 1)):
        put_aside_path(signal, time_ns).write_bytes(b"x" * SIZE)
        signal.write_bytes(b"x" * SIZE)
    assert prune(logs, Retention(before_ns=BEGIN_NS - 1)) == pruned(0)
    assert prune(path, Retention(max_bytes=9 * SIZE)) == pruned(2)
    assert not put_aside_path(logs, BEGIN_NS - 1).exists()
    assert put_aside_path(traces, BEGIN_NS + 1).exists()
    assert prune(traces, Retention(max_bytes=1)) == pruned(1)
    assert traces.exists()


def test_other_files_stay(path: Path) -> None:
    """Neighbours whose names only begin alike are nobody's backups."""
    others = ["shop-1.jsonl", "shop2.jsonl", "shop-20261124T023421.123456789Z.txt", "shop.jsonl.bak", "xshop.jsonl"]
    for name in others:
        path.with_name(name).write_bytes(b"x")
    prune(path, Retention(max_bytes=1))
    assert left(path) == sorted([*others, "shop.jsonl"])


def test_a_store_of_which_only_backups_are_left_is_pruned(path: Path) -> None:
    """Somebody may have deleted the file that was written."""
    path.unlink()
    assert prune(path, Retention(max_bytes=SIZE)) == pruned(4)


def test_where_there_is_no_store_it_is_said(tmp_path: Path) -> None:
    """As readers say it."""
    with pytest.raises(StoreNotFoundError, match=r"There is no store at .*shop\.jsonl\. Run your program first"):
        prune(tmp_path / "shop.jsonl", Retention(max_bytes=1))


def test_a_file_that_is_put_aside_just_now_is_no_missing_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment nothing lies at the path: that is asked before the backups are listed."""
    for file in path.parent.iterdir():
        if file != path:
            file.unlink()
    real_listdir = os.listdir

    def listdir(folder: Path) -> list[str]:
        if path.exists():
            path.rename(put_aside_path(path, BEGIN_NS))
        return real_listdir(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    assert prune(path, Retention()) == pruned(0)


def test_a_file_that_cannot_be_deleted_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence with the file's name and the reason."""

    def refuse(file: Path) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(
        StoreUnwritableError, match=r"shop-.*Z\.jsonl\.gz cannot be deleted: Permission denied\. See to"
    ):
        prune(path, Retention(max_bytes=1))
