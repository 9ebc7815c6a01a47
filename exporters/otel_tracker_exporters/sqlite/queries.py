"""The statements that answer queries about spans, events, logs and metric points: which rows, along which index.

Names are matched in Python against the small table of functions (`names_function` has the rules), spans are then found
by function.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from typing import Any

from otel_tracker.query import EventFilter, LogFilter, MetricFilter, SpanFilter, names_function
from otel_tracker.records import COMPLETED
from otel_tracker.severities import severity_number
from otel_tracker_exporters.sqlite.database import pragma
from otel_tracker_exporters.sqlite.metric_rows import METRIC_COLUMNS
from otel_tracker_exporters.sqlite.rows import (
    EVENT_COLUMNS,
    LOG_COLUMNS,
    OLDER_SPAN_COLUMNS,
    SPAN_COLUMNS,
    in_int64,
    text,
    value_of,
)
from otel_tracker_exporters.sqlite.schema import LOGS_VERSION, METRICS_VERSION, SHARING_VERSION

# Up to so many functions are each read along their index and merged; beyond that one scan by start is cheaper.
_MAX_MERGED_FUNCTIONS = 64
_GLOB_CHARACTERS = frozenset("*?[")

# Only constants and column names become part of the SQL below; whatever a user gave is bound.
_FROM_SPANS = """
    FROM stored_spans AS s
    LEFT JOIN functions AS f ON f.id = s.function_id
    LEFT JOIN resources AS r ON r.id = s.resource_id
    WHERE """
_SELECT_SPANS = f"SELECT {SPAN_COLUMNS}, s.id {_FROM_SPANS}"
_SELECT_OLDER_SPANS = f"SELECT {OLDER_SPAN_COLUMNS}, s.id {_FROM_SPANS}"
SELECT_EVENTS = f"""
    SELECT {EVENT_COLUMNS}, e.id FROM stored_events AS e
    LEFT JOIN resources AS r ON r.id = e.resource_id
    WHERE """  # noqa: S608
SELECT_LOGS = f"""
    SELECT {LOG_COLUMNS}, l.id FROM stored_logs AS l
    LEFT JOIN resources AS r ON r.id = l.resource_id
    WHERE """  # noqa: S608
SELECT_METRICS = f"""
    SELECT {METRIC_COLUMNS}, m.id FROM stored_metrics AS m
    LEFT JOIN resources AS r ON r.id = m.resource_id
    WHERE """  # noqa: S608
_IS_OF_KIND = (
    "CASE WHEN s.attributes = '' THEN (SELECT kind FROM functions WHERE id = s.function_id) ELSE s.kind END = ?"
)
_KINDS: dict[type, int] = {str: 1, bytes: 2}
_NEWEST_FIRST = " ORDER BY s.start_ns DESC, s.span_id DESC LIMIT ?"


def select_spans(connection: sqlite3.Connection) -> str:
    """The beginning of a statement that reads rows of `SPAN_COLUMNS` and id; conditions follow."""
    return _SELECT_SPANS if _are_shared(connection) else _SELECT_OLDER_SPANS


def span_rows(connection: sqlite3.Connection, wanted: SpanFilter, limit: int) -> Iterable[Sequence[Any]]:
    """Rows of `SPAN_COLUMNS` and id, newest first: along the index by start, or merged from those of the functions."""
    conditions, values = span_conditions(connection, wanted)
    select = f"{select_spans(connection)}{conditions}"
    if wanted.function_name is None:
        return connection.execute(f"{select}{_NEWEST_FIRST}", (*values, limit))
    _define_is_wanted(connection, wanted.function_name)
    found = connection.execute("SELECT id FROM functions WHERE is_wanted(module, function, name)")
    function_ids = [row[0] for row in islice(found, _MAX_MERGED_FUNCTIONS + 1)]
    if len(function_ids) > _MAX_MERGED_FUNCTIONS:
        # The plus keeps SQLite off the function's index, which would have it sort all that it finds.
        of_functions = "+s.function_id IN (SELECT id FROM functions WHERE is_wanted(module, function, name))"
        return connection.execute(f"{select} AND {of_functions}{_NEWEST_FIRST}", (*values, limit))
    of_function = f"{select} AND s.function_id = ?{_NEWEST_FIRST}"
    cursors = (connection.execute(of_function, (*values, function_id, limit)) for function_id in function_ids)
    # Without `map`, a merge that is dropped half way closes its cursors, which fails once the connection is closed.
    return islice(heapq.merge(*(map(tuple, cursor) for cursor in cursors), key=_order, reverse=True), limit)


def span_conditions(connection: sqlite3.Connection, wanted: SpanFilter) -> tuple[str, list[Any]]:
    """SQL and values for all but the function's name."""
    conditions: list[str] = ["1"]
    values: list[Any] = []
    is_of_kind = _IS_OF_KIND if _are_shared(connection) else "s.kind = ?"
    for condition, value in (
        ("s.status = ?", wanted.status),
        ("s.start_ns >= ?", wanted.start_ns),
        ("s.start_ns < ?", wanted.end_ns),
        ("s.trace_id = ?", None if wanted.trace_id is None else bytes.fromhex(wanted.trace_id)),
        (is_of_kind, wanted.kind if wanted.kind is None else text(wanted.kind)),
        ("s.end_ns - s.start_ns >= ?", wanted.min_duration_ns),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(in_int64(value) if isinstance(value, int) else value)
    if wanted.function_name is not None and wanted.status not in (None, COMPLETED):
        conditions.append(f"s.status <> '{COMPLETED}'")  # lets SQLite see that the index of those is enough
    if wanted.after is not None:
        start_ns, span_id = in_int64(wanted.after[0]), bytes.fromhex(wanted.after[1])
        conditions.append("s.start_ns <= ? AND (s.start_ns < ? OR s.span_id < ?)")
        values += [start_ns, start_ns, span_id]
    return " AND ".join(conditions), values


def event_conditions(connection: sqlite3.Connection, wanted: EventFilter) -> tuple[str, list[Any]]:
    """SQL and values for events ``e``; a glob becomes a function of the connection."""
    return _timed_conditions(connection, "e", "name", wanted.name, wanted)


def log_conditions(connection: sqlite3.Connection, wanted: LogFilter) -> tuple[str, list[Any]]:
    """The same for logs ``l``; so does the least severity, whose text the rows hold."""
    conditions, values = _timed_conditions(connection, "l", "logger", wanted.logger, wanted)
    if wanted.min_severity is not None:
        lowest = wanted.min_severity
        is_severe = lru_cache(maxsize=1_000)(lambda severity: severity_number(severity) >= lowest)
        connection.create_function("is_severe", 1, is_severe, deterministic=True)
        conditions += " AND is_severe(l.severity)"
    return conditions, values


def metric_conditions(connection: sqlite3.Connection, wanted: MetricFilter) -> tuple[str, list[Any]]:
    """The same for metric points ``m``; attributes that are wanted become a function of the connection."""
    conditions, values = _timed_conditions(connection, "m", "name", wanted.name, wanted)
    if wanted.kind is not None:
        conditions, values = f"{conditions} AND m.kind = ?", [*values, wanted.kind]
    if wanted.attributes:
        has_attributes = lru_cache(maxsize=1_000)(lambda found: wanted.has_attributes(value_of(found, {})))
        connection.create_function("has_attributes", 1, has_attributes, deterministic=True)
        conditions += " AND has_attributes(m.attributes)"
    return conditions, values


def has_metrics(connection: sqlite3.Connection) -> bool:
    """Whether there is a table of metric points; a file of an older version that is only read has none."""
    return pragma(connection, "user_version") >= METRICS_VERSION


def has_logs(connection: sqlite3.Connection) -> bool:
    """Whether there is a table of logs; a file of an older version that is only read has none."""
    return pragma(connection, "user_version") >= LOGS_VERSION


def _timed_conditions(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    name: str | None,
    wanted: EventFilter | LogFilter | MetricFilter,
) -> tuple[str, list[Any]]:
    conditions: list[str] = ["1"]
    values: list[Any] = []
    if name is not None and _GLOB_CHARACTERS.isdisjoint(name):
        conditions.append(f"{table}.{column} = ?")
        values.append(text(name))
    elif name is not None:
        pattern = text(name)
        is_named = lru_cache(maxsize=1_000)(lambda found: fnmatchcase(found, pattern))
        connection.create_function("is_named", 1, is_named, deterministic=True)
        conditions.append(f"is_named({table}.{column})")
    for condition, value in (
        ("time_ns >= ?", wanted.start_ns),
        ("time_ns < ?", wanted.end_ns),
        ("trace_id = ?", _trace_bytes(wanted)),
    ):
        if value is not None:
            conditions.append(f"{table}.{condition}")
            values.append(in_int64(value) if isinstance(value, int) else value)
    return " AND ".join(conditions), values


def _trace_bytes(wanted: EventFilter | LogFilter | MetricFilter) -> bytes | None:
    if isinstance(wanted, MetricFilter) or wanted.trace_id is None:
        return None
    return bytes.fromhex(wanted.trace_id)


def _are_shared(connection: sqlite3.Connection) -> bool:
    return pragma(connection, "user_version") >= SHARING_VERSION


def _order(row: Sequence[Any]) -> tuple[tuple[int, Any], ...]:
    """Start and span id in SQLite's own order, in which numbers come before text and text before bytes."""
    return tuple((_KINDS.get(type(value), 0), value) for value in (row[8], row[1]))


def _define_is_wanted(connection: sqlite3.Connection, pattern: str | None) -> None:
    """Let SQL ask whether a row of ``functions`` is meant by the name or glob that the user gave."""
    wanted_name = None if pattern is None else text(pattern)

    def is_wanted(module: str, function: str, name: str) -> bool:
        return wanted_name is None or names_function(wanted_name, module, function, name)

    connection.create_function("is_wanted", 3, is_wanted, deterministic=True)
