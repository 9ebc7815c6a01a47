"""Between records and rows: what a record looks like in the tables, and back.

Containers are JSON text, absent ones NULL. Lone surrogates survive in JSON (escaped); in plain text columns, which
hold UTF-8 only, each becomes U+FFFD. A record that the tables cannot hold raises ValueError, TypeError or
RecursionError here, before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from otel_tracker.records import (
    COMPLETED,
    INT64_MAX,
    INT64_MIN,
    EventRecord,
    LogRecord,
    SpanRecord,
    Texts,
    UnfitRecordError,
)
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.sqlite.schema import shared

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode


def _span_columns(kind: str, attributes: str, status_code: str, scope: str) -> str:
    return (
        f"s.trace_id, s.span_id, s.parent_span_id, f.name, {kind}, f.function, f.module, s.status, s.start_ns, "
        f"s.end_ns, s.args, s.result, s.error, {attributes}, s.events, s.links, {status_code}, s.status_message, "
        f"{scope}, r.attributes"
    )


OLDER_SPAN_COLUMNS = _span_columns("s.kind", "s.attributes", "s.status_code", "s.scope")
SPAN_COLUMNS = _span_columns(
    shared("kind"), f"nullif({shared('attributes')}, '')", shared("status_code"), shared("scope")
)
"""The columns that `span_of` takes, in its order; the older ones are those of files in which spans share nothing."""

EVENT_COLUMNS = "e.name, e.time_ns, e.severity, e.trace_id, e.span_id, e.properties, e.body, e.error, r.attributes"
"""The columns that `event_of` takes, in its order."""

LOG_COLUMNS = "l.logger, l.time_ns, l.severity, l.trace_id, l.span_id, l.attributes, l.body, l.error, r.attributes"
"""The columns that `log_of` takes, in its order, which is that of events."""

Row = tuple[Any, ...]
"""The values of one; how many there are says of which kind: as `shared_row`, `span_row` or `event_row` makes them.

Those of `log_row` are as many as an event's, and mean the same in the same places.
"""

SHARED_LENGTH, SPAN_LENGTH, EVENT_LENGTH = 10, 18, 9

# What is bound is never None or bytes if that can be helped: sqlite3 looks for an adapter of both, each time, which
# takes longer than to bind them. So ids are bytearrays, and absent JSON is an empty text.
_SHARED_ROW = """(
    ?, ?, ?, ?, '', 'completed', ?, ?, nullif(?, ''), nullif(?, ''), '', nullif(?, ''), '', '', '', ?
)"""
_INSERT_SHARED = """
    INSERT INTO stored_spans (
        trace_id, span_id, parent_span_id, function_id, kind, status, start_ns, end_ns, args, result, attributes,
        events, status_code, status_message, scope, resource_id
    ) VALUES """

ROWS_AT_ONCE = 32
"""A statement that inserts so many rows takes a fifth less for each of them than one for one row; has 320 values."""

INSERT_SHARED = f"{_INSERT_SHARED}{_SHARED_ROW}"
INSERT_MANY_SHARED = f"{_INSERT_SHARED}{', '.join([_SHARED_ROW] * ROWS_AT_ONCE)}"
"""Insert rows of `shared_row`, which get the next ids; they fail where a span of the same ids is stored already."""

# A span that arrives again replaces what is there, unless it knows less: an end is never taken back by a start.
# It takes the new id, so that who follows the store by id sees the change.
UPSERT_SPAN = """
    INSERT INTO stored_spans (
        id, trace_id, span_id, parent_span_id, function_id, kind, status, start_ns, end_ns, args, result, error,
        attributes, events, links, status_code, status_message, scope, resource_id
    ) VALUES (
        ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''), nullif(?, ''),
        ?, nullif(?, ''), nullif(?, ''), ?, ?, ?, ?
    )
    ON CONFLICT (trace_id, span_id) DO UPDATE SET
        id = excluded.id, parent_span_id = excluded.parent_span_id, function_id = excluded.function_id,
        kind = excluded.kind, status = excluded.status, start_ns = excluded.start_ns, end_ns = excluded.end_ns,
        args = excluded.args, result = excluded.result, error = excluded.error, attributes = excluded.attributes,
        events = excluded.events, links = excluded.links, status_code = excluded.status_code,
        status_message = excluded.status_message, scope = excluded.scope, resource_id = excluded.resource_id
    WHERE excluded.status NOT IN ('started', 'aborted')
        OR status = 'started'
        OR (status = 'aborted' AND excluded.status = 'aborted')
