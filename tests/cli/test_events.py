"""`otel-tracker events`: what was tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .helpers import EVENTS, SHOP_TRACE, json_lines

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
