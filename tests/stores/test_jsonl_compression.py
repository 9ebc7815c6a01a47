"""Backups of the jsonl store are compressed in the background: never the newest, never half, never in the way."""

from __future__ import annotations

import gzip
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_tracker_exporters.jsonl import compression
from otel_tracker_exporters.jsonl.compression import compress_later, compress_older, stop_compressing
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.names import GZIP_SUFFIX, PART_SUFFIX, parts, put_aside_files, put_aside_path
from otel_tracker_exporters.jsonl.writer import JsonlWriter

from .helpers import BEGIN_NS, SECOND_NS, make_span
from .jsonl_support import content_of, files_of, small_disk, spans_in, spans_of, wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="without flock no file is put aside")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.jsonl"


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def owner() -> Iterator[object]:
    """Somebody who asks for compression; nothing goes on for them afterwards."""
    owner = object()
    yield owner
    stop_compressing(owner)


def put_aside(path: Path, number: int, content: bytes | None = None) -> Path:
    """A file that was put aside ``number`` seconds after `BEGIN_NS`, with the span of that number."""
    aside = put_aside_path(path, BEGIN_NS + number * SECOND_NS)
    aside.write_bytes(encode_line(make_span(number)) if content is None else content)
    return aside


def with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def is_tidy(path: Path) -> bool:
    """All but the newest is compressed, and nothing else lies about."""
    files = [file.path for file in put_aside_files(path)]
    return sorted(path.parent.glob("shop-*")) == files and all(file.suffix == ".gz" for file in files[:-1])


def random_bytes(mebibytes: int) -> bytes:
    """Content that takes its time."""
    return random.Random(1).randbytes(mebibytes * 2**20)


def test_all_but_the_newest_backup_are_compressed(path: Path) -> None:
    """At a rotation the earlier ones follow, with the same lines, private, and as old as before."""
    writer = JsonlWriter(str(path), max_bytes=1, backups=4)
    for number in range(10):
        assert writer.write([make_span(number)])
    wait_until(lambda: is_tidy(path))
    writer.close()
    assert spans_of(path) == [5, 6, 7, 8, 9]
    files = files_of(path)
    assert [file.suffix for file in files] == [".gz"] * 3 + [".jsonl"] * 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    for file in put_aside_files(path):
        assert file.put_aside_ns is not None
        assert abs(file.put_aside_ns - file.path.stat().st_mtime_ns) < 5 * SECOND_NS


def test_a_compressed_file_is_as_old_as_it_was(path: Path, stop: threading.Event) -> None:
    """The time of its last line, for whoever sorts by it, to the nanosecond."""
    for number in range(3):
        os.utime(put_aside(path, number), ns=(1, BEGIN_NS + number))
    compress_older(path, stop)
    assert [file.stat().st_mtime_ns for file in files_of(path)] == [BEGIN_NS, BEGIN_NS + 1, BEGIN_NS + 2]
    assert is_tidy(path)


@pytest.mark.parametrize("backups", [0, 1])
def test_where_one_backup_is_kept_at_most_nothing_is_compressed(path: Path, backups: int) -> None:
    """The newest stays plain, and no thread is started."""
    writer = JsonlWriter(str(path), max_bytes=1, backups=backups)
    for number in range(4):
        assert writer.write([make_span(number)])
    assert not [thread for thread in threading.enumerate() if thread.name == "otel-tracker-compress"]
    writer.close()
    assert len(put_aside_files(path)) == backups


def test_the_thread_ends_by_itself(path: Path, owner: object) -> None:
    """Nothing waits in an idle program; the next rotation begins it anew."""
    for number in range(2):
        put_aside(path, 2 * number)
        put_aside(path, 2 * number + 1)
        compress_later(owner, path)
        wait_until(lambda: is_tidy(path))
        wait_until(lambda: "otel-tracker-compress" not in {thread.name for thread in threading.enumerate()})


