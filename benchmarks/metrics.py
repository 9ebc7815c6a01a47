"""What a measurement costs, beside the same written with OpenTelemetry's own instruments.

Run ``python benchmarks/metrics.py``. Both are given to the same meter provider of the SDK, with one reader that
collects nothing. The labels of the rows with two are texts, which both get anew in every call. `timed` stands beside
the lines that do the same: the clock, ``try`` and ``finally``, and `record`. Ratios are whole costs, without a plain
case to subtract. Exit status 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from time import perf_counter, thread_time_ns
from typing import Any

from _children import results_of
from _results import Result, is_wanted, option_parser, print_for_parent, report

ROUNDS = 40
SAMPLE_MS = 4.0
BAR = 1.15
PARTS = ("without a span", "in a recorded span")


def main() -> int:
    options = option_parser(__doc__, rounds=ROUNDS, sample_ms=SAMPLE_MS).parse_args()
    if options.process:
        return _measure(options)
    results: list[Result] = []
    notes: list[str] = []
    for name in PARTS:
        measured, said = results_of(__file__, name, options, settings={})
        results += measured
        notes += said
    return report(results, options, notes)


def _measure(options: argparse.Namespace) -> int:
    """In a child process."""
    from _rounds import results

    rows = [row for row in _rows(options.process) if is_wanted(row.name, row.workload, options.only)]
    return print_for_parent(results(rows, options.rounds, options.sample_ms) if rows else [])


def _rows(part: str) -> Iterator[Any]:
    from contextlib import nullcontext

    from _rounds import Case, Row
    from _sdk_spans import Discard, recorded_parent, tracer_with
    from _workloads import timed as timed_loop
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    import otel_tracker
    from otel_tracker.instruments import SECONDS

    provider = MeterProvider([InMemoryMetricReader()])
    metrics.set_meter_provider(provider)
    around = nullcontext if part == PARTS[0] else recorded_parent(tracer_with(Discard()))
    meter = provider.get_meter("benchmark")
    counter = meter.create_counter("sdk.counter")
    histogram = meter.create_histogram("sdk.histogram", "s", explicit_bucket_boundaries_advisory=SECONDS)
    ours = otel_tracker.counter("our.counter")
    our_histogram = otel_tracker.histogram("our.histogram", "s", buckets=SECONDS)

    def row(name: str, loop: Any, mine: Any, sdk_loop: Any, theirs: Any) -> Row:
        case = Case(f"{name}, ours", timed_loop(loop, mine), around)
        unit = Case(f"{name}, SDK's", timed_loop(sdk_loop, theirs), around)
        return Row(f"{name}, {part}", "call", case, None, unit, None, BAR, "x SDK")

    yield row("add without labels", _amounts, ours.add, _amounts, counter.add)
    yield row("add with two labels", _labels, ours.add, _attributes, counter.add)
    yield row("record", _values, our_histogram.record, _values, histogram.record)
    yield row("timed as decorator", _calls, otel_tracker.timed("our.calls")(_work), _calls, _by_hand(histogram)(_work))
    yield row("with timed", _blocks, otel_tracker.timed, _blocks_by_hand, histogram.record)


def _by_hand(histogram: Any) -> Callable[..., Any]:
    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            begin_s = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                histogram.record(perf_counter() - begin_s)

        return wrapper

    return decorator


def _work(number: int) -> int:
    return number + 1


def _amounts(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(1)
    return thread_time_ns() - begin_ns


def _labels(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(1, country="NL", channel="web")
    return thread_time_ns() - begin_ns


def _attributes(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(1, {"country": "NL", "channel": "web"})
    return thread_time_ns() - begin_ns


def _values(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(0.042)
    return thread_time_ns() - begin_ns


def _calls(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(1)
    return thread_time_ns() - begin_ns


def _blocks(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        with call("our.blocks"):
            pass
    return thread_time_ns() - begin_ns


def _blocks_by_hand(call: Any, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        begin_s = perf_counter()
        try:
            pass
        finally:
            call(perf_counter() - begin_s)
    return thread_time_ns() - begin_ns


if __name__ == "__main__":
    sys.exit(main())
