"""Keeps a store within its bounds while programs write to it: a little after a batch, by one process at a time.

Every second a writer looks whether the store has become too large or holds what is too old; that costs a few
microseconds. Then it removes some after each of its batches, for at most `_WORK_S` in short transactions, until the
store is at 95 % of its bound. The mark ``keeper`` says until when the others leave it to this one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from otel_tracker.diagnostics import say_once
from otel_tracker.records import INT64_MIN
from otel_tracker_exporters.sqlite.retention import ALL_NS, Remover, bytes_in_use

NS_PER_DAY = 86_400_000_000_000

_LOOK_S = 1.0
_WORK_S = 0.1
_WALK_S = 300.0
_LEASE_NS = 10_000_000_000
_KEPT_SHARE = 0.95


class Keeper:
    """Keeps one store below ``max_bytes`` and ``max_age_ns``, where 0 is no bound, through one writer's connection."""

    def __init__(self, max_bytes: int, max_age_ns: int, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._max_bytes = max_bytes
        self._max_age_ns = max_age_ns
        self._clock_ns = clock_ns
        self._is_too_large = False
        self._next_look_s = 0.0
        self._walk_ends_s = 0.0
        self._lease_ns = 0
        self._connection: sqlite3.Connection | None = None
        self._remover: Remover | None = None

    def after_batch(self, connection: sqlite3.Connection) -> None:
        """Look, when it is time, and remove some; raises sqlite3.Error when the store is busy or broken."""
        begin_s = time.monotonic()
        if begin_s < self._next_look_s or not (self._max_bytes or self._max_age_ns):
            return
        self._next_look_s = begin_s + _LOOK_S
        try:
            if self._remove(connection, begin_s + _WORK_S):
                self.let_go(connection)
            else:
                self._next_look_s = 0.0  # goes on after the next batch
        except BaseException:
            self._remover = None
            raise

    def let_go(self, connection: sqlite3.Connection) -> None:
        """Leave the store to the next process."""
        if self._lease_ns:
            lease_ns, self._lease_ns = self._lease_ns, 0
            connection.execute("UPDATE marks SET value = 0 WHERE name = 'keeper' AND value = ?", (lease_ns,))

    def _remove(self, connection: sqlite3.Connection, deadline_s: float) -> bool:
        """Remove what is to go until the deadline; True when nothing is left, or another process is at it."""
        remover = self._remover_of(connection)
        while remover.has_more(self._bound_ns(connection)):
            if time.monotonic() >= deadline_s:
                return False
            if not self._takes_lease(connection):
                return True
            removed = remover.remove_some(lambda: self._bound_ns(connection))
            if removed.traces and remover.was_forced:
                self._say_when_all_is_gone(connection)
        return True

    def _bound_ns(self, connection: sqlite3.Connection) -> int:
        """What was last active before this goes: everything, while the store is too large."""
        if self._max_bytes:
            share = _KEPT_SHARE if self._is_too_large else 1.0
            self._is_too_large = bytes_in_use(connection) > self._max_bytes * share
        if self._is_too_large:
            return ALL_NS
        return self._clock_ns() - self._max_age_ns if self._max_age_ns else INT64_MIN

    def _remover_of(self, connection: sqlite3.Connection) -> Remover:
        if self._remover is None or self._connection is not connection:
            self._connection, self._remover = connection, Remover(connection)
        elif time.monotonic() >= self._walk_ends_s:
            self._remover.walk.restart()
        else:
            return self._remover
        self._walk_ends_s = time.monotonic() + _WALK_S
        return self._remover

    def _takes_lease(self, connection: sqlite3.Connection) -> bool:
        """Whether this process is the one to remove, for now."""
        now_ns = self._clock_ns()
        (held_ns,) = connection.execute("SELECT value FROM marks WHERE name = 'keeper'").fetchone()
        if self._lease_ns and held_ns == self._lease_ns and now_ns < held_ns - _LEASE_NS // 2:
            return True
        if held_ns != self._lease_ns and now_ns < held_ns <= now_ns + _LEASE_NS:
            return False
        sql = "UPDATE marks SET value = ? WHERE name = 'keeper' AND value = ?"
        self._lease_ns = now_ns + _LEASE_NS
        return connection.execute(sql, (self._lease_ns, held_ns)).rowcount == 1

    def _say_when_all_is_gone(self, connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT 1 FROM stored_spans LIMIT 1").fetchone() is None:
            say_once(
                f"The newest trace alone was larger than the {self._max_bytes:,} bytes that the sqlite store may take, "
                "so it was removed as well. Set OTEL_TRACKER_SQLITE_MAX_BYTES to more, or to 0 for no limit."
            )
