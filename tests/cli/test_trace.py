"""`otel-tracker trace`: one trace as a tree."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from otel_tracker.cli.tree import trace_tree, traceback_tail

from .helpers import (
    CHECKOUT,
    EVENTS,
    LATER,
    LOGS,
    OTHER_TRACE,
    REQUEST,
    SHOP_TRACE,
    SPANS,
    TOTAL,
    TRACEBACK,
    json_lines,
    write_store,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_tracker.records import EventRecord, SpanRecord

    from .conftest import Run


def test_failed_trace_shows_who_called_what_and_why_it_failed(run: Run, store: Path) -> None:
    """Durations, arguments, error, event, and the traceback once: below the function that raised."""
    result = run("trace", "failed")
    assert result.returncode == 0, result.stderr
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        f"trace {SHOP_TRACE}  2026-11-22 12:00:00.000 UTC  3 spans",
        "└── GET /cart  250.0 ms  HTTP 500  failed",
        "    500",
        "    └── shop.cart.Cart.checkout  230.0 ms  failed",
        '        args: user="ada"',
        "        ZeroDivisionError: division by zero",
        '        ├── * cart.opened  {"items": 0}',
        "        └── shop.cart.total  10.0 ms  failed",
        "            args: prices=[]",
        "            ZeroDivisionError: division by zero",
        '              File "/shop/cart.py", line 7, in total',
        "                return sum(prices) / len(prices)",
    ]


def test_logs_of_a_trace_stand_where_they_were_written(run: Run, store: Path) -> None:
    """Below their span and among its events by time, with severity, logger, message and error."""
    write_store(store, LOGS)
    lines = run("trace", "failed").stdout.splitlines()
    begin = lines.index('        ├── * cart.opened  {"items": 0}')
    assert lines[begin + 1].rstrip() == "        ├── - DEBUG  shop.cart  opened"
    assert lines[-1].rstrip() == (
        "            └── - ERROR  shop.cart  no prices\\x1b[31m  ZeroDivisionError: division by zero"
    )


def test_latest_is_the_newest_trace(run: Run, store: Path) -> None:
    """`latest` needs no id; a recorded result is shown."""
    result = run("trace", "latest")
    assert OTHER_TRACE in result.stdout
    assert "result: 1.5" in result.stdout


def test_beginning_of_an_id_is_enough(run: Run, store: Path) -> None:
    """As long as it is unique, a few digits name a trace; JSON is its spans, oldest first."""
    result = run("trace", SHOP_TRACE[:5], "--json")
    assert [record["span_id"] for record in json_lines(result.stdout)] == [span.span_id for span in SPANS[:3]]


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["ffff"], 1, "begins with 'ffff'"),
        (["what?"], 2, "trace_id is 'what?'"),
        ([], 2, "Missing argument 'ID'"),
    ],
)
def test_trace_that_is_not_there_is_said(run: Run, store: Path, arguments: list[str], status: int, part: str) -> None:
    """One sentence, and the status that tells a problem from misuse."""
    result = run("trace", *arguments)
    assert result.returncode == status
    assert part in result.stderr
    assert "Traceback" not in result.stderr


def test_no_failure_is_said(run: Run, tmp_path: Path) -> None:
    """`trace failed` on a healthy store is a sentence with status 1."""
    (tmp_path / "healthy.db").touch()
    result = run("trace", "failed", "--store", "healthy.db")
    assert result.returncode == 1
    assert result.stderr.startswith("otel-tracker: Nothing failed in ")


def rendered(spans: Sequence[SpanRecord], events: Sequence[EventRecord] = (), width: int = 80) -> list[str]:
    """The tree's lines as a console of this width shows them."""
    console = Console(file=StringIO(), width=width, markup=False, emoji=False, highlight=False)
    console.print(trace_tree(spans, events))
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_span_whose_parent_is_missing_stands_at_the_top() -> None:
    """The parent may be in another service, or not have ended: the span is shown all the same."""
    assert rendered([CHECKOUT, TOTAL])[1].startswith("└── shop.cart.Cart.checkout")


def test_ring_of_parents_is_cut_open() -> None:
    """Damaged data ends in a tree with each span once, not in an endless loop."""
    ring = [replace(CHECKOUT, parent_span_id=TOTAL.span_id), TOTAL, replace(LATER, parent_span_id=LATER.span_id)]
    shown = "\n".join(rendered(ring))
    assert shown.count("Cart.checkout") == 1
    assert shown.count("shop.cart.total") == 2


@pytest.mark.slow
def test_deep_nesting_stays_readable_and_complete() -> None:
    """A recursion of two thousand calls is printed whole, within 80 columns."""
    chain = [
        replace(LATER, span_id=f"{depth + 1:016x}", parent_span_id=f"{depth:016x}" if depth else "", result=None)
        for depth in range(2_000)
    ]
    lines = rendered(chain)
    assert sum("shop.cart.total" in line for line in lines) == len(chain)
    assert max(map(len, lines)) <= 80


def test_event_of_a_span_that_is_missing_is_not_lost() -> None:
    """Events of an unsampled or unfinished span stand at the end of the tree."""
    assert rendered([LATER], [EVENTS[0]])[-1].startswith("└── * cart.opened")


def test_captured_text_is_data() -> None:
    """Escapes in arguments, messages and tracebacks are shown, and markup is not interpreted."""
    evil = "\x1b[2J[red]"
    error = {"type": f"E{evil}", "message": f"m{evil}\nsecond", "traceback": f'File "x{evil}", line 1\n{evil}'}
    shown = "\n".join(rendered([replace(TOTAL, name=evil, function="", args={evil: evil}, error=error)], width=200))
    assert "\x1b" not in shown
    assert shown.count(r"[red]") == 7


@pytest.mark.parametrize(
    ("traceback", "lines"),
    [
        ("", []),
        ("just text", ["just text"]),
        (TRACEBACK, [line for line in TRACEBACK.splitlines()[1:] if "~~~" not in line]),
        ('a\r\n  File "x", line 1, in f\r\n\tcode\r\nE: m\r\n', ['  File "x", line 1, in f', "    code", "E: m"]),
    ],
)
def test_tail_of_a_traceback_is_where_it_was_raised(traceback: str, lines: list[str]) -> None:
    """The last frame and the exception, without the lines that only point."""
    assert [line.strip() for line in traceback_tail(traceback)] == [line.strip() for line in lines]


def test_request_alone_shows_its_status(run: Run) -> None:
    """A request's line ends with what the client got."""
    assert "HTTP 500" in rendered([REQUEST])[1]