def test_one_thread_serves_all_writers(tmp_path: Path, owner: object) -> None:
    """However many stores a process writes."""
    paths = [tmp_path / f"shop{number}.jsonl" for number in range(5)]
    for path in paths:
        put_aside(path, 1, random_bytes(1))
        put_aside(path, 2)
    owners = [owner, *(object() for _ in paths[1:])]
    for one, path in zip(owners, paths, strict=True):
        compress_later(one, path)
    assert [thread.name for thread in threading.enumerate()].count("otel-tracker-compress") <= 1
    wait_until(lambda: all(put_aside_files(path)[0].is_compressed for path in paths))


def test_closing_stops_it_soon_and_leaves_nothing_half(path: Path, owner: object) -> None:
    """The plain file stays as it was; what was begun is removed, and resumed after the next rotation."""
    aside = put_aside(path, 1, random_bytes(12))
    put_aside(path, 2)
    compress_later(owner, path)
    wait_until(lambda: bool(parts(path)))
    begin_s = time.monotonic()
    stop_compressing(owner)
    assert time.monotonic() - begin_s < compression.STOP_WAIT_S + 1
    wait_until(lambda: not parts(path))
    assert aside.read_bytes() == random_bytes(12)
    assert not with_suffix(aside, GZIP_SUFFIX).exists()
    compress_later(owner, path)
    wait_until(lambda: is_tidy(path))
    assert content_of(with_suffix(aside, GZIP_SUFFIX)) == random_bytes(12)


def test_writing_does_not_wait_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are stored, and files put aside, while one that was put aside earlier is being compressed."""
    may_go_on = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda fd: may_go_on.wait(20))
    writer = JsonlWriter(str(path), max_bytes=1, backups=50)
    for number in range(10):
        assert writer.write([make_span(number)])
        if number == 2:
            wait_until(lambda: bool(parts(path)))
    assert len(parts(path)) == 1
    may_go_on.set()
    wait_until(lambda: is_tidy(path))
    writer.close()
    assert spans_of(path) == list(range(10))


def test_what_a_killed_compression_left_is_cleaned_up(path: Path, stop: threading.Event) -> None:
    """Half a gzip file, both forms of one file, and the half of a file that is gone."""
    half, both, gone = (put_aside(path, number) for number in range(3))
    put_aside(path, 3)
    with_suffix(half, PART_SUFFIX).write_bytes(b"half")
    with_suffix(both, GZIP_SUFFIX).write_bytes(b"old")
    with_suffix(gone, PART_SUFFIX).write_bytes(b"half")
    gone.unlink()
    assert [file.path for file in put_aside_files(path)][:2] == [half, both]
    compress_older(path, stop)
    assert is_tidy(path)
    assert spans_of(path) == [0, 1, 3]


def test_a_killed_process_leaves_the_plain_file(path: Path, stop: threading.Event) -> None:
    """SIGKILL in the middle of it: nothing is lost, and the next one finishes."""
    aside = put_aside(path, 1, random_bytes(12))
    put_aside(path, 2)
    script = f"""
