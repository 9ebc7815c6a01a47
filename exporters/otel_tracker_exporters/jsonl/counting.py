"""Counts executions whose lines come in any order and may come more than once, over any number of files.

Each line becomes 37 bytes: which span, what it was, how it stands and how long it took. They are kept in 256 heaps by
the last byte of the span id, and counted heap by heap: only within one are repeats looked for. A counted heap is given
back before the next. A million executions make the process grow by about 60 MB.
"""

from __future__ import annotations

import struct
from array import array
from binascii import unhexlify
from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from otel_tracker.records import INT64_MAX, INT64_MIN, STARTED, STATUSES, SpanRecord
from otel_tracker.stats import Statistics, Tally
from otel_tracker_exporters.jsonl.selection import rank_of

_STATE = struct.Struct("<IBq")  # function, state, duration in nanoseconds
_ENTRY = struct.Struct("<24sIBq")  # trace and span id before that
_Entry: TypeAlias = tuple[bytes, int, int, int]
_HEAPS = 256

# How an execution stands: its status, and whether it has an end (a line of somebody else's may be odd).
_STATES = tuple((status, has_ended) for status in STATUSES for has_ended in (False, True))
_HAS_ENDED = tuple(has_ended for _, has_ended in _STATES)
_RANKS = tuple(rank_of(status) for status, _ in _STATES)
STATE_NUMBERS = {state: number for number, state in enumerate(_STATES)}
"""The number of each state, which `ExecutionCounter.add_line` takes."""


class ExecutionCounter:
    """Collects lines of executions, oldest first, and answers with statistics that count each span once.

    Of several lines of a span the one that knows most counts, and among equals the last.
    """

    def __init__(self) -> None:
        self._functions: dict[str, int] = {}
        self._heaps = [bytearray() for _ in range(_HEAPS)]

    def number_of(self, function_name: str) -> int:
        """The number under which executions of this name are added."""
        return self._functions.setdefault(function_name, len(self._functions))

    def add(self, record: SpanRecord, function_number: int) -> None:
        """Take a record into account."""
        duration_ns = 0 if record.end_ns is None else record.end_ns - record.start_ns
        status = record.status if record.status in STATUSES else STARTED
        state = STATE_NUMBERS[status, record.end_ns is not None]
        ids = f"{record.trace_id}{record.span_id}".encode()
        self.add_line(ids, function_number, state, max(INT64_MIN, min(duration_ns, INT64_MAX)))

    def add_line(self, ids: bytes, function_number: int, state: int, duration_ns: int) -> None:
        """The same for a line that was not parsed; ``ids`` are both ids in hex, the duration fits 64 bits."""
        identity = unhexlify(ids)
        self._heaps[identity[-1]] += identity + _STATE.pack(function_number, state, duration_ns)

    def statistics(self) -> list[Statistics]:
        """One `Statistics` a name; nothing is left to count afterwards."""
        counts = [0] * (len(self._functions) * len(_STATES))
        durations_ns = [array("q") for _ in self._functions]
        for number, heap in enumerate(self._heaps):
            self._heaps[number] = bytearray()
            for _, function, state, duration_ns in _once_each(heap):
                counts[function * len(_STATES) + state] += 1
                if _HAS_ENDED[state]:
                    durations_ns[function].append(duration_ns)
        tallies = (
            (name, self._by_status(counts, number), durations_ns[number]) for name, number in self._functions.items()
        )
        return [Tally(by_status, durations).statistics(name) for name, by_status, durations in tallies if by_status]

    @staticmethod
    def _by_status(counts: list[int], function: int) -> dict[str, int]:
        by_status: Counter[str] = Counter()
        for state, (status, _) in enumerate(_STATES):
            by_status[status] += counts[function * len(_STATES) + state]
        return +by_status


def _once_each(heap: bytearray) -> Iterable[_Entry]:
    """The entry that counts of each span."""
    entries: list[_Entry] = list(_ENTRY.iter_unpack(heap))
    if len({entry[0] for entry in entries}) == len(entries):
        return entries
    newest: dict[bytes, _Entry] = {}
    for entry in entries:
        known = newest.setdefault(entry[0], entry)
        if _RANKS[entry[2]] >= _RANKS[known[2]]:
            newest[entry[0]] = entry
    return newest.values()
