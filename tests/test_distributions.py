"""Histograms add up, whatever their bounds, and their percentiles are estimated no worse than their buckets allow."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_tracker.distributions import Distribution
from otel_tracker.metric_records import MetricRecord

BOUNDS = (0.0, 1.0, 2.5, 10.0)


def histogram(values: list[float], bounds: tuple[float, ...] = BOUNDS, **fields: Any) -> MetricRecord:
    """What an explicit bucket histogram makes of these measurements."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return MetricRecord(
        *("t", 1, "histogram"),
        count=len(values),
        sum=math.fsum(values),
        buckets=tuple(zip((*bounds, None), counts, strict=True)),
        **{"min": min(values, default=None), "max": max(values, default=None), **fields},
    )


def exponential(
    scale: int, zero: int, positive: tuple[int, list[int]], negative: tuple[int, list[int]]
) -> Distribution:
    sides = {name: {"offset": s[0], "counts": s[1]} for name, s in (("positive", positive), ("negative", negative))}
    count = zero + sum(positive[1]) + sum(negative[1])
    fields = {"scale": scale, "zero_count": zero, "zero_threshold": 0.0, **sides}
    return Distribution.of(MetricRecord("t", 1, "exponential_histogram", count=count, exponential=fields))


values = st.lists(st.floats(-5, 50), min_size=1, max_size=30)


@settings(max_examples=40)
@given(values, st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(measured: list[float], share: float) -> None:
    """It is off by the width of a bucket at most, and never beyond the least and the greatest."""
    found = Distribution.of(histogram(measured)).percentile(share)
    true = sorted(measured)[max(math.ceil(share * len(measured)), 1) - 1]
    bucket = bisect_left(BOUNDS, true)
    lower, upper = (-5.0, *BOUNDS)[bucket], (*BOUNDS, 50.0)[bucket]
    assert found is not None
    assert lower <= found <= upper
    assert min(measured) <= found <= max(measured)


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=5))
def test_distributions_add_up(parts: list[list[float]]) -> None:
    """Whatever comes in parts is the same as what comes at once."""
    added = Distribution()
    for part in parts:
        added.add(Distribution.of(histogram(part)))
    at_once = Distribution.of(histogram([value for part in parts for value in part]))
    assert (added.count, added.min, added.max, added.intervals) == (
        at_once.count,
        at_once.min,
        at_once.max,
        at_once.intervals,
    )
    assert added.sum == pytest.approx(at_once.sum)


@settings(max_examples=40)
@given(values, values)
def test_what_came_since_is_what_was_added(before: list[float], after: list[float]) -> None:
    """The difference of two cumulative points, of which nobody knows least and greatest."""
    came = Distribution.of(histogram([*before, *after])).since(Distribution.of(histogram(before)))
    assert came is not None
    assert (came.count, came.min, came.max) == (len(after), None, None)
    assert came.intervals == Distribution.of(histogram(after)).intervals
    assert came.sum == pytest.approx(math.fsum(after), abs=1e-9)


def test_what_counted_more_before_has_begun_anew() -> None:
    """In all, or in one bucket."""
    small, large = Distribution.of(histogram([1.0])), Distribution.of(histogram([1.0, 2.0]))
    assert small.since(large) is None
    assert Distribution.of(histogram([0.5, 0.5])).since(Distribution.of(histogram([5.0]))) is not None
    assert Distribution.of(histogram([5.0, 0.5])).since(Distribution.of(histogram([5.0, 5.0]))) is None


def test_histograms_with_other_bounds_add_up() -> None:
    """A program was restarted with other buckets."""
    both = Distribution.of(histogram([0.5, 0.5], (1.0,)))
    both.add(Distribution.of(histogram([20.0], (10.0, 30.0))))
    assert both.count == 3
    assert (both.percentile(0.3), both.percentile(0.5), both.percentile(1.0)) == (0.75, 1.0, 20.0)


def test_without_buckets_there_is_no_percentile() -> None:
    """Count and sum are all that is known."""
    bare = Distribution.of(MetricRecord("t", 1, "histogram", count=3, sum=6.0))
    assert (bare.count, bare.sum, bare.percentile(0.5)) == (3, 6.0, None)
    assert Distribution().percentile(0.5) is None


def test_outermost_buckets_without_least_and_greatest_have_no_width() -> None:
    """Nothing is made up beyond the bounds: from 0, or from the bound itself where that lies below."""
    assert Distribution.of(histogram([50.0], min=None, max=None)).percentile(0.5) == 10.0
    assert Distribution.of(histogram([-50.0, 0.2], min=None, max=None)).percentile(0.5) == 0.0
    assert Distribution.of(histogram([0.5, 0.5], (1.0,), min=None, max=None)).percentile(0.5) == 0.5


def test_exponential_buckets_lie_between_powers() -> None:
    """At scale 0 the bounds are powers of 2; zero and the negative side come first."""
    found = exponential(0, 1, (1, [0, 2]), (0, [1]))
    assert found.intervals == {(0.0, 0.0): 1, (4.0, 8.0): 2, (-2.0, -1.0): 1}
    assert found.percentile(0.25) == -1.0
    assert found.percentile(0.5) == 0.0
    assert found.percentile(1.0) == 8.0
    assert list(exponential(1, 0, (2, [1]), (0, [])).intervals) == [(2.0, 2**1.5)]


@settings(max_examples=40)
@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 2), st.floats(0, 1))
def test_hostile_scales_end_in_a_number(scale: int, offset: int, share: float) -> None:
    """A point of anybody's may have any scale and offset that fit 32 bits."""
    found = exponential(scale, 0, (offset, [1]), (offset, [1])).percentile(share)
    assert found is not None
    assert math.isfinite(found)
