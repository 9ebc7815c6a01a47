"""What is refused, with a sentence that says what to do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from otel_tracker import ProcessTracker
from otel_tracker.process_invocations import RESERVED


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_identifier_is_refused(tracker: ProcessTracker, name: str) -> None:
    """It would replace a part of the record; a metric may have the name."""
    with pytest.raises(ValueError, match=f"identifier '{name}' would replace .* choose another name"):
        tracker.set_identifier(name, "x")
    tracker.set_metric(name, 1)


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, object(), b"x", UUID(int=1), 1j])
def test_value_that_is_not_primitive_is_refused(tracker: ProcessTracker, value: Any) -> None:
    """Also outside an entry point, so that it shows early."""
    for setter in (tracker.set_metric, tracker.set_identifier):
        with pytest.raises(TypeError, match=r"is of type .*; expected a text, a number or a truth value\. Give str"):
            setter("x", value)


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (" ", ValueError), (3, TypeError), (None, TypeError)])
def test_name_that_is_no_text_or_empty_is_refused(tracker: ProcessTracker, name: Any, error: type[Exception]) -> None:
    """Of timers, metrics and identifiers."""
    for use in (tracker.timer, lambda name: tracker.set_metric(name, 1), lambda name: tracker.set_identifier(name, 1)):
        with pytest.raises(error, match="expected a text such as"):
            use(name)


def test_name_of_a_function_and_of_a_tracker_must_not_be_empty(tracker: ProcessTracker) -> None:
    """At decoration."""
    for use in (tracker, tracker.track, lambda name: ProcessTracker(name=name)):
        with pytest.raises(ValueError, match="not empty"):
            use("")


@pytest.mark.parametrize("target", [3, [], 1.5])
def test_only_functions_are_decorated(tracker: ProcessTracker, target: Any) -> None:
    """Anything else is a mistake."""
    for decorator in (tracker, tracker.track):
        with pytest.raises(TypeError, match="expected a function to decorate, or a name for it"):
            decorator(target)


async def coroutine_function(text: str) -> None:
    """Would never be awaited."""


@pytest.mark.parametrize("output", [None, "print", coroutine_function])
def test_output_that_cannot_be_called_is_refused(output: Any) -> None:
    """When the tracker is made."""
    with pytest.raises(TypeError, match="expected a function that takes one str"):
        ProcessTracker(output)
