"""Writes records into a SQLite store: one transaction a batch, from any number of processes and threads.

After a batch the writer sees to the store's bounds (`keeping`, `log`). The connection is opened at the first batch and
once per process. A batch is written whole or not at all, except for
single records that no table can hold: those are left out, said once and counted in ``unwritable``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.errors import StoreUnwritableError
from otel_tracker.records import EventRecord, Labels, SpanRecord, Texts
from otel_tracker.writing import Item, StoreWriter
from otel_tracker_exporters.sqlite.database import BUSY_TIMEOUT_S, open_to_write, sentence_of
from otel_tracker_exporters.sqlite.footing import Footing
from otel_tracker_exporters.sqlite.keeping import Keeper
from otel_tracker_exporters.sqlite.log import LogBound
from otel_tracker_exporters.sqlite.rows import (
    INSERT_EVENT,
    UPSERT_SPAN,
    event_row,
    json_text,
    span_row,
    text,
    texts_row,
)

_MAX_KNOWN_FUNCTIONS = 10_000

_LAST_IDS = """
    SELECT
        max((SELECT coalesce(max(id), 0) FROM stored_spans), (SELECT value FROM marks WHERE name = 'span_floor')),
        max((SELECT coalesce(max(id), 0) FROM stored_events), (SELECT value FROM marks WHERE name = 'event_floor')),
        (SELECT value FROM marks WHERE name = 'generation')
"""

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


class SqliteWriter(StoreWriter):
    """Writes spans and events into the file at an absolute path; see the module's docstring.

    A ``keeper`` removes after a batch what has become too much or too old; without one everything is kept.
    """

    def __init__(self, path: str, busy_timeout_s: float = BUSY_TIMEOUT_S, keeper: Keeper | None = None) -> None:
        super().__init__(path)
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._footing = Footing(path)
        self._pid = os.getpid()
        self._keeper = keeper
        self._log = LogBound(path)
        self._generation: int | None = None
        self._function_ids: dict[tuple[str, str, str], int] = {}
        self._resource: tuple[Mapping[str, Any], int] | None = None

    def _store(self, records: Iterable[Item]) -> None:
        batch = list(records)
        if not batch:
            return
        try:
            connection = self._connected()
            self._log.before_batch(connection)
            self._transact(connection, batch)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnwritableError(sentence_of(self.location, error)) from None
        self._keep_bounds(connection)

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

    def _transact(self, connection: sqlite3.Connection, records: Sequence[Item]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        last_span_id, last_event_id = self._last_ids(connection)
        spans, events = self._rows(connection, records)
        self._insert(connection, UPSERT_SPAN, _numbered(spans, last_span_id))
        self._insert(connection, INSERT_EVENT, _numbered(events, last_event_id))
        connection.execute("COMMIT")

    def _last_ids(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """The last ids that spans and events were given; forgets what retention may have made untrue."""
        span_id, event_id, generation = connection.execute(_LAST_IDS).fetchone()
        if generation != self._generation:
            self._forget_ids()
            self._generation = generation
        return span_id, event_id

    def _rows(
        self, connection: sqlite3.Connection, records: Sequence[Item]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        spans: list[tuple[Any, ...]] = []
        events: list[tuple[Any, ...]] = []
        for record in records:
            try:
                if type(record) is tuple:
                    spans.append(self._texts_row(connection, record))
                elif isinstance(record, SpanRecord):
                    spans.append(self._span_row(connection, record))
                elif isinstance(record, EventRecord):
                    events.append(self._event_row(connection, record))
            except _RECORD_FAULTS as error:
                self._leave_out(error)
        return spans, events

    def _insert(self, connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
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

    def _texts_row(self, connection: sqlite3.Connection, texts: Texts) -> tuple[Any, ...]:
        labels: Labels = texts[3]
        function_id = self._function_ids.get((labels.module, labels.function, labels.name))
        if function_id is None:
            function_id = self._new_function_id(connection, labels)
        return texts_row(texts, function_id, self._resource_id(connection, texts[12]))

    def _span_row(self, connection: sqlite3.Connection, record: SpanRecord) -> tuple[Any, ...]:
        function_id = self._function_ids.get((record.module, record.function, record.name))
        if function_id is None:
            function_id = self._new_function_id(connection, record)
        return span_row(record, function_id, self._resource_id(connection, record.resource))

    def _event_row(self, connection: sqlite3.Connection, record: EventRecord) -> tuple[Any, ...]:
        return event_row(record, self._resource_id(connection, record.resource))

    def _new_function_id(self, connection: sqlite3.Connection, record: SpanRecord | Labels) -> int:
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
        if self._connection is not None and not self._footing.is_firm():
            self._footing.leave(self._connection)
            self._disconnect()
        if self._connection is None:
            self._connection = open_to_write(self.location, self._busy_timeout_s)
            self._footing.take()
        return self._connection

    def _leave_parents_connection(self) -> None:
        if self._pid != os.getpid():
            if self._connection is not None:
                _inherited.append(self._connection)
            self._pid, self._connection = os.getpid(), None
            self._forget_ids()

    def _recover(self) -> None:
        """End what failed; ids of rows that were never committed are forgotten, and the next batch connects anew."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself, or closing does it
        self._disconnect()

    def _release(self) -> None:
        self._leave_parents_connection()
        if self._connection is not None and self._keeper is not None:
            with suppress(sqlite3.Error):
                self._keeper.let_go(self._connection)
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._forget_ids()
        try:
            if connection is not None:
                connection.close()
        except sqlite3.Error as error:
            say_once(sentence_of(self.location, error))

    def _forget_ids(self) -> None:
        self._function_ids.clear()
        self._resource = None


def _numbered(rows: Sequence[tuple[Any, ...]], last_id: int) -> list[tuple[Any, ...]]:
    return [(row_id, *row) for row_id, row in enumerate(rows, last_id + 1)]
