"""Appends records to a JSONL file: one write a batch, from any number of processes and threads.

A batch lands whole and beside nobody else's: the file is opened for appending, locked for the moment of the write,
and what a full disk cuts off is taken back. Where a killed process has left half a line, the next write begins with
a newline, so that it is lost alone. Nothing here raises; a batch that was not written answers False, with one
sentence in the log. Rotation, compression and fsync are no business of this module.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otel_tracker.diagnostics import report_internal_error, say_once
from otel_tracker.private_files import make_private_folder
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker_exporters.jsonl.lines import encode_line

try:
    import fcntl
except ImportError:  # Windows has no flock; there a write is atomic enough for one process a file
    fcntl = None  # type: ignore[assignment]

_LOCK_WAIT_S = 1.0
_LOCK_RETRY_S = 0.001
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


class JsonlWriter:
    """Appends spans and events to the file at an absolute path; see the module's docstring."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.unwritable = 0
        self._fd: int | None = None
        self._pid = os.getpid()
        self._is_closed = False
        self._locks: dict[int, threading.Lock] = {}

    def write(self, records: Iterable[SpanRecord | EventRecord]) -> bool:
        """Append the records; False, with nothing appended, when the file cannot be written or the writer is closed."""
        with self._lock():
            if self._is_closed:
                return False
            try:
                self._append(b"".join(self._lines(records)))
                return True
            except OSError as error:
                say_once(_sentence_of(self.path, error))
            except Exception as error:  # nothing here may reach the observed program
                report_internal_error("writing to the jsonl store", error)
            self._close_file()
            return False

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock():
            self._is_closed = True
            self._close_file()

    def _lock(self) -> threading.Lock:
        """This process's lock: one that another thread held during a fork would stay locked in the child for ever."""
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _lines(self, records: Iterable[SpanRecord | EventRecord]) -> Iterator[bytes]:
        for record in records:
            try:
                yield encode_line(record)
            except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                self.unwritable += 1
                say_once(
                    f"A record cannot be stored in {self.path} ({type(error).__name__}: {str(error)[:100]}); "
                    "it is left out and its neighbours are kept. Please report it.",
                    key=f"unwritable:{self.path}",
                )

    def _append(self, lines: bytes) -> None:
        if not lines:
            return
        fd = self._opened()
        with _locked(fd) as is_locked:
            begin = os.lseek(fd, 0, os.SEEK_END)
            try:
                _write_all(fd, lines if _ends_in_newline(fd, begin) else b"\n" + lines)
            except OSError:
                if is_locked:  # nobody else has written meanwhile, so what lies behind is the half of this batch
                    os.ftruncate(fd, begin)
                raise

    def _opened(self) -> int:
        """The file's descriptor, opened by this process and still what lies at the path."""
        if self._fd is not None and (self._pid != os.getpid() or not self._is_current(self._fd)):
            self._close_file()
        if self._fd is None:
            self._pid, self._fd = os.getpid(), _open(Path(self.path))
        return self._fd

    def _is_current(self, fd: int) -> bool:
        """False when the file was deleted or rotated away: what is written to it then, nobody finds."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(fd))
        except OSError:
            return False

    def _close_file(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)


def _open(path: Path) -> int:
    """A descriptor of the file, created with mode 0600; refuses what is no file, where opening could block."""
    make_private_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a directory")
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no regular file")
    return os.open(path, _FLAGS, 0o600)


def _ends_in_newline(fd: int, size: int) -> bool:
    """True also for an empty file: the next line may begin right here."""
    if size == 0:
        return True
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) == b"\n"


def _write_all(fd: int, lines: bytes) -> None:
    """Write everything; a write that comes short is followed by the error that cut it, or by the rest."""
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(fd, rest) :]


@contextmanager
def _locked(fd: int) -> Iterator[bool]:
    """Hold the file's lock; gives False, and no lock, where there are none or somebody keeps it too long.

    Then we write all the same: an appending write never mixes with another on a local disk (200,000 lines of
    up to 20 kB by four processes: none torn), only the repair of a torn line may come in between.
    """
    is_locked = fcntl is not None and _acquire(fd)
    try:
        yield is_locked
    finally:
        if is_locked:
            fcntl.flock(fd, fcntl.LOCK_UN)


def _acquire(fd: int) -> bool:
    deadline_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                return False
        except OSError:
            return False  # a file system without locks
        time.sleep(_LOCK_RETRY_S)


def _sentence_of(path: str, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk that holds {path} is full. Make room, or set OTEL_TRACKER_JSONL_PATH to another disk."
    if error.errno == errno.EISDIR:
        return f"{path} is a directory; expected a JSONL file. Set OTEL_TRACKER_JSONL_PATH to a file inside it."
    reason = error.strerror or str(error)
    return (
        f"{path} cannot be written: {reason[:1].lower()}{reason[1:]}; expected a file that you may append to. "
        "See to its rights and its folder's, or set OTEL_TRACKER_JSONL_PATH to another file."
    )
