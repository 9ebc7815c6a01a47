"""What a record says of a run: names, sums, counts, metrics, identifiers and failures."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker import ProcessTracker, process_entries, process_invocations

from .conftest import Lines

NAMES = st.text(min_size=1).filter(str.strip)
VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.booleans())


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = perf_counter_ns()
        for module in (process_entries, process_invocations):
            monkeypatch.setattr(module, "perf_counter_ns", lambda: self.now_ns)

    def pass_ms(self, duration_ms: float) -> None:
        self.now_ns += int(duration_ms * 1e6)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_record_says_how_long_everything_took_in_the_order_of_completion(
    tracker: ProcessTracker, lines: Lines, clock: Clock
) -> None:
    """Children before the entry point, milliseconds with three decimals, identifiers at the top level."""

    @tracker
    def handler() -> str:
        with tracker.timer("load"):
            clock.pass_ms(12.3456)
            child()
        tracker.set_metric("rows", 3)
        tracker.set_identifier("correlation_id", "c-1")
        return "done"

    @tracker.track
    def child() -> None:
        clock.pass_ms(0.5)

    assert handler() == "done"
    assert lines.texts == [
        '{"latencies": {"child": 0.5, "load": 12.846, "handler": 12.846}, "metrics": {"rows": 3}, '
        '"correlation_id": "c-1"}'
    ]


def test_name_used_several_times_is_summed_and_counted(tracker: ProcessTracker, lines: Lines, clock: Clock) -> None:
    """``counts`` is there only then, and only for such names."""

    @tracker("job")
    def handler() -> None:
        for duration_ms in (10, 20, 30):
            with tracker.timer("query"):
                clock.pass_ms(duration_ms)
        with tracker.timer("once"):
            pass

    handler()
    assert lines.one() == {
        "latencies": {"query": 60.0, "once": 0.0, "job": 60.0},
        "metrics": {},
        "counts": {"query": 3},
    }


def test_name_that_runs_inside_itself_counts_its_outermost_run(
    tracker: ProcessTracker, lines: Lines, clock: Clock
) -> None:
    """Entry points, tracked functions and timers alike; one record for a recursive entry point."""

    @tracker
    def factorial(n: int) -> int:
        clock.pass_ms(1)
        with tracker.timer("step"):
            clock.pass_ms(1)
            return n * factorial(n - 1) if n else helper(2)

    @tracker.track
    def helper(n: int) -> int:
        clock.pass_ms(1)
        return helper(n - 1) if n else 1

    assert factorial(4) == 24
    assert lines.one() == {"latencies": {"helper": 3.0, "step": 12.0, "factorial": 13.0}, "metrics": {}}


def test_failed_run_is_recorded_and_its_exception_raised_unchanged(tracker: ProcessTracker, lines: Lines) -> None:
    """What was measured until then is in the record."""
    error = KeyError("sku")

    @tracker
    def handler() -> None:
        with tracker.timer("load"):
            raise error

    with pytest.raises(KeyError) as raised:
        handler()
    assert raised.value is error
    assert lines.one()["failed"] is True
    assert list(lines.one()["latencies"]) == ["load", "handler"]


def test_caught_exception_is_no_failure(tracker: ProcessTracker, lines: Lines) -> None:
    """A handler that answers for its errors itself has not failed."""

    @tracker
    def handler() -> None:
        try:
            with tracker.timer("load"):
                raise KeyError
        except KeyError as error:
            tracker.set_metric("error", type(error).__name__)

    handler()
    assert lines.one()["metrics"] == {"error": "KeyError"}
    assert "failed" not in lines.one()


def test_nothing_is_carried_over_to_the_next_run(tracker: ProcessTracker, lines: Lines) -> None:
    """One tracker of a module serves many runs, in AWS Lambda for instance."""

    @tracker
    def handler(n: int) -> None:
        with tracker.timer(f"part {n}"):
            tracker.set_metric(f"metric {n}", n)
            tracker.set_identifier(f"id {n}", n)
            if n == 1:
                raise ValueError

    handler(0)
    with pytest.raises(ValueError):
        handler(1)
    handler(2)
    assert [{*record, *record["latencies"], *record["metrics"]} for record in lines.all] == [
        {"latencies", "metrics", "handler", f"part {n}", f"metric {n}", f"id {n}"} | ({"failed"} if n == 1 else set())
        for n in range(3)
    ]


def test_entry_point_inside_another_has_a_record_and_is_a_part_of_it(tracker: ProcessTracker, lines: Lines) -> None:
    """The loop of a worker, and what it does for one message; timers belong to the inner one."""

    @tracker
    def handle(n: int) -> None:
        tracker.set_identifier("message", n)
        with tracker.timer("query"):
            pass

    @tracker
    def work() -> None:
        handle(1)
        handle(2)
        tracker.set_identifier("worker", "w")

    work()
    *handled, worked = lines.all
    assert [(record["message"], list(record["latencies"])) for record in handled] == [
        (1, ["query", "handle"]),
        (2, ["query", "handle"]),
    ]
    assert list(worked["latencies"]) == ["handle", "work"]
    assert worked["counts"] == {"handle": 2}
    assert "message" not in worked


def test_two_trackers_keep_apart(lines: Lines) -> None:
    """Also on one function."""
    other_lines = Lines()
    one, other = ProcessTracker(lines), ProcessTracker(other_lines, name="the other")

    @one
    @other
    def handler() -> None:
        with one.timer("a"), other.timer("b"):
            pass

    handler()
    assert list(lines.one()["latencies"]) == ["a", "handler"]
    assert list(other_lines.one()["latencies"]) == ["b", "the other"]


def test_outside_an_entry_point_nothing_is_recorded(tracker: ProcessTracker, lines: Lines) -> None:
    """A helper can be called by itself, and the next run knows nothing of it."""

    @tracker.track
    def helper() -> int:
        tracker.set_metric("rows", 1)
        tracker.set_identifier("id", 1)
        with tracker.timer("query"):
            return 7

    @tracker
    def handler() -> None:
        """Do nothing."""

    assert helper() == 7
    assert lines.texts == []
    handler()
    assert set(lines.one()["latencies"]) == {"handler"}
    assert len(lines.one()) == 2


@given(NAMES, NAMES, VALUES, NAMES.filter(lambda name: name not in process_invocations.RESERVED), VALUES)
def test_any_name_and_value_makes_valid_json(timer: str, metric: str, value: Any, name: str, known: Any) -> None:
    """One line, in ASCII; what JSON cannot say is text."""
    lines = Lines()
    tracker = ProcessTracker(lines)

    @tracker
    def handler() -> None:
        with tracker.timer(timer):
            tracker.set_metric(metric, value)
            tracker.set_identifier(name, known)

    handler()
    record = lines.one()
    assert lines.texts[0].isascii()
    assert "\n" not in lines.texts[0]
    assert set(record["latencies"]) == {timer, "handler"}
    assert record["metrics"] == {metric: _as_json(value)}
    assert record[name] == _as_json(known)


def _as_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def test_integer_too_long_for_decimal_does_not_cost_the_record(tracker: ProcessTracker, lines: Lines) -> None:
    """The interpreter refuses to write it in decimal."""
    tracker(lambda: tracker.set_metric("long", 10**6_000))()
    assert lines.one()["metrics"]["long"] == hex(10**6_000)


class Sink:
    """Outputs of other kinds than a function."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def method(self, text: str) -> None:
        self.lines(text)

    def __call__(self, text: str) -> None:
        self.lines(text)


@pytest.mark.parametrize(
    "output_of", [Sink, lambda lines: Sink(lines).method, lambda lines: partial(lines.__call__), lambda lines: lines]
)
def test_output_may_be_any_callable(output_of: Callable[[Lines], Callable[[str], None]], lines: Lines) -> None:
    """Functions, bound methods, partials and callable objects."""
    ProcessTracker(output_of(lines))(lambda: None)()
    assert list(lines.one()["latencies"]) == ["<lambda>"]


def test_output_is_print_unless_given(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a run."""
    ProcessTracker()(lambda: None)()
    assert json.loads(capsys.readouterr().out)["metrics"] == {}


def test_output_that_raises_is_said_once_and_never_reaches_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """The function's own result and exception go to the caller."""

    def broken(text: str) -> None:
        raise OSError("disk full")

    tracker = ProcessTracker(broken)

    @tracker
    def handler(n: int) -> float:
        return 1 / n

    with caplog.at_level(logging.WARNING):
        assert [handler(1), handler(2)] == [1.0, 0.5]
        with pytest.raises(ZeroDivisionError):
            handler(0)
    (said,) = caplog.messages
    assert "broken of a ProcessTracker raised OSError (disk full)" in said
