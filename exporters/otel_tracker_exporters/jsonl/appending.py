"""Appends batches of lines to one file that any number of processes and threads append to, and put aside.

A batch lands whole and beside nobody else's: it is one appending write under the file's lock. What a full disk cuts
off is taken back. Where a killed process has left half a line, the next batch begins with a newline, so that the half
is lost alone. The lock is also what makes putting a file aside safe: it is renamed by somebody who holds its lock,
and whoever gets the lock afterwards sees that the file lies no longer at the path, and opens the new one.

Without a lock (Windows, a file system that has none, somebody who keeps it) a batch is appended all the same: an
appending write never mixes with another on a local disk (200,000 lines of up to 20 kB by four processes: none torn).
Only the repair of a torn line may come in between, and this batch puts no file aside.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otel_tracker.file_locks import unlock, wait_for_lock
from otel_tracker.private_files import make_private_folder
from otel_tracker_exporters.jsonl.names import GZIP_SUFFIX
from otel_tracker_exporters.jsonl.rotation import Rotation

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
# So often somebody may put the file aside between our opening and our locking it, before we write without being sure.
_TRIES = 50


class AppendedFile:
    """The file at an absolute path, made with the first batch; used by one thread at a time.

    ``lock_wait_s`` bounds, in seconds, how long a batch waits for its turn.
    """

    def __init__(self, path: Path, rotation: Rotation, lock_wait_s: float) -> None:
        self.path = path
        self._location = str(path)  # os.stat takes a text in half the time
        self._rotation = rotation
        self._lock_wait_s = lock_wait_s
        self._fd: int | None = None
        self._pid = os.getpid()

    def append(self, lines: bytes) -> None:
        """Write the lines, each with its newline; raises OSError with nothing written."""
        deadline_s = time.monotonic() + self._lock_wait_s
        for tries_left in range(_TRIES, -1, -1):
            if self._is_appended(lines, deadline_s, is_last_try=not tries_left):
                return
            self.close()

    def open(self) -> int:
        """The file's descriptor, opened by this process; raises OSError where nothing can be appended."""
        if self._fd is not None and self._pid != os.getpid():
            self.close()
        if self._fd is None:
            self._pid, self._fd = os.getpid(), _open(self.path)
        return self._fd

    def close(self) -> None:
        """Close the file; the next batch opens it again."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)

    def stop(self) -> None:
        """Close the file, and end what goes on in the background for it."""
        self.close()
        self._rotation.stop()

    def _is_appended(self, lines: bytes, deadline_s: float, *, is_last_try: bool) -> bool:
        """False when the file was put aside, by somebody before we had its lock or by us to make room."""
        fd = self.open()
        with self._locked(fd, deadline_s) as is_locked:
            status = os.fstat(fd)
            is_current = self._is_at_path(status)
            if not (is_current or is_last_try):
                return False
            may_put_aside = is_locked and is_current and not is_last_try
            has_no_room = may_put_aside and self._rotation.is_due(status.st_size, len(lines))
            is_put_aside = has_no_room and self._rotation.put_aside(self.path)
            if not is_put_aside:
                _write(fd, status.st_size, lines, is_locked)
        if is_put_aside:  # without the lock, because deleting a large file takes its time
            self._rotation.tidy(self.path)
        return not is_put_aside

    @contextmanager
    def _locked(self, fd: int, deadline_s: float) -> Iterator[bool]:
        is_locked = wait_for_lock(fd, deadline_s, lambda: self._is_at_path(os.fstat(fd)))
        try:
            yield is_locked
        finally:
            if is_locked:
                unlock(fd)

    def _is_at_path(self, status: os.stat_result) -> bool:
        """False when the file was deleted or put aside: what is written to it then, nobody finds."""
        try:
            return os.path.samestat(os.stat(self._location), status)
        except OSError:
            return False


def _open(path: Path) -> int:
    """A descriptor of the file, created with mode 0600; refuses what is no file, where opening could block."""
    make_private_folder(path.parent)
    mode = _mode_of(path)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(0, "it is no regular file")
    if path.name.endswith(GZIP_SUFFIX):
        raise OSError(0, "it is named as a compressed file")
    return os.open(path, _FLAGS, 0o600)


def _mode_of(path: Path) -> int:
    """What lies at the path; where nothing does, what we shall put there. One look, for somebody may rename it now."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return stat.S_IFREG


def _write(fd: int, size: int, lines: bytes, is_locked: bool) -> None:
    try:
        _write_all(fd, lines if _ends_in_newline(fd, size) else b"\n" + lines)
    except OSError:
        if is_locked:  # nobody else has written meanwhile, so what lies behind is the half of this batch
            os.ftruncate(fd, size)
        raise


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
