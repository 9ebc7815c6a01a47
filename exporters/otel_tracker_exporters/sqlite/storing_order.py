"""What a store holds in the order in which it was stored: positions, and pages between them.

Writers give ids in ascending order and one transaction at a time, so that whoever has seen an id has seen all below it.
Spans, events, logs and metric points have ids of their own, hence a position is one of each, with the number of the
store: a position of another file, or of the one that lay there before, means the beginning.
"""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from otel_tracker.errors import QueryError
from otel_tracker.following import Stored
from otel_tracker.records import INT64_MIN, Record
from otel_tracker_exporters.sqlite.database import pragma
from otel_tracker_exporters.sqlite.foreign import Rows
from otel_tracker_exporters.sqlite.queries import (
    SELECT_EVENTS,
    SELECT_LOGS,
    SELECT_METRICS,
    has_logs,
    has_metrics,
    select_spans,
)
from otel_tracker_exporters.sqlite.rows import in_int64

PAGE_ROWS = 500
_PAGE_BYTES = 2 * 1024 * 1024
"""So many of each kind are in memory at a time, and no more than the row that goes beyond these bytes."""

# Without the last parts as versions wrote it that knew no logs, or no metric points.
_POSITION = re.compile(r"(-?\d{1,19}):(\d{1,19}):(\d{1,19})(?::(\d{1,19}))?(?::(\d{1,19}))?")

_SPANS_AFTER = "s.id > ? ORDER BY s.id LIMIT ?"
_EVENTS = f"{SELECT_EVENTS} e.id > ? ORDER BY e.id LIMIT ?"
_LOGS = f"{SELECT_LOGS} l.id > ? ORDER BY l.id LIMIT ?"
_METRICS = f"{SELECT_METRICS} m.id > ? ORDER BY m.id LIMIT ?"
_SPAN_TIMES = "SELECT coalesce(end_ns, start_ns), id, 'span_id' FROM stored_spans ORDER BY id DESC LIMIT ?"
_EVENT_TIMES = "SELECT time_ns, id, 'event_id' FROM stored_events ORDER BY id DESC LIMIT ?"
_LOG_TIMES = "SELECT time_ns, id, 'log_id' FROM stored_logs ORDER BY id DESC LIMIT ?"
_METRIC_TIMES = "SELECT time_ns, id, 'metric_id' FROM stored_metrics ORDER BY id DESC LIMIT ?"
_EXTENT = """
    SELECT (SELECT coalesce(min(id), 1) FROM stored_spans), (SELECT coalesce(min(id), 1) FROM stored_events),
           (SELECT coalesce(max(id), 0) FROM stored_spans), (SELECT coalesce(max(id), 0) FROM stored_events)
    """
_LOG_EXTENT = """
    SELECT (SELECT coalesce(min(id), 1) FROM stored_logs), (SELECT coalesce(max(id), 0) FROM stored_logs)
    """
_METRIC_EXTENT = """
    SELECT (SELECT coalesce(min(id), 1) FROM stored_metrics), (SELECT coalesce(max(id), 0) FROM stored_metrics)
    """


class Position(NamedTuple):
    """After which span, event, log and metric point of which store to go on."""

    store: int = 0
    span_id: int = 0
    event_id: int = 0
    log_id: int = 0
    metric_id: int = 0

    @classmethod
    def parsed(cls, position: str | None) -> Position:
        """The position that a text names; None is the beginning."""
        if position is None:
            return cls()
        match = _POSITION.fullmatch(position)
        if match is None:
            raise QueryError(f"The position is {position[:60]!r}; expected one that this kind of store gave.")
        return cls(*(in_int64(int(part)) for part in match.groups("0")))

    def __str__(self) -> str:
        """The text that `parsed` takes."""
        return ":".join(map(str, self))

    def distance_from(self, first: Position) -> int:
        """How many ids lie between."""
        return sum(max(here - there, 0) for here, there in zip(self[1:], first[1:], strict=True))


class Page(NamedTuple):
    """Some records, and the position behind them and all that was passed over; None when nothing follows."""

    stored: Sequence[Stored] = ()
    end: Position | None = None


