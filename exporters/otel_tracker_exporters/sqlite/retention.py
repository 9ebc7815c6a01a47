"""What is too old or too much goes, the longest inactive first: traces as wholes, a little at a time.

A trace is as old as its newest span. So `Walk` goes through the spans by their start, oldest first, and names a trace
when it comes to that trace's newest span: of all traces this one has been inactive for longest. Metric points, and
events and logs outside any stored trace, take part with their own time; the others go with their trace. `Remover` takes
away what the walk names, in transactions of some tens of milliseconds. A trace of very many spans takes several of
them, and is seen in part meanwhile. Both work on many traces with one statement, because that costs little more than on
one. What runs this, and when, is the business of `keeping` and `pruning`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from otel_tracker.records import INT64_MAX, INT64_MIN
from otel_tracker_exporters.sqlite.database import pragma, transaction
from otel_tracker_exporters.sqlite.queries import has_logs, has_metrics

ALL_NS = INT64_MAX
"""A bound that everything is older than."""

TRACED_TABLES = {"stored_events": "events", "stored_logs": "logs"}
"""Whose rows may belong to a trace, and what they are counted as."""

LOOSE_TABLES = {**TRACED_TABLES, "stored_metrics": "metrics"}
"""Whose rows need belong to no trace; those of metric points never do."""

_PAGE_ROWS = 500
_MAX_KNOWN_TRACES = 10_000
_AHEAD_ROWS = 128  # SQLite takes 999 values a statement at least

# A trace with more spans than this is measured outside of any transaction, because it takes long.
_LARGE_TRACE_SPANS = 2_000
_MAX_ADDED_SPANS = 5_000
_MEASURED_S = 300.0

_TRANSACTION_S = 0.02
_TRANSACTION_ROWS = 500
_GROUP_ROWS = 20

_DROP_FUNCTION = """
    DELETE FROM functions WHERE id = ? AND NOT EXISTS (SELECT 1 FROM stored_spans WHERE function_id = functions.id)
"""
_DROP_RESOURCES = f"""
    DELETE FROM resources WHERE last_ns < min(
        coalesce((SELECT min(start_ns) FROM stored_spans), {INT64_MAX}),
        coalesce((SELECT min(time_ns) FROM stored_events), {INT64_MAX}),
        coalesce((SELECT min(time_ns) FROM stored_logs), {INT64_MAX}),
        coalesce((SELECT min(time_ns) FROM stored_metrics), {INT64_MAX})
    )
