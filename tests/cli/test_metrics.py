"""`otel-tracker metrics`: what was counted and measured, added up."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from otel_tracker.records import MetricRecord

from .helpers import NOON_NS, S, json_lines, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def point(name: str, second: int, kind: str, **fields: Any) -> MetricRecord:
    temporality = "delta" if kind in ("counter", "histogram") else ""
    values = {"start_ns": NOON_NS + (second - 1) * S, "temporality": temporality, **fields}
    return MetricRecord(name, NOON_NS + second * S, kind, **values)


BUCKETS = ((0.1, 1), (1.0, 3), (None, 0))
POINTS = (
    point("shop.orders", 1, "counter", value=3, unit="{order}", attributes={"region": "eu"}),
    point("shop.orders", 2, "counter", value=4, unit="{order}", attributes={"region": "eu"}),
    point("shop.orders", 3, "counter", value=1000, unit="{order}", attributes={"region": "us", "n": [1]}),
    point("shop.duration", 4, "histogram", unit="s", count=4, sum=2.0, min=0.1, max=1.0, buckets=BUCKETS),
    point("shop.load", 5, "gauge", value=0.5, unit="1"),
)
"""Oldest first."""


@pytest.fixture
def metrics(store: Path) -> Path:
    """The store with metric points in it."""
    return write_store(store, POINTS)


def test_each_metric_and_label_set_has_a_line(run: Run, metrics: Path) -> None:
    """Name, kind, labels, what it came to, unit and trend; totals are added up, percentiles said to be estimates."""
    result = run("metrics")
    assert result.returncode == 0, result.stderr
    head, *rows, note = result.stdout.splitlines()
    assert head.split() == ["metric", "kind", "labels", "value", "avg", "~p50", "~p95", "unit", "trend"]
    assert [re.split("  +", row.strip()) for row in rows] == [
        ["shop.duration", "histogram", "4", "0.5", "0.4", "1", "s", "█"],
        ["shop.load", "gauge", "0.5", "1", "▁"],
        ["shop.orders", "counter", "n=[1] region=us", "1,000", "{order}", "█"],
        ["shop.orders", "counter", "region=eu", "7", "{order}", "▆█"],
    ]
    assert note == "p50 and p95 are estimated from buckets."


def test_json_is_each_point_as_it_is_stored(run: Run, metrics: Path) -> None:
    """A program that reads the output gets the records' own objects, newest first, up to the limit."""
    assert json_lines(run("metrics", "--json").stdout) == [point.to_dict() for point in reversed(POINTS)]
    assert len(json_lines(run("metrics", "--json", "--limit", "2").stdout)) == 2


def test_name_kind_and_time_narrow_it_down(run: Run, metrics: Path) -> None:
    """Each filter keeps exactly the points that it names."""
    for arguments, expected in (
        (["shop.o*", "--until", "2026-11-22T12:00:03Z"], 2),
        (["--kind", "gauge", "--since", "2026-11-22T12:00:04Z"], 1),
    ):
        assert len(json_lines(run("metrics", "--json", *arguments).stdout)) == expected, arguments
    assert "7" not in run("metrics", "shop.orders", "--since", "2026-11-22T12:00:02Z").stdout.split()


def test_more_than_the_limit_is_said(run: Run, metrics: Path) -> None:
    """The limit is one of lines; nothing is left out silently."""
    result = run("metrics", "--limit", "3")
    assert len(result.stdout.splitlines()) == 6
    assert result.stdout.endswith("1 more; raise --limit to see them.\n")


def test_no_metric_is_said(run: Run, store: Path) -> None:
    """Nothing found is an answer, not a failure."""
    result = run("metrics", "nothing.*")
    assert (result.returncode, result.stdout) == (0, f"No metric in {store} matches.\n")


def test_misuse_and_a_missing_store_are_said(run: Run, tmp_path: Path) -> None:
    """Exit status 2 for what makes no sense, 1 for a store that is not there; a sentence each."""
    result = run("metrics", "--since", "yesterday")
    assert (result.returncode, "--since" in result.stderr) == (2, True)
    result = run("metrics", "--store", "missing.db")
    assert (result.returncode, "There is no store at" in result.stderr) == (1, True)


def test_text_from_telemetry_cannot_act(run: Run, tmp_path: Path) -> None:
    """Escapes in names, labels and units are shown, in JSON too."""
    evil = "\x1b[2Jx\u202e\n[red]"
    write_store(tmp_path / "x.db", [point(evil, 1, "gauge", value=1, unit=evil, attributes={evil: evil})])
    shown = run("metrics", "--store", "x.db").stdout
    assert not set("\x1b\u202e") & set(shown)
    assert len(shown.splitlines()) == 2
    assert "[red]" in shown
    lines = run("metrics", "--store", "x.db", "--json").stdout
    assert not set("\x1b\u202e") & set(lines)
    assert json.loads(lines)["name"] == evil


def test_points_are_shown_as_they_are_stored(run: Run, metrics: Path) -> None:
    """`tail` has a line for each, with its value, or count and average."""
    shown = run("tail", "--for", "0", "--last", "20", "--only", "metrics").stdout
    assert [re.split("  +", line.strip())[1:] for line in shown.splitlines()[-3:]] == [
        ["metric", "shop.orders", "1,000 {order}", '{"region": "us", "n": [1]}'],
        ["metric", "shop.duration", "count 4, avg 0.5 s"],
        ["metric", "shop.load", "0.5"],
    ]
