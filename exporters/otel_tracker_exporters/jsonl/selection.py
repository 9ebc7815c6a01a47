"""Chooses among lines by small keys, so that files of any size are searched with little memory.

A key says when, which and where: ``time | span id | trace id | rank | place``, as bytes that sort like the records
do. The lines themselves are read again once they are chosen. A span may have several lines (a start and an end; or
a batch that was written twice, the first time by a process that was killed before it knew): the one with the highest
rank counts, and among equals the last one in the store.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from otel_tracker.records import ABORTED, STARTED, EventRecord, LogRecord, MetricRecord, SpanRecord

_TIME_BYTES = 10  # more than the years 1 to 9999 need in nanoseconds, which 64 bits do not hold
_TIME_BIAS = 1 << 79
_SPAN_IDENTITY_BYTES = _TIME_BYTES + 8 + 16
_PLACE = struct.Struct(">IQII")
_MIN_PRUNED = 1_000

_RANKS = {STARTED: 0, ABORTED: 1}
FINAL_RANK = 2


class Place(NamedTuple):
    """Where a record lies: which file of the query, the line's bytes in it, and which of the line's records it is."""

    file: int
    offset: int
    length: int
    number: int = 0


def rank_of(status: str) -> int:
    """How much a line of this status knows about its span: a start the least, an end the most."""
    return _RANKS.get(status, FINAL_RANK)


def span_key(record: SpanRecord, place: Place) -> bytes:
    """The key of a span's line; ids must be hex of full length."""
    return b"".join(
        (
            (record.start_ns + _TIME_BIAS).to_bytes(_TIME_BYTES, "big"),
            bytes.fromhex(record.span_id),
            bytes.fromhex(record.trace_id),
            bytes((rank_of(record.status),)),
            _place_bytes(place),
        )
    )


def event_key(record: EventRecord | LogRecord | MetricRecord, place: Place) -> bytes:
    """The key of the line of an event, a log or a metric point."""
    return (record.time_ns + _TIME_BIAS).to_bytes(_TIME_BYTES, "big") + _place_bytes(place)


def time_of(key: bytes) -> int:
    """The nanoseconds in a key."""
    return int.from_bytes(key[:_TIME_BYTES], "big") - _TIME_BIAS


def place_of(key: bytes) -> Place:
    """The place in a key."""
    return Place(*_PLACE.unpack(key[-_PLACE.size :]))


def span_rank_of(key: bytes) -> int:
    """The rank in a span's key."""
    return key[_SPAN_IDENTITY_BYTES]


class Newest:
    """Keeps the keys of the newest records, at most ``limit`` of them (None for all), each record once.

    Holds up to twice as many keys while it is filled, about 100 bytes each.
    """

    def __init__(self, limit: int | None, *, of_spans: bool) -> None:
        self._limit = limit
        self._of_spans = of_spans
        self._keys: list[bytes] = []
        self._pruned_at = None if limit is None else max(2 * limit, _MIN_PRUNED)

    def add(self, key: bytes) -> int | None:
        """Take a key into account; gives the time below which nothing is wanted any more, when that has moved."""
        self._keys.append(key)
        if self._pruned_at is None or len(self._keys) < self._pruned_at:
            return None
        self._keys = self.chosen()
        return time_of(self._keys[-1]) if len(self._keys) == self._limit else None

    def chosen(self) -> list[bytes]:
        """The keys, newest first."""
        ordered = sorted(self._keys, reverse=True)
        if self._of_spans:
            ordered = _one_a_span(ordered)
        return ordered if self._limit is None else ordered[: self._limit]


def _one_a_span(ordered: list[bytes]) -> list[bytes]:
    """The first key of each span: the highest rank, and the last in the store."""
    kept: list[bytes] = []
    previous = b""
    for key in ordered:
        identity = key[:_SPAN_IDENTITY_BYTES]
        if identity != previous:
            kept.append(key)
            previous = identity
    return kept


def _place_bytes(place: Place) -> bytes:
    return _PLACE.pack(*place)
