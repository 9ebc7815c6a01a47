"""Answers queries from a SQLite store, read-only, beside any number of writers.

Each query opens a connection of its own: it sees everything committed so far, keeps its view while it is iterated,
may run in any thread, and leaves nothing locked. Rows stream from SQLite, newest first along an index, so that
memory does not grow with the answer; statistics have their bound in `statistics`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.following import Stored
from otel_tracker.query import EventFilter, SpanFilter, StoreReader
from otel_tracker.records import INT64_MAX, EventRecord, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker_exporters.sqlite.database import has_schema, open_to_read, sentence_of, tidy_up
from otel_tracker_exporters.sqlite.queries import SELECT_EVENTS, SELECT_SPANS, event_conditions, span_rows
from otel_tracker_exporters.sqlite.reading import ReadingConnection
from otel_tracker_exporters.sqlite.rows import event_of, in_int64, span_of
from otel_tracker_exporters.sqlite.statistics import read_statistics
from otel_tracker_exporters.sqlite.storing_order import Position, extent_of, position_before_last, read_page


class SqliteReader(StoreReader):
    """Reads the store in one SQLite file; see `StoreReader`."""

    def __init__(self, location: str) -> None:
        self.location = os.path.abspath(location)
        self._connections: set[ReadingConnection] = set()
        self._is_closed = False
        self._first: Position | None = None
        with self._connected():
            pass  # what cannot be read is said now and not at the first query

    def close(self) -> None:
        """End every iterator and leave nothing beside the file that was not there."""
        super().close()
        if not self._is_closed:
            self._is_closed = True
            for connection in tuple(self._connections):
                connection.close()
            tidy_up(self.location)

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        with self._connected() as connection:
            if connection is not None:
                for row in span_rows(connection, wanted, _sql_limit(limit)):
                    span = span_of(row)
                    with connection.paused():
                        yield span

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        first, last = (bytes.fromhex(trace_id_prefix.ljust(32, digit)) for digit in "0f")
        with self._connected() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"{SELECT_SPANS} s.trace_id BETWEEN ? AND ?", (first, last))
            return [span_of(row) for row in rows]

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterator[SpanRecord]:
        with self._connected() as connection:
            if connection is None:
                return
            sql = f"{SELECT_SPANS} s.trace_id = ? AND s.status = 'failed'"
            for trace_id in trace_ids:
                rows = connection.execute(sql, (bytes.fromhex(trace_id),)).fetchall()
                with connection.paused():
                    yield from (span for span in map(span_of, rows) if span.error.get("traceback"))

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        with self._connected() as connection:
            if connection is None:
                return []
            connection.execute("BEGIN")  # counts and durations of one and the same state
            return list(read_statistics(connection, wanted, group_as))

    def _read_stored(self, after: str | None) -> Iterator[Stored]:
        """Page by page, each with a connection of its own: while the records are used nothing is held."""
        position = after
        while page := self._stored_page(position):
            yield from page
            position = page[-1].position

    def _stored_page(self, after: str | None) -> list[Stored]:
        position = Position.parsed(after)
        try:
            with self._connected() as connection:
                return [] if connection is None else read_page(connection, position)
        except StoreNotFoundError:
            return []  # deleted; what another writer begins in its place is followed from its beginning

    def _position_before_last(self, count: int) -> str | None:
        with self._connected() as connection:
            return None if connection is None else position_before_last(connection, count)

    def stored_size(self) -> int:
        """The number of ids that were given to the rows that are there, or a little more."""
        with self._connected() as connection:
            self._first, last = (Position(), Position()) if connection is None else extent_of(connection)
        return last.distance_from(self._first)

    def progress(self, position: str) -> int:
        """The number of ids before a position."""
        if self._first is None:
            self.stored_size()
        return Position.parsed(position).distance_from(self._first or Position())

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        with self._connected() as connection:
            if connection is not None:
                conditions, values = event_conditions(connection, wanted)
                sql = f"{SELECT_EVENTS}{conditions} ORDER BY e.time_ns DESC, e.id DESC LIMIT ?"
                for row in connection.execute(sql, (*values, _sql_limit(limit))):
                    event = event_of(row)
                    with connection.paused():
                        yield event

    @contextmanager
    def _connected(self) -> Iterator[ReadingConnection | None]:
        """A connection for one query, or None when the file is still empty; what goes wrong becomes a sentence.

        Its `step` is held: who yields from inside pauses it.
        """
        if self._is_closed:
            raise StoreUnreadableError(f"The reader of {self.location} is closed. Open the store again.")
        connection = open_to_read(self.location)
        connection.step.acquire()
        self._connections.add(connection)
        try:
            yield connection if has_schema(connection, self.location) else None
        except sqlite3.Error as error:
            raise StoreUnreadableError(sentence_of(self.location, error)) from None
        except ValueError as error:
            raise StoreUnreadableError(
                f"{self.location} holds a row that otel-tracker did not write ({error}). "
                "Remove that row, or name another file."
            ) from None
        finally:
            self._connections.discard(connection)
            connection.close()
            connection.step.release()


def _sql_limit(limit: int | None) -> int:
    return INT64_MAX if limit is None else in_int64(limit)