"""  # noqa: S608


class Victim(NamedTuple):
    """What is to go next: a trace with all that belongs to it, or a single row of a table of `LOOSE_TABLES`.

    ``time_ns`` is its last sign of life, ``rows`` how many spans or rows it has.
    """

    time_ns: int
    trace_id: bytes | None
    table: str = ""
    row_id: int = 0
    rows: int = 1


class Removed(NamedTuple):
    """How many went, as far as they are gone for good."""

    traces: int = 0
    spans: int = 0
    events: int = 0
    logs: int = 0
    metrics: int = 0

    def plus(self, other: Removed) -> Removed:
        """Both together."""
        return Removed(*map(sum, zip(self, other, strict=True)))

    @property
    def rows(self) -> int:
        """All of them."""
        return self.spans + self.events + self.logs + self.metrics


class LargeTraceError(Exception):
    """A trace has to be measured before the walk can go on: see `Walk.measure`."""


class Walk:
    """Goes through a store by the time of last activity, oldest first; reads only, from a bounded number of rows.

    What is stored with an old time behind the walk's back is found by the next walk. ``search_s`` tells for how long
    it has passed by what is still active before it came to its first victim, which the next walk has to do again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.search_s = 0.0
        self._has_found = False
        self._connection = connection
        self._spans = _Pages(connection, "SELECT start_ns, id, trace_id FROM stored_spans", "start_ns")
        self._loose = {
            table: _Pages(connection, f"SELECT time_ns, id, {_trace_column(table)} FROM {table}", "time_ns")  # noqa: S608
            for table in loose_tables(connection)
        }
        self._newest_ns: dict[bytes, int] = {}  # at least; a trace that was passed by may have grown since
        self._seen: dict[bytes, tuple[int, int]] = {}  # newest start and number of spans, as of this transaction
        self._large: dict[bytes, tuple[int, int]] = {}
        self._forgets_large_s = time.monotonic() + _MEASURED_S
        self._to_measure: bytes | None = None

    def restart(self) -> None:
        """Begin again at the oldest; what was measured is remembered for a while."""
        self.search_s, self._has_found = 0.0, False
        for pages in (self._spans, *self._loose.values()):
            pages.restart()
        self._newest_ns.clear()
        self._seen.clear()
        if time.monotonic() >= self._forgets_large_s:
            self._large.clear()
            self._forgets_large_s = time.monotonic() + _MEASURED_S

    def look_anew(self) -> None:
        """What was seen last may have changed: another transaction begins."""
        self._seen.clear()
        for pages in (self._spans, *self._loose.values()):
            pages.look_anew()

    def has_more(self, before_ns: int) -> bool:
        """Whether anything stored before a time lies ahead; it may belong to a trace that is still active."""
        self.look_anew()
        times_ns = (pages.time_ns() for pages in (self._spans, *self._loose.values()))
        return any(time_ns is not None and time_ns < before_ns for time_ns in times_ns)

    def next_victim(self, before_ns: int, deadline_s: float) -> Victim | None:
        """The next victim whose last activity lies before a time, if the walk comes to it before the deadline."""
        if self._has_found:
            return self._next_victim(before_ns, deadline_s)
        begin_s = time.monotonic()
        victim = self._next_victim(before_ns, deadline_s)
        self.search_s += time.monotonic() - begin_s
        self._has_found = victim is not None
        return victim

    def measure(self) -> None:
        """Look through the large trace that the walk stands before; the first time that takes seconds for a million."""
        trace_id, self._to_measure = self._to_measure, None
        if trace_id is None:
            return
        last_id = self._value("SELECT max(id) FROM stored_spans") or 0
        if trace_id in self._large:
            self._large[trace_id] = (self._with_added(trace_id), last_id)
        else:
            newest_ns = self._value("SELECT max(start_ns) FROM stored_spans WHERE trace_id = ?", trace_id)
            self._large[trace_id] = (INT64_MIN if newest_ns is None else newest_ns, last_id)

    def forget(self, trace_id: bytes) -> None:
        """The trace is gone; what is stored of it later counts anew."""
        self._newest_ns.pop(trace_id, None)
        self._large.pop(trace_id, None)
        self._seen.pop(trace_id, None)

    def _next_victim(self, before_ns: int, deadline_s: float) -> Victim | None:
        while time.monotonic() < deadline_s:
            span_ns, (row_ns, table) = self._spans.time_ns(), self._oldest_loose()
            if span_ns is not None and span_ns < before_ns and span_ns <= row_ns:
                victim = self._trace_at(span_ns)
            elif table and row_ns < before_ns:
                victim = self._row_at(row_ns, table)
            else:
                return None
            if victim is not None:
                return victim
        return None

    def _trace_at(self, start_ns: int) -> Victim | None:
        trace_id = self._spans.trace_id()
        newest_ns = self._newest_of(trace_id, start_ns)
        self._spans.advance()
        if newest_ns is None or newest_ns > start_ns:
            return None
        _, rows = self._seen.get(trace_id, (newest_ns, _LARGE_TRACE_SPANS))
        return Victim(start_ns, trace_id, rows=rows)

    def _oldest_loose(self) -> tuple[int, str]:
        """When the oldest loose row that lies ahead happened, and its table; beyond all times where none does."""
        times = ((pages.time_ns(), table) for table, pages in self._loose.items())
        return min(((time_ns, table) for time_ns, table in times if time_ns is not None), default=(ALL_NS, ""))

    def _row_at(self, time_ns: int, table: str) -> Victim | None:
        pages = self._loose[table]
        trace_id, row_id = pages.trace_id(), pages.row_id()
        pages.advance()
        has_trace = trace_id and self._value("SELECT 1 FROM stored_spans WHERE trace_id = ? LIMIT 1", trace_id)
        return None if has_trace else Victim(time_ns, None, table, row_id)

    def _newest_of(self, trace_id: bytes, reached_ns: int) -> int | None:
        """When a trace's newest span began, or another one beyond the place reached; None for a trace that is gone."""
        known_ns = self._newest_ns.get(trace_id)
        if known_ns is not None and known_ns > reached_ns:
            return known_ns
        if trace_id in self._large:
            return self._newest_of_large(trace_id, reached_ns)
        if trace_id not in self._seen:
            self._look_ahead(trace_id)
        newest_ns, count = self._seen[trace_id]
        if count >= _LARGE_TRACE_SPANS:
            self._to_measure = trace_id
            raise LargeTraceError
        if not count:
            return None
        if len(self._newest_ns) >= _MAX_KNOWN_TRACES:
            self._newest_ns.clear()
        self._newest_ns[trace_id] = newest_ns
        return newest_ns

    def _look_ahead(self, trace_id: bytes) -> None:
        """See the trace that the walk stands at, and of the next ones as many as are small."""
        ahead = [near for near in self._spans.next_traces() if near not in self._large]
        sql = f"""
            SELECT trace_id, start_ns FROM stored_spans WHERE trace_id IN ({_places(ahead)})
            ORDER BY trace_id LIMIT {_LARGE_TRACE_SPANS}
        """  # noqa: S608
        rows = self._connection.execute(sql, ahead).fetchall()
        self._seen = dict.fromkeys(ahead, (INT64_MIN, 0))
        if len(rows) == _LARGE_TRACE_SPANS:  # some are cut, and the last one perhaps
            whole = {row[0] for row in rows} - {rows[-1][0]}
            self._seen = dict.fromkeys(whole, (INT64_MIN, 0))
        for row_trace_id, start_ns in rows:
            if (seen := self._seen.get(row_trace_id)) is not None:
                self._seen[row_trace_id] = max(seen[0], start_ns), seen[1] + 1
        if trace_id not in self._seen:
            sql = "SELECT max(start_ns), count(*) FROM (SELECT start_ns FROM stored_spans WHERE trace_id = ? LIMIT ?)"
            newest_ns, count = self._connection.execute(sql, (trace_id, _LARGE_TRACE_SPANS)).fetchone()
            self._seen[trace_id] = (INT64_MIN if newest_ns is None else newest_ns), count

    def _newest_of_large(self, trace_id: bytes, reached_ns: int) -> int:
        """As it was measured, and what was added since, of which there is little."""
        newest_ns, measured_id = self._large[trace_id]
        if newest_ns > reached_ns:
            return newest_ns
        last_id = self._value("SELECT max(id) FROM stored_spans") or 0
        if last_id - measured_id > _MAX_ADDED_SPANS:
            self._to_measure = trace_id
            raise LargeTraceError
        newest_ns = self._with_added(trace_id)
        self._large[trace_id] = (newest_ns, last_id)
        return newest_ns

    def _with_added(self, trace_id: bytes) -> int:
        """When the newest span of a large trace began, those included that were added since it was measured."""
        newest_ns, measured_id = self._large[trace_id]
        sql = "SELECT max(start_ns) FROM stored_spans NOT INDEXED WHERE id > ? AND trace_id = ?"
        added_ns = self._value(sql, measured_id, trace_id)
        return newest_ns if added_ns is None else max(newest_ns, added_ns)

    def _value(self, sql: str, *values: object) -> int | None:
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None or row[0] is None else int(row[0])


