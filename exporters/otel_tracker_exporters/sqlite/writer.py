"""Writes records into a SQLite store: one transaction a batch, from any number of processes and threads.

After a batch the writer sees to the store's bounds (`keeping`, `log`). The connection is opened at the first batch and
once per process. A batch is written whole or not at all, except for
single records that no table can hold: those are left out, said once and counted in ``unwritable``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.errors import StoreUnwritableError
from otel_tracker.writing import Item, StoreWriter
from otel_tracker_exporters.sqlite.batch import RECORD_FAULTS, Batch, Names, batch_of
from otel_tracker_exporters.sqlite.database import BUSY_TIMEOUT_S, open_to_write, sentence_of
from otel_tracker_exporters.sqlite.footing import Footing
from otel_tracker_exporters.sqlite.keeping import Keeper
from otel_tracker_exporters.sqlite.log import LogBound
from otel_tracker_exporters.sqlite.metric_rows import INSERT_METRIC
from otel_tracker_exporters.sqlite.rows import (
    INSERT_EVENT,
    INSERT_LOG,
    INSERT_MANY_SHARED,
    INSERT_SHARED,
    ROWS_AT_ONCE,
    SHARED_LENGTH,
    UPDATE_RESOURCE,
    UPSERT_SPAN,
    Row,
    row_of_shared,
)

_CAREFUL_BATCHES = 16
"""After a batch that had to be inserted twice so many are inserted with care from the beginning."""

_LAST_IDS = """
    SELECT
        (SELECT coalesce(max(id), 0) FROM stored_spans),
        (SELECT value FROM marks WHERE name = 'span_floor'),
        max((SELECT coalesce(max(id), 0) FROM stored_events), (SELECT value FROM marks WHERE name = 'event_floor'))
"""

_LAST_LOG_ID = """
    SELECT max((SELECT coalesce(max(id), 0) FROM stored_logs), (SELECT value FROM marks WHERE name = 'log_floor'))
"""

_LAST_METRIC_ID = """
    SELECT max((SELECT coalesce(max(id), 0) FROM stored_metrics), (SELECT value FROM marks WHERE name = 'metric_floor'))
"""

# Connections that a fork handed to this process: to use or even to close one would harm the parent's
# (https://www.sqlite.org/howtocorrupt.html, 2.6), so they are kept and never touched.
_inherited: list[sqlite3.Connection] = []


class _Opened(NamedTuple):
    """A connection and what it has seen."""

    connection: sqlite3.Connection
    names: Names


class _LastIds(NamedTuple):
    """The last ids that spans and events were given, and whether SQLite by itself goes on after the spans'."""

    span: int
    event: int
    go_on: bool


class SqliteWriter(StoreWriter):
    """Writes spans, events, logs and metric points into the file at an absolute path; see the module's docstring.

    A ``keeper`` removes after a batch what has become too much or too old; without one everything is kept.
    """

    def __init__(self, path: str, busy_timeout_s: float = BUSY_TIMEOUT_S, keeper: Keeper | None = None) -> None:
        super().__init__(path)
        self._busy_timeout_s = busy_timeout_s
        self._patience_s = busy_timeout_s  # that of the connection
        self._opened: _Opened | None = None
        self._footing = Footing(path)
        self._pid = os.getpid()
        self._keeper = keeper
        self._log = LogBound(path)
        self._careful_batches = 0

    def _store(self, records: Iterable[Item]) -> None:
        batch = list(records)
        if not batch:
            return
        try:
            opened = self._connected()
            self._be_patient(opened.connection)
            self._log.before_batch(opened.connection)
            self._transact(opened, batch)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnwritableError(sentence_of(self.location, error)) from None
        if self._left_s(1.0):
            self._keep_bounds(opened.connection)

    def _be_patient(self, connection: sqlite3.Connection) -> None:
        """Let the connection wait for other writers as long as there is time."""
        patience_s = self._left_s(self._busy_timeout_s)
        if patience_s != self._patience_s:
            connection.execute(f"PRAGMA busy_timeout = {round(patience_s * 1000)}")
            self._patience_s = patience_s

    def _keep_bounds(self, connection: sqlite3.Connection) -> None:
        """What can wait; the batch is stored, and nothing that goes wrong here may make it count as lost."""
        try:
            if self._keeper is not None:
                self._keeper.after_batch(connection)
            self._log.after_batch(connection)
        except sqlite3.OperationalError as error:
            logger.debug("%s", sentence_of(self.location, error))  # locked, or full: it is tried again
            self._recover()
        except Exception as error:
            report_internal_error(f"removing the oldest from {self.location}", error)
            self._recover()

    def _transact(self, opened: _Opened, records: Sequence[Item]) -> None:
        """Insert the records as if nothing of them were stored yet; where something is, all again, with care."""
        connection, names = opened
        batch = _begun_batch(connection, names, records)
        last_ids = _last_ids(connection)
        if not (self._careful_batches or _insert(connection, batch, last_ids)):
            self._careful_batches = _CAREFUL_BATCHES
            connection.execute("ROLLBACK")
            names.forget()
            batch = _begun_batch(connection, names, records)
        if self._careful_batches:
            self._careful_batches -= 1
            batch.faults += _insert_with_care(connection, batch, _last_ids(connection))
        connection.executemany(UPDATE_RESOURCE, batch.last_times())
        connection.execute("COMMIT")
        for error in batch.faults:
            self._leave_out(error)

    def _connected(self) -> _Opened:
        self._leave_parents_connection()
        if self._opened is not None and not self._footing.is_firm():
            self._footing.leave(self._opened.connection)
            self._disconnect()
        if self._opened is None:
            self._patience_s = self._left_s(self._busy_timeout_s)
            connection = open_to_write(self.location, self._patience_s)
            self._opened = _Opened(connection, Names(connection))
            self._footing.take()
        return self._opened

    def _leave_parents_connection(self) -> None:
        if self._pid != os.getpid():
            if self._opened is not None:
                _inherited.append(self._opened.connection)
            self._pid, self._opened = os.getpid(), None

    def _recover(self) -> None:
        """End what failed; ids of rows that were never committed are forgotten, and the next batch connects anew."""
        try:
            if self._opened is not None and self._opened.connection.in_transaction:
                self._opened.connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself, or closing does it
        self._disconnect()

    def _release(self) -> None:
        self._leave_parents_connection()
        if self._opened is not None and self._keeper is not None:
            with suppress(sqlite3.Error):
                self._keeper.let_go(self._opened.connection)
        self._disconnect()

    def _disconnect(self) -> None:
        opened, self._opened = self._opened, None
        try:
            if opened is not None:
                opened.connection.close()
        except sqlite3.Error as error:
            say_once(sentence_of(self.location, error))


