"""What histograms of any kind say about the measurements in them, added up, and percentiles estimated from that.

Every bucket becomes an interval with a count, so that histograms with other bounds add up too. A percentile is by
nearest rank; inside of the interval that holds the rank the measurements are taken to lie evenly. So it is off by the
width of that interval at most, and is exact for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from sys import float_info
from typing import Any

from otel_tracker.metric_records import EXPONENTIAL_HISTOGRAM, MetricRecord

_Interval = tuple[float, float]


@dataclass(slots=True)
class Distribution:
    """Measurements by interval, ``(lower, upper]`` with the infinities for the outermost.

    ``sum``, ``min`` and ``max`` are None where a part of it did not say.
    """

    count: int = 0
    sum: float | None = 0.0
    min: float | None = inf
    max: float | None = -inf
    intervals: Counter[_Interval] = field(default_factory=Counter)

    @classmethod
    def of(cls, point: MetricRecord) -> Distribution:
        """What one point says."""
        intervals: Counter[_Interval] = Counter()
        for interval, count in _intervals(point):
            intervals[interval] += count
        return cls(point.count or 0, point.sum, point.min, point.max, intervals)

    def add(self, other: Distribution) -> None:
        """Take the measurements of another one in as well; an empty one says nothing."""
        if not other.count:
            return
        self.count += other.count
        self.sum = None if self.sum is None or other.sum is None else self.sum + other.sum
        self.min = None if self.min is None or other.min is None else min(self.min, other.min)
        self.max = None if self.max is None or other.max is None else max(self.max, other.max)
        self.intervals.update(other.intervals)

    def since(self, earlier: Distribution) -> Distribution | None:
        """What came after an earlier state of the same; None where that is none, because it counted more.

        Nobody knows least and greatest of that, and nothing of where it lies when the intervals are others.
        """
        count = self.count - earlier.count
        is_same = self.intervals.keys() >= earlier.intervals.keys()
        intervals = Counter(self.intervals)
        intervals.subtract(earlier.intervals)
        if count < 0 or (is_same and any(number < 0 for number in intervals.values())):
            return None
        total = None if self.sum is None or earlier.sum is None else self.sum - earlier.sum
        return Distribution(count, total, None, None, +intervals if is_same else Counter())

    def percentile(self, share: float) -> float | None:
        """The estimate for a share from 0 to 1; None where nobody said where the measurements lie."""
        rank = max(ceil(share * self.intervals.total()), 1)
        for lower, upper in sorted(self.intervals, key=lambda interval: (interval[1], interval[0])):
            count = self.intervals[lower, upper]
            if rank <= count:
                return self._within(*self._bounded(lower, upper), rank / count)
            rank -= count
        return None

    def _bounded(self, lower: float, upper: float) -> _Interval:
        """The interval without infinities: up to the least or greatest that is known, else to 0 or of no width."""
        known_min = self.min if self.min is not None and self.min <= upper else None
        if lower == -inf:
            lower = known_min if known_min is not None and known_min != inf else min(0.0, upper)
        if upper == inf:
            upper = self.max if self.max is not None and self.max >= lower else lower
        return lower, upper

    def _within(self, lower: float, upper: float, share: float) -> float:
        value = lower + (upper - lower) * share if upper - lower < inf else upper
        value = value if self.min is None else max(value, self.min)
        return value if self.max is None else min(value, self.max)


def _intervals(point: MetricRecord) -> Iterator[tuple[_Interval, int]]:
    """The intervals of a point in which anything was measured."""
    if point.kind == EXPONENTIAL_HISTOGRAM:
        yield from _exponential_intervals(point.exponential)
        return
    lower = -inf
    for bound, count in point.buckets:
        upper = inf if bound is None else bound
        if count:
            yield (lower, upper), int(count)
        lower = upper


def _exponential_intervals(fields: Mapping[str, Any]) -> Iterator[tuple[_Interval, int]]:
    """https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-buckets."""
    if not fields:
        return
    threshold = abs(fields["zero_threshold"])
    if fields["zero_count"]:
        yield (-threshold, threshold), fields["zero_count"]
    for side, sign in (("positive", 1.0), ("negative", -1.0)):
        offset = fields[side]["offset"]
        for index, count in enumerate(fields[side]["counts"], offset):
            if count:
                near, far = (sign * _power(number, fields["scale"]) for number in (index, index + 1))
                yield (min(near, far), max(near, far)), count


def _power(index: int, scale: int) -> float:
    """``2 ** (index * 2 ** -scale)``, at most the greatest float."""
    if index == 0:
        return 1.0
    try:
        return min(float(2.0 ** (index * 2.0**-scale)), float_info.max)
    except OverflowError:
        return float_info.max if index > 0 else 0.0
