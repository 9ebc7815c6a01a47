"""A batch of records as rows, and the ids of what the rows share.

Most of the work on a batch is done here, before its transaction begins, so that other writers are kept out for a short
time only. Names that are new begin the transaction, for they are rows themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from otel_tracker.records import INT64_MIN, EventRecord, Labels, LogRecord, MetricRecord, SpanRecord, Texts
from otel_tracker.writing import Item
from otel_tracker_exporters.sqlite.metric_rows import METRIC_LENGTH, metric_row
from otel_tracker_exporters.sqlite.rows import (
    EVENT_LENGTH,
    SHARED_LENGTH,
    SPAN_LENGTH,
    Above,
    Row,
    event_row,
    json_text,
    log_row,
    own_row,
    shared_row,
    span_row,
    text,
    written,
)

# A record's own fault, as against the file's. ProgrammingError and InterfaceError are how sqlite3 refuses a value.
RECORD_FAULTS = (
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

_MAX_KNOWN_FUNCTIONS = 10_000
_TIME_OF = {
    SHARED_LENGTH: itemgetter(4),
    SPAN_LENGTH: itemgetter(6),
    EVENT_LENGTH: itemgetter(1),
    METRIC_LENGTH: itemgetter(1),
}
_RESOURCE_ID_OF = itemgetter(-1)

_GENERATION = "SELECT value FROM marks WHERE name = 'generation'"
_ANY_FUNCTION = "SELECT id FROM functions WHERE (module, function, name) = (?, ?, ?) LIMIT 1"
_INSERT_FUNCTION = """
    INSERT OR IGNORE INTO functions (module, function, name, kind, status_code, scope, attributes)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_FUNCTION = """
    SELECT id FROM functions
    WHERE (module, function, name, kind, status_code, scope, attributes) = (?, ?, ?, ?, ?, ?, ?)
"""

_Last = tuple[Labels | None, str, str, "Mapping[str, Any] | None", int, "int | None"]
"""Labels, status code, scope and resource of a span, by identity; the ids of its function and its resource."""

_NO_LAST: _Last = (None, "", "", None, 0, None)


@dataclass
class Batch:
    """The rows of some records, and why the others are left out."""

    spans: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    logs: list[Row] = field(default_factory=list)
    metrics: list[Row] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    def span_runs(self) -> Iterator[tuple[bool, list[Row]]]:
        """The spans in their order: those that follow each other and are all of `shared_row`, or none."""
        for length, run in groupby(self.spans, len):
            yield length == SHARED_LENGTH, list(run)

    def last_times(self) -> list[tuple[int, int]]:
        """The time of the newest row of each resource, and the resource's id."""
        newest_ns: dict[int | None, int] = {}
        for length, rows in groupby(chain(self.spans, self.events, self.logs, self.metrics), len):
            for number, run in groupby(rows, _RESOURCE_ID_OF):
                newest_ns[number] = max(newest_ns.get(number, INT64_MIN), *map(_TIME_OF[length], run))
        return [(time_ns, number) for number, time_ns in newest_ns.items() if number is not None]


def batch_of(records: Iterable[Item], names: Names) -> Batch:
    """The rows of records; of those that no table can hold, the reasons."""
    batch = Batch()
    for record in records:
        try:
            if type(record) is tuple:
                batch.spans.append(_texts_row(record, names))
            elif isinstance(record, SpanRecord):
                resource_id = names.resource_id(record.resource)
                batch.spans.append(span_row(record, names.function_id(record), resource_id))
            elif isinstance(record, EventRecord):
                batch.events.append(event_row(record, names.resource_id(record.resource)))
            elif isinstance(record, LogRecord):
                batch.logs.append(log_row(record, names.resource_id(record.resource)))
            elif isinstance(record, MetricRecord):
                batch.metrics.append(metric_row(record, names.resource_id(record.resource)))
        except RECORD_FAULTS as error:
            batch.faults.append(error)
    return batch


