"""What a store holds in the order in which it was stored: positions, and pages between them.

Writers give ids in ascending order and one transaction at a time, so that whoever has seen an id has seen all below it.
Spans and events have ids of their own, hence a position is a pair of them, with the number of the store: a position of
another file, or of the one that lay there before, means the beginning.
"""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from otel_tracker.errors import QueryError
from otel_tracker.following import Stored
from otel_tracker.records import INT64_MIN, EventRecord, SpanRecord
from otel_tracker_exporters.sqlite.database import pragma
from otel_tracker_exporters.sqlite.foreign import Rows
from otel_tracker_exporters.sqlite.queries import select_spans
from otel_tracker_exporters.sqlite.rows import EVENT_COLUMNS, in_int64

PAGE_ROWS = 500
_PAGE_BYTES = 2 * 1024 * 1024
"""So many spans and so many events are in memory at a time, and no more than the row that goes beyond these bytes."""

_POSITION = re.compile(r"(-?\d{1,19}):(\d{1,19}):(\d{1,19})")

_SPANS_AFTER = "s.id > ? ORDER BY s.id LIMIT ?"
_EVENTS = f"""
    SELECT {EVENT_COLUMNS}, e.id FROM stored_events AS e
    LEFT JOIN resources AS r ON r.id = e.resource_id
    WHERE e.id > ? ORDER BY e.id LIMIT ?
    """  # noqa: S608
_SPAN_TIMES = "SELECT coalesce(end_ns, start_ns), id, 1 FROM stored_spans ORDER BY id DESC LIMIT ?"
_EVENT_TIMES = "SELECT time_ns, id, 0 FROM stored_events ORDER BY id DESC LIMIT ?"
_EXTENT = """
    SELECT (SELECT coalesce(min(id), 1) FROM stored_spans), (SELECT coalesce(min(id), 1) FROM stored_events),
           (SELECT coalesce(max(id), 0) FROM stored_spans), (SELECT coalesce(max(id), 0) FROM stored_events)
    """


class Position(NamedTuple):
    """After which span and which event of which store to go on."""

    store: int = 0
    span_id: int = 0
    event_id: int = 0

    @classmethod
    def parsed(cls, position: str | None) -> Position:
        """The position that a text names; None is the beginning."""
        if position is None:
            return cls()
        match = _POSITION.fullmatch(position)
        if match is None:
            raise QueryError(f"The position is {position[:60]!r}; expected one that this kind of store gave.")
        return cls(*(in_int64(int(part)) for part in match.groups()))

    def __str__(self) -> str:
        """The text that `parsed` takes."""
        return f"{self.store}:{self.span_id}:{self.event_id}"

    def distance_from(self, first: Position) -> int:
        """How many ids lie between."""
        return max(self.span_id - first.span_id, 0) + max(self.event_id - first.event_id, 0)


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
    connection.execute("ROLLBACK")
    stored, end = [], None
    for record, end in _merged(after, spans, events, rows):
        if record is not None:
            stored.append(Stored(record, str(end)))
    return Page(stored, end)


def position_before_last(connection: sqlite3.Connection, count: int) -> str | None:
    """The position with ``count`` records behind it; None when the store holds fewer."""
    connection.execute("BEGIN")
    _, last = extent_of(connection)
    times = heapq.merge(
        *(connection.execute(sql, (count,)) for sql in (_SPAN_TIMES, _EVENT_TIMES)),
        key=lambda row: _number(row[0]),
        reverse=True,
    )
    position = last
    for _ in range(count):
        row = next(times, None)
        if row is None:
            return None
        _, number, is_span = row
        position = position._replace(**{"span_id" if is_span else "event_id": number - 1})
    return str(position)


def extent_of(connection: sqlite3.Connection) -> tuple[Position, Position]:
    """The positions before the first record and after the last."""
    store = _store_of(connection)
    first_span, first_event, last_span, last_event = connection.execute(_EXTENT).fetchone()
    return Position(store, first_span - 1, first_event - 1), Position(store, last_span, last_event)


class _Rows(NamedTuple):
    """The next rows of one kind, and whether more may follow."""

    rows: deque[tuple[Any, ...]]
    is_cut: bool


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


def _merged(
    after: Position, spans: _Rows, events: _Rows, rows: Rows
) -> Iterator[tuple[SpanRecord | EventRecord | None, Position]]:
    """Spans at their end and events at their time, each kind by id, until a kind that was cut is used up.

    What is left of the other kind comes with the next page; so the order is the same whoever reads from wherever.
    """
    position = after
    while spans.rows or events.rows:
        if any(kind.is_cut and not kind.rows for kind in (spans, events)):
            return
        record: SpanRecord | EventRecord | None
        if _is_span_next(spans.rows, events.rows):
            row = spans.rows.popleft()
            record, position = rows.span(row), position._replace(span_id=row[-1])
        else:
            row = events.rows.popleft()
            record, position = rows.event(row), position._replace(event_id=row[-1])
        yield record, position


def _is_span_next(spans: Sequence[tuple[Any, ...]], events: Sequence[tuple[Any, ...]]) -> bool:
    if not spans or not events:
        return bool(spans)
    start_ns, end_ns = spans[0][8:10]
    return _number(start_ns if end_ns is None else end_ns) < _number(events[0][1])


def _number(value: Any) -> int:
    """A time; what another program may have put in its place comes first."""
    return value if isinstance(value, int) else INT64_MIN


def _store_of(connection: sqlite3.Connection) -> int:
    """The store's number; files of version 1 have none, and keep none when they are migrated."""
    if pragma(connection, "user_version") < 2:
        return 0
    row = connection.execute("SELECT value FROM marks WHERE name = 'store'").fetchone()
    return 0 if row is None else int(row[0])
