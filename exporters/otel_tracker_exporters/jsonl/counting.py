"""Counts executions whose lines come in any order and may come more than once.

Each line becomes 55 bytes: which span, how much the line knows of it, and what statistics need. Sorted, the lines of
one span lie side by side, and the one that knows most is counted.
"""

from __future__ import annotations

import struct

from otel_tracker.records import INT64_MAX, INT64_MIN, STARTED, STATUSES, SpanRecord
from otel_tracker.stats import Statistics, Tally
from otel_tracker_exporters.jsonl.selection import Place, rank_of

# trace id, span id, rank, offset | group, status, whether it ended, duration in nanoseconds
_ENTRY = struct.Struct(">16s8sBQ" + "IB?q")
_IDENTITY_BYTES = 24


class ExecutionCounter:
    """Collects lines of executions, and answers with statistics that count each span once."""

    def __init__(self, group_as: str | None) -> None:
        self._group_as = group_as
        self._groups: dict[str, int] = {}
        self._entries: list[bytes] = []

    def add(self, record: SpanRecord, place: Place) -> None:
        """Take a line into account."""
        name = record.qualified_name if self._group_as is None else self._group_as
        duration_ns = 0 if record.end_ns is None else record.end_ns - record.start_ns
        self._entries.append(
            _ENTRY.pack(
                bytes.fromhex(record.trace_id),
                bytes.fromhex(record.span_id),
                rank_of(record.status),
                place.offset,
                self._groups.setdefault(name, len(self._groups)),
                STATUSES.index(record.status if record.status in STATUSES else STARTED),
                record.end_ns is not None,
                max(INT64_MIN, min(duration_ns, INT64_MAX)),
            )
        )

    def statistics(self) -> list[Statistics]:
        """One `Statistics` a group."""
        tallies = [Tally() for _ in self._groups]
        previous = b""
        for entry in sorted(self._entries, reverse=True):
            identity = entry[:_IDENTITY_BYTES]
            if identity != previous:
                *_, group, status, has_ended, duration_ns = _ENTRY.unpack(entry)
                tallies[group].add(STATUSES[status], duration_ns if has_ended else None)
                previous = identity
        counted = ((name, tallies[group].statistics(name)) for name, group in self._groups.items())
        return [statistics for _, statistics in counted if statistics.total or statistics.running]
