"""What the benchmarks of this folder share at their edges: options, the Markdown table, the JSON document, the status.

A script makes `Result`s, many of them in child processes (`_children`), and ends with `report`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Any

_TITLES = ("case", "workload", "cost", "ratio", "of best", "bar", "")


@dataclass(frozen=True)
class Result:
    """One row: the cost in ``cost_unit``, the ratio in ``unit``; a bar of None is only shown, never missed."""

    case: str
    workload: str
    cost: float
    cost_unit: str
    ratio: float
    ratio_of_best: float
    unit: str
    bar: float | None = None
    more_is_better: bool = False

    def bar_at(self, factor: float) -> float | None:
        """The bar, so much easier."""
        if self.bar is None:
            return None
        return self.bar / factor if self.more_is_better else self.bar * factor

    def is_met(self, factor: float) -> bool | None:
        """Whether the ratio is within the bar; None without one."""
        bar = self.bar_at(factor)
        if bar is None:
            return None
        return self.ratio >= bar if self.more_is_better else self.ratio <= bar


def option_parser(doc: str | None, *, rounds: int, sample_ms: float = 0) -> argparse.ArgumentParser:
    """The options that every script has; ``sample_ms`` where the number of calls in a sample is found by trying."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each case is timed [default: {rounds}]")
    parser.add_argument("--only", metavar="GLOB", default="*", help="the rows to measure, by case or case/workload")
    parser.add_argument("--factor", type=float, default=1.0, help="make every bar so many times easier [default: 1]")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there, as JSON; - is stdout's last line")
    if sample_ms:
        parser.add_argument("--sample-ms", type=float, default=sample_ms, help="how long a case is timed in a round")
    parser.add_argument("--process", help=argparse.SUPPRESS)  # what a child process measures
    return parser


def is_wanted(case: str, workload: str, pattern: str) -> bool:
    """Whether ``--only`` asks for the row."""
    return fnmatchcase(case, pattern) or fnmatchcase(f"{case}/{workload}", pattern)


def report(results: Sequence[Result], options: argparse.Namespace, notes: Sequence[str] = ()) -> int:
    """Print the table, write the document; the exit status: 1 when a bar was missed."""
    versions = {"python": platform.python_version(), "opentelemetry_sdk": version("opentelemetry-sdk")}
    print(f"CPython {versions['python']}, opentelemetry-sdk {versions['opentelemetry_sdk']}, {options.rounds} rounds\n")
    _print_table([_TITLES, *(_cells(result, options.factor) for result in results)])
    print("".join(f"\n{note}" for note in notes), end="\n" if notes else "")
    rows = [{**asdict(result), "is_met": result.is_met(options.factor)} for result in results]
    _write(
        {**versions, "rounds": options.rounds, "factor": options.factor, "notes": list(notes), "rows": rows}, options
    )
    return 1 if any(row["is_met"] is False for row in rows) else 0


def _cells(result: Result, factor: float) -> tuple[str, ...]:
    bar, is_met = result.bar_at(factor), result.is_met(factor)
    unit = "x" if result.more_is_better else f" {result.unit}"
    sign = ">=" if result.more_is_better else "<="
    return (
        result.case,
        result.workload,
        f"{result.cost:,.3f} us" if result.cost_unit == "us" else f"{result.cost:,.0f} {result.cost_unit}",
        f"{result.ratio:.3f}{unit}",
        f"{result.ratio_of_best:.3f}",
        "" if bar is None else f"{sign} {bar:g}{unit}",
        "" if is_met is None else "met" if is_met else "MISSED",
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def _write(document: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json == "-":
        print(json.dumps(document))
    elif options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)


def print_for_parent(results: Sequence[Result], notes: Sequence[str] = ()) -> int:
    """What a child process says: its rows and notes, as the last line of stdout."""
    print(json.dumps({"rows": [asdict(result) for result in results], "notes": list(notes)}))
    sys.stdout.flush()
    return 0
