"""`otel-tracker query`: finding executions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from .helpers import LATER, MS, NOON_NS, OTHER_TRACE, REQUEST, SHOP_TRACE, SPANS, TOTAL, json_lines, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def test_executions_are_listed_newest_first(run: Run, store: Path) -> None:
    """Whoever looks wants to see what happened last, with its status, duration and trace."""
    result = run("query")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["start", "(UTC)", "status", "ms", "function", "trace"]
    assert [line.split()[4] for line in lines[1:]] == [
        "shop.cart.total",
        "shop.cart.total",
        "shop.cart.Cart.checkout",
        "GET",
    ]
    assert lines[1].split() == ["2026-11-22", "12:01:00.000", "completed", "5.0", "shop.cart.total", OTHER_TRACE]


def test_json_is_each_record_as_it_is_stored(run: Run, store: Path) -> None:
    """A program that reads the output gets the same objects as from the Python API."""
    result = run("query", "--json", "--status", "completed")
    assert json_lines(result.stdout) == [LATER.to_dict()]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "span_ids"),
    [
        (["total"], ["04", "03"]),
        (["shop.cart.Cart.*"], ["02"]),
        (["--status", "failed"], ["03", "02", "01"]),
        (["--kind", "SERVER"], ["01"]),
        (["--min-ms", "100"], ["02", "01"]),
        (["--trace", SHOP_TRACE], ["03", "02", "01"]),
        (["--trace", OTHER_TRACE[:6]], ["04"]),
        (["--since", "2026-11-22T12:00:00.015Z", "--until", "2026-11-22T12:01:00Z"], ["03"]),
        (["--limit", "0"], []),
        (["nobody"], []),
    ],
)
def test_filters_narrow_the_answer(run: Run, store: Path, arguments: list[str], span_ids: list[str]) -> None:
    """Each filter keeps exactly the executions that it names."""
    result = run("query", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    assert [record["span_id"][:2] for record in json_lines(result.stdout)] == span_ids


def test_pages_follow_one_another_by_their_cursor(run: Run, store: Path) -> None:
    """When there is more, the output ends with the option that shows it; the last page does not."""
    found: list[str] = []
    arguments = ["query", "--limit", "3"]
    first = run(*arguments)
    assert "--after" in first.stdout.splitlines()[-1]
    cursor = first.stdout.split()[-1]
    last = run(*arguments, "--after", cursor)
    assert "--after" not in last.stdout
    for page in (first, last):
        found += [line.split()[4] for line in page.stdout.splitlines() if line.startswith("2026")]
    assert len(found) == len(SPANS)


def test_cursor_beside_json_is_not_among_the_records(run: Run, store: Path) -> None:
    """Standard output holds records alone, so the cursor goes to standard error."""
    result = run("query", "--json", "--limit", "1")
    assert len(json_lines(result.stdout)) == 1
    cursor = result.stderr.split()[-1]
    assert [r["span_id"] for r in json_lines(run("query", "--json", "--after", cursor).stdout)] == [
        "03" * 8,
        "02" * 8,
        "01" * 8,
    ]


def test_exactly_one_page_promises_no_more(run: Run, store: Path) -> None:
    """A page that is full but the last one must not send anybody to an empty next page."""
    assert "--after" not in run("query", "--limit", str(len(SPANS))).stdout


def test_nothing_found_is_said_and_is_no_failure(run: Run, store: Path) -> None:
    """An empty table would leave people wondering; a script sees status 0."""
    result = run("query", "nobody")
    assert result.returncode == 0
    assert result.stdout == f"No execution in {store} matches.\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--since", "yesterday"], "--since is 'yesterday'; expected an age"),
        (["--after", "x"], "after is 'x'; expected the cursor"),
        (["--trace", "xyz"], "trace_id is 'xyz'"),
        (["--status", "broken"], "'broken' is not one of"),
        (["--limit", "-1"], "-1 is not in the range"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_filter_that_makes_no_sense_is_misuse(run: Run, store: Path, arguments: list[str], part: str) -> None:
    """The sentence names the value and what was expected; the status says that the arguments are at fault."""
    result = run("query", *arguments)
    assert result.returncode == 2
    assert part in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_unknown_trace_is_a_problem_and_not_an_empty_answer(run: Run, store: Path) -> None:
    """A mistyped id must not look like a trace without executions."""
    result = run("query", "--trace", "ffff")
    assert result.returncode == 1
    assert "begins with 'ffff'" in result.stderr


def test_names_and_ids_survive_a_narrow_terminal(run: Run, store: Path) -> None:
    """At 80 columns every line fits, and the trace shown is a prefix that `trace` accepts."""
    result = run("query", "Cart.checkout", COLUMNS="80")
    assert max(map(len, result.stdout.splitlines())) <= 80
    prefix = result.stdout.splitlines()[1].split()[-1]
    assert SHOP_TRACE.startswith(prefix)
    assert run("trace", prefix).returncode == 0


def test_width_of_nothing_is_no_width(run: Run, store: Path) -> None:
    """COLUMNS=0 is what a program without a terminal sets; the table is shown whole."""
    assert run("query", COLUMNS="0").stdout == run("query").stdout != ""


def test_names_are_data_for_terminal_and_markup(run: Run, tmp_path: Path) -> None:
    """A name cannot colour the terminal, move its cursor, or vanish as rich markup."""
    evil = "[bold red]x[/] \x1b]0;owned\x07 \u202eabc :smile:"
    write_store(tmp_path / "evil.db", [replace(TOTAL, function="", module="", name=evil)])
    result = run("query", "--store", "evil.db")
    assert r"[bold red]x[/] \x1b]0;owned\x07 \u202eabc :smile:" in result.stdout
    as_json = run("query", "--store", "evil.db", "--json")
    assert not set(as_json.stdout) & set("\x1b\x07\u202e")
    assert json_lines(as_json.stdout)[0]["name"] == evil


def test_output_survives_a_terminal_that_speaks_ascii_only(run: Run, tmp_path: Path) -> None:
    """Characters that cannot be shown become escapes; JSON stays JSON."""
    write_store(tmp_path / "x.db", [replace(REQUEST, name="GET /köln 茶")])
    ascii_only = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    assert r"GET /k\xf6ln \u8336" in run("query", "--store", "x.db", **ascii_only).stdout
    result = run("query", "--store", "x.db", "--json", **ascii_only)
    assert json_lines(result.stdout)[0]["name"] == "GET /köln 茶"


def test_running_execution_has_no_duration(run: Run, tmp_path: Path) -> None:
    """What has not ended is listed with a dash, not with a made-up number."""
    running = replace(LATER, status="started", end_ns=None, start_ns=NOON_NS + MS)
    write_store(tmp_path / "x.db", [running])
    assert run("query", "--store", "x.db").stdout.splitlines()[1].split()[2:4] == ["started", "-"]
