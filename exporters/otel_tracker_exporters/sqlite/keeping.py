"""Keeps a store within its bounds while programs write to it: a little after a batch, by one process at a time.

After each batch a writer looks whether the store has become too large, and every second whether it holds what is too
old; that costs some microseconds. If so it removes for `_WORK_S`, in short transactions, and the longer the larger the
store is; until the store is at 95 % of its bound. The mark ``keeper`` says until when the others leave it to this one.

Above `_HARD_SHARE` of the bound that is not enough: four busy writers make more than one removes in its turns. There no
writer goes on before as much has gone as came since its last batch, and as much again, whoever removes it. So the store
does not grow, however fast the programs are. It is the export threads that wait, for `_MAX_WAIT_S` at most.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from otel_tracker.diagnostics import say_once
from otel_tracker.records import INT64_MIN
from otel_tracker_exporters.sqlite.retention import ALL_NS, Remover, bytes_in_use

NS_PER_DAY = 86_400_000_000_000

_LOOK_S = 1.0
_WORK_S = 0.1
_MAX_WORK_S = 0.5
_PAUSE_S = 0.01  # lets the others' batches in: SQLite looks every 25 to 100 ms whether it may write
_LEASE_NS = 5_000_000_000
_KEPT_SHARE = 0.95
_HARD_SHARE = 1.25
_MAX_WAIT_S = 2.0
_POLL_S = 0.02

# A walk passes by what is still active before it finds anything. While the store is too large it begins anew as often
# as that takes it a twentieth of the time: batches arrive late, and so behind the walk what is older than what it sees.
_WALK_S = 300.0
_SEARCH_FACTOR = 20


class _Goal(NamedTuple):
    """Until when one turn of removing goes on: for a time, then until the store is so small, but not for ever."""

    end_s: float
    size_bytes: int
    deadline_s: float


class Keeper:
    """Keeps one store below ``max_bytes`` and ``max_age_ns``, where 0 is no bound, through one writer's connection."""

    def __init__(self, max_bytes: int, max_age_ns: int, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._max_bytes = max_bytes
        self._max_age_ns = max_age_ns
        self._clock_ns = clock_ns
        self._is_too_large = False
        self._left_bytes = 0  # how large the store was after the last batch
        self._next_look_s = 0.0
        self._walk_began_s = 0.0
        self._lease_ns = 0
        self._connection: sqlite3.Connection | None = None
        self._remover: Remover | None = None

    def after_batch(self, connection: sqlite3.Connection) -> None:
        """Look, when it is time, and remove some; raises sqlite3.Error when the store is busy or broken."""
        begin_s = time.monotonic()
        size_bytes = self._look(connection)
        if self._is_too_large or (self._max_age_ns and begin_s >= self._next_look_s):
            self._next_look_s = begin_s + _LOOK_S
            try:
                if not self._take_turn(connection, self._goal(size_bytes, begin_s)):
                    self._next_look_s = 0.0  # goes on after the next batch
            except BaseException:
                self._remover = None
                raise
            size_bytes = self._look(connection)
        self._left_bytes = size_bytes

    def let_go(self, connection: sqlite3.Connection) -> None:
        """Leave the store to the next process."""
        if self._lease_ns:
            lease_ns, self._lease_ns = self._lease_ns, 0
            connection.execute("UPDATE marks SET value = 0 WHERE name = 'keeper' AND value = ?", (lease_ns,))

    def _look(self, connection: sqlite3.Connection) -> int:
        """The store's size, where that is bounded; notes whether it is too large."""
        if not self._max_bytes:
            return 0
        size_bytes = bytes_in_use(connection)
        self._is_too_large = size_bytes > self._max_bytes * (_KEPT_SHARE if self._is_too_large else 1.0)
        return size_bytes

    def _goal(self, size_bytes: int, begin_s: float) -> _Goal:
        excess = size_bytes / self._max_bytes if self._max_bytes else 1.0
        end_s = begin_s + min(max(_WORK_S, _WORK_S * excess), _MAX_WORK_S)
        if excess <= _HARD_SHARE:
            return _Goal(end_s, size_bytes, end_s)
        left_bytes = self._left_bytes or size_bytes
        wanted_bytes = min(size_bytes, left_bytes) - max(size_bytes - left_bytes, 0)
        return _Goal(end_s, max(wanted_bytes, round(self._max_bytes * _HARD_SHARE)), begin_s + _MAX_WAIT_S)

    def _take_turn(self, connection: sqlite3.Connection, goal: _Goal) -> bool:
        """Remove what is to go, or wait while another process does; False when there is more to do."""
        remover = self._remover_of(connection)
        while remover.has_more(self._bound_ns(connection)):
            if self._takes_lease(connection):
                is_done = self._remove(connection, remover, goal)
                self.let_go(connection)
                return is_done
            if time.monotonic() >= goal.deadline_s or bytes_in_use(connection) <= goal.size_bytes:
                return True
            time.sleep(_POLL_S)
        return True

    def _remove(self, connection: sqlite3.Connection, remover: Remover, goal: _Goal) -> bool:
        """Remove what is to go until the goal; True when nothing is left."""
        while remover.has_more(self._bound_ns(connection)):
            now_s = time.monotonic()
            is_reached = now_s >= goal.end_s and bytes_in_use(connection) <= goal.size_bytes
            if is_reached or now_s >= goal.deadline_s:
                return False
            if not self._takes_lease(connection):
                return True
            removed = remover.remove_some(lambda: self._bound_ns(connection))
            if removed.traces and remover.was_forced:
                self._say_when_all_is_gone(connection)
            time.sleep(_PAUSE_S)
        return True

    def _bound_ns(self, connection: sqlite3.Connection) -> int:
        """What was last active before this goes: everything, while the store is too large."""
        self._look(connection)
        if self._is_too_large:
            return ALL_NS
        return self._clock_ns() - self._max_age_ns if self._max_age_ns else INT64_MIN

    def _remover_of(self, connection: sqlite3.Connection) -> Remover:
        now_s = time.monotonic()
        if self._remover is None or self._connection is not connection:
            self._connection, self._remover = connection, Remover(connection)
        else:
            walk = self._remover.walk
            lasts_s = min(walk.search_s * _SEARCH_FACTOR, _WALK_S) if self._is_too_large else _WALK_S
            if now_s < self._walk_began_s + lasts_s:
                return self._remover
            walk.restart()
        self._walk_began_s = now_s
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
