"""A lean span's life: what may be written while it is open, how it ends, and that nothing is written afterwards."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from otel_tracker import span, traced

from .helpers import REMOTE_SAMPLED, Collected, attributes, described, items

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import Span

WRITES: dict[str, Callable[[Any], object]] = {
    "set_attribute": lambda found: found.set_attribute("late", 1),
    "set_attributes": lambda found: found.set_attributes({"late": 1, "rows": 9}),
    "add_event": lambda found: found.add_event("late", {"a": 1}),
    "add_link": lambda found: found.add_link(REMOTE_SAMPLED, {"a": 1}),
    "record_exception": lambda found: found.record_exception(ValueError("late")),
    "set_status": lambda found: found.set_status(StatusCode.OK),
    "set_status, object": lambda found: found.set_status(Status(StatusCode.ERROR, "late")),
    "update_name": lambda found: found.update_name("late"),
    "end": lambda found: found.end(),
    "end, with a time": lambda found: found.end(9 * 10**18),
}


def test_span_records_until_it_ends(lean: Collected) -> None:
    """It says so itself, in the program and to whoever holds it later."""
    with span("block") as handed:
        assert handed.is_recording()
    assert not handed.is_recording()
    held = traced(trace.get_current_span)()
    assert not held.is_recording()


def test_times_are_those_of_the_clock(lean: Collected) -> None:
    """Start and end are nanoseconds since the epoch, in order, around what happened inside."""
    before = time.time_ns()
    with span("block"):
        inside = time.time_ns()
    after = time.time_ns()
    found = lean.one()
    assert found.start_time is not None
    assert found.end_time is not None
    assert before <= found.start_time <= inside <= found.end_time <= after


def test_children_lie_within_their_parents(lean: Collected) -> None:
    """However short the spans are, no child begins before or ends after its parent."""
    for _ in range(200):
        with span("outer"), span("inner"):
            pass
    pairs = zip(lean.finished[::2], lean.finished[1::2], strict=True)
    for inner, outer in pairs:
        assert outer.start_time <= inner.start_time <= inner.end_time <= outer.end_time  # type: ignore[operator]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_nothing_is_written_after_the_end(
    lean: Collected, caplog: pytest.LogCaptureFixture, write: Callable[[Any], object]
) -> None:
    """A late write changes nothing that was recorded, raises nothing, and is answered with a warning in the log."""
    with span("block", rows=3) as handed:
        handed.add_event("in time")
    before, end = described(lean.finished), lean.one().end_time
    with caplog.at_level(logging.WARNING):
        assert write(handed) is None
    assert described(lean.finished) == before
    assert lean.one().end_time == end
    readable: Any = handed
    assert (readable.name, items(readable.attributes), len(readable.events)) == ("block", [("rows", "3")], 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ended span" in caplog.text


def test_writes_in_time_are_not_answered(lean: Collected, caplog: pytest.LogCaptureFixture) -> None:
    """The ordinary use of a span logs nothing at all."""
    with caplog.at_level(logging.DEBUG), span("block") as handed:
        for name, write in WRITES.items():
            if not name.startswith("end"):
                write(handed)
    assert caplog.records == []


def test_second_end_is_no_second_span(lean: Collected) -> None:
    """A span arrives once, however often it is ended."""
    with span("block") as handed:
        pass
    handed.end()
    handed.end(5)
    assert lean.names == ["block"]


def test_program_may_end_the_span_inside_the_block(lean: Collected, caplog: pytest.LogCaptureFixture) -> None:
    """The time of the end is the program's own; the end of the block then changes nothing and warns of nothing."""
    with caplog.at_level(logging.WARNING), span("block") as handed:
        handed.end(end_time=9 * 10**18)
        assert not handed.is_recording()
        assert trace.get_current_span() is handed
        assert lean.names == ["block"]
    assert lean.one().end_time == 9 * 10**18
    assert len(lean.finished) == 1
    assert caplog.records == []


def test_end_time_may_lie_before_the_start(lean: Collected) -> None:
    """What the program gives as the end is kept as it is, 0 included."""
    for end_time in (0, 5):
        with span("block") as handed:
            handed.end(end_time)
    assert [found.end_time for found in lean.finished] == [0, 5]


