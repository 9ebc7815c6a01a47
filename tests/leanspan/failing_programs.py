"""Programs whose functions fail, and programs that write on their spans, for the comparison of both engines."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from otel_tracker import span, traced

from .helpers import REMOTE_SAMPLED


class OrderError(Exception):
    """An exception that is not built in."""


@traced(capture_result=True)
def fails(error: BaseException) -> None:
    raise error


def exceptions() -> None:
    ends = [SystemExit(), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
    for error in (ValueError("x"), OrderError("y", 1), ValueError(""), *ends):
        with suppress(type(error)):
            fails(error)


def ignored_and_expected() -> None:
    @traced(ignore=(LookupError,), expected=(OSError,))
    def selective(error: BaseException) -> None:
        raise error

    for error in (KeyError("x"), OSError(2, "gone"), OrderError("z")):
        with suppress(type(error)):
            selective(error)


def nested_exceptions() -> None:
    @traced
    def turns_into_another() -> None:
        try:
            fails(KeyError("low"))
        except KeyError as error:
            raise OrderError("high") from error

    @traced
    def outer() -> None:
        with span("outer block"), span("inner block"):
            turns_into_another()

    with suppress(OrderError):
        outer()


def writes_on_the_current_span() -> None:
    @traced(capture_result=True)
    def writes() -> str:
        current = trace.get_current_span()
        current.set_attribute("a", [1, "x"])  # type: ignore[list-item]
        current.set_attributes({"b": {"nested": 1}, "": 2})
        current.set_attribute("otel_tracker.result", "overwritten later")
        current.add_event("event", {"e": 1}, 5)
        current.add_event("no attributes")
        current.add_link(REMOTE_SAMPLED, {"l": 1})
        current.add_link(trace.INVALID_SPAN_CONTEXT)
        current.record_exception(OrderError("recorded"), {"more": 1}, 7, escaped=True)
        current.set_status(Status(StatusCode.ERROR, "mine"))
        current.update_name("renamed")
        return "result"

    writes()


def statuses() -> None:
    for first in StatusCode:
        for second in StatusCode:
            with suppress(OrderError), span(f"{first.name} {second.name}") as current:
                current.set_status(first, "first")
                current.set_status(second, "second")
                raise OrderError("x")


def ended_inside() -> None:
    with suppress(OrderError), span("block") as current:
        current.add_event("before")
        current.end(9 * 10**18)
        current.set_attribute("late", 1)
        raise OrderError("late")

    @traced(capture_result=True)
    def ends_itself() -> str:
        trace.get_current_span().end(9 * 10**18)
        return "late"

    ends_itself()


FAILING_PROGRAMS = [
    exceptions,
    ignored_and_expected,
    nested_exceptions,
    writes_on_the_current_span,
    statuses,
    ended_inside,
]
