"""Where a conversion begins: at the source's beginning, or where an interrupted run of the same one stopped.

- A target that is not there, or empty, gets everything; the state file says how far we have come.
- A target that holds something is read first, and what it holds is passed over. That needs no state file: whatever
  an interrupted run has written is held as well.
- A target that can only be written gets everything, each span once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from otel_tracker.convert.counts import Counts
from otel_tracker.convert.held import Held, HeldTimes, filled, key_of
from otel_tracker.convert.state import Job, State, StateFile
from otel_tracker.convert.target import Target
from otel_tracker.errors import QueryError
from otel_tracker.following import Stored
from otel_tracker.query import StoreReader
from otel_tracker.records import Record, SpanRecord


@dataclass(slots=True)
class Start:
    """Where to begin, and what is passed over.

    ``held`` was there before and is counted so; ``in_flight`` was written by the batch that was interrupted, and is
    counted as converted. ``sends_once`` adds to ``held`` what is sent. ``state`` is that of the interrupted run.
    """

    held: Held | None = None
    in_flight: HeldTimes | None = None
    sends_once: bool = False
    keeps_state: bool = True
    state: State | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def position(self) -> str | None:
        """Where in the source to begin."""
        return None if self.state is None else self.state.source_position

    def close(self) -> None:
        """Give back what is remembered."""
        for remembered in (self.held, self.in_flight):
            if remembered is not None:
                remembered.close()


def find_start(reader: StoreReader, target: Target, job: Job, states: StateFile, look: Callable[[], None]) -> Start:
    """Where to begin; ``look`` is called now and then while what is there is read."""
    state = states.load(job)
    if state is not None and _is_readable_from(reader, state.source_position):
        resumed = _resumed(target, state) if target.is_readable else _sending_on(reader, state, look)
        if resumed is not None:
            return resumed
    if not target.is_readable:
        return Start(held=Held(), sends_once=True)
    if target.is_empty():
        return Start()
    return Start(held=filled(Held(), _looked_at(target.stored(), look)), keeps_state=False)


def _resumed(target: Target, state: State) -> Start | None:
    """After the last batch that is certainly written; None when the target is not what that run wrote to."""
    if state.target_position is None or state.target_identity != target.identity():
        return None
    try:
        behind = target.stored(state.witness_position)
        if not any(key_of(stored.record).hex() == state.witness for stored in behind):
            return None
        in_flight = filled(HeldTimes(), (stored.record for stored in target.stored(state.target_position)))
    except QueryError:  # a position that this store does not understand
        return None
    return Start(in_flight=in_flight, state=state, counts=state.counts)


def _sending_on(reader: StoreReader, state: State, look: Callable[[], None]) -> Start:
    """After the last batch that was sent for certain; which spans those were, the source tells."""
    sent = _looked_at(islice(reader.stored(), state.records), look)
    held = filled(Held(), (record for record in sent if isinstance(record, SpanRecord)))
    return Start(held=held, sends_once=True, state=state, counts=state.counts)


def _looked_at(stored: Iterator[Stored], look: Callable[[], None]) -> Iterator[Record]:
    for record, _ in stored:
        yield record
        look()


def _is_readable_from(reader: StoreReader, position: str) -> bool:
    try:
        next(reader.stored(position), None)
    except QueryError:
        return False
    return True
