"""`otel-tracker stats`: numbers a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_tracker.stores import open_store

from .helpers import json_lines, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def test_each_function_has_one_line_of_numbers(run: Run, store: Path) -> None:
    """Calls, error rate and percentiles, the slowest function first."""
    result = run("stats")
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        "function calls errors p50 ms p95 ms p99 ms max ms".split(),
        "GET /cart 1 100.0 % 250.0 250.0 250.0 250.0".split(),
        "shop.cart.Cart.checkout 1 100.0 % 230.0 230.0 230.0 230.0".split(),
        "shop.cart.total 2 50.0 % 5.0 10.0 10.0 10.0".split(),
    ]


def test_json_equals_the_api(run: Run, store: Path) -> None:
    """The same numbers under the same keys as `function_statistics` gives."""
    with open_store(store) as reader:
        expected = [entry.to_dict() for entry in reader.function_statistics()]
    assert json_lines(run("stats", "--json").stdout) == expected


def test_order_and_limit_pick_the_most_called(run: Run, store: Path) -> None:
    """`--sort calls --limit 1` is the function that was called most often."""
    result = run("stats", "--json", "--sort", "calls", "--limit", "1")
    assert [entry["function_name"] for entry in json_lines(result.stdout)] == ["shop.cart.total"]


def test_function_and_times_narrow_it_down(run: Run, store: Path) -> None:
    """Only executions of that function in that time are counted."""
    result = run("stats", "total", "--since", "2026-11-22T12:00:30Z", "--json")
    assert [(entry["function_name"], entry["total"]) for entry in json_lines(result.stdout)] == [("shop.cart.total", 1)]


def test_unknown_function_is_said(run: Run, store: Path) -> None:
    """Nothing to count is an answer, not a failure."""
    result = run("stats", "nobody")
    assert (result.returncode, result.stdout) == (0, f"No execution in {store} matches.\n")


def test_empty_store_is_said(run: Run, tmp_path: Path) -> None:
    """A store in which nothing ended yet has no table."""
    write_store(tmp_path / "empty.db")
    (tmp_path / "empty.db").touch()
    result = run("stats", "--store", "empty.db")
    assert result.returncode == 0
    assert "No execution" in result.stdout


def test_table_fits_a_narrow_terminal(run: Run, store: Path) -> None:
    """At 80 columns nothing is cut off."""
    lines = run("stats", COLUMNS="80").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "..." not in "".join(lines)
    assert "…" not in "".join(lines)
