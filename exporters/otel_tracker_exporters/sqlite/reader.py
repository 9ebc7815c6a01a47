"""Answers queries from a SQLite store, read-only, beside any number of writers.

Each query opens a connection of its own: it sees everything committed so far, keeps its view while it is iterated,
may run in any thread, and leaves nothing locked. Rows stream from SQLite, newest first along an index, so that
memory does not grow with the answer. Names are matched in Python against the small table of functions
(`names_function` has the rules), spans are then found by function.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import groupby, islice
from typing import Any

from otel_tracker.errors import StoreUnreadableError
from otel_tracker.query import EventFilter, SpanFilter, StoreReader, names_function
from otel_tracker.records import INT64_MAX, EventRecord, SpanRecord
from otel_tracker.stats import Statistics, ranks_of, statistics_of
from otel_tracker_exporters.sqlite.database import has_schema, open_to_read, sentence_of, tidy_up
from otel_tracker_exporters.sqlite.rows import EVENT_COLUMNS, SPAN_COLUMNS, event_of, in_int64, span_of, text

# Up to so many functions are each read along their index and merged; beyond that one scan by start is cheaper.
_MAX_MERGED_FUNCTIONS = 64
_GLOB_CHARACTERS = frozenset("*?[")

# Only constants and column names become part of the SQL below; whatever a user gave is bound.
_SELECT_SPANS = f"""
    SELECT {SPAN_COLUMNS} FROM stored_spans AS s
    LEFT JOIN functions AS f ON f.id = s.function_id
    LEFT JOIN resources AS r ON r.id = s.resource_id
    WHERE """  # noqa: S608
_SELECT_EVENTS = f"""
    SELECT {EVENT_COLUMNS} FROM stored_events AS e
    LEFT JOIN resources AS r ON r.id = e.resource_id
    WHERE """  # noqa: S608
_NEWEST_FIRST = " ORDER BY s.start_ns DESC, s.span_id DESC LIMIT ?"

# `SpanRecord.qualified_name` in SQL. CROSS JOIN, because SQLite would be free to ask `is_wanted` for every span.
_GROUPED = """
    WITH grouped (id, label) AS (
        SELECT id, CASE WHEN ? THEN '' WHEN function = '' THEN name WHEN module = '' THEN function
            ELSE module || '.' || function END
        FROM functions WHERE is_wanted(module, function, name)
    )
    SELECT {columns} FROM grouped AS g CROSS JOIN stored_spans AS s ON s.function_id = g.id WHERE {conditions}
    """


class SqliteReader(StoreReader):
    """Reads the store in one SQLite file; see `StoreReader`."""

    def __init__(self, location: str) -> None:
        self.location = os.path.abspath(location)
        self._connections: set[sqlite3.Connection] = set()
        self._is_closed = False
        with self._connected():
            pass  # what cannot be read is said now and not at the first query

    def close(self) -> None:
        """End every iterator and leave nothing beside the file that was not there."""
        if not self._is_closed:
            self._is_closed = True
            for connection in tuple(self._connections):
                connection.close()
            tidy_up(self.location)

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        with self._connected() as connection:
            if connection is not None:
                for row in _span_rows(connection, wanted, _sql_limit(limit)):
                    yield span_of(row)

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        first, last = (bytes.fromhex(trace_id_prefix.ljust(32, digit)) for digit in "0f")
        with self._connected() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"{_SELECT_SPANS} s.trace_id BETWEEN ? AND ?", (first, last))
            return [span_of(row) for row in rows]

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterator[SpanRecord]:
        with self._connected() as connection:
            if connection is None:
                return
            sql = f"{_SELECT_SPANS} s.trace_id = ? AND s.status = 'failed'"
            for trace_id in trace_ids:
                rows = connection.execute(sql, (bytes.fromhex(trace_id),))
                yield from (span for span in map(span_of, rows) if span.error.get("traceback"))

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        with self._connected() as connection:
            if connection is None:
                return []
            _define_is_wanted(connection, wanted.function_name)
            connection.execute("BEGIN")  # counts and durations of one and the same state
            return _statistics(connection, wanted, group_as)

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        with self._connected() as connection:
            if connection is not None:
                conditions, values = _event_conditions(connection, wanted)
                sql = f"{_SELECT_EVENTS}{conditions} ORDER BY e.time_ns DESC, e.id DESC LIMIT ?"
                for row in connection.execute(sql, (*values, _sql_limit(limit))):
                    yield event_of(row)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection | None]:
        """A connection for one query, or None when the file is still empty; what goes wrong becomes a sentence."""
        if self._is_closed:
            raise StoreUnreadableError(f"The reader of {self.location} is closed. Open the store again.")
        connection = open_to_read(self.location)
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


def _span_rows(connection: sqlite3.Connection, wanted: SpanFilter, limit: int) -> Iterable[Sequence[Any]]:
    conditions, values = _span_conditions(wanted)
    if wanted.function_name is None:
        return connection.execute(f"{_SELECT_SPANS}{conditions}{_NEWEST_FIRST}", (*values, limit))
    _define_is_wanted(connection, wanted.function_name)
    found = connection.execute("SELECT id FROM functions WHERE is_wanted(module, function, name)")
    function_ids = [row[0] for row in islice(found, _MAX_MERGED_FUNCTIONS + 1)]
    if len(function_ids) > _MAX_MERGED_FUNCTIONS:
        # The plus keeps SQLite off the function's index, which would have it sort all that it finds.
        of_functions = "+s.function_id IN (SELECT id FROM functions WHERE is_wanted(module, function, name))"
        return connection.execute(f"{_SELECT_SPANS}{conditions} AND {of_functions}{_NEWEST_FIRST}", (*values, limit))
    of_function = f"{_SELECT_SPANS}{conditions} AND s.function_id = ?{_NEWEST_FIRST}"
    cursors = (connection.execute(of_function, (*values, function_id, limit)) for function_id in function_ids)
    return islice(heapq.merge(*cursors, key=lambda row: (row[8], row[1]), reverse=True), limit)


def _span_conditions(wanted: SpanFilter) -> tuple[str, list[Any]]:
    """SQL and values for all but the function's name."""
    conditions: list[str] = ["1"]
    values: list[Any] = []
    for condition, value in (
        ("s.status = ?", wanted.status),
        ("s.start_ns >= ?", wanted.start_ns),
        ("s.start_ns < ?", wanted.end_ns),
        ("s.trace_id = ?", None if wanted.trace_id is None else bytes.fromhex(wanted.trace_id)),
        ("s.kind = ?", wanted.kind if wanted.kind is None else text(wanted.kind)),
        ("s.end_ns - s.start_ns >= ?", wanted.min_duration_ns),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(in_int64(value) if isinstance(value, int) else value)
    if wanted.after is not None:
        start_ns, span_id = in_int64(wanted.after[0]), bytes.fromhex(wanted.after[1])
        conditions.append("s.start_ns <= ? AND (s.start_ns < ? OR s.span_id < ?)")
        values += [start_ns, start_ns, span_id]
    return " AND ".join(conditions), values


def _event_conditions(connection: sqlite3.Connection, wanted: EventFilter) -> tuple[str, list[Any]]:
    conditions: list[str] = ["1"]
    values: list[Any] = []
    if wanted.name is not None and _GLOB_CHARACTERS.isdisjoint(wanted.name):
        conditions.append("e.name = ?")
        values.append(text(wanted.name))
    elif wanted.name is not None:
        pattern = text(wanted.name)
        is_named = lru_cache(maxsize=1_000)(lambda name: fnmatchcase(name, pattern))
        connection.create_function("is_named", 1, is_named, deterministic=True)
        conditions.append("is_named(e.name)")
    for condition, value in (
        ("e.time_ns >= ?", wanted.start_ns),
        ("e.time_ns < ?", wanted.end_ns),
        ("e.trace_id = ?", None if wanted.trace_id is None else bytes.fromhex(wanted.trace_id)),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(in_int64(value) if isinstance(value, int) else value)
    return " AND ".join(conditions), values


def _define_is_wanted(connection: sqlite3.Connection, pattern: str | None) -> None:
    """Let SQL ask whether a row of ``functions`` is meant by the name or glob that the user gave."""
    wanted_name = None if pattern is None else text(pattern)

    def is_wanted(module: str, function: str, name: str) -> bool:
        return wanted_name is None or names_function(wanted_name, module, function, name)

    connection.create_function("is_wanted", 3, is_wanted, deterministic=True)


def _statistics(connection: sqlite3.Connection, wanted: SpanFilter, group_as: str | None) -> list[Statistics]:
    """Counts a group first, then all durations in order, of which only the needed ranks are kept."""
    conditions, values = _span_conditions(wanted)
    parameters = (group_as is not None, *values)
    counts: dict[str, dict[str, int]] = {}
    finished: dict[str, int] = {}
    sql = _GROUPED.format(columns="g.label, s.status, count(*), count(s.end_ns)", conditions=conditions)
    for label, status, count, ended in connection.execute(f"{sql} GROUP BY 1, 2", parameters):
        counts.setdefault(label, {})[status] = count
        finished[label] = finished.get(label, 0) + ended
    sql = _GROUPED.format(columns="g.label, s.end_ns - s.start_ns", conditions=f"{conditions} AND s.end_ns IS NOT NULL")
    sums: dict[str, int] = {}
    ranked: dict[str, dict[int, int]] = {}
    for label, rows in groupby(connection.execute(f"{sql} ORDER BY 1, 2", parameters), key=lambda row: row[0]):
        sums[label], ranked[label] = _ranked((row[1] for row in rows), frozenset(ranks_of(finished[label])))
    return [
        statistics_of(
            label if group_as is None else group_as,
            counts[label],
            finished[label],
            sums.get(label, 0),
            ranked.get(label, {}),
        )
        for label in counts
    ]


def _ranked(durations_ns: Iterable[int], ranks: frozenset[int]) -> tuple[int, dict[int, int]]:
    """The sum of durations that come in order, and those at the wanted positions."""
    sum_ns, ranked_ns = 0, {}
    for position, duration_ns in enumerate(durations_ns):
        sum_ns += duration_ns
        if position in ranks:
            ranked_ns[position] = duration_ns
    return sum_ns, ranked_ns


def _sql_limit(limit: int | None) -> int:
    return INT64_MAX if limit is None else in_int64(limit)