import threading
from pathlib import Path
from otel_tracker_exporters.jsonl.compression import compress_older
compress_older(Path({str(path)!r}), threading.Event())
"""
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        wait_until(lambda: any(part.stat().st_size > 0 for part in parts(path)))
        child.send_signal(signal.SIGKILL)
    assert parts(path)
    assert put_aside_files(path)[0].path == aside
    compress_older(path, stop)
    assert is_tidy(path)
    assert content_of(with_suffix(aside, GZIP_SUFFIX)) == random_bytes(12)


def test_of_several_at_once_one_does_it(path: Path, stop: threading.Event) -> None:
    """A file whose lock somebody holds is passed over and left as it is."""
    import fcntl

    aside = put_aside(path, 1)
    put_aside(path, 2)
    with aside.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        compress_older(path, stop)
        assert not with_suffix(aside, GZIP_SUFFIX).exists()
    compress_older(path, stop)
    assert is_tidy(path)


def test_many_at_once_make_the_same_as_one(path: Path, stop: threading.Event) -> None:
    """Threads, as processes, meet on the same files: each ends compressed once and whole."""
    for number in range(30):
        put_aside(path, number)
    threads = [threading.Thread(target=compress_older, args=(path, stop)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    compress_older(path, stop)
    assert is_tidy(path)
    assert spans_of(path) == list(range(30))


def test_a_line_that_comes_late_is_kept(path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a lock that still writes to the file: the plain one stays, and is compressed the next time."""
    aside = put_aside(path, 1)
    put_aside(path, 2)
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        with aside.open("ab") as file:
            file.write(encode_line(make_span(7)))
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    compress_older(path, stop)
    monkeypatch.undo()
    assert spans_in(aside) == [1, 7]
    assert not parts(path)
    compress_older(path, stop)
    assert spans_of(path) == [1, 7, 2]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_file_that_is_deleted_meanwhile_does_not_come_back(
    path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Retention wins, whenever it comes."""
    aside = put_aside(path, 1)
    put_aside(path, 2)
    real = getattr(os, moment)

    def delete_before(*arguments: object) -> None:
        aside.unlink(missing_ok=True)
        real(*arguments)

    monkeypatch.setattr(os, moment, delete_before)
    compress_older(path, stop)
    assert spans_of(path) == [2]
    assert len(list(path.parent.iterdir())) == 1


def test_a_full_disk_leaves_the_plain_file_and_no_half(tmp_path: Path, stop: threading.Event) -> None:
    """It gives up without a word, and does it when there is room."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        path = disk / "shop.jsonl"
        content = random.Random(1).randbytes(100_000)
        aside = put_aside(path, 1, content)
        put_aside(path, 2)
        (disk / "ballast").write_bytes(b"x" * 110_000)
        compress_older(path, stop)
        assert sorted(disk.iterdir()) == sorted([disk / "ballast", *files_of(path)])
        assert aside.read_bytes() == content
        (disk / "ballast").unlink()
        compress_older(path, stop)
        assert is_tidy(path)


def test_any_program_reads_what_is_compressed(path: Path, stop: threading.Event) -> None:
    """It is an ordinary gzip file, and smaller."""
    content = b"".join(encode_line(make_span(number)) for number in range(1_000))
    aside = put_aside(path, 1, content)
    put_aside(path, 2)
    compress_older(path, stop)
    packed = with_suffix(aside, GZIP_SUFFIX)
    assert packed.stat().st_size < len(content) / 5
    with gzip.open(packed) as file:
        assert file.read() == content


def test_an_interpreter_that_cannot_start_threads_goes_on(
    path: Path, owner: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the files stay plain until somebody can."""

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    put_aside(path, 1)
    put_aside(path, 2)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    compress_later(owner, path)
    assert not any(file.is_compressed for file in put_aside_files(path))
    monkeypatch.undo()
    compress_later(owner, path)
    wait_until(lambda: is_tidy(path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_meanwhile_compresses_by_itself(path: Path) -> None:
    """The parent's thread and its locks are nothing to the child, which rotates, compresses and closes."""
    put_aside(path, -1, random_bytes(12))
    script = f"""
import os, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from stores.helpers import *
from otel_tracker_exporters.jsonl import compression
from otel_tracker_exporters.jsonl.names import parts, put_aside_files
path = Path({str(path)!r})
writer = JsonlWriter(str(path), max_bytes=1, backups=100)
assert writer.write([make_span(0)]) and writer.write([make_span(1)])
while not parts(path):
    time.sleep(0.001)
with compression._of_this_process()._lock:
    child = os.fork()
if not child:
    assert writer.write([make_span(2)]) and writer.write([make_span(3)])
    deadline = time.monotonic() + 20
    while not any(file.is_compressed for file in put_aside_files(path)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    writer.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
writer.close()
print("done")
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    result = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("done\n", "")
    assert [number for file in files_of(path)[1:] for number in spans_in(file)] == [0, 1, 2, 3]
