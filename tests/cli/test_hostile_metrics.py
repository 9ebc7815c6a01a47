"""`otel-tracker metrics` on points of any program: nothing in them acts, breaks the table or the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from otel_tracker.records import INT64_MAX, INT64_MIN, MetricRecord

from .helpers import NOON_NS, S, json_lines, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

pytestmark = pytest.mark.slow

ESCAPES: tuple[str, ...] = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\nb\r\nc",
    "\x9b31m",
    "\u202eabc",
    "tab\there",
    "[bold]x[/bold]",
    "[/]",
)


def counter(name: str, second: int = 0, value: Any = 1, **fields: Any) -> MetricRecord:
    """What a counter came to in a second."""
    time_ns = NOON_NS + second * S
    values = {"start_ns": time_ns - S, "temporality": "delta", "value": value, **fields}
    return MetricRecord(name, time_ns, "counter", **values)


@pytest.mark.slow
@pytest.mark.parametrize("text", ESCAPES, ids=range(len(ESCAPES)))
def test_text_of_a_point_is_data_wherever_it_stands(run: Run, tmp_path: Path, text: str) -> None:
    """In a name, unit, description, label and label's value: shown, never acted on, and one line stays one line."""
    write_store(tmp_path / "otel-tracker.db", [counter(text, unit=text, description=text, attributes={text: text})])
    result = run("metrics")
    assert (result.returncode, result.stderr) == (0, "")
    for character in ("\x1b", "\x07", "\r", "\x9b", "\u202e"):
        assert character not in result.stdout
    assert len(result.stdout.splitlines()) == 2
    if text.startswith("["):
        assert text.replace(" ", "") in result.stdout.replace(" ", "")
    (line,) = json_lines(run("metrics", "--json").stdout)
    assert line["name"] == text
    assert "\x1b" not in run("metrics", "--json").stdout


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["10", "20", "40", "79", "200", "1000", "0", "-5", "x", ""])
def test_terminal_of_any_width_shows_every_line(run: Run, tmp_path: Path, columns: str) -> None:
    """Too narrow for a table is no reason to fail or to leave out a series."""
    points = [counter("shop.orders", n, attributes={"region": f"r{n}", "text": "x" * 300}) for n in range(3)]
    buckets = ((0.1, 1), (1.0, 3), (None, 2))
    measured = MetricRecord("shop.d", NOON_NS, "histogram", count=6, sum=2.0, buckets=buckets, temporality="delta")
    write_store(tmp_path / "otel-tracker.db", [*points, measured])
    result = run("metrics", COLUMNS=columns)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stdout.splitlines() if line.strip()]) >= 5


ODD_POINTS: dict[str, list[MetricRecord]] = {
    "no number": [MetricRecord("m", NOON_NS, "counter"), MetricRecord("m", NOON_NS, "histogram")],
    "empty histogram": [MetricRecord("m", NOON_NS, "histogram", count=0, sum=0.0, buckets=((1.0, 0), (None, 0)))],
    "only above": [MetricRecord("m", NOON_NS, "histogram", count=9, sum=9.0, buckets=((1.0, 0), (None, 9)))],
    "only one bucket": [MetricRecord("m", NOON_NS, "histogram", count=9, sum=9.0, buckets=((None, 9),))],
    "no buckets": [MetricRecord("m", NOON_NS, "histogram", count=9)],
    "buckets and count disagree": [MetricRecord("m", NOON_NS, "histogram", count=1, buckets=((1.0, 5), (None, 7)))],
    "buckets change": [
        MetricRecord("m", NOON_NS + n, "histogram", count=2, buckets=((1.0 + n, 2), (None, 0)), temporality="delta")
        for n in range(3)
    ],
    "largest integers": [counter("m", n, INT64_MAX) for n in range(3)],
    "largest floats": [counter("m", n, 1.7e308) for n in range(3)],
    "smallest integer": [counter("m", 0, INT64_MIN)],
    "negative counter": [counter("m", 0, -3)],
    "before 1970 and after 2262": [
        MetricRecord("m", INT64_MIN, "gauge", value=1), MetricRecord("m", INT64_MAX, "gauge", value=2)
    ],
    "start after the end": [counter("m", start_ns=NOON_NS + S, temporality="cumulative")],
    "quantiles": [MetricRecord("m", NOON_NS, "summary", count=2, sum=1.0, quantiles=((0.0, 1.0), (1.0, 1.7e308)))],
    "exponential": [
        MetricRecord("m", NOON_NS, "exponential_histogram", count=2, sum=1.0, temporality="delta", exponential={
            "scale": scale, "zero_count": 0, "zero_threshold": 0.0,
            "positive": {"offset": 2**31 - 1, "counts": [1]}, "negative": {"offset": -(2**31), "counts": [1]},
        })
        for scale in (20, -10, 0, 2**31 - 1, -(2**31))
    ],
    "exponential without buckets": [MetricRecord("m", NOON_NS, "exponential_histogram", count=2, sum=1.0)],
    "labels are nested": [counter("m", 0, attributes={"a": {"b": [1, None, {"c": 2}]}, "": ""})],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("points", ODD_POINTS.values(), ids=ODD_POINTS)
def test_points_as_odd_as_a_store_may_hold_have_a_line(run: Run, tmp_path: Path, points: list[MetricRecord]) -> None:
    """The table shows what can be shown, `--json` all of it as valid JSON, and neither fails."""
    write_store(tmp_path / "otel-tracker.db", points)
    for arguments in ((), ("--since", "1990-01-01"), ("--until", "2300-01-01")):
        result = run("metrics", *arguments)
        assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    result = run("metrics")
    assert len(result.stdout.splitlines()) >= 2
    assert "m" in result.stdout
    lines = run("metrics", "--json").stdout.splitlines()
    assert len(lines) == len(points)
    for line in lines:
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"), ("--since", ""), ("--since", "-1h"), ("--limit", "-1"),
        ("--limit", "x"), ("--kind", "rate"), ("--since", "9999-99-99"), ("a", "b"),
    ],
    ids=range(8),
)  # fmt: skip
def test_misuse_is_one_sentence_and_status_2(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It says what was given or expected."""
    write_store(tmp_path / "otel-tracker.db", [counter("m")])
    result = run("metrics", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 5


@pytest.mark.parametrize(
    "name", ["[", "*", "?", "[!a]*", "%", "m'; DROP TABLE metrics; --", "_", "\\", "M", "m*", "\x1b[31m"]
)
def test_any_name_is_a_name_or_a_glob(run: Run, tmp_path: Path, name: str) -> None:
    """It matches or it does not; `%` and `_` are no patterns, and text never becomes SQL."""
    write_store(tmp_path / "otel-tracker.db", [counter("m"), counter("n%")])
    result = run("metrics", "--", name)
    assert result.returncode == 0
    found = len(json_lines(run("metrics", "--json", "--", name).stdout))
    assert found == {"*": 2, "[!a]*": 2, "?": 1, "m*": 1}.get(name, 0)
    assert "\x1b" not in result.stderr + result.stdout


@pytest.mark.slow
def test_many_series_are_shown_within_seconds(run: Run, tmp_path: Path) -> None:
    """Sixty exports of the most label sets that a metric may have; the limit bounds what is printed."""
    points = [counter("m", n, attributes={"key": str(key)}) for n in range(60) for key in range(1_000)]
    write_store(tmp_path / "otel-tracker.db", points)
    result = run("metrics")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) <= 105
    assert "900 more" in result.stdout + result.stderr
