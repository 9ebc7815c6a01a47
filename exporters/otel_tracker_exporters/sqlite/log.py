"""Keeps a store's write-ahead log short, also while several processes write without a pause.

SQLite begins the log anew only at a moment when all of it has been merged and nobody reads it. Under constant load that
moment never comes by itself: four busy writers grew a log to hundreds of megabytes. So each writer looks at the log's
size after its batch, and above a soft limit merges it and makes that moment, by holding the others up for as long as
the last part takes. Above a hard limit writers wait until somebody has succeeded, but not for ever: a reader
that holds on to an old state for minutes costs disk, not spans.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress

from otel_tracker.diagnostics import say_once
from otel_tracker_exporters.sqlite.database import pragma

SOFT_LIMIT_BYTES = 16 * 2**20
"""From here on the log is merged and cut after a batch."""

HARD_LIMIT_BYTES = 64 * 2**20
"""From here on writers wait before a batch, at most `_MAX_WAIT_S`, until the log was cut."""

_MAX_WAIT_S = 2.0
_ATTEMPT_S = 0.1  # the others' batches wait so long at most for one attempt to get past the readers
_PAUSE_S = 0.01
_PATIENCE_S = 30.0  # after waiting in vain, how long nobody waits again


class LogBound:
    """Bounds the write-ahead log of one writer's store; see the module's docstring."""

    def __init__(
        self, path: str, soft_limit_bytes: int = SOFT_LIMIT_BYTES, hard_limit_bytes: int = HARD_LIMIT_BYTES
    ) -> None:
        self._path = path
        self._log = f"{path}-wal"
        self._soft_limit_bytes = soft_limit_bytes
        self._hard_limit_bytes = hard_limit_bytes
        self._next_attempt_bytes = soft_limit_bytes
        self._no_waiting_before_s = 0.0

    def before_batch(self, connection: sqlite3.Connection) -> None:
        """Wait, with a deadline, while the log is beyond its hard limit."""
        if self._size() < self._hard_limit_bytes:
            return
        begin_s = time.monotonic()
        if begin_s < self._no_waiting_before_s:
            return
        while not _cut(connection) and self._size() >= self._hard_limit_bytes:
            if time.monotonic() - begin_s >= _MAX_WAIT_S:
                self._give_up()
                return
            time.sleep(_PAUSE_S)

    def after_batch(self, connection: sqlite3.Connection) -> None:
        """Merge and cut the log when it is beyond its soft limit; again only when it has grown after a vain attempt."""
        size = self._size()
        if size < self._soft_limit_bytes:
            self._next_attempt_bytes = self._soft_limit_bytes
        elif size >= self._next_attempt_bytes and not _cut(connection) and size < self._hard_limit_bytes:
            self._next_attempt_bytes = size + self._soft_limit_bytes // 4

    def _give_up(self) -> None:
        self._no_waiting_before_s = time.monotonic() + _PATIENCE_S
        say_once(
            f"The write-ahead log of {self._path} is larger than {self._hard_limit_bytes:,} bytes, because somebody "
            "reads an old state of the store for long. Writing goes on; end that reader to let the log shrink.",
            level=logging.INFO,
            key=f"log:{self._path}",
        )

    def _size(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0  # there is none yet


def _cut(connection: sqlite3.Connection) -> bool:
    """Merge the whole log into the file and cut it to nothing; False when a reader or another process is in the way.

    The first, passive, pass does most of it and holds nobody up.
    """
    timeout_ms = pragma(connection, "busy_timeout")
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {round(_ATTEMPT_S * 1000)}")
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    except sqlite3.OperationalError:
        return False
    finally:
        with suppress(sqlite3.Error):
            connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")