def test_failure_after_the_end_is_the_programs_own(lean: Collected) -> None:
    """An exception behind the span's end leaves the block as the very object, and the span stays as it was."""
    error = ValueError("late")
    with pytest.raises(ValueError) as caught, span("block") as handed:
        handed.end()
        raise error
    assert caught.value is error
    assert lean.one().status.status_code is StatusCode.UNSET
    assert lean.one().events == ()


def test_start_is_called_once(lean: Collected, caplog: pytest.LogCaptureFixture) -> None:
    """Starting an open span again changes neither its time nor what processors saw."""
    with span("block") as handed:
        again: Span = handed  # type: ignore[assignment]
        before = again.start_time
        again.start(5)
        assert again.start_time == before
    assert len(lean.started) == 1
    assert "started span" in caplog.text


def test_lean_span_as_a_context_manager_ends_itself(lean: Collected) -> None:
    """The span object itself may stand in a `with`, as the SDK's: it records the exception and ends."""
    with span("block") as handed, suppress(ValueError), handed:
        raise ValueError("no stock")
    found = lean.one()
    assert [event.name for event in found.events] == ["exception"]
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "ValueError: no stock")


def test_name_is_the_last_one_given(lean: Collected) -> None:
    """`update_name` may be called any number of times before the end."""
    with span("block") as handed:
        handed.update_name("second")
        handed.update_name("third")
        assert handed.name == "third"  # type: ignore[attr-defined]
    assert lean.names == ["third"]


def test_ok_is_final(lean: Collected) -> None:
    """After OK no status counts, not even that of an exception."""
    with pytest.raises(ValueError), span("block") as handed:
        handed.set_status(StatusCode.OK)
        handed.set_status(StatusCode.ERROR, "no")
        handed.set_status(Status(StatusCode.ERROR, "no"))
        raise ValueError("x")
    assert lean.one().status.status_code is StatusCode.OK
    assert lean.one().status.description is None


def test_unset_is_ignored(lean: Collected) -> None:
    """A status that was set cannot be taken back."""
    with span("block") as handed:
        handed.set_status(StatusCode.ERROR, "first")
        handed.set_status(StatusCode.UNSET)
        handed.set_status(Status(StatusCode.UNSET))
    assert (lean.one().status.status_code, lean.one().status.description) == (StatusCode.ERROR, "first")


def test_last_error_counts(lean: Collected) -> None:
    """Until OK comes, a later status replaces an earlier one."""
    with span("block") as handed:
        handed.set_status(StatusCode.ERROR, "first")
        handed.set_status(Status(StatusCode.ERROR, "second"))
    assert lean.one().status.description == "second"


def test_values_are_those_of_the_moment_of_writing(lean: Collected) -> None:
    """What happens to a list or a map after it was written does not change the span."""
    row: list[Any] = [1, {"deep": [2]}]
    given: dict[str, Any] = {"a": row}
    with span("block") as handed:
        handed.set_attribute("row", row)
        handed.set_attributes(given)
        handed.add_event("event", given)
        handed.add_link(REMOTE_SAMPLED, given)
        row.clear()
        given.clear()
    found = lean.one()
    assert attributes(found) == {"row": (1, {"deep": (2,)}), "a": (1, {"deep": (2,)})}
    assert items(found.events[0].attributes) == items(found.links[0].attributes) == [("a", "(1, {'deep': (2,)})")]


def test_attribute_that_is_set_again_moves_to_the_end(lean: Collected) -> None:
    """As with the SDK, the order is that of the last writes."""
    with span("block", a=1, b=2) as handed:
        handed.set_attribute("a", 3)
    assert items(lean.one().attributes) == [("b", "2"), ("a", "3")]


def test_event_takes_the_time_that_is_given(lean: Collected) -> None:
    """With a time the event has it, 0 included; without one it has the clock's."""
    with span("block") as handed:
        handed.add_event("given", timestamp=5)
        handed.add_event("zero", timestamp=0)
        before = time.time_ns()
        handed.add_event("now")
        handed.record_exception(ValueError("x"), timestamp=7)
    given, zero, now, exception = lean.one().events
    assert (given.timestamp, zero.timestamp, exception.timestamp) == (5, 0, 7)
    assert before <= now.timestamp <= time.time_ns()
