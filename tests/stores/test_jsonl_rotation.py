"""Rotation of the jsonl store: files are put aside by size, and no line is lost, torn, repeated or misplaced by it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_tracker.records import SpanRecord
from otel_tracker.writing import Retention
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.names import (
    is_put_aside,
    next_put_aside_path,
    put_aside_files,
    put_aside_path,
    time_of_stamp,
)
from otel_tracker_exporters.jsonl.retention import prune
from otel_tracker_exporters.jsonl.writer import JsonlWriter

from .helpers import BEGIN_NS, let_others_pass, make_event, make_span
from .jsonl_support import (
    content_of,
    files_of,
    finish,
    how_often,
    let_go,
    rotating_processes,
    small_disk,
    spans_in,
    spans_of,
    wait_until,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="without flock no file is put aside")

SPAN_BYTES = len(encode_line(make_span(1)))
MANY = 10_000
OpenWriter = Callable[..., JsonlWriter]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.jsonl"


@pytest.fixture
def open_writer(path: Path) -> Iterator[OpenWriter]:
    """Makes writers on the path, and closes them."""
    writers: list[JsonlWriter] = []

    def make(max_bytes: int = 3 * SPAN_BYTES, backups: int = MANY, **options: object) -> JsonlWriter:
        writers.append(JsonlWriter(str(path), max_bytes=max_bytes, backups=backups, **options))  # type: ignore[arg-type]
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


def spans(*numbers: int) -> list[SpanRecord]:
    return [make_span(number) for number in numbers]


def test_a_file_is_put_aside_before_it_grows_too_large(path: Path, open_writer: OpenWriter) -> None:
    """Each file holds what fits, in the order of writing; exactly as much as fits is not too much."""
    writer = open_writer()
    for number in range(8):
        assert writer.write(spans(number))
    assert [spans_in(file) for file in files_of(path)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert files_of(path)[-1] == path


def test_a_batch_is_never_split(path: Path, open_writer: OpenWriter) -> None:
    """A batch that does not fit begins a file, one larger than the limit has a file of its own."""
    writer = open_writer()
    for batch in ([0, 1], [2, 3], [4, 5, 6, 7, 8], [9], [10, 11, 12]):
        assert writer.write(spans(*batch))
    assert [spans_in(file) for file in files_of(path)] == [[0, 1], [2, 3], [4, 5, 6, 7, 8], [9], [10, 11, 12]]


def test_without_a_limit_nothing_is_put_aside(path: Path, open_writer: OpenWriter) -> None:
    """0 means for ever."""
    writer = open_writer(0, 0)
    for number in range(50):
        assert writer.write(spans(number))
    assert files_of(path) == [path]


def test_a_file_that_was_too_large_already_is_put_aside(path: Path, open_writer: OpenWriter) -> None:
    """What an earlier run without a limit left is kept as a backup."""
    open_writer(0).write(spans(*range(20)))
    assert open_writer().write(spans(20))
    assert [spans_in(file) for file in files_of(path)] == [list(range(20)), [20]]


def test_in_the_format_otlp_each_signal_is_put_aside_by_itself(path: Path, open_writer: OpenWriter) -> None:
    """Many spans do not put the few events aside."""
    writer = open_writer(2_000, format="otlp")
    for number in range(20):
        assert writer.write([make_span(number), *([make_event(1)] if number == 0 else [])])
    assert len(put_aside_files(path.with_name("shop.traces.jsonl"))) > 1
    assert put_aside_files(path.with_name("shop.logs.jsonl")) == put_aside_files(path) == []
    assert path.with_name("shop.logs.jsonl").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("backups", [0, 1, 2, 5])
def test_the_newest_backups_are_kept(path: Path, open_writer: OpenWriter, backups: int) -> None:
    """Older files go at each rotation, whatever their form; other files stay."""
    for name in ("shop-20200101T000000.000000000Z.jsonl", "shop-20200101T000000.000000001Z.jsonl.gz"):
        path.with_name(name).write_bytes(b"")
    others = [path.with_name(f"shop-{name}") for name in ("2.jsonl", "20200101T000000.000000000Z.txt", "1.jsonl.gz")]
    for other in others:
        other.write_bytes(b"")
    writer = open_writer(1, backups)
    for number in range(7):
        assert writer.write(spans(number))
    assert spans_of(path) == list(range(6 - backups, 7))
    writer.close()
    assert sorted(path.parent.iterdir()) == sorted([*files_of(path), *others])


def test_names_sort_as_files_were_written_when_the_clock_steps_back(
    path: Path, open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is never given twice nor before an older one, within one nanosecond or with a clock that was set back."""
    now_ns = 4_000_000_000_000_000_000
    writer = open_writer(1)
    for number, step_ns in enumerate([0, 0, 0, -5 * 10**9, -(10**17), -(10**17), 2 * 10**17 + 5 * 10**9 + 7, 0]):
        now_ns += step_ns
        monkeypatch.setattr(time, "time_ns", lambda now_ns=now_ns: now_ns)
        assert writer.write(spans(number))
    assert spans_of(path) == list(range(8))
    stamps = [file.put_aside_ns for file in put_aside_files(path)]
    assert stamps == sorted({*stamps}, key=lambda stamp: stamp or 0)


