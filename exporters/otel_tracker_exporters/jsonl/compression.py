"""Compresses the files of a JSONL store that were put aside, in the background, so that writing never waits for it.

The newest one stays plain, for readers that follow the store and for a process that still holds it open. Of several
processes the one that gets the file's lock compresses it. The gzip file is written beside it, with mode 0600, under a
name that readers pass over, and takes its place only when it is whole and nothing was added meanwhile: whatever
happens (a kill, a full disk) the plain file is there until then, and the next compression cleans up.

A process has one thread for this, and only while there is something to do.
"""

from __future__ import annotations

import gzip
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from otel_tracker.diagnostics import logger, report_internal_error
from otel_tracker.file_locks import try_lock, unlock
from otel_tracker_exporters.jsonl.names import GZIP_SUFFIX, PART_SUFFIX, parts, put_aside_files

STOP_WAIT_S = 1.0

# Level 1 makes 10 of our bytes one, at 185 MiB/s; level 6 makes them 12, at 85 MiB/s.
_LEVEL = 1
_CHUNK_BYTES = 256 * 1024
_NICENESS = 10


class _StoppedError(Exception):
    """Somebody wants the thread to end, or the file is not what it was."""


def compress_later(owner: object, path: Path) -> None:
    """Have what was put aside from the file at ``path`` compressed, except the newest; returns at once."""
    _of_this_process().request(owner, path)


def stop_compressing(owner: object) -> None:
    """Take back what the owner asked for, waiting at most `STOP_WAIT_S` seconds for what is going on."""
    _of_this_process().withdraw(owner)


def compress_older(path: Path, stop: threading.Event) -> None:
    """Compress what was put aside from the file at ``path``, except the newest, until ``stop`` is set.

    Never raises OSError: a file that cannot be compressed stays plain.
    """
    for part in parts(path):
        if not os.path.lexists(str(part).removesuffix(PART_SUFFIX)):  # its file was deleted, and nobody is at it
            with suppress(OSError):
                part.unlink()
    for file in reversed(put_aside_files(path)[:-1]):  # the oldest ones are deleted soon
        if file.is_compressed or stop.is_set():
            continue
        try:
            _compress(file.path, stop)
        except (OSError, _StoppedError) as error:
            logger.debug("%s was not compressed: %s", file.path, error)


def _compress(path: Path, stop: threading.Event) -> None:
    with path.open("rb") as source:
        if not try_lock(source.fileno()):
            raise _StoppedError("somebody else holds its lock")
        try:
            if not os.path.samestat(os.stat(path), os.fstat(source.fileno())):
                raise _StoppedError("it is another file now")
            _compress_locked(path, source, stop)
        finally:
            unlock(source.fileno())


def _compress_locked(path: Path, source: BinaryIO, stop: threading.Event) -> None:
    part, target = (Path(f"{path}{suffix}") for suffix in (PART_SUFFIX, GZIP_SUFFIX))
    with suppress(FileNotFoundError):
        part.unlink()  # of somebody who was killed
    try:
        _write_part(part, source, stop)
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    try:
        path.unlink()
    except FileNotFoundError:  # deleted for its age while we were at it
        with suppress(OSError):
            target.unlink()


def _write_part(part: Path, source: BinaryIO, stop: threading.Event) -> None:
    status = os.fstat(source.fileno())
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with open(fd, "wb") as raw:
        with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=int(status.st_mtime)) as packed:
            while chunk := source.read(_CHUNK_BYTES):
                if stop.is_set():
                    raise _StoppedError("its writer was closed")
                packed.write(chunk)
        raw.flush()
        os.fsync(fd)
        os.utime(fd if os.utime in os.supports_fd else part, ns=(status.st_atime_ns, status.st_mtime_ns))
    if os.fstat(source.fileno()).st_size != source.tell():
        raise _StoppedError("it was still being written")


@dataclass(eq=False)
class _Job:
    """One file whose backups are to be compressed, for one owner."""

    owner: object
    path: Path
    stop: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class _Compressor:
    """The thread of one process, and what it has to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, _Job] = {}  # by the owner's id: the owner lives as long as its job
        self._current: _Job | None = None
        self._has_thread = False

    def request(self, owner: object, path: Path) -> None:
        with self._lock:
            self._waiting[id(owner)] = _Job(owner, path)
            if self._has_thread:
                return
            self._has_thread = True
            try:
                threading.Thread(target=self._run, name="otel-tracker-compress", daemon=True).start()
            except RuntimeError:  # no thread to be had, or the interpreter is ending
                self._has_thread = False
                self._waiting.clear()

    def withdraw(self, owner: object) -> None:
        with self._lock:
            self._waiting.pop(id(owner), None)
            job = self._current
            if job is None or job.owner is not owner:
                return
            job.stop.set()
        job.done.wait(STOP_WAIT_S)

    def _run(self) -> None:
        _be_nice()
        while (job := self._next()) is not None:
            try:
                compress_older(job.path, job.stop)
            except Exception as error:  # nothing here may reach the observed program
                report_internal_error(f"compressing the backups of {job.path}", error)
            job.done.set()

    def _next(self) -> _Job | None:
        with self._lock:
            self._current = self._waiting.pop(next(iter(self._waiting))) if self._waiting else None
            self._has_thread = self._current is not None
            return self._current


def _be_nice() -> None:
    """Let the program's own threads go first; only Linux gives each thread a niceness of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


_compressors: dict[int, _Compressor] = {}


def _of_this_process() -> _Compressor:
    """A forked child has none of its parent's threads, and the parent's lock may be held there for ever."""
    return _compressors.setdefault(os.getpid(), _Compressor())
