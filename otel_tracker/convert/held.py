"""Remembers which records a store holds, however many: digests in a private database on disk.

Both classes answer one question, `takes`: is this record there already, so that it need not be written? They differ
in what being there means.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar

from otel_tracker.records import ABORTED, STARTED, EventRecord, LogRecord, MetricRecord, Record, SpanRecord

_RANKS = {STARTED: 0, ABORTED: 1}
_FINAL_RANK = 2
_CACHE_KIB = 16 * 1024
_SURROGATES = re.compile("[\ud800-\udfff]")


class _Numbers:
    """A number for each key, in a database of its own without a name, which SQLite moves to disk as it grows."""

    def __init__(self) -> None:
        # Not sqlite3.connect, which instrumentors wrap: a conversion is no query of the user's program.
        self.database = sqlite3.Connection("", isolation_level=None)
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.database.execute("CREATE TABLE numbers (key BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID")
        self.database.execute("BEGIN")

    def get(self, key: bytes) -> int | None:
        row = self.database.execute("SELECT number FROM numbers WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    def count(self, key: bytes) -> None:
        self._put("number + 1", key, 1)

    def raise_to(self, key: bytes, number: int) -> None:
        self._put("max(number, excluded.number)", key, number)

    def take(self, key: bytes) -> bool:
        """Count one down; False when there is none."""
        taken = self.database.execute("UPDATE numbers SET number = number - 1 WHERE key = ? AND number > 0", (key,))
        return taken.rowcount > 0

    def _put(self, if_there: str, key: bytes, number: int) -> None:
        sql = f"INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO UPDATE SET number = {if_there}"  # noqa: S608
        self.database.execute(sql, (key, number))


class Held:
    """What a store holds: spans by id and how much is known of them, all others by everything in them.

    An identical one that is held n times is taken n times. A span is taken as often as it comes, unless it tells
    more than what is held: an end is never missed because of a start.
    """

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def add(self, record: Record) -> None:
        """Remember a record."""
        if isinstance(record, SpanRecord):
            self._numbers.raise_to(_ids(record), _rank(record))
        else:
            self._numbers.count(_digest(record))

    def takes(self, record: Record) -> bool:
        """Whether it is held."""
        if not isinstance(record, SpanRecord):
            return self._numbers.take(_digest(record))
        held = self._numbers.get(_ids(record))
        return held is not None and held >= _rank(record)

    def unfinished(self) -> int:
        """How many spans are held of which no end is."""
        sql = "SELECT count(*) FROM numbers WHERE number < ?"
        return int(self._numbers.database.execute(sql, (_FINAL_RANK,)).fetchone()[0])

    def close(self) -> None:
        """Forget everything; the space is given back."""
        self._numbers.database.close()


class HeldTimes:
    """Exactly these records, each as often as it was added: what an interrupted batch has left behind."""

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def add(self, record: Record) -> None:
        """Remember a record once more."""
        self._numbers.count(key_of(record))

    def takes(self, record: Record) -> bool:
        """Whether it is there once more."""
        return self._numbers.take(key_of(record))

    def close(self) -> None:
        """Forget everything."""
        self._numbers.database.close()


_Remembered = TypeVar("_Remembered", Held, HeldTimes)


def filled(remembered: _Remembered, records: Iterable[Record]) -> _Remembered:
    """The same with these records added; closed when they cannot be read."""
    try:
        for record in records:
            remembered.add(record)
    except BaseException:
        remembered.close()
        raise
    return remembered


def key_of(record: Record) -> bytes:
    """What tells a record from others: a span's ids and how much is known of it, else all its content."""
    return _ids(record) + bytes([_rank(record)]) if isinstance(record, SpanRecord) else _digest(record)


def _ids(span: SpanRecord) -> bytes:
    return f"{span.trace_id}{span.span_id}".encode("utf-8", "replace")


def _rank(span: SpanRecord) -> int:
    return _RANKS.get(span.status, _FINAL_RANK)


def _digest(record: EventRecord | LogRecord | MetricRecord) -> bytes:
    """A digest of the content; what a format cannot keep apart (lone surrogates, the order of keys) is alike."""
    text = json.dumps(record.to_dict(), ensure_ascii=False, sort_keys=True)
    return blake2b(_SURROGATES.sub("\ufffd", text).encode(), digest_size=16).digest()
