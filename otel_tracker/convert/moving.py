"""Moves one batch after the other: passes over what is there, writes the rest, and notes how far that was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from otel_tracker.convert.counts import Counts
from otel_tracker.convert.held import key_of
from otel_tracker.convert.start import Start
from otel_tracker.convert.state import Job, State, StateFile
from otel_tracker.convert.target import Target
from otel_tracker.errors import OtelTrackerError
from otel_tracker.following import Stored
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, Record, SpanRecord
from otel_tracker.writing import StoreWriter

_COUNTED: dict[type[Record], str] = {
    SpanRecord: "spans",
    EventRecord: "events",
    LogRecord: "logs",
    MetricRecord: "metrics",
}


class Mover:
    """Writes what is new of each batch, and counts."""

    def __init__(self, writer: StoreWriter, start: Start) -> None:
        self.counts = replace(start.counts)
        self._writer = writer
        self._start = start

    def move(self, batch: Sequence[Stored]) -> list[Record]:
        """Write a batch and give what was new; raises `StoreUnwritableError`."""
        new = [stored.record for stored in batch if not self._passes_over(stored.record)]
        if new:
            unwritable, unfinished = self._writer.unwritable, _unfinished(self._writer)
            self._writer.store(new)
            left_out = self._writer.unwritable - unwritable
            self.counts.unwritable += left_out
            self._count(new, left_out + _unfinished(self._writer) - unfinished)
        return new

    def finish(self) -> None:
        """Count what only the whole shows: spans of which no end came, where none can be written without."""
        if self._start.held is not None and self._start.sends_once and hasattr(self._writer, "unfinished"):
            self.counts.unfinished = self._start.held.unfinished()

    def _passes_over(self, record: Record) -> bool:
        start = self._start
        if start.in_flight is not None and start.in_flight.takes(record):
            self._count([record], 0)
            return True
        if start.held is not None and not (start.sends_once and not isinstance(record, SpanRecord)):
            if start.held.takes(record):
                _count_there(record, self.counts)
                return True
            if start.sends_once:
                start.held.add(record)
        return False

    def _count(self, written: Sequence[Record], left_out: int) -> None:
        """Which records a writer left out it does not say; nearly always they are spans."""
        numbers = Counter(map(type, written))
        for kind, name in _COUNTED.items():
            kept = max(numbers[kind] - left_out, 0)
            left_out -= numbers[kind] - kept
            setattr(self.counts, name, getattr(self.counts, name) + kept)


class Bookmark:
    """Keeps the state file in step with what is certainly written."""

    def __init__(self, states: StateFile, job: Job, start: Start, target: Target) -> None:
        self._states = states
        self._job = job
        self._target = target
        self._is_kept = start.keeps_state
        state = start.state
        self._records = 0 if state is None else state.records
        self._end = None if state is None else state.target_position
        self._witness = ("", None) if state is None else (state.witness, state.witness_position)

    def put(self, batch: Sequence[Stored], new: Sequence[Record], counts: Counts) -> None:
        """Remember that everything up to the end of this batch is written."""
        self._records += len(batch)
        position = batch[-1].position
        if position is None or not self._is_kept:
            return
        with suppress(OtelTrackerError):  # no order in the target, or it is gone: then there is no way back
            self._look_at_target(new)
            identity = self._target.identity()
            self._states.save(State(self._job, self._records, position, self._end, identity, *self._witness, counts))

    def _look_at_target(self, new: Sequence[Record]) -> None:
        if not self._target.is_readable:
            return
        witness = next((record for record in reversed(new) if _is_kept_whole(record)), None)
        if witness is not None:
            self._witness = key_of(witness).hex(), self._end
        self._end = self._target.end()


def _is_kept_whole(record: Record) -> bool:
    """False for the start of a span, which a store may drop for its end."""
    return not isinstance(record, SpanRecord) or record.end_ns is not None


def _count_there(record: Record, counts: Counts) -> None:
    name = f"{_COUNTED[type(record)]}_there"
    setattr(counts, name, getattr(counts, name) + 1)


def _unfinished(writer: StoreWriter) -> int:
    """How many spans without an end the writer has left out; a store that keeps them has no such number."""
    number: int = getattr(writer, "unfinished", 0)
    return number
