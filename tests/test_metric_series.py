"""Points add up to what was measured, whether they were told as deltas or cumulatively, by however many processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_tracker.metric_records import MetricRecord
from otel_tracker.metric_series import MetricSeries, metric_series

BEGIN_NS = 1_790_000_000_000_000_000
S = 1_000_000_000


def at(second: float) -> int:
    return BEGIN_NS + round(second * S)


def counted(second: int, value: float, **fields: Any) -> MetricRecord:
    """A counter's increase in the second that ends so many seconds after `BEGIN_NS`."""
    values = {"kind": "counter", "temporality": "delta", "start_ns": at(second - 1), **fields}
    return MetricRecord("orders", at(second), value=value, **values)


def series_of(points: Iterable[MetricRecord], **options: Any) -> list[MetricSeries]:
    """The series of points in any order."""
    return metric_series(sorted(points, key=lambda point: -point.time_ns), **options)


def only(points: Iterable[MetricRecord], **options: Any) -> MetricSeries:
    (series,) = series_of(points, **options)
    return series


def cumulative(steps: list[int | None], process: str, **fields: Any) -> list[MetricRecord]:
    """What a process tells of a counter after each increase; None is a restart."""
    points, total, start_ns = [], 0, at(0)
    for second, step in enumerate(steps, 1):
        if step is None:
            total, start_ns = 0, at(second)
            continue
        total += step
        common = {"temporality": "cumulative", "start_ns": start_ns, "resource": {"service.instance.id": process}}
        points.append(counted(second, total, **{**common, **fields}))
    return points


increases = st.lists(st.integers(0, 1000), min_size=1, max_size=30)
labels = st.sampled_from([{}, {"region": "eu"}, {"region": "us", "n": 1}])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(2**40), 2**40), labels), min_size=1, max_size=40))
def test_totals_are_the_sums_of_deltas(told: list[tuple[int, int, dict[str, Any]]]) -> None:
    """A series a label set, each with the exact sum of its deltas, and its trend has the same sum."""
    points = [counted(second, value, attributes=attributes) for second, value, attributes in told]
    for series in series_of(points):
        expected = sum(value for _, value, attributes in told if attributes == series.attributes)
        assert series.value == expected
        assert sum(slot or 0 for slot in series.slots) == expected
        assert series.points == sum(attributes == series.attributes for *_, attributes in told)


@settings(max_examples=40)
@given(st.lists(st.lists(st.none() | st.integers(0, 1000), min_size=1, max_size=20), min_size=1, max_size=3))
def test_cumulative_counters_come_to_the_same(steps: list[list[int | None]]) -> None:
    """Of any number of processes, each with any number of restarts: all that was counted, and nothing twice."""
    points = [point for number, told in enumerate(steps) for point in cumulative(told, str(number))]
    if points:
        assert only(points).value == sum(step or 0 for told in steps for step in told)


def test_a_reset_is_seen_by_the_number_alone() -> None:
    """Where nobody says since when a point counts, less than before is a new beginning."""
    told = [replace(point, start_ns=None) for point in cumulative([5, 3, None, 2, 2], "a")]
    assert [point.value for point in told] == [5, 8, 2, 4]
    assert only(told).value == 12


def test_what_was_counted_before_the_window_is_not_in_it() -> None:
    """A cumulative point tells of the time before as well: only what came since counts, or all of a new process."""
    points = cumulative([100, 1, 2, 3], "a")
    assert only(points[1:], since_ns=at(2)).value == 5
    assert only(points[3:], since_ns=at(4)).value == 0
    later = cumulative([None, None, 7, 1], "b")
    assert only([*points[1:], *later], since_ns=at(2)).value == 5 + 8


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=10), st.booleans())
def test_histograms_add_up_either_way(told: list[list[int]], is_cumulative: bool) -> None:
    """Count, sum and buckets, as deltas and as cumulative points."""
    bounds, points, so_far = (1.0, 2.0, 3.0, None), [], [0] * 4
    for second, counts in enumerate(told, 1):
        so_far = [one + other for one, other in zip(so_far, counts, strict=True)]
        shown = so_far if is_cumulative else counts
        points.append(
            MetricRecord(
                *("t", at(second), "histogram"),
                start_ns=at(0 if is_cumulative else second - 1),
                count=sum(shown),
                sum=float(sum(shown)),
                buckets=tuple(zip(bounds, shown, strict=True)),
                temporality="cumulative" if is_cumulative else "delta",
            )
        )
    series = only(points)
    assert (series.count, series.sum) == (sum(so_far), float(sum(so_far)))
    assert sum(slot or 0 for slot in series.slots) == sum(so_far)
    if sum(so_far):
        assert series.avg == 1.0
        assert series.p50 is not None


def test_a_gauge_is_where_it_stood_last() -> None:
    """Of all processes the one that told last; integers stay integers."""
    points = [MetricRecord("load", at(n), "gauge", value=n, resource={"p": n % 2}) for n in (3, 1, 2)]
    series = only(points, slots=3)
    assert (series.value, type(series.value), series.time_ns) == (3, int, at(3))
    assert series.slots == (1, 2, 3)


def test_up_down_counters_of_processes_are_added() -> None:
    """Each has told a total of its own: the last of each counts. As deltas they add up."""
    told = {"kind": "up_down_counter", "temporality": "cumulative"}
    points = [counted(n, value, **told, resource={"p": p}) for n, value, p in ((1, 5, "a"), (2, 3, "a"), (2, 4, "b"))]
    assert only(points).value == 7
    assert only([counted(1, 5, kind="up_down_counter"), counted(2, -2, kind="up_down_counter")]).value == 3


def test_a_summary_has_its_newest_quantiles() -> None:
    """Its count and sum are cumulative."""
    points = [
        MetricRecord("rpc", at(n), "summary", count=n, sum=2.0 * n, quantiles=((0.5, n + 0.5), (0.99, 9.0)))
        for n in (1, 2, 3)
    ]
    series = only(points)
    assert (series.count, series.sum, series.p50, series.p95) == (3, 6.0, 3.5, None)


def test_a_point_without_a_number_changes_none() -> None:
    """A process that says that it knows nothing is no process that counts from 0."""
    points = cumulative([5, 3], "a")
    nothing = replace(points[0], time_ns=at(1.5), value=None)
    assert only([*points, nothing]).value == 8
    assert only([nothing]).value is None


def test_kinds_and_units_of_one_name_are_apart() -> None:
    """What does not measure the same does not add up; order is by name and labels."""
    points = [counted(1, 1), counted(1, 1, unit="s"), replace(counted(1, 1), kind="gauge", temporality="")]
    assert [(series.kind, series.unit) for series in series_of([*points, replace(points[0], name="a")])] == [
        ("counter", ""),
        ("counter", ""),
        ("counter", "s"),
        ("gauge", ""),
    ]
    assert series_of([]) == []


def test_slots_cover_the_window_that_was_asked_for() -> None:
    """From its beginning to the newest point; parts without a point are none, not 0."""
    points = [counted(n, 1) for n in (1, 2, 9, 10)]
    series = only(points, since_ns=at(0.5), slots=5)
    assert series.slots == (2, None, None, None, 2)
    assert only(points, slots=10).slots == (1, 1, None, None, None, None, None, None, 1, 1)
    assert len(only([*points, counted(10**6, 1)], slots=10).slots) == 10
