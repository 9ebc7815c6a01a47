"""A store in memory that is written, read, followed and interrupted as a test wishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from otel_tracker.errors import QueryError, StoreNotFoundError, StoreUnwritableError
from otel_tracker.following import Stored
from otel_tracker.query import EventFilter, SpanFilter, StoreReader
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker.stores import Store, installed_stores
from otel_tracker.writing import StoreWriter

Records = list[SpanRecord | EventRecord]


class Interrupted(BaseException):
    """What stands for a killed process: nothing catches it."""


class Memory:
    """What lies in every store of the test, and what happens to writes.

    The batch with the number ``interrupt_at`` is interrupted, with ``keeps`` of its records written all the same. All
    fail while ``fails`` is set. Without ``is_ordered`` records have no positions.
    """

    def __init__(self) -> None:
        self.stores: dict[str, Records] = {}
        self.writes = 0
        self.interrupt_at: int | None = None
        self.keeps = 0
        self.fails = False
        self.is_ordered = True

    def store(self, *, readable: bool = True) -> Store:
        """The store to register: files ending in ``.mem``, or urls that can only be written to."""
        return Store(
            name="mem" if readable else "wire",
            schemes=("mem",) if readable else ("wire",),
            suffixes=(".mem",) if readable else (),
            open_reader=self._reader if readable else None,
            default_location=lambda: "default.mem",
            recognises=lambda head: False,
            open_writer=lambda location, _: MemoryWriter(self, location, keeps_unfinished=readable),
            keeps_scheme=not readable,
        )

    def _reader(self, location: str) -> StoreReader:
        if location not in self.stores:
            raise StoreNotFoundError(f"There is no store at {location}.")
        return MemoryReader(self, location)


class MemoryReader(StoreReader):
    def __init__(self, memory: Memory, location: str) -> None:
        self.location = location
        self._memory = memory

    def _read_stored(self, after: str | None) -> Iterator[Stored]:
        if after is not None and not after.isdigit():
            raise QueryError("no position")
        for number, record in enumerate(self._records()[int(after or 0) :], int(after or 0) + 1):
            yield Stored(record, str(number) if self._memory.is_ordered else None)

    def _position_before_last(self, count: int) -> str | None:
        return str(max(len(self._records()) - count, 0))

    def stored_size(self) -> int | None:
        return len(self._records()) if self._memory.is_ordered else None

    def progress(self, position: str) -> int:
        return int(position)

    def _records(self) -> Records:
        return self._memory.stores[self.location]

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        raise NotImplementedError

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        raise NotImplementedError

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        raise NotImplementedError

    def _read_failures(self, trace_ids: object) -> list[SpanRecord]:
        raise NotImplementedError

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> list[Statistics]:
        raise NotImplementedError


class MemoryWriter(StoreWriter):
    """Appends; one that can only be written to leaves out spans without an end, and counts them."""

    def __init__(self, memory: Memory, location: str, *, keeps_unfinished: bool) -> None:
        super().__init__(location)
        self._memory = memory
        self._keeps_unfinished = keeps_unfinished
        if not keeps_unfinished:
            self.unfinished = 0

    def _store(self, records: Iterable[SpanRecord | EventRecord]) -> None:
        batch = list(records)
        memory = self._memory
        memory.writes += 1
        if memory.fails:
            raise StoreUnwritableError("The disk is full.")
        kept = [record for record in batch if self._keeps(record)]
        is_interrupted = memory.writes == memory.interrupt_at
        memory.stores.setdefault(self.location, []).extend(kept[: memory.keeps] if is_interrupted else kept)
        if is_interrupted:
            raise Interrupted

    def _keeps(self, record: SpanRecord | EventRecord) -> bool:
        if self._keeps_unfinished or isinstance(record, EventRecord) or record.end_ns is not None:
            return True
        self.unfinished += 1
        return False


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """An empty memory whose two stores are installed beside the real ones."""
    memory = Memory()
    stores = {**installed_stores(), "mem": memory.store(), "wire": memory.store(readable=False)}
    lookup: Callable[[], dict[str, Store]] = lambda: stores
    monkeypatch.setattr("otel_tracker.stores.installed_stores", lookup)
    monkeypatch.setattr("otel_tracker.convert.places.installed_stores", lookup)
    return memory


def fill(memory: Memory, path: Path, records: Iterable[SpanRecord | EventRecord]) -> str:
    """Put records into the store at this path; gives the path as text."""
    memory.stores[str(path)] = list(records)
    return str(path)
