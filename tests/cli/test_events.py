"""`otel-tracker events`: what was tracked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .helpers import EVENTS, LOGS, SHOP_TRACE, json_lines, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def test_events_are_listed_newest_first(run: Run, store: Path) -> None:
    """Time, name, properties and trace, one row an event."""
    result = run("events")
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["2026-11-22", "12:01:30.000", "user.left", '{"reason":', '"bored"}'],
        ["2026-11-22", "12:00:00.011", "cart.opened", '{"items":', "0}", SHOP_TRACE],
    ]


def test_json_is_each_event_as_it_is_stored(run: Run, store: Path) -> None:
    """A program that reads the output gets the records' own objects."""
    assert json_lines(run("events", "--json").stdout) == [event.to_dict() for event in reversed(EVENTS)]


def test_name_time_and_trace_narrow_it_down(run: Run, store: Path) -> None:
    """Each filter keeps exactly the events that it names."""
    for arguments in (["cart.*"], ["--until", "2026-11-22T12:01:00Z"], ["--trace", SHOP_TRACE[:8]]):
        assert [event["name"] for event in json_lines(run("events", "--json", *arguments).stdout)] == ["cart.opened"]


def test_no_event_is_said(run: Run, store: Path) -> None:
    """Nothing found is an answer, not a failure."""
    result = run("events", "nothing.*")
    assert (result.returncode, result.stdout) == (0, f"No event in {store} matches.\n")


ERROR = "ZeroDivisionError: division by zero"


@pytest.fixture
def logs(store: Path) -> Path:
    """The store with log records in it."""
    return write_store(store, LOGS)


def test_logs_are_listed_newest_first(run: Run, logs: Path) -> None:
    """Time, severity, logger, message with its error, and trace; a message is data and cannot act."""
    result = run("events", "--logs")
    assert result.returncode == 0, result.stderr
    assert [re.split("  +", line.strip()) for line in result.stdout.splitlines()[1:]] == [
        ["2026-11-22 12:01:31.000", "WARNING", "worker", '{"queue": 7}'],
        ["2026-11-22 12:00:00.025", "ERROR", "shop.cart", "no prices\\x1b[31m", ERROR, SHOP_TRACE],
        ["2026-11-22 12:00:00.012", "DEBUG", "shop.cart", "opened", SHOP_TRACE],
    ]
    assert "user.left" not in result.stdout


def test_logger_severity_and_trace_narrow_logs_down(run: Run, logs: Path) -> None:
    """Each filter keeps exactly what it names, as the record's own object."""
    for arguments, expected in (
        ([], LOGS[::-1]),
        (["shop.*"], LOGS[1::-1]),
        (["--min-severity", "warning"], LOGS[:0:-1]),
        (["--trace", SHOP_TRACE[:8], "--min-severity", "INFO"], LOGS[1:2]),
        (["--limit", "1"], LOGS[2:]),
    ):
        found = json_lines(run("events", "--logs", "--json", *arguments).stdout)
        assert found == [log.to_dict() for log in expected]


def test_no_log_is_said_and_misuse_too(run: Run, store: Path) -> None:
    """A severity is asked of logs only."""
    result = run("events", "--logs")
    assert (result.returncode, result.stdout) == (0, f"No log record in {store} matches.\n")
    result = run("events", "--min-severity", "ERROR")
    assert result.returncode == 2
    assert "--min-severity is for --logs" in result.stderr
