"""Writes records into a SQLite store: one transaction a batch, from any number of processes and threads.

The connection is opened at the first batch and once per process. A batch is written whole or not at all, except for
single records that no table can hold: those are left out, said once and counted in ``unwritable``. Nothing here
raises; a batch that was not stored answers False, with one sentence in the log.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from otel_tracker.diagnostics import report_internal_error, say_once
from otel_tracker.errors import StoreUnreadableError
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker_exporters.sqlite.database import BUSY_TIMEOUT_S, open_to_write, sentence_of
from otel_tracker_exporters.sqlite.rows import INSERT_EVENT, UPSERT_SPAN, event_row, json_text, span_row, text

_Record = TypeVar("_Record", SpanRecord, EventRecord)
_MAX_KNOWN_FUNCTIONS = 10_000

# A record's own fault, as against the file's. ProgrammingError and InterfaceError are how sqlite3 refuses a value.
_RECORD_FAULTS = (
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

# Connections that a fork handed to this process: to use or even to close one would harm the parent's
# (https://www.sqlite.org/howtocorrupt.html, 2.6), so they are kept and never touched.
_inherited: list[sqlite3.Connection] = []


class SqliteWriter:
    """Writes spans and events into the file at an absolute path; see the module's docstring."""

    def __init__(self, path: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self.unwritable = 0
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._pid = os.getpid()
        self._is_closed = False
        self._locks: dict[int, threading.Lock] = {}
        self._function_ids: dict[tuple[str, str, str], int] = {}
        self._resource: tuple[Mapping[str, Any], int] | None = None

    def write_spans(self, records: Iterable[SpanRecord]) -> bool:
        """Store the spans; False, with nothing stored, when the file cannot be written or the writer is closed."""
        return self._write(records, self._span_row, UPSERT_SPAN)

    def write_events(self, records: Iterable[EventRecord]) -> bool:
        """Store the events; as `write_spans`."""
        return self._write(records, self._event_row, INSERT_EVENT)

    def close(self) -> None:
        """Close the file; the last one to do so leaves nothing beside it. A second call does nothing."""
        with self._lock():
            self._is_closed = True
            self._leave_parents_connection()
            self._disconnect()

    def _lock(self) -> threading.Lock:
        """This process's lock: one that another thread held during a fork would stay locked in the child for ever."""
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _write(
        self, records: Iterable[_Record], row_of: Callable[[sqlite3.Connection, _Record], tuple[Any, ...]], sql: str
    ) -> bool:
        with self._lock():
            if self._is_closed:
                return False
            try:
                self._transact(list(records), row_of, sql)
                return True
            except StoreUnreadableError as error:
                say_once(str(error))
            except (sqlite3.Error, OSError) as error:
                say_once(sentence_of(self.path, error))
            except Exception as error:  # nothing here may reach the observed program
                report_internal_error("writing to the sqlite store", error)
            self._roll_back()
            return False

    def _transact(
        self,
        records: Sequence[_Record],
        row_of: Callable[[sqlite3.Connection, _Record], tuple[Any, ...]],
        sql: str,
    ) -> None:
        if not records:
            return
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        rows = []
        for record in records:
            try:
                rows.append(row_of(connection, record))
            except _RECORD_FAULTS as error:
                self._leave_out(error)
        self._insert(connection, sql, rows)
        connection.execute("COMMIT")

    def _insert(self, connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        connection.execute("SAVEPOINT batch")
        try:
            connection.executemany(sql, rows)
        except _RECORD_FAULTS:
            connection.execute("ROLLBACK TO batch")
            self._insert_one_by_one(connection, sql, rows)
        connection.execute("RELEASE batch")

    def _insert_one_by_one(self, connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for row in rows:
            try:
                connection.execute(sql, row)
            except _RECORD_FAULTS as error:
                self._leave_out(error)

    def _leave_out(self, error: Exception) -> None:
        self.unwritable += 1
        say_once(
            f"A record cannot be stored in {self.path} ({type(error).__name__}: {str(error)[:100]}); "
            "it is left out and its neighbours are kept. Please report it.",
            key=f"unwritable:{self.path}",
        )

    def _span_row(self, connection: sqlite3.Connection, record: SpanRecord) -> tuple[Any, ...]:
        function_id = self._function_ids.get((record.module, record.function, record.name))
        if function_id is None:
            function_id = self._new_function_id(connection, record)
        return span_row(record, function_id, self._resource_id(connection, record.resource))

    def _event_row(self, connection: sqlite3.Connection, record: EventRecord) -> tuple[Any, ...]:
        return event_row(record, self._resource_id(connection, record.resource))

    def _new_function_id(self, connection: sqlite3.Connection, record: SpanRecord) -> int:
        if len(self._function_ids) >= _MAX_KNOWN_FUNCTIONS:
            self._function_ids.clear()
        key = (record.module, record.function, record.name)
        values = tuple(text(part) for part in key)
        connection.execute("INSERT OR IGNORE INTO functions (module, function, name) VALUES (?, ?, ?)", values)
        found = connection.execute("SELECT id FROM functions WHERE (module, function, name) = (?, ?, ?)", values)
        self._function_ids[key] = function_id = int(found.fetchone()[0])
        return function_id

    def _resource_id(self, connection: sqlite3.Connection, resource: Mapping[str, Any]) -> int | None:
        """A process has one resource, and all its records share the one mapping."""
        if not resource:
            return None
        if self._resource is None or self._resource[0] is not resource:
            values = (json_text(dict(resource)),)
            connection.execute("INSERT OR IGNORE INTO resources (attributes) VALUES (?)", values)
            found = connection.execute("SELECT id FROM resources WHERE attributes = ?", values)
            self._resource = resource, int(found.fetchone()[0])
        return self._resource[1]

    def _connected(self) -> sqlite3.Connection:
        self._leave_parents_connection()
        if self._connection is not None and self._identity != self._identity_on_disk():
            self._disconnect()  # the file was deleted or replaced: what we have open is nobody's any more
        if self._connection is None:
            self._connection = open_to_write(self.path, self._busy_timeout_s)
            self._identity = self._identity_on_disk()
        return self._connection

    def _identity_on_disk(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _leave_parents_connection(self) -> None:
        if self._pid != os.getpid():
            if self._connection is not None:
                _inherited.append(self._connection)
            self._pid, self._connection = os.getpid(), None
            self._forget_ids()

    def _roll_back(self) -> None:
        """End what failed; ids of rows that were never committed are forgotten, and the next batch connects anew."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself, or closing does it
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._forget_ids()
        try:
            if connection is not None:
                connection.close()
        except sqlite3.Error as error:
            say_once(sentence_of(self.path, error))

    def _forget_ids(self) -> None:
        self._function_ids.clear()
        self._resource = None