class _Pages:
    """The rows of a table by time, a page in memory at a time."""

    def __init__(self, connection: sqlite3.Connection, select: str, column: str) -> None:
        self._connection = connection
        self._sql = f"{select} WHERE ({column}, id) > (?, ?) ORDER BY {column}, id LIMIT {_PAGE_ROWS}"
        self.restart()

    def restart(self) -> None:
        self._after = (INT64_MIN, INT64_MIN)
        self._rows: list[tuple[int, int, bytes]] = []
        self._is_at_end = False

    def look_anew(self) -> None:
        """There may be more by now."""
        self._is_at_end = False

    def time_ns(self) -> int | None:
        """The time of the row that the walk stands before; None at the end, until it is to look anew."""
        if not (self._rows or self._is_at_end):
            self._rows = self._connection.execute(self._sql, self._after).fetchall()[::-1]
            self._is_at_end = not self._rows
        return self._rows[-1][0] if self._rows else None

    def row_id(self) -> int:
        return self._rows[-1][1]

    def trace_id(self) -> bytes:
        return self._rows[-1][2]

    def next_traces(self) -> list[bytes]:
        """The traces of the next rows, each once."""
        return list(dict.fromkeys(row[2] for row in self._rows[: -_AHEAD_ROWS - 1 : -1]))

    def advance(self) -> None:
        row = self._rows.pop()
        self._after = (row[0], row[1])