def _begun_batch(connection: sqlite3.Connection, names: Names, records: Sequence[Item]) -> Batch:
    """The records' rows, with a transaction begun: as late as possible, for other writers wait meanwhile."""
    names.renew()
    batch = batch_of(records, names)
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    return batch_of(records, names) if names.renew() else batch


def _last_ids(connection: sqlite3.Connection) -> _LastIds:
    span_id, span_floor, event_id = connection.execute(_LAST_IDS).fetchone()
    return _LastIds(max(span_id, span_floor), event_id, span_id >= span_floor)


def _insert(connection: sqlite3.Connection, batch: Batch, last_ids: _LastIds) -> bool:
    """Insert rows of which none is expected to be there; False, with some of them inserted, when one cannot be."""
    if not last_ids.go_on:
        return False
    last_id = last_ids.span
    try:
        for is_shared, rows in batch.span_runs():
            if is_shared:
                _insert_shared(connection, rows)
            else:
                connection.executemany(UPSERT_SPAN, _numbered(rows, last_id))
            last_id += len(rows)
        connection.executemany(INSERT_EVENT, _numbered(batch.events, last_ids.event))
        connection.executemany(INSERT_LOG, _numbered_after(connection, _LAST_LOG_ID, batch.logs))
        connection.executemany(INSERT_METRIC, _numbered_after(connection, _LAST_METRIC_ID, batch.metrics))
    except RECORD_FAULTS:
        return False
    return True


def _insert_shared(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    in_full = len(rows) - len(rows) % ROWS_AT_ONCE
    chunks = (rows[first : first + ROWS_AT_ONCE] for first in range(0, in_full, ROWS_AT_ONCE))
    connection.executemany(INSERT_MANY_SHARED, (tuple(chain.from_iterable(chunk)) for chunk in chunks))
    connection.executemany(INSERT_SHARED, rows[in_full:])


def _insert_with_care(connection: sqlite3.Connection, batch: Batch, last_ids: _LastIds) -> list[Exception]:
    """Insert rows that may be there, or that no table can hold; returns what was wrong with the latter."""
    spans = [row_of_shared(row) if len(row) == SHARED_LENGTH else row for row in batch.spans]
    faults = _insert_all_or_each(connection, UPSERT_SPAN, _numbered(spans, last_ids.span))
    faults += _insert_all_or_each(connection, INSERT_EVENT, _numbered(batch.events, last_ids.event))
    faults += _insert_all_or_each(connection, INSERT_LOG, _numbered_after(connection, _LAST_LOG_ID, batch.logs))
    metrics = _numbered_after(connection, _LAST_METRIC_ID, batch.metrics)
    return faults + _insert_all_or_each(connection, INSERT_METRIC, metrics)


def _insert_all_or_each(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> list[Exception]:
    faults: list[Exception] = []
    connection.execute("SAVEPOINT batch")
    try:
        connection.executemany(sql, rows)
    except RECORD_FAULTS:
        connection.execute("ROLLBACK TO batch")
        for row in rows:
            try:
                connection.execute(sql, row)
            except RECORD_FAULTS as error:
                faults.append(error)
    connection.execute("RELEASE batch")
    return faults


def _numbered(rows: Sequence[Row], last_id: int) -> list[Row]:
    return [(row_id, *row) for row_id, row in enumerate(rows, last_id + 1)]


def _numbered_after(connection: sqlite3.Connection, last_id_sql: str, rows: Sequence[Row]) -> list[Row]:
    """The rows with their ids; where there are none, nobody looks for the last one."""
    return _numbered(rows, connection.execute(last_id_sql).fetchone()[0]) if rows else []
