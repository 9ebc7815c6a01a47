"""A file of the journal: lines that wait, and how far they have been delivered.

The first line is JSON of a fixed beginning, in which the number of delivered bytes is overwritten in place, so that a
process which takes over after a SIGKILL repeats one batch at most. The file is locked by the process that it belongs
to; a lock ends with its process, and whoever gets it then owns what is left. Nothing is forced to the disk: what was
written survives the process, not the machine.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from otel_tracker.file_locks import try_lock, unlock
from otel_tracker.private_files import is_own

SUFFIX = ".journal"
VERSION = 1

_BEFORE_DONE = b'{"journal":%d,"done":"' % VERSION
_DIGITS = 16
_READ_BYTES = 256 * 1024
_MAX_LINE_BYTES = 64 * 2**20
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Segment:
    """An open file of the journal; ``size`` and ``done`` are bytes from its start.

    ``is_own`` says that this process has made what lies there.
    ``written`` and ``read`` are for the codec: what it has defined in this file for later lines to refer to.
    """

    def __init__(self, path: Path, fd: int, size: int, done: int, header_end: int) -> None:
        self.path = path
        self.size = size
        self.done = done
        self.written: dict[int, tuple[int, Any]] = {}
        self.read: dict[int, Any] = {}
        self._header_end = header_end
        self._fd = fd
        self.is_own = False

    @classmethod
    def create(cls, path: Path, header: dict[str, str]) -> Segment:
        """A new file with its header, locked; raises OSError."""
        fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try_lock(fd)
            rest = json.dumps(header)[1:]
            first = b'%s%0*d",%s\n' % (_BEFORE_DONE, _DIGITS, 0, rest.encode())
            _write_all(fd, first, 0)
        except BaseException:
            os.close(fd)
            with suppress(OSError):
                path.unlink()
            raise
        segment = cls(path, fd, len(first), len(first), len(first))
        segment.mark_done(len(first))
        return segment

    @classmethod
    def claim(cls, path: Path) -> Segment | None:
        """The file of a process that is gone, locked by us; None when somebody has it or it is not ours to read."""
        try:
            fd = os.open(path, _FLAGS)
        except OSError:
            return None
        try:
            segment = cls._claimed(path, fd)
        except (OSError, ValueError):
            segment = None
        if segment is None:
            os.close(fd)
        return segment

    @classmethod
    def _claimed(cls, path: Path, fd: int) -> Segment | None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or not is_own(status) or not try_lock(fd):
            return None  # where there are no locks, too: it may be a living process's
        if os.fstat(fd).st_nlink == 0:  # delivered and removed by another, between our opening and our locking it
            return None
        first = _read(fd, 4_096, 0).partition(b"\n")[0]
        if not first.startswith(_BEFORE_DONE):
            return None
        start = len(_BEFORE_DONE)
        done = max(int(first[start : start + _DIGITS]), len(first) + 1)
        return cls(path, fd, status.st_size, done, len(first) + 1)

    def append(self, lines: Iterable[bytes]) -> None:
        """Write lines at the end, all or none; raises OSError."""
        data = b"".join(lines)
        try:
            _write_all(self._fd, data, self.size)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)

    def lines_from(self, offset: int, number: int) -> tuple[list[bytes], int]:
        """At most so many whole lines, and the offset behind them; a torn end is passed over. Raises OSError."""
        data, end = b"", min(self.size, offset + _MAX_LINE_BYTES)
        while offset + len(data) < end and data.count(b"\n") < number:
            more = _read(self._fd, min(_READ_BYTES, end - offset - len(data)), offset + len(data))
            if not more:
                break
            data += more
        lines = data.split(b"\n")
        if len(lines) == 1:
            return [], self.size
        whole = lines[: min(number, len(lines) - 1)]
        return whole, offset + sum(map(len, whole)) + len(whole)

    def earlier_lines(self) -> Iterator[bytes]:
        """The lines that were done before this process took over, in which later ones may find what they refer to."""
        offset = self._header_end
        while offset < self.done:
            lines, offset = self.lines_from(offset, 1_000)
            yield from lines

    def mark_done(self, offset: int) -> None:
        """Remember how far the lines have been delivered."""
        self.done = offset
        with suppress(OSError):
            _write_all(self._fd, b"%0*d" % (_DIGITS, offset), len(_BEFORE_DONE))

    def remove(self) -> None:
        """Delete the file, whose lines have all found their end."""
        with suppress(OSError):
            self.path.unlink()
        self.close()
        with suppress(OSError):  # Windows deletes no file that is open
            self.path.unlink()

    def close(self) -> None:
        """Give the file up to whoever comes next; the descriptor of a forked child is closed by `forget`."""
        if self._fd >= 0:
            with suppress(OSError):
                unlock(self._fd)
            self.forget()

    def forget(self) -> None:
        """Close a descriptor that a fork handed to this process: the lock stays the parent's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


def header_of(path: Path) -> dict[str, str]:
    """What the first line of a segment says; empty for a file that is none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.readline(4_096))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = _write(fd, view, offset)
        view, offset = view[written:], offset + written


def _read(fd: int, number: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, number, offset)
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, number)


def _write(fd: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, offset)
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


_seeking = threading.Lock()
"""Where reading and writing at an offset are two steps (Windows), they are taken as one."""