class Remover:
    """Takes away what a walk names; remembers a large trace that is only half gone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.walk = Walk(connection)
        self.was_forced = False  # whether the last victim went because of its bytes, not its age
        self._connection = connection
        self._doomed: dict[bytes, None] = {}  # in the order in which they are to go
        self._functions: set[int] = set()

    def has_more(self, before_ns: int) -> bool:
        """Whether another transaction may find something."""
        return bool(self._doomed) or self.walk.has_more(before_ns)

    def remove_some(self, bound_ns: Callable[[], int]) -> Removed:
        """One transaction, of what was last active before ``bound_ns()``, which is asked anew for each group.

        A group has a quarter of the rows that went before it, and not many, so that hardly more goes than has to.
        """
        try:
            with transaction(self._connection):
                self.walk.look_anew()
                _raise_floors(self._connection)
                removed = self._removed(bound_ns)
                self._drop_unused()
        except LargeTraceError:
            self.walk.measure()
            return Removed()
        return removed

    def _removed(self, bound_ns: Callable[[], int]) -> Removed:
        deadline_s = time.monotonic() + _TRANSACTION_S
        removed = Removed()
        while removed.rows < _TRANSACTION_ROWS:
            if not self._doomed:
                loose = self._doom(bound_ns(), removed.rows, deadline_s)
                if not (loose or self._doomed):
                    break
                for table, row_ids in loose.items():
                    removed = removed.plus(self._remove_loose(table, "id", row_ids))
            if self._doomed:
                removed = removed.plus(self._remove_spans())
        return removed

    def _doom(self, bound: int, removed_rows: int, deadline_s: float) -> dict[str, list[int]]:
        """Name what is to go next, after so many rows; the ids of rows outside of traces are returned, by table."""
        loose: dict[str, list[int]] = {}
        rows = min(max(removed_rows // 4, 1), _GROUP_ROWS)
        while rows > 0:
            try:
                victim = self.walk.next_victim(bound, deadline_s)
            except LargeTraceError:
                if not (removed_rows or loose or self._doomed):
                    raise
                break  # the others can go; the next transaction meets the trace first
            if victim is None:
                break
            self.was_forced = bound == ALL_NS
            if victim.trace_id is None:
                loose.setdefault(victim.table, []).append(victim.row_id)
            else:
                self._doomed[victim.trace_id] = None
            rows -= victim.rows
        return loose

    def _remove_spans(self) -> Removed:
        """The spans of the doomed traces, a slice of them if they are many; with the last ones what belongs to them."""
        traces = list(self._doomed)
        sql = f"""
            SELECT id, function_id FROM stored_spans
            WHERE trace_id IN ({_places(traces)}) LIMIT {_TRANSACTION_ROWS}
        """  # noqa: S608
        rows = self._connection.execute(sql, traces).fetchall()
        self._connection.executemany("DELETE FROM stored_spans WHERE id = ?", [row[:1] for row in rows])
        self._functions.update(row[1] for row in rows)
        if len(rows) == _TRANSACTION_ROWS:
            return Removed(spans=len(rows))
        for trace_id in traces:
            self.walk.forget(trace_id)
        self._doomed.clear()
        removed = Removed(len(traces), len(rows))
        for table in TRACED_TABLES:
            removed = removed.plus(self._remove_loose(table, "trace_id", traces))
        return removed

    def _remove_loose(self, table: str, column: str, values: Sequence[bytes | int]) -> Removed:
        sql = f"DELETE FROM {table} WHERE {column} IN ({_places(values)})"  # noqa: S608
        return Removed(**{LOOSE_TABLES[table]: self._connection.execute(sql, values).rowcount})

    def _drop_unused(self) -> None:
        """Functions that nothing refers to any more, and resources that nothing is old enough to refer to."""
        dropped = sum(self._connection.execute(_DROP_FUNCTION, (number,)).rowcount for number in self._functions)
        dropped += self._connection.execute(_DROP_RESOURCES).rowcount
        self._functions.clear()
        if dropped:
            self._connection.execute("UPDATE marks SET value = value + 1 WHERE name = 'generation'")


def loose_tables(connection: sqlite3.Connection) -> list[str]:
    """Those of `LOOSE_TABLES` that are there; a file of an older version that is only read lacks some."""
    absent = {
        *(() if has_logs(connection) else ("stored_logs",)),
        *(() if has_metrics(connection) else ("stored_metrics",)),
    }
    return [table for table in LOOSE_TABLES if table not in absent]


def _trace_column(table: str) -> str:
    return "trace_id" if table in TRACED_TABLES else "NULL"


def bytes_in_use(connection: sqlite3.Connection) -> int:
    """What the store takes, without the free pages that it will use again."""
    used = pragma(connection, "page_count") - pragma(connection, "freelist_count")
    return used * pragma(connection, "page_size")


def _raise_floors(connection: sqlite3.Connection) -> None:
    """Ids that were given stay used, when the rows that bear the highest ones go."""
    for name, table in (
        ("span_floor", "stored_spans"),
        ("event_floor", "stored_events"),
        ("log_floor", "stored_logs"),
        ("metric_floor", "stored_metrics"),
    ):
        connection.execute(
            f"UPDATE marks SET value = max(value, (SELECT coalesce(max(id), 0) FROM {table})) WHERE name = ?",  # noqa: S608
            (name,),
        )


def _places(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
