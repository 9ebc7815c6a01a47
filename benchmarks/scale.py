"""How fast questions are answered about a store of a million spans, while other programs write to it.

Run ``python benchmarks/scale.py``. It makes a SQLite and a JSONL store of the same spans (`_scale_stores`), asks each
question several times while four processes write 1,000 spans a second into the SQLite store, and prints the median and
the worst time in milliseconds beside the bar, and the plan by which SQLite answered. Exit status 1: a median missed its
bar. A million spans take about 700 MB of disk for the time of the run and some minutes to write.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from _scale_plans import plans_of
from _scale_stores import STEP_NS, fill, kept_busy, writer_of

from otel_tracker.query import StoreReader
from otel_tracker.stores import open_store

JSONL_BAR_SPANS_PER_S = 60_000


@dataclass
class Question:
    """What is asked of a reader, and how long the answer may take; no bar is only shown."""

    name: str
    ask: Callable[[StoreReader], object]
    bar_ms: float | None = None
    times_ms: list[float] = field(default_factory=list)

    def is_met(self) -> bool:
        return self.bar_ms is None or statistics.median(self.times_ms) <= self.bar_ms


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otel-tracker-scale-")))
        folder.mkdir(parents=True, exist_ok=True)
        is_met = _sqlite(folder / "scale.db", options, stack)
        return 0 if _jsonl(folder / "scale.jsonl", options, stack) and is_met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=9, help="how often each question is asked")
    parser.add_argument("--work", type=Path, help="the folder of the stores [default: a temporary one]")
    parser.add_argument("--keep", action="store_true", help="keep the stores in --work, and use those that lie there")
    return parser.parse_args()


def _made(path: Path, options: argparse.Namespace, stack: ExitStack) -> Path:
    """The store at the path, filled unless it was kept from an earlier run."""
    if not options.keep:
        stack.callback(_remove, path)
    if options.keep and path.exists():
        print(f"{path.name}: kept from an earlier run, {path.stat().st_size / 1e6:,.0f} MB")
        return path
    _remove(path)
    seconds = fill(writer_of(path), options.spans, time.time_ns() - options.spans * STEP_NS)
    megabytes = sum(file.stat().st_size for file in _files(path)) / 1e6
    print(
        f"{path.name}: {options.spans:,} spans, {megabytes:,.0f} MB, written at {options.spans / seconds:,.0f} spans/s"
    )
    return path


def _sqlite(path: Path, options: argparse.Namespace, stack: ExitStack) -> bool:
    _made(path, options, stack)
    with open_store(path) as reader:
        (span,) = list(reader.query_executions(limit=1))
    questions = _questions(span.trace_id)
    with kept_busy(path):
        for question in questions:
            for _ in range(options.runs):
                question.times_ms.append(_timed_ms(path, question.ask))
    print(f"\n{'while 4 processes write 1,000 spans/s':44}{'median':>10}{'worst':>10}{'bar':>10}")
    for question in questions:
        median, worst = statistics.median(question.times_ms), max(question.times_ms)
        bar = "" if question.bar_ms is None else f"{question.bar_ms:,.0f}"
        missed = "" if question.is_met() else "  MISSED"
        print(f"{question.name:44}{median:>10,.1f}{worst:>10,.1f}{bar:>10}{missed}")
    print("\nPlans")
    for question in questions:
        print(f"  {question.name}")
        print("".join(f"    {line}\n" for line in plans_of(path, question.ask)), end="")
    return all(question.is_met() for question in questions)


def _questions(trace_id: str) -> list[Question]:
    newest = {"limit": 100}
    return [
        Question("newest 100", lambda reader: list(reader.query_executions(**newest)), 10),
        Question("one trace", lambda reader: reader.get_trace(trace_id), 10),
        Question("one function", lambda reader: list(reader.query_executions("function7", **newest)), 10),
        Question(
            "one function, failed", lambda reader: list(reader.query_executions("function7", status="failed")), 10
        ),
        Question("all functions, percentiles", lambda reader: reader.function_statistics(limit=None), 1_000),
        Question("all functions, last hour", lambda reader: reader.function_statistics(start_time="1h"), 1_000),
        Question("one function, percentiles", lambda reader: reader.get_statistics("function7"), 100),
        Question("a group of functions, last hour", lambda reader: reader.get_statistics("shop.*", start_time="1h")),
        Question("newest 100 events", lambda reader: list(reader.events()), 10),
    ]


def _timed_ms(path: Path, ask: Callable[[StoreReader], object]) -> float:
    """With a reader that was just opened: nothing is warm but the machine."""
    begin_s = time.perf_counter()
    with open_store(path) as reader:
        ask(reader)
        return (time.perf_counter() - begin_s) * 1_000


def _jsonl(path: Path, options: argparse.Namespace, stack: ExitStack) -> bool:
    print()
    _made(path, options, stack)
    best_ms = min(_timed_ms(path, lambda reader: reader.function_statistics(limit=None)) for _ in range(3))
    rate = options.spans / best_ms * 1_000
    missed = "" if rate >= JSONL_BAR_SPANS_PER_S else "  MISSED"
    print(f"statistics in one pass: {rate:,.0f} spans/s (bar: {JSONL_BAR_SPANS_PER_S:,}){missed}")
    return not missed


def _files(path: Path) -> list[Path]:
    return [file for file in path.parent.iterdir() if file.name.startswith(path.name)]


def _remove(path: Path) -> None:
    for file in _files(path):
        file.unlink()


if __name__ == "__main__":
    sys.exit(main())