def test_a_name_is_never_before_what_is_in_the_file(
    path: Path, open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers pass a file over that was put aside before the time they ask for: the clock must not deceive them."""
    writer = open_writer(1)
    writer.write(spans(1))
    last_write_ns = path.stat().st_mtime_ns
    monkeypatch.setattr(time, "time_ns", lambda: BEGIN_NS - 10**18)
    writer.write(spans(2))
    (file,) = put_aside_files(path)
    assert file.put_aside_ns is not None
    assert file.put_aside_ns >= last_write_ns


def test_names_that_only_look_like_stamps_do_no_harm(path: Path, open_writer: OpenWriter) -> None:
    """Digits that are no date are somebody else's; the end of time leaves no later name, and writing goes on."""
    path.with_name("shop-99999999T999999.999999999Z.jsonl").touch()
    writer = open_writer(1)
    assert writer.write(spans(0))
    assert writer.write(spans(1))
    assert spans_of(path) == [0, 1]
    path.with_name("shop-99991231T235959.999999999Z.jsonl").touch()
    assert writer.write(spans(2))
    assert writer.write(spans(3))
    assert spans_of(path) == [0, 1, 2, 3]
    assert spans_in(path) == [1, 2, 3]


def test_stamps_come_back_as_times(path: Path) -> None:
    """The name says the nanosecond."""
    aside = put_aside_path(path, BEGIN_NS + 7)
    aside.touch()
    (file,) = put_aside_files(path)
    assert (file.path, file.put_aside_ns, time_of_stamp(file.stamp)) == (aside, BEGIN_NS + 7, BEGIN_NS + 7)
    assert is_put_aside(aside)
    assert not is_put_aside(path)
    assert next_put_aside_path(path, 0) == put_aside_path(path, BEGIN_NS + 8)


def test_new_files_are_private(path: Path, open_writer: OpenWriter) -> None:
    """Whatever the umask and whoever might read the first one."""
    umask = os.umask(0)
    try:
        writer = open_writer(1)
        for number in range(4):
            assert writer.write(spans(number))
        writer.close()
    finally:
        os.umask(umask)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_a_symbolic_link_stays_and_leads_to_the_new_file(path: Path, open_writer: OpenWriter, tmp_path: Path) -> None:
    """Files are put aside where the link leads to, and found from the link."""
    (tmp_path / "disk").mkdir()
    path.symlink_to(tmp_path / "disk" / "data.jsonl")
    writer = open_writer(1)
    for number in range(4):
        assert writer.write(spans(number))
    assert path.is_symlink()
    assert spans_of(path) == [0, 1, 2, 3]
    writer.close()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["shop.jsonl"]


def test_a_lock_that_somebody_keeps_means_no_rotation(
    path: Path, open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is appended after a bounded wait; the next one that gets the lock puts the file aside."""
    import fcntl

    monkeypatch.setattr("otel_tracker_exporters.jsonl.writer._LOCK_WAIT_S", 0.02)
    writer = open_writer(1)
    writer.write(spans(1))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert writer.write(spans(2))
    assert spans_in(path) == [1, 2]
    assert writer.write(spans(3))
    assert [spans_in(file) for file in files_of(path)] == [[1, 2], [3]]


def test_who_waits_for_the_lock_of_a_file_that_is_put_aside_writes_to_the_new_one(
    path: Path, open_writer: OpenWriter
) -> None:
    """Nothing lands in a file after it was put aside, even by a process that had it open."""
    import fcntl

    writer = open_writer()
    writer.write(spans(1))
    thread = threading.Thread(target=writer.write, args=(spans(2),))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread.start()
        aside = path.rename(put_aside_path(path, BEGIN_NS))
        thread.join(10)  # the lock of the old file is still held
    assert not thread.is_alive()
    assert (spans_in(aside), spans_in(path)) == ([1], [2])


def test_without_locks_batches_are_appended(
    path: Path, open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no flock the file only grows."""
    monkeypatch.setattr("otel_tracker.file_locks.fcntl", None)
    writer = open_writer(1)
    for number in range(5):
        assert writer.write(spans(number))
    assert [spans_in(file) for file in files_of(path)] == [list(range(5))]


def test_a_path_that_always_seems_to_be_another_file_is_written_to(
    path: Path, open_writer: OpenWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system whose inode numbers change costs a few tries, no batch and no endless loop."""
    monkeypatch.setattr("os.path.samestat", lambda one, other: False)
    writer = open_writer(1)
    for number in range(3):
        assert writer.write(spans(number))
    assert spans_in(path) == [0, 1, 2]


def test_a_folder_that_may_not_be_written_is_said_once(path: Path) -> None:
    """What cannot be put aside grows; no batch is lost."""
    JsonlWriter(str(path)).write(spans(0))
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
    path.parent.chmod(0o555)
    let_others_pass(path.parent)
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.helpers import *
from otel_tracker_exporters.jsonl import rotation
rotation._PAUSE_AFTER_FAILURE_S = 0.0
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
writer = JsonlWriter({str(path)!r}, max_bytes=1, backups=3)
print(*(writer.write([make_span(n)]) for n in range(1, 6)))
writer.close()
"""
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    path.parent.chmod(0o755)
    assert result.stdout.split() == ["True"] * 5
    assert result.stderr.count("cannot be put aside") == 1
    assert "permission denied" in result.stderr
    assert spans_in(path) == [0, 1, 2, 3, 4, 5]


def test_a_full_disk_right_after_a_rotation_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """The batch fails as a whole, the backup stays, and once there is room the same batch is stored."""
    with small_disk(tmp_path / "disk", "128k") as disk:
        path = disk / "shop.jsonl"
        writer = JsonlWriter(str(path), max_bytes=60_000, backups=3)
        assert writer.write(spans(*range(150)))
        (disk / "ballast").write_bytes(b"x" * (64 * 1024))
        batch = spans(*range(150, 300))
        assert not writer.write(batch)
        assert not writer.write(batch)
        assert spans_of(path) == list(range(150))
        (disk / "ballast").unlink()
        assert writer.write(batch)
        assert spans_of(path) == list(range(300))
        assert len(files_of(path)) == 2
        writer.close()


def test_several_processes_put_files_aside_without_loss_or_repeat(path: Path) -> None:
    """Four writers at once with a tiny limit: each line once over all files, none too large, names in order."""
    batch, size, limit = 10, 600, 15_000
    with rotating_processes(
        path, *((limit, MANY, first, size, batch) for first in range(0, 4 * size, size))
    ) as children:
        finish(children)
    assert how_often(path) == dict.fromkeys(range(4 * size), 1)
    files = files_of(path)
    assert len(files) > 20
    assert max(len(content_of(file)) for file in files) <= limit
    for first in range(0, 4 * size, size):
        assert [n for n in spans_of(path) if first <= n < first + size] == list(range(first, first + size))
    assert sorted(path.parent.iterdir()) == sorted(files)


@pytest.mark.slow
def test_hundreds_of_rotations_by_four_processes_lose_nothing(path: Path) -> None:
    """Each batch puts the file aside: the worst that can be."""
    size = 1_000
    with rotating_processes(path, *((1, MANY, first, size, 5) for first in range(0, 4 * size, size))) as children:
        finish(children)
    assert how_often(path) == dict.fromkeys(range(4 * size), 1)
    assert len(files_of(path)) > 4 * size // 5 - 5


def test_few_backups_of_several_processes_are_the_newest(path: Path) -> None:
    """Four writers deleting beside each other keep the number and lose nothing of what is newest."""
    size = 500
    with rotating_processes(path, *((10_000, 2, first, size, 10) for first in range(0, 4 * size, size))) as children:
        finish(children)
    assert 2 <= len(files_of(path)) <= 3
    assert set(how_often(path).values()) == {1}
    assert sorted(path.parent.iterdir()) == sorted(files_of(path))


def test_retention_beside_writers_takes_the_oldest_alone(path: Path) -> None:
    """Pruning while four processes rotate and compress: of each what is left is its newest, once and whole."""
    size = 400
    with rotating_processes(path, *((5_000, MANY, first, size, 10) for first in range(0, 4 * size, size))) as children:
        let_go(*children)

        def have_ended() -> bool:
            if path.exists():
                prune(str(path), Retention(max_bytes=60_000), False)
            return all(child.poll() is not None for child in children)

        wait_until(have_ended, 60)
        assert [child.returncode for child in children] == [0] * 4
    found = spans_of(path)
    for first in range(0, 4 * size, size):
        mine = [number for number in found if first <= number < first + size]
        assert mine == list(range(first + size - len(mine), first + size))
    assert len(found) < 4 * size
    assert sorted(path.parent.iterdir()) == sorted(files_of(path))


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_that_was_stored(path: Path) -> None:
    """Writers killed while they rotate and compress, again and again: nothing stored is lost, repeated or torn."""
    stored: dict[int, int] = {}
    with rotating_processes(path, (3_000, MANY, 0, 0, "for_ever")) as (survivor,):
        let_go(survivor)
        for first in range(10**6, 16 * 10**6, 10**6):
            with rotating_processes(path, (3_000, MANY, first, 0, "for_ever")) as (victim,):
                stored[first] = _kill_after_batches(victim, first // 10**6)
        stored[0] = _kill_after_batches(survivor, 50)
    with rotating_processes(path, (3_000, MANY, 50 * 10**6, 300, 3)) as children:
        finish(children)
    stored[50 * 10**6] = 50 * 10**6 + 300
    found = how_often(path)
    assert all(set(range(first, end)) <= found.keys() for first, end in stored.items())
    assert set(found.values()) == {1}


def _kill_after_batches(child: subprocess.Popen[str], batches: int) -> int:
    """The number of spans, from its first on, that the child said it had stored."""
    let_go(child)
    assert child.stdout is not None
    stored = [int(child.stdout.readline()) for _ in range(batches)]
    child.send_signal(signal.SIGKILL)
    child.wait()
    return stored[-1]


def test_two_threads_with_one_writer_and_one_with_another_lose_nothing(path: Path, open_writer: OpenWriter) -> None:
    """Threads rotate beside each other as processes do."""
    shared, other = open_writer(2_000), open_writer(2_000)
    threads = [
        threading.Thread(target=lambda w=writer, f=first: [w.write(spans(f + n)) for n in range(150)])
        for writer, first in ((shared, 0), (shared, 150), (other, 300))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in (shared, other):
        writer.close()
    assert how_often(path) == dict.fromkeys(range(450), 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_parent_and_child_rotate_with_the_writer_that_both_hold(path: Path) -> None:
    """After a fork each goes on with a descriptor of its own; neither writes where the other has put aside."""
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.helpers import *
writer = JsonlWriter({str(path)!r}, max_bytes=1000, backups={MANY})
for n in range(10):
    assert writer.write([make_span(n)])
child = os.fork()
for n in range(*((10, 100) if child else (100, 200))):
    assert writer.write([make_span(n)])
writer.close()
if not child:
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    result = subprocess.run(command, text=True, capture_output=True, check=True, timeout=60)
    assert (result.stdout, result.stderr) == ("0\n", "")
    assert how_often(path) == dict.fromkeys(range(200), 1)


def test_a_reader_beside_writers_that_rotate_sees_every_line_once(path: Path, open_writer: OpenWriter) -> None:
    """At each moment each stored line is in exactly one file that the names lead to, or in two forms of one."""
    writer = open_writer(3 * SPAN_BYTES)
    for number in range(60):
        assert writer.write(spans(number))
        stamps = [file.stamp for file in put_aside_files(path)]
        assert len(stamps) == len({*stamps})
    wait_until(lambda: all(file.is_compressed for file in put_aside_files(path)[:-1]))
    assert spans_of(path) == list(range(60))