"""

INSERT_EVENT = """
    INSERT INTO stored_events (id, name, time_ns, severity, trace_id, span_id, properties, body, error, resource_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_LOG = """
    INSERT INTO stored_logs (id, logger, time_ns, severity, trace_id, span_id, attributes, body, error, resource_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

UPDATE_RESOURCE = "UPDATE resources SET last_ns = max(last_ns, ?) WHERE id = ?"


def span_row(record: SpanRecord, function_id: int, resource_id: int | None) -> Row:
    """The values of `UPSERT_SPAN` that follow the id."""
    return (
        _id_bytes(record.trace_id, 16),
        _id_bytes(record.span_id, 8),
        _id_bytes(record.parent_span_id, 8) if record.parent_span_id else None,
        function_id,
        text(record.kind),
        text(record.status),
        checked_time_ns(record.start_ns),
        None if record.end_ns is None else checked_time_ns(record.end_ns),
        json_object(record.args) or "",
        json_text(record.result) if record.has_result else "",
        json_object(record.error) or "",
        json_object(record.attributes),
        _json_list(record.events),
        _json_list(record.links),
        text(record.status_code),
        text(record.status_message),
        text(record.scope),
        resource_id,
    )


class Above(NamedTuple):
    """Which trace and parent a span belongs to (0: it has none), as numbers and as what is bound."""

    trace_id: int
    parent: int
    trace_bytes: bytearray
    parent_bytes: bytearray | None

    @classmethod
    def of(cls, trace_id: int, parent: int) -> Above:
        """With what is bound made of the numbers."""
        parent_bytes = bytearray(parent.to_bytes(8, "big")) if parent else None
        return cls(trace_id, parent, bytearray(trace_id.to_bytes(16, "big")), parent_bytes)


def shared_row(texts: Texts, above: Above, function_id: int, resource_id: int | None) -> Row:
    """The values of `INSERT_SHARED`, of a span that has in common with others of its function what can be."""
    _, span_id, _, _, start_ns, end_ns, args, result, _, events, _, _, _ = texts
    if not INT64_MIN <= start_ns <= end_ns <= INT64_MAX:
        start_ns, end_ns = checked_time_ns(start_ns), checked_time_ns(end_ns)
    args = f"{{{args}}}" if args else ""
    return (
        above[2],
        bytearray(span_id.to_bytes(8, "big")),
        above[3],
        function_id,
        start_ns,
        end_ns,
        args if args.isascii() else written(args),
        written(result) if result else "",
        written(f"[{events}]") if events else "",
        resource_id,
    )


def row_of_shared(row: Row) -> Row:
    """A row of `shared_row` as one of `span_row`."""
    *head, start_ns, end_ns, args, result, events, resource_id = row
    return (*head, "", COMPLETED, start_ns, end_ns, args, result, "", "", events, "", "", "", "", resource_id)


def own_row(texts: Texts, function_id: int, resource_id: int | None) -> Row:
    """As `span_row`, of texts with attributes that are the span's own."""
    row = row_of_shared(shared_row(texts, Above.of(texts[0], texts[2]), function_id, resource_id))
    attributes, code, scope = written(f"{{{texts[8]}}}"), texts[10], text(texts[11])
    return (*row[:4], texts[3].kind, *row[5:11], attributes, *row[12:14], code, "", scope, resource_id)


def event_row(record: EventRecord, resource_id: int | None) -> Row:
    """The values of `INSERT_EVENT` that follow the id."""
    return _timed_row(record, record.name, record.properties, resource_id)


def log_row(record: LogRecord, resource_id: int | None) -> Row:
    """The values of `INSERT_LOG` that follow the id."""
    return _timed_row(record, record.logger, record.attributes, resource_id)


def _timed_row(
    record: EventRecord | LogRecord, name: str, attributes: Mapping[str, Any], resource_id: int | None
) -> Row:
    return (
        text(name),
        checked_time_ns(record.time_ns),
        text(record.severity),
        _id_bytes(record.trace_id, 16) if record.trace_id else None,
        _id_bytes(record.span_id, 8) if record.span_id else None,
        json_object(attributes),
        None if record.body is None else json_text(record.body),
        json_object(record.error),
        resource_id,
    )


def span_of(row: Sequence[Any]) -> SpanRecord:
    """The record of a row of `SPAN_COLUMNS`; raises ValueError when somebody else has put other than JSON there."""
    result = row[11]
    return SpanRecord(
        trace_id=row[0].hex(),
        span_id=row[1].hex(),
        parent_span_id=row[2].hex() if row[2] else "",
        name=row[3] or "",
        kind=row[4],
        function=row[5] or "",
        module=row[6] or "",
        status=row[7],
        start_ns=row[8],
        end_ns=row[9],
        args=value_of(row[10], {}),
        result=value_of(result, None),
        has_result=result is not None,
        error=value_of(row[12], {}),
        attributes=value_of(row[13], {}),
        events=tuple(value_of(row[14], ())),
        links=tuple(value_of(row[15], ())),
        status_code=row[16],
        status_message=row[17],
        scope=row[18],
        resource=resource_of(row[19]),
    )


def event_of(row: Sequence[Any]) -> EventRecord:
    """The record of a row of `EVENT_COLUMNS`."""
    return EventRecord(
        name=row[0],
        time_ns=row[1],
        severity=row[2],
        trace_id=row[3].hex() if row[3] else "",
        span_id=row[4].hex() if row[4] else "",
        properties=value_of(row[5], {}),
        body=value_of(row[6], None),
        error=value_of(row[7], {}),
        resource=resource_of(row[8]),
    )


def log_of(row: Sequence[Any]) -> LogRecord:
    """The record of a row of `LOG_COLUMNS`."""
    return LogRecord(
        logger=row[0],
        time_ns=row[1],
        severity=row[2],
        trace_id=row[3].hex() if row[3] else "",
        span_id=row[4].hex() if row[4] else "",
        attributes=value_of(row[5], {}),
        body=value_of(row[6], None),
        error=value_of(row[7], {}),
        resource=resource_of(row[8]),
    )


def json_text(value: Any) -> str:
    """JSON text that is valid UTF-8 whatever the value's strings hold."""
    encoded = _encode(value)
    return encoded if encoded.isascii() or _is_utf8(encoded) else _encode_ascii(value)


def text(value: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD, because SQLite's text is UTF-8."""
    if value.isascii() or _is_utf8(value):
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def in_int64(number: int) -> int:
    """The nearest integer that SQLite holds; for bounds of queries, where the difference matches nothing."""
    return max(INT64_MIN, min(number, INT64_MAX))


def written(json_text: str) -> str:
    """JSON text with each lone surrogate escaped, as JSON does it."""
    if json_text.isascii() or _is_utf8(json_text):
        return json_text
    return json_text.encode("utf-8", "backslashreplace").decode()


def checked_time_ns(time_ns: int) -> int:
    """The time itself; raises `UnfitRecordError` for one that SQLite's integers do not hold."""
    if not INT64_MIN <= time_ns <= INT64_MAX:
        raise UnfitRecordError(
            f"{_shown_time(time_ns)} is no time from 1677-09-21 to 2262-04-11, which are those that SQLite's integers "
            "hold in nanoseconds (a JSONL store holds the years 1 to 9999)"
        )
    return time_ns


def json_object(mapping: Mapping[str, Any]) -> str | None:
    """The mapping as JSON text; None where it is empty."""
    return json_text(dict(mapping)) if mapping else None


def value_of(json_or_null: str | None, absent: Any) -> Any:
    """The value of JSON text, or another for NULL."""
    return absent if json_or_null is None else json.loads(json_or_null)


@lru_cache(maxsize=64)
def resource_of(json_or_null: str | None) -> Mapping[str, Any]:
    """The resource of JSON text; the same object for the same text, as rows follow each other."""
    resource: Mapping[str, Any] = value_of(json_or_null, {})
    return resource


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_bytes(identifier: str, size: int) -> bytearray:
    try:
        binary = bytearray.fromhex(identifier)
    except ValueError:
        binary = bytearray()
    if len(binary) != size:
        raise UnfitRecordError(f"{identifier[:60]!r} is no id of {2 * size} hexadecimal digits")
    return binary


def _shown_time(time_ns: int) -> str:
    try:
        return format_time(time_ns)
    except OverflowError:
        return f"{str(time_ns)[:40]} ns"


def _json_list(mappings: Sequence[Mapping[str, Any]]) -> str:
    return json_text([dict(mapping) for mapping in mappings]) if mappings else ""
