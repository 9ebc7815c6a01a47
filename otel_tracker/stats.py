"""Statistics over executions: the numbers that every store answers with, and how they are computed.

Percentiles are exact, by nearest rank over the finished executions: the p-th percentile of N sorted
durations is the one at position ceil(p / 100 * N).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from otel_tracker.records import ABORTED, COMPLETED, FAILED, SpanRecord
from otel_tracker.timestamps import NS_PER_MS

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is known about the executions of one function.

    ``total`` = completed + failed + aborted; ``running`` ones come on top. ``success_rate`` is completed / total
    in percent. The milliseconds are over finished executions (completed and failed). Rates and times are None
    where there is nothing to compute them from.
    """

    function_name: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    aborted: int = 0
    running: int = 0
    success_rate: float | None = None
    min_ms: float | None = None
    avg_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as ``otel-tracker stats --json`` prints them."""
        return asdict(self)


def nearest_rank(percentile: float, count: int) -> int:
    """The 0-based position of a percentile (0 to 100) among ``count`` sorted values; ``count`` is at least 1."""
    return max(math.ceil(percentile / 100 * count), 1) - 1


def statistics_of(
    function_name: str,
    counts: dict[str, int],
    finished: int,
    sum_ns: int,
    ranked_ns: dict[int, int],
) -> Statistics:
    """Statistics from what a store counted.

    ``counts`` has the executions by status; ``ranked_ns`` the durations at the positions that `ranks_of(finished)`
    names, in nanoseconds.
    """
    completed, failed, aborted = (counts.get(status, 0) for status in (COMPLETED, FAILED, ABORTED))
    total = completed + failed + aborted
    p50, p95, p99 = (_ms(ranked_ns, nearest_rank(p, finished)) if finished else None for p in PERCENTILES)
    return Statistics(
        function_name=function_name,
        total=total,
        completed=completed,
        failed=failed,
        aborted=aborted,
        running=sum(counts.values()) - total,
        success_rate=100.0 * completed / total if total else None,
        min_ms=_ms(ranked_ns, 0) if finished else None,
        avg_ms=sum_ns / finished / NS_PER_MS if finished else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=_ms(ranked_ns, finished - 1) if finished else None,
    )


def ranks_of(finished: int) -> list[int]:
    """The positions whose durations `statistics_of` needs, ascending and distinct; none for no executions."""
    if not finished:
        return []
    return sorted({0, finished - 1, *(nearest_rank(p, finished) for p in PERCENTILES)})


class Tally:
    """Counts executions as they stream by, at 8 bytes an execution, for stores that cannot compute by themselves.

    May begin with executions by status, and the durations of the finished ones.
    """

    def __init__(self, counts: dict[str, int] | None = None, durations_ns: array[int] | None = None) -> None:
        self._counts = {} if counts is None else counts
        self._durations_ns = array("q") if durations_ns is None else durations_ns

    def add(self, status: str, duration_ns: int | None) -> None:
        """Count one execution; ``duration_ns`` is None unless it finished."""
        self._counts[status] = self._counts.get(status, 0) + 1
        if duration_ns is not None:
            self._durations_ns.append(duration_ns)

    def statistics(self, function_name: str) -> Statistics:
        """The statistics of all that was added."""
        ordered = sorted(self._durations_ns)
        ranked = {rank: ordered[rank] for rank in ranks_of(len(ordered))}
        return statistics_of(function_name, self._counts, len(ordered), sum(ordered), ranked)


def tally(executions: Iterable[SpanRecord], group_as: str | None) -> list[Statistics]:
    """One `Statistics` a function, or a single one named ``group_as`` over all executions."""
    tallies: dict[str, Tally] = {} if group_as is None else {group_as: Tally()}
    for record in executions:
        name = record.qualified_name if group_as is None else group_as
        duration_ns = None if record.end_ns is None else record.end_ns - record.start_ns
        tallies.setdefault(name, Tally()).add(record.status, duration_ns)
    return [entry.statistics(name) for name, entry in tallies.items()]


def _ms(ranked_ns: dict[int, int], rank: int) -> float:
    return ranked_ns[rank] / NS_PER_MS