def read_page(connection: sqlite3.Connection, after: Position, rows: Rows) -> Page:
    """What follows a position, of one state of the store."""
    connection.execute("BEGIN")
    store = _store_of(connection)
    if after.store != store:
        after = Position(store)
    spans = _rows_after(connection, f"{select_spans(connection)}{_SPANS_AFTER}", after.span_id)
    events = _rows_after(connection, _EVENTS, after.event_id)
    logs = _rows_after(connection, _LOGS, after.log_id) if has_logs(connection) else _Rows(deque(), False)
    metrics = _rows_after(connection, _METRICS, after.metric_id) if has_metrics(connection) else _Rows(deque(), False)
    connection.execute("ROLLBACK")
    stored, end = [], None
    kinds = (
        _Kind("event_id", events, _time_ns, rows.event),
        _Kind("log_id", logs, _time_ns, rows.log),
        _Kind("metric_id", metrics, _time_ns, rows.metric),
        _Kind("span_id", spans, _end_ns, rows.span),
    )
    for record, end in _merged(after, kinds):
        if record is not None:
            stored.append(Stored(record, str(end)))
    return Page(stored, end)


def position_before_last(connection: sqlite3.Connection, count: int) -> str | None:
    """The position with ``count`` records behind it; None when the store holds fewer."""
    connection.execute("BEGIN")
    _, last = extent_of(connection)
    # Of equal times the one first that `_merged` gives last.
    metric_times = (_METRIC_TIMES,) if has_metrics(connection) else ()
    log_times = (_LOG_TIMES,) if has_logs(connection) else ()
    statements = (_SPAN_TIMES, *metric_times, *log_times, _EVENT_TIMES)
    times = heapq.merge(
        *(connection.execute(sql, (count,)) for sql in statements),
        key=lambda row: _number(row[0]),
        reverse=True,
    )
    position = last
    for _ in range(count):
        row = next(times, None)
        if row is None:
            return None
        _, number, kind = row
        position = position._replace(**{kind: number - 1})
    return str(position)


def extent_of(connection: sqlite3.Connection) -> tuple[Position, Position]:
    """The positions before the first record and after the last."""
    store = _store_of(connection)
    first_span, first_event, last_span, last_event = connection.execute(_EXTENT).fetchone()
    first_log, last_log = connection.execute(_LOG_EXTENT).fetchone() if has_logs(connection) else (1, 0)
    first_metric, last_metric = connection.execute(_METRIC_EXTENT).fetchone() if has_metrics(connection) else (1, 0)
    first = Position(store, first_span - 1, first_event - 1, first_log - 1, first_metric - 1)
    return first, Position(store, last_span, last_event, last_log, last_metric)


class _Rows(NamedTuple):
    """The next rows of one kind, and whether more may follow."""

    rows: deque[tuple[Any, ...]]
    is_cut: bool


class _Kind(NamedTuple):
    """One kind of records: its part of a position, the next rows, when one was stored, and what makes its record."""

    part: str
    next: _Rows
    time_ns: Callable[[Sequence[Any]], int]
    record: Callable[[Sequence[Any]], Record | None]


def _rows_after(connection: sqlite3.Connection, sql: str, after_id: int) -> _Rows:
    rows: deque[tuple[Any, ...]] = deque()
    size_bytes = 0
    with closing(connection.execute(sql, (after_id, PAGE_ROWS))) as cursor:
        for row in cursor:
            rows.append(row)
            size_bytes += sum(len(value) for value in row if type(value) is str)
            if size_bytes >= _PAGE_BYTES:
                return _Rows(rows, True)
    return _Rows(rows, len(rows) == PAGE_ROWS)


def _merged(after: Position, kinds: Sequence[_Kind]) -> Iterator[tuple[Record | None, Position]]:
    """Spans at their end, all others at their time, each kind by id, until a kind that was cut is used up.

    What is left of the others comes with the next page; so the order is the same whoever reads from wherever.
    """
    position = after
    while waiting := [kind for kind in kinds if kind.next.rows]:
        if any(kind.next.is_cut and not kind.next.rows for kind in kinds):
            return
        kind = waiting[0] if len(waiting) == 1 else min(waiting, key=_next_time_ns)
        row = kind.next.rows.popleft()
        position = position._replace(**{kind.part: row[-1]})
        yield kind.record(row), position


def _next_time_ns(kind: _Kind) -> int:
    return kind.time_ns(kind.next.rows[0])


def _end_ns(row: Sequence[Any]) -> int:
    start_ns, end_ns = row[8:10]
    return _number(start_ns if end_ns is None else end_ns)


def _time_ns(row: Sequence[Any]) -> int:
    return _number(row[1])


def _number(value: Any) -> int:
    """A time; what another program may have put in its place comes first."""
    return value if isinstance(value, int) else INT64_MIN


def _store_of(connection: sqlite3.Connection) -> int:
    """The store's number; files of version 1 have none, and keep none when they are migrated."""
    if pragma(connection, "user_version") < 2:
        return 0
    row = connection.execute("SELECT value FROM marks WHERE name = 'store'").fetchone()
    return 0 if row is None else int(row[0])
