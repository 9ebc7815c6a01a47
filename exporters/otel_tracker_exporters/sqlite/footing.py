"""Notices that the files under an open store were moved, replaced, deleted or emptied, and parts from them unharmed.

SQLite knows its log by name alone: a file that is put in the place of a store while the store's log still lies beside
it is overwritten with that log's pages (https://www.sqlite.org/howtocorrupt.html, 1.4). So before a writer lets go of
a store that was taken away from under it, what is in the log goes where the store went, and the log is removed. Only
what this process opened is touched.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

_Identity = tuple[int, int]


class Footing:
    """The files that a writer's connection stands on."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._log = f"{path}-wal"
        self._file_identity: _Identity | None = None
        self._log_identity: _Identity | None = None

    def take(self) -> None:
        """Remember what a connection was just opened on."""
        self._file_identity, self._log_identity = _identity(self._path), _identity(self._log)

    def is_firm(self) -> bool:
        """Whether file and log are still those that the connection has open; costs two looks at the disk."""
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        is_same = (status.st_dev, status.st_ino) == self._file_identity and status.st_size > 0
        return is_same and (self._log_identity is None or _identity(self._log) == self._log_identity)

    def leave(self, connection: sqlite3.Connection) -> None:
        """Make it safe to close a connection whose footing is lost, and to open what lies at the path now."""
        if _identity(self._log) != self._log_identity or self._log_identity is None:
            return  # it is another store's log by now, or gone
        if _identity(self._path) == self._file_identity:
            # Emptied where it lies. Closing would merge the log into what is another store from now on.
            with suppress(OSError):
                os.truncate(self._log, 0)
        else:
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        for name in (self._log, f"{self._path}-shm"):
            with suppress(OSError):
                os.unlink(name)


def _identity(path: str) -> _Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