def _texts_row(texts: Texts, names: Names) -> Row:
    if texts[8]:
        return own_row(texts, names.function_id(texts[3]), names.resource_id(texts[12]))
    trace_id, parent = texts[0], texts[2]
    above = names.above  # spans of a trace, and of a caller, come one after another
    if above[0] != trace_id or above[1] != parent:
        above = names.above = Above.of(trace_id, parent)
    last = names.last
    if texts[3] is last[0] and texts[10] is last[1] and texts[11] is last[2] and texts[12] is last[3]:
        return shared_row(texts, above, last[4], last[5])
    function_id, resource_id = names.shared_id(texts), names.resource_id(texts[12])
    names.last = (texts[3], texts[10], texts[11], texts[12], function_id, resource_id)
    return shared_row(texts, above, function_id, resource_id)


class Names:
    """The ids of functions and resources, as one connection has seen them; begins a transaction for new ones.

    ``above`` and ``last`` are those of the last span that shares what it can: of the next one they are mostly the same.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.above = Above.of(0, 0)
        self.last: _Last = _NO_LAST
        self._connection = connection
        self._functions: dict[tuple[str, ...], int] = {}
        self._shared: dict[tuple[Labels, str, str], int] = {}
        self._resource: tuple[Mapping[str, Any], int] | None = None
        self._generation: int | None = None

    def renew(self) -> bool:
        """Forget all when retention has removed some since this was last asked; whether that was so."""
        before, self._generation = self._generation, int(self._connection.execute(_GENERATION).fetchone()[0])
        if self._generation == before:
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """To be called when a transaction is rolled back that new ones may have been part of."""
        self._functions.clear()
        self._shared.clear()
        self._resource = None
        self.last = _NO_LAST

    def function_id(self, record: SpanRecord | Labels) -> int:
        """The id of a row that bears the names of a function."""
        key = (record.module, record.function, record.name)
        return self._functions.get(key) or self._new_function_id(key)

    def shared_id(self, texts: Texts) -> int:
        """The id of the row that bears all that the span has in common with others."""
        key = (texts[3], texts[10], texts[11])
        return self._shared.get(key) or self._new_shared_id(*key)

    def resource_id(self, resource: Mapping[str, Any]) -> int | None:
        """A process has one resource, and all its records share the one mapping."""
        if not resource:
            return None
        if self._resource is None or self._resource[0] is not resource:
            self._begin()
            attributes = json_text(dict(resource))
            sql = "INSERT OR IGNORE INTO resources (attributes, last_ns) VALUES (?, ?)"
            self._connection.execute(sql, (attributes, INT64_MIN))
            found = self._connection.execute("SELECT id FROM resources WHERE attributes = ?", (attributes,))
            self._resource = resource, int(found.fetchone()[0])
        return self._resource[1]

    def _new_function_id(self, key: tuple[str, ...]) -> int:
        self._begin()
        values = tuple(text(part) for part in key)
        found = self._connection.execute(_ANY_FUNCTION, values).fetchone()
        function_id = self._inserted((*values, "", "", "", "")) if found is None else int(found[0])
        _remember(self._functions, key, function_id)
        return function_id

    def _new_shared_id(self, labels: Labels, code: str, scope: str) -> int:
        self._begin()
        attributes = written(f"{{{labels.attributes}}}") if labels.attributes else ""
        names = (text(part) for part in (labels.module, labels.function, labels.name))
        function_id = self._inserted((*names, labels.kind, code, text(scope), attributes))
        _remember(self._shared, (labels, code, scope), function_id)
        return function_id

    def _inserted(self, values: Row) -> int:
        self._connection.execute(_INSERT_FUNCTION, values)
        return int(self._connection.execute(_FUNCTION, values).fetchone()[0])

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")


def _remember(known: dict[Any, int], key: object, number: int) -> None:
    if len(known) >= _MAX_KNOWN_FUNCTIONS:
        known.clear()
    known[key] = number
