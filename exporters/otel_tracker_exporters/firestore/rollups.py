"""What a process counts of the executions that it stored, by function and hour: documents to take percentiles from.

Durations fall into buckets, each 2 % wider than the one before (as DDSketch, https://arxiv.org/abs/1908.10693), so that
a percentile from them is off by 1 % at most. One process, and its documents alone: each is set as a whole, with all
that was counted so far, so that to write it twice changes nothing. Where a process is killed, what it has counted in
the last minute is missing; readers notice (`statistics`).
"""

from __future__ import annotations

import hashlib
import math
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_tracker.records import COMPLETED, SpanRecord
from otel_tracker.writing import Item
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.documents import names_of
from otel_tracker_exporters.firestore.options import Options
from otel_tracker_exporters.firestore.text_spans import record_of

INTERVAL_S = 60.0
NS_PER_HOUR = 3_600 * 10**9
MAX_ROLLUPS = 2_000
"""How many a process keeps at once; executions of more functions are not counted, and percentiles fall back."""

GAMMA = 1.02
_LOG_GAMMA = math.log(GAMMA)
_LAST_BUCKET = wire.MAX_ITEMS - 1


def bucket_of(duration_ns: int) -> int:
    """The number of the bucket that a duration above 0 falls into."""
    return min(math.ceil(math.log(duration_ns) / _LOG_GAMMA), _LAST_BUCKET)


def middle_of(bucket: int) -> float:
    """The duration that stands for a bucket, at most 1 % from any in it."""
    return float(2 * math.exp(bucket * _LOG_GAMMA) / (GAMMA + 1))


@dataclass(slots=True)
class Histogram:
    """How many durations fell into each bucket; ``zeros`` are those of 0 and less."""

    buckets: dict[int, int] = field(default_factory=dict)
    zeros: int = 0
    finished: int = 0

    def add(self, duration_ns: int) -> None:
        """Count a duration."""
        self.finished += 1
        if duration_ns <= 0:
            self.zeros += 1
            return
        bucket = bucket_of(duration_ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, fields: Mapping[str, Any]) -> None:
        """Add what a rollup's document has counted; one that is none changes nothing."""
        try:
            zeros, finished = int(fields.get(f.ZEROS, 0)), int(fields.get(f.FINISHED, 0))
            counted = {int(bucket): int(count) for bucket, count in (fields.get(f.BUCKETS) or {}).items()}
        except (TypeError, ValueError, AttributeError, OverflowError):
            return
        self.zeros += zeros
        self.finished += finished
        for bucket, count in counted.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def at(self, rank: int) -> float:
        """The duration at a 0-based position among all, in nanoseconds; needs as many."""
        seen = self.zeros
        if rank < seen:
            return 0.0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if rank < seen:
                return middle_of(bucket)
        return middle_of(max(self.buckets, default=0))


@dataclass(slots=True)
class _Rollup:
    """One document; its ``instance`` is in its id, so that none replaces one that was forgotten meanwhile."""

    names: tuple[str, ...]
    instance: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    histogram: Histogram = field(default_factory=Histogram)
    counts: dict[str, int] = field(default_factory=dict)
    is_written: bool = False


class Rollups:
    """Counts what one exporter of this process has stored; used by one thread at a time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._rollups: dict[tuple[str, int], _Rollup] = {}
        self._written_s = time.monotonic()

    def count(self, source: Item) -> None:
        """Count a span that was stored."""
        if self._pid != os.getpid():  # what was counted before the fork is the parent's to write
            self._start()
        if isinstance(source, tuple):
            labels, start_ns, end_ns, status = source[3], source[4], source[5], COMPLETED
            key = labels.function, labels.module, labels.name
        elif isinstance(source, SpanRecord) and source.end_ns is not None:
            start_ns, end_ns, status = source.start_ns, source.end_ns, source.status
            key = source.function, source.module, source.name
        else:
            return
        rollup = self._rollup_of(key, start_ns // NS_PER_HOUR, source)
        if rollup is not None:
            rollup.histogram.add(end_ns - start_ns)
            rollup.counts[status] = rollup.counts.get(status, 0) + 1
            rollup.is_written = False

    def has_changed(self) -> bool:
        """Whether there is anything to write."""
        return self._pid == os.getpid() and any(True for _ in self._changed())

    def is_due(self) -> bool:
        """Whether it is time to write what was counted."""
        return time.monotonic() - self._written_s >= INTERVAL_S

    def writes(self, document_root: str) -> list[bytes]:
        """The documents that have changed, and after a success of which `written` is to be called."""
        return [self._encoded(document_root, *key, rollup) for key, rollup in self._changed()]

    def written(self) -> None:
        """What `writes` gave is stored; hours that are over are forgotten."""
        self._written_s = time.monotonic()
        for _, rollup in self._changed():
            rollup.is_written = True
        oldest = time.time_ns() // NS_PER_HOUR - 1
        self._rollups = {key: rollup for key, rollup in self._rollups.items() if key[1] >= oldest}

    def _changed(self) -> Iterator[tuple[tuple[str, int], _Rollup]]:
        return ((key, rollup) for key, rollup in self._rollups.items() if not rollup.is_written)

    def _rollup_of(self, key: tuple[str, str, str], hour: int, source: Item) -> _Rollup | None:
        function, module, name = key
        qualified = (f"{module}.{function}" if module else function) if function else name
        known = self._rollups.get((qualified, hour))
        if known is None and len(self._rollups) < MAX_ROLLUPS:
            record = record_of(source) if isinstance(source, tuple) else source
            assert isinstance(record, SpanRecord)  # noqa: S101 - for the type checker
            known = self._rollups[qualified, hour] = _Rollup(names_of(record)[2])
        return known

    def _encoded(self, document_root: str, qualified: str, hour: int, rollup: _Rollup) -> bytes:
        digest = hashlib.blake2b(qualified.encode("utf-8", "replace"), digest_size=8).hexdigest()
        begin_ns = hour * NS_PER_HOUR
        histogram = rollup.histogram
        values = {
            f.QUALIFIED_NAME: wire.text(rollup.names[-1]),
            f.NAMES: wire.array([wire.text(one) for one in rollup.names]),
            f.HOUR: wire.time(begin_ns),
            f.INSTANCE: wire.text(rollup.instance),
            f.COUNTS: wire.value(rollup.counts),
            f.FINISHED: wire.integer(histogram.finished),
            f.ZEROS: wire.integer(histogram.zeros),
            f.BUCKETS: wire.value({str(bucket): count for bucket, count in sorted(histogram.buckets.items())}),
            f.WRITTEN_AT: wire.time(time.time_ns()),
        }
        if self._options.ttl_ns:
            values[f.EXPIRE_AT] = wire.time(begin_ns + NS_PER_HOUR + self._options.ttl_ns)
        name = f"{document_root}/{self._options.rollups}/{digest}_{hour}_{rollup.instance}"
        return wire.write(name, [wire.field(key, value) for key, value in values.items()])


def merged(documents: Iterable[Mapping[str, Any]]) -> Histogram:
    """What several rollups have counted together."""
    histogram = Histogram()
    for fields in documents:
        histogram.merge(fields)
    return histogram
