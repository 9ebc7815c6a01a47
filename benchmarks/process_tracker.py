"""What a `ProcessTracker` costs, in B: the cost of a bare span of the SDK (see ``decorators.py``).

Run ``python benchmarks/process_tracker.py``. A timer and a tracked function are also spans where a provider records
("recorded"); without one they are only measured. Beside it the timer of goblinfish-metrics-trackers, which is no span,
where that is installed. Exit status 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from typing import Any

from _children import results_of
from _results import Result, is_wanted, option_parser, print_for_parent, report

ROUNDS = 40
SAMPLE_MS = 4.0
BAR = 0.35
PARTS = ("recorded", "no provider")
PEER = "goblinfish"


def main() -> int:
    options = option_parser(__doc__, rounds=ROUNDS, sample_ms=SAMPLE_MS).parse_args()
    if options.process:
        return _measure(options)
    results: list[Result] = []
    notes = [] if find_spec(PEER) else ["goblinfish-metrics-trackers is not installed: its row is left out."]
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
    from _decorator_rows import Bench
    from _workloads import ADD
    from opentelemetry import trace

    from otel_tracker import ProcessTracker

    bench = Bench()
    if part == "no provider":
        trace._TRACER_PROVIDER = None
    tracker, parent = ProcessTracker(_nowhere), bench.inside

    @tracker("entry")
    @contextmanager
    def in_entry() -> Iterator[None]:
        with parent():
            yield

    yield bench.row(f"track, {part}", ADD, tracker.track, None, in_entry)
    yield bench.row(f"entry point, {part}", ADD, tracker)
    bench.inside = in_entry
    yield bench.block(f"timer, {part}", tracker.timer, BAR)
    if part == "no provider" and find_spec(PEER):
        opened, around = _peer()
        bench.inside = around
        yield bench.block("goblinfish timer", opened)


def _nowhere(text: str) -> None:
    """Take a record."""


def _peer() -> tuple[Callable[[str], object], Any]:
    """Its timer, each time with a name of its own: it warns of one that it knows."""
    from goblinfish.metrics.trackers import ProcessTracker  # type: ignore[import-not-found]

    tracker, names = ProcessTracker(_nowhere), count()

    @contextmanager
    def around() -> Iterator[None]:
        yield
        tracker(lambda: None)()  # its timers are kept until an entry point ends

    return lambda _: tracker.timer(f"x{next(names)}"), around


if __name__ == "__main__":
    sys.exit(main())
