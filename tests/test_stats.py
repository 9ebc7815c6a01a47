"""Statistics are exact: the same numbers as the plain definition gives, however they were counted."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker.records import ABORTED, COMPLETED, FAILED, STARTED, SpanRecord
from otel_tracker.stats import PERCENTILES, Statistics, Tally, nearest_rank, ranks_of, tally

finished = st.tuples(st.sampled_from([COMPLETED, FAILED]), st.integers(0, 10**15))
unfinished = st.tuples(st.sampled_from([STARTED, ABORTED]), st.none())
executions = st.lists(finished | unfinished, max_size=60)
Execution = tuple[str, int | None]


def by_definition(name: str, given: list[Execution]) -> Statistics:
    """The documented definition, written down without any thought of speed."""
    counts = {status: sum(1 for each, _ in given if each == status) for status in (COMPLETED, FAILED, ABORTED, STARTED)}
    total = counts[COMPLETED] + counts[FAILED] + counts[ABORTED]
    durations_ms = sorted(ns / 1e6 for _, ns in given if ns is not None)

    def percentile(p: int) -> float | None:
        # ceil(p * n / 100) in whole numbers, so that no rounding of floats can be wrong in the same way
        return durations_ms[max(-(-p * len(durations_ms) // 100), 1) - 1] if durations_ms else None

    return Statistics(
        function_name=name,
        total=total,
        completed=counts[COMPLETED],
        failed=counts[FAILED],
        aborted=counts[ABORTED],
        running=counts[STARTED],
        success_rate=counts[COMPLETED] / total * 100 if total else None,
        min_ms=durations_ms[0] if durations_ms else None,
        avg_ms=sum(durations_ms) / len(durations_ms) if durations_ms else None,
        p50_ms=percentile(50),
        p95_ms=percentile(95),
        p99_ms=percentile(99),
        max_ms=durations_ms[-1] if durations_ms else None,
    )


def approximately(statistics: Statistics) -> dict[str, object]:
    """The fields, with averages and rates up to rounding."""
    loose = {"avg_ms", "success_rate"}
    return {
        name: pytest.approx(value) if name in loose and value is not None else value
        for name, value in statistics.to_dict().items()
    }


@given(executions)
def test_tally_agrees_with_the_definition(given: list[Execution]) -> None:
    """Counts, rate, times and percentiles, for any mixture of executions."""
    counted = Tally()
    for status, duration_ns in given:
        counted.add(status, duration_ns)
    assert counted.statistics("f").to_dict() == approximately(by_definition("f", given))


@given(st.dictionaries(st.sampled_from(["a", "shop.b", "c"]), st.lists(finished, min_size=1, max_size=9)))
def test_executions_are_grouped_by_function(given: dict[str, list[Execution]]) -> None:
    """One line a function, each with the numbers of its own executions."""
    records = [record(name, status, ns) for name, group in given.items() for status, ns in group]
    found = {statistics.function_name: statistics for statistics in tally(records, group_as=None)}
    assert {name: each.to_dict() for name, each in found.items()} == {
        name: approximately(by_definition(name, group)) for name, group in given.items()
    }
    (together,) = tally(records, group_as="all")
    everything = [execution for group in given.values() for execution in group]
    assert together.to_dict() == approximately(by_definition("all", everything))


def record(name: str, status: str, duration_ns: int | None) -> SpanRecord:
    return SpanRecord("a" * 32, "b" * 16, name, 0, duration_ns, status=status)


def test_nothing_counted_is_zeros_without_rates_and_times() -> None:
    """There is no average of nothing, and no success rate of 0 % either."""
    nothing = Tally().statistics("f")
    assert nothing == Statistics("f")
    assert (nothing.total, nothing.success_rate, nothing.p50_ms) == (0, None, None)


def test_running_executions_count_apart() -> None:
    """What still runs is neither a success nor a failure."""
    counted = Tally()
    counted.add(STARTED, None)
    counted.add(COMPLETED, 1_000_000)
    statistics = counted.statistics("f")
    assert (statistics.total, statistics.running, statistics.success_rate) == (1, 1, 100.0)


def test_aborted_executions_lower_the_success_rate() -> None:
    """An execution whose process died has ended, and not well."""
    counted = Tally()
    for status, duration_ns in ((COMPLETED, 1), (FAILED, 1), (ABORTED, None), (ABORTED, None)):
        counted.add(status, duration_ns)
    assert counted.statistics("f").success_rate == 25.0


@pytest.mark.parametrize(
    ("percentile", "count", "rank"),
    [
        (50, 1, 0),
        (50, 2, 0),
        (50, 3, 1),
        (95, 20, 18),
        (95, 21, 19),
        (99, 100, 98),
        (99, 101, 99),
        (0, 5, 0),
        (100, 5, 4),
    ],
)
def test_percentile_is_the_nearest_rank(percentile: int, count: int, rank: int) -> None:
    """A percentile is always a duration that occurred."""
    assert nearest_rank(percentile, count) == rank


def test_rank_is_exact_for_every_count() -> None:
    """Floating point must not push ceil(95 % of n) over a whole number."""
    for count in range(1, 20_001):
        for percentile in PERCENTILES:
            assert nearest_rank(percentile, count) == -(-percentile * count // 100) - 1


def test_ranks_are_ascending_and_distinct() -> None:
    """A store looks each up once."""
    assert ranks_of(0) == []
    assert ranks_of(1) == [0]
    assert ranks_of(200) == [0, 99, 189, 197, 199]


def test_statistics_are_frozen_and_print_as_json() -> None:
    """Their keys are the fields that docs/querying.md names."""
    fields = json.loads(json.dumps(Statistics("f", total=1, completed=1).to_dict()))
    expected = (
        "function_name total completed failed aborted running success_rate min_ms avg_ms p50_ms p95_ms p99_ms max_ms"
    )
    assert list(fields) == expected.split()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Statistics("f").total = 1  # type: ignore[misc]
