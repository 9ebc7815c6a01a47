"""Answers queries from a SQLite store, read-only, beside any number of writers.

Each query opens a connection of its own: it sees everything committed so far, keeps its view while it is iterated,
may run in any thread, and leaves nothing locked. Rows stream from SQLite, newest first along an index, so that
memory does not grow with the answer; statistics have their bound in `statistics`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from otel_tracker.diagnostics import say_once
from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.following import Stored
from otel_tracker.query import EventFilter, LogFilter, MetricFilter, SpanFilter, StoreReader
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker_exporters.sqlite.database import has_schema, open_to_read, sentence_of, tidy_up
from otel_tracker_exporters.sqlite.foreign import FAULTS, Rows
from otel_tracker_exporters.sqlite.queries import (
    SELECT_EVENTS,
    SELECT_LOGS,
    SELECT_METRICS,
    event_conditions,
    has_logs,
    has_metrics,
    log_conditions,
    metric_conditions,
    select_spans,
    span_rows,
)
from otel_tracker_exporters.sqlite.reading import ReadingConnection
from otel_tracker_exporters.sqlite.statistics import read_statistics
from otel_tracker_exporters.sqlite.storing_order import Page, Position, extent_of, position_before_last, read_page

_Timed = TypeVar("_Timed", EventRecord, LogRecord, MetricRecord)


class SqliteReader(StoreReader):
    """Reads the store in one SQLite file; see `StoreReader`.

    ``skipped_rows`` is how many rows the latest pass met that otel-tracker did not write; they are passed over.
    """

    def __init__(self, location: str) -> None:
        self.location = os.path.abspath(location)
        self._connections: set[ReadingConnection] = set()
        self._is_closed = False
        self._first: Position | None = None
        self._rows = Rows(self.location)
        with self._connected():
            pass  # what cannot be read is said now and not at the first query

    @property
    def skipped_rows(self) -> int:
        """See the class."""
        return self._rows.skipped

    def close(self) -> None:
        """End every iterator and leave nothing beside the file that was not there."""
        super().close()
        if not self._is_closed:
            self._is_closed = True
            for connection in tuple(self._connections):
                connection.close()
            tidy_up(self.location)

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        self._rows.skipped = 0
        with self._connected() as connection:
            if connection is not None:
                connection.execute("BEGIN")
                for span in self._rows.up_to(limit, lambda rows: self._rows.spans(span_rows(connection, wanted, rows))):
                    with connection.paused():
                        yield span

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        self._rows.skipped = 0
        first, last = (bytes.fromhex(trace_id_prefix.ljust(32, digit)) for digit in "0f")
        with self._connected() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"{select_spans(connection)} s.trace_id BETWEEN ? AND ?", (first, last))
            return list(self._rows.spans(rows))

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterator[SpanRecord]:
        with self._connected() as connection:
            if connection is None:
                return
            sql = f"{select_spans(connection)} s.trace_id = ? AND s.status = 'failed'"
            for trace_id in trace_ids:
                rows = connection.execute(sql, (bytes.fromhex(trace_id),)).fetchall()
                with connection.paused():
                    yield from (span for span in self._rows.spans(rows) if span.error.get("traceback"))

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        with self._connected() as connection:
            if connection is None:
                return []
            connection.execute("BEGIN")  # counts and durations of one and the same state
            return list(read_statistics(connection, wanted, group_as))

    def _read_stored(self, after: str | None) -> Iterator[Stored]:
        """Page by page, each with a connection of its own: while the records are used nothing is held."""
        self._rows.skipped = 0
        position: Position | None = Position.parsed(after)
        while position is not None:
            page = self._stored_page(position)
            yield from page.stored
            position = page.end

    @contextmanager
    def _following(self) -> Iterator[Callable[[str | None], Iterable[Stored]]]:
        yield self._read_followed

    def _read_followed(self, after: str | None) -> Iterator[Stored]:
        """As `_read_stored`; says when the store is another than the one that was followed.

        To hold the old one open would show its last records, but a connection that may only read keeps the log from
        being merged into the file when the program ends.
        """
        store = Position.parsed(after).store
        for stored in self._read_stored(after):
            if store and Position.parsed(stored.position).store != store:
                self._say_taken_away()
                store = 0
            yield stored
        if store and not os.path.exists(self.location):
            self._say_taken_away()

    def _say_taken_away(self) -> None:
        say_once(
            f"{self.location} was deleted or replaced; what was stored in the last moment before that is not shown.",
            key=f"taken away:{self.location}",
        )

    def _stored_page(self, after: Position) -> Page:
        try:
            with self._connected() as connection:
                return Page() if connection is None else read_page(connection, after, self._rows)
        except StoreNotFoundError:
            return Page()  # deleted; what another writer begins in its place is followed from its beginning

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
        self._rows.skipped = 0
        with self._connected() as connection:
            if connection is not None:
                conditions, values = event_conditions(connection, wanted)
                sql = f"{SELECT_EVENTS}{conditions} ORDER BY e.time_ns DESC, e.id DESC LIMIT ?"
                yield from self._streamed(connection, limit, self._rows.events, sql, values)

    def _read_logs(self, wanted: LogFilter, limit: int | None) -> Iterator[LogRecord]:
        self._rows.skipped = 0
        with self._connected() as connection:
            if connection is not None and has_logs(connection):
                conditions, values = log_conditions(connection, wanted)
                sql = f"{SELECT_LOGS}{conditions} ORDER BY l.time_ns DESC, l.id DESC LIMIT ?"
                yield from self._streamed(connection, limit, self._rows.logs, sql, values)

    def _read_metrics(self, wanted: MetricFilter, limit: int | None) -> Iterator[MetricRecord]:
        self._rows.skipped = 0
        with self._connected() as connection:
            if connection is not None and has_metrics(connection):
                conditions, values = metric_conditions(connection, wanted)
                sql = f"{SELECT_METRICS}{conditions} ORDER BY m.time_ns DESC, m.id DESC LIMIT ?"
                yield from self._streamed(connection, limit, self._rows.metrics, sql, values)

    def _streamed(
        self,
        connection: ReadingConnection,
        limit: int | None,
        records_of: Callable[[Iterable[Sequence[Any]]], Iterator[_Timed]],
        sql: str,
        values: Sequence[Any],
    ) -> Iterator[_Timed]:
        """The records of a statement's rows, of one state of the store."""
        connection.execute("BEGIN")
        for record in self._rows.up_to(limit, lambda count: records_of(connection.execute(sql, (*values, count)))):
            with connection.paused():
                yield record

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
        except FAULTS as error:  # in the tables that statistics read, where there is no row to pass over
            raise StoreUnreadableError(
                f"{self.location} holds something that otel-tracker did not write ({error}). "
                "Remove it, or name another file."
            ) from None
        finally:
            self._connections.discard(connection)
            connection.close()
            connection.step.release()
