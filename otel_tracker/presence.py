"""Shows that a process is alive, to whoever reads what it has stored.

A process that stores the beginnings of executions keeps a file locked, whose name stands in those records, and which
holds the places that it stores to. The lock ends with the process. Who opens one of these places then knows that what
has begun there under this name will not end any more (`otel_tracker.aborting`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from otel_tracker.file_locks import try_lock, unlock
from otel_tracker.private_files import check_folder, is_own, make_private_folder, state_folder

_SUFFIX = ".running"
_MAX_BYTES = 1 << 20
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class Presence:
    """A locked file; ``name`` tells this process from every other, also from later ones with the same id."""

    def __init__(self, path: Path, fd: int) -> None:
        self.name = path.name.removesuffix(_SUFFIX)
        self._path = path
        self._fd = fd
        self._pid = os.getpid()
        self._places: set[str] = set()
        self._lock = threading.Lock()

    def store_at(self, place: str) -> None:
        """Say that executions of this process begin at a place, an absolute path; raises OSError."""
        if place in self._places:
            return
        with self._lock:
            self._places.add(place)
            self._write()

    def leave(self, place: str) -> None:
        """Say that everything which began there has ended; with the last place the file goes."""
        if place in self._places and self._pid == os.getpid():
            self._places.discard(place)
            with suppress(OSError):
                if self._places:
                    self._write()
                else:
                    self.remove()

    def places(self) -> list[str]:
        """Where executions of the process began; empty for a damaged file."""
        with suppress(OSError, ValueError):
            found = json.loads(os.pread(self._fd, _MAX_BYTES, 0))
            return [place for place in found if isinstance(place, str)] if isinstance(found, list) else []
        return []

    def remove(self) -> None:
        """Delete the file."""
        global _own
        with suppress(OSError):
            self._path.unlink()
        self.close()
        if _own is self:
            _own = None

    def close(self) -> None:
        """Give the lock back."""
        if self._fd >= 0:
            with suppress(OSError):
                unlock(self._fd)
            self.forget()

    def forget(self) -> None:
        """Close what a fork handed to this process; the lock stays the parent's. Once: the number may be another's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    def _write(self) -> None:
        content = json.dumps(sorted(self._places)).encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, content, 0)


_own: Presence | None = None
_is_watching_forks = False


def own_presence() -> Presence:
    """This process's presence, shown from now on; raises OSError where that cannot be."""
    global _own
    if _own is not None and _own._pid != os.getpid():  # forked without the interpreter's knowledge
        _forget_own()
    if _own is None:
        folder = _folder()
        make_private_folder(folder)
        check_folder(folder)
        path = folder / f"{os.getpid()}-{time.time_ns()}{_SUFFIX}"
        fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try_lock(fd)
        _own = Presence(path, fd)
        _watch_forks()
    return _own


def _watch_forks() -> None:
    """See that no child keeps a parent's lock."""
    global _is_watching_forks
    if not _is_watching_forks and hasattr(os, "register_at_fork"):
        _is_watching_forks = True
        os.register_at_fork(after_in_child=_forget_own)


def _forget_own() -> None:
    global _own
    if _own is not None:
        _own.forget()
        _own = None


def shown_presence() -> Presence | None:
    """This process's presence, if it was ever asked for."""
    return _own


def gone_from(place: str) -> Iterator[Presence]:
    """The processes that began executions at a place and are gone, each locked by us until it is closed or removed."""
    try:
        check_folder(_folder())
        paths = sorted(Path(entry.path) for entry in os.scandir(_folder()) if entry.name.endswith(_SUFFIX))
    except OSError:
        return
    for path in paths:
        presence = _claimed(path)
        if presence is None:
            continue
        if place in presence.places():
            yield presence
        else:
            presence.close()


def _claimed(path: Path) -> Presence | None:
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        if is_own(os.fstat(fd)) and try_lock(fd) and os.fstat(fd).st_nlink:
            presence = Presence(path, fd)
            presence._places = set(presence.places())
            return presence
    except OSError:
        pass
    os.close(fd)
    return None


def _folder() -> Path:
    return state_folder() / "running"
