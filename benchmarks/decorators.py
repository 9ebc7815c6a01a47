"""What `@traced` and `span` cost for each call, in B: the cost of a bare span of the SDK.

Run ``python benchmarks/decorators.py``. B is what ``@tracer.start_as_current_span("x")`` adds to the same function: a
recorded child span without attributes, discarded by its processor; 100 calls share a parent, which is not timed. Cases
that need a process of their own (a sampler, a setting, orjson or its absence) are timed there beside a plain function
and a span of the SDK. Exit status 1: a bar was missed. ``--factor 2`` compares with twice the bars, which noise does
not reach.

What is not in the figures: the garbage collector, and what exporters do with the spans (see ``exporters.py``).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec

from _children import hide_package, results_of
from _results import Result, is_wanted, option_parser, print_for_parent, report

ROUNDS = 40
SAMPLE_MS = 4.0
DISABLED = "OTEL_SDK_DISABLED at import"


@dataclass(frozen=True)
class Part:
    """What is measured in one process."""

    settings: dict[str, str] = field(default_factory=dict)
    needs: str | None = None


PARTS = {
    "recorded": Part(),
    "orjson": Part(needs="orjson"),
    "portable": Part({"OTEL_TRACKER_SPAN_ENGINE": "sdk"}),
    "ratio-0": Part(),
    "always-off": Part(),
    "durable": Part(),
    "batch": Part(),
    "both-ends": Part(),
    "sdk-disabled": Part({"OTEL_SDK_DISABLED": "true"}),
}


def main() -> int:
    options = option_parser(__doc__, rounds=ROUNDS, sample_ms=SAMPLE_MS).parse_args()
    if options.process:
        return _measure(options)
    results: list[Result] = []
    notes: list[str] = []
    for name, part in PARTS.items():
        if part.needs and not find_spec(part.needs):
            notes.append(f"{part.needs} is not installed: its rows are left out.")
            continue
        measured, said = results_of(__file__, name, options, settings=part.settings)
        results += measured
        notes += said
    return report(results, options, notes)


def _measure(options: argparse.Namespace) -> int:
    """In a child process."""
    if PARTS[options.process].needs != "orjson":
        hide_package("orjson")
    if options.process == "sdk-disabled":
        return print_for_parent([_same_function()] if is_wanted(DISABLED, "add", options.only) else [])
    from _decorator_rows import ROWS, check_capture, recorded_class
    from _rounds import results

    rows = [row for row in ROWS[options.process]() if is_wanted(row.name, row.workload, options.only)]
    if not rows:
        return print_for_parent([])
    if options.process in ("recorded", "orjson", "portable"):
        check_capture()
    note = f"{options.process}: a root span is a {recorded_class()}."
    return print_for_parent(results(rows, options.rounds, options.sample_ms), [note])


def _same_function() -> Result:
    """No cost, because nothing is there that could cost: the decorator returns the function itself."""
    from _workloads import add

    from otel_tracker import traced

    if traced(add) is not add or traced(capture_args=True, capture_result=True)(add) is not add:
        raise RuntimeError("With OTEL_SDK_DISABLED=true, traced() wrapped a function; expected the same function.")
    return Result(DISABLED, "add", cost=0, cost_unit="us", ratio=0, ratio_of_best=0, unit="B", bar=0)


if __name__ == "__main__":
    sys.exit(main())
