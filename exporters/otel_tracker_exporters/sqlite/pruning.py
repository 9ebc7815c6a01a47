"""`otel-tracker prune` for a SQLite store: removes at once, gives the space back, or only says what it would remove.

It works beside programs that write, in the same short transactions as `keeping`, and pauses between them.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress

from otel_tracker.errors import StoreUnreadableError, StoreUnwritableError
from otel_tracker.records import INT64_MIN
from otel_tracker.writing import Pruned, Retention
from otel_tracker_exporters.sqlite.database import (
    check_file,
    has_schema,
    open_to_read,
    open_to_write,
    pragma,
    sentence_of,
    tidy_up,
)
from otel_tracker_exporters.sqlite.retention import (
    ALL_NS,
    LOOSE_TABLES,
    TRACED_TABLES,
    LargeTraceError,
    Removed,
    Remover,
    Victim,
    Walk,
    bytes_in_use,
    loose_tables,
)

_PAUSE_S = 0.005
_VACUUM_PAGES = 512
_VACUUM_TIMEOUT_S = 60.0
_INCREMENTAL = 2  # https://www.sqlite.org/pragma.html#pragma_auto_vacuum


def prune(location: str, retention: Retention, dry_run: bool) -> Pruned:
    """Remove what goes beyond ``retention`` from the store at ``location``, or count it.

    In a dry run ``bytes`` is an estimate from the number of records. Raises `StoreNotFoundError`,
    `StoreUnreadableError` or `StoreUnwritableError`.
    """
    path = os.path.abspath(location)
    check_file(path)
    try:
        return _counted(path, retention) if dry_run else _pruned(path, retention)
    except (sqlite3.OperationalError, OSError) as error:
        raise StoreUnwritableError(sentence_of(path, error)) from None
    except sqlite3.Error as error:
        raise StoreUnreadableError(sentence_of(path, error)) from None


def _pruned(path: str, retention: Retention) -> Pruned:
    with closing(open_to_write(path)) as connection:
        before = bytes_in_use(connection)
        remover = Remover(connection)
        total = Removed()

        def bound_ns() -> int:
            return _bound_ns(retention, bytes_in_use(connection))

        while remover.has_more(bound_ns()):
            total = total.plus(remover.remove_some(bound_ns))
            time.sleep(_PAUSE_S)  # lets the others' batches in
        freed = max(before - bytes_in_use(connection), 0)
        reusable = min(_give_back(connection), freed)
    return Pruned(*total, bytes=freed, reusable_bytes=reusable)


def _counted(path: str, retention: Retention) -> Pruned:
    try:
        with closing(open_to_read(path)) as connection:
            return _count(connection, retention) if has_schema(connection, path) else Pruned()
    finally:
        tidy_up(path)


def _count(connection: sqlite3.Connection, retention: Retention) -> Pruned:
    in_use = bytes_in_use(connection)
    records: int
    tables = ("stored_spans", *loose_tables(connection))
    counts = (f"(SELECT count(*) FROM {table})" for table in tables)  # noqa: S608
    (records,) = connection.execute(f"SELECT {' + '.join(counts)}").fetchone()
    bytes_a_record = in_use / max(records, 1)
    walk = Walk(connection)
    total = Removed()

    def freed() -> int:
        return round(total.rows * bytes_a_record)

    last_ns, counted = INT64_MIN, set[bytes | None]()  # the walk comes by a trace once for each of its newest spans
    while (victim := _next_victim(walk, lambda: _bound_ns(retention, in_use - freed()))) is not None:
        if victim.time_ns != last_ns:
            last_ns, counted = victim.time_ns, set()
        if victim.trace_id is None or victim.trace_id not in counted:
            total = total.plus(_size_of(connection, victim))
        counted.add(victim.trace_id)
    reusable = 0 if pragma(connection, "auto_vacuum") == _INCREMENTAL else freed()
    return Pruned(*total, bytes=freed(), reusable_bytes=reusable)


def _next_victim(walk: Walk, bound_ns: Callable[[], int]) -> Victim | None:
    while True:
        try:
            return walk.next_victim(bound_ns(), deadline_s=float("inf"))
        except LargeTraceError:
            walk.measure()


def _size_of(connection: sqlite3.Connection, victim: Victim) -> Removed:
    if victim.trace_id is None:
        return Removed(**{LOOSE_TABLES[victim.table]: 1})
    tables = ("stored_spans", *(table for table in loose_tables(connection) if table in TRACED_TABLES))
    sql = ", ".join(f"(SELECT count(*) FROM {table} WHERE trace_id = ?)" for table in tables)  # noqa: S608
    return Removed(1, *connection.execute(f"SELECT {sql}", [victim.trace_id] * len(tables)).fetchone())


def _bound_ns(retention: Retention, in_use: int) -> int:
    if retention.max_bytes and in_use > retention.max_bytes:
        return ALL_NS
    return INT64_MIN if retention.before_ns is None else retention.before_ns


def _give_back(connection: sqlite3.Connection) -> int:
    """Cut the free pages off the file, in small steps; returns how many bytes it keeps, all in one from version 1."""
    deadline_s = time.monotonic() + _VACUUM_TIMEOUT_S
    left = pragma(connection, "freelist_count")
    while left and time.monotonic() < deadline_s:
        # execute() would step this statement once, which frees one page.
        connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        before, left = left, pragma(connection, "freelist_count")
        if left >= before:
            break
        time.sleep(_PAUSE_S)
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return left * pragma(connection, "page_size")
