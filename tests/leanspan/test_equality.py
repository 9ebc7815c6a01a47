"""The same program, run with the lean engine and with the SDK's own spans, gives equal spans."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Status, StatusCode

from otel_tracker import span, traced

from .helpers import REMOTE_SAMPLED, assert_equal_in_both, attributes, described, run_with
from .programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_both_engines_record_a_program_alike(program: Callable[[], None]) -> None:
    """Names, kinds, attributes in their order, events, links, status, parents, scope and counts are equal."""
    assert assert_equal_in_both(program)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program_is_recorded_alike_the_second_time(program: Callable[[], None]) -> None:
    """What an engine keeps from one call for the next changes nothing: a second run gives the same spans."""

    def twice() -> None:
        program()
        program()

    spans = run_with("lean", twice)
    half = len(spans) // 2
    assert described(spans[:half]) == described(spans[half:])


MISUSES: dict[str, Callable[[Any], object]] = {
    "set_attributes(None)": lambda found: found.set_attributes(None),
    "set_attributes(5)": lambda found: found.set_attributes(5),
    "set_attributes(pairs)": lambda found: found.set_attributes([("a", 1)]),
    "set_attribute without value": lambda found: found.set_attribute("a"),
    "set_attribute with a list as key": lambda found: found.set_attribute(["a"], 1),
    "add_event without name": lambda found: found.add_event(),
    "add_event(None)": lambda found: found.add_event(None),
    "add_event with pairs": lambda found: found.add_event("e", [("a", 1)]),
    "add_event with a time that is text": lambda found: found.add_event("e", None, "now"),
    "add_link(5)": lambda found: found.add_link(5),
    "add_link with pairs": lambda found: found.add_link(REMOTE_SAMPLED, [("a", 1)]),
    "set_status(5)": lambda found: found.set_status(5),
    "set_status twice described": lambda found: found.set_status(Status(StatusCode.ERROR, "a"), "b"),
    "update_name(None)": lambda found: found.update_name(None),
    "record_exception of a text": lambda found: found.record_exception("text"),
    "record_exception of a class": lambda found: found.record_exception(ValueError),
    "record_exception with pairs": lambda found: found.record_exception(ValueError("x"), [("a", 1)]),
    "end with a text": lambda found: found.end("now"),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_misuse_of_a_span_is_answered_alike(misuse: Callable[[Any], object]) -> None:
    """A wrong argument raises what the SDK's span raises, or nothing, and leaves the same behind."""
    outcomes: list[object] = []

    def program() -> None:
        with suppress(Exception), span("block", a=1) as current:
            try:
                outcomes.append(misuse(current))
            except Exception as error:
                outcomes.append(type(error))

    def described_as_far_as_possible(name: str) -> list[str]:
        return [
            f"{found.name} {found.attributes} {len(found.events)} {len(found.links)}"
            for found in run_with(name, program)
        ]

    assert described_as_far_as_possible("lean") == described_as_far_as_possible("sdk")
    assert outcomes[0] == outcomes[1]


def test_given_mapping_is_neither_kept_nor_changed() -> None:
    """What the program does with its own dictionary after decorating, and what is written on spans, stay apart."""

    def program() -> None:
        given: dict[str, Any] = {"region": "eu", "rows": [1]}
        function = traced(lambda: trace.get_current_span().set_attribute("written", 1), name="f", attributes=given)
        function()
        given["rows"].append(2)
        given["late"] = 1
        function()
        assert "written" not in given

    assert_equal_in_both(program)


class Touches(SpanProcessor):
    """A vendor's processor that reads and writes the SDK's private fields, as many do."""

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        span._attributes["by field"] = len(span._events) + len(span._links)  # type: ignore[index]
        span._name = f"touched {span._name}"

    def on_end(self, span: ReadableSpan) -> None:
        seen = (span._name, dict(span._attributes or {}), span._kind, span._status.status_code, span._parent)
        assert seen == (span.name, dict(span.attributes or {}), span.kind, span.status.status_code, span.parent)
        assert (list(span._events), list(span._links)) == (list(span.events), list(span.links))
        assert span._instrumentation_scope is span.instrumentation_scope
        assert (span._start_time, span._end_time, span._resource) == (span.start_time, span.end_time, span.resource)
        assert span._context is span.context
        span._attributes = {**(span._attributes or {}), "at the end": 1}


class Appends(SpanProcessor):
    """A vendor's processor that puts events and links into the SDK's private lists."""

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        span._events.append(Event("by field", {"limit": span._limits.max_events}))  # type: ignore[attr-defined]
        span._links.append(trace.Link(REMOTE_SAMPLED))  # type: ignore[attr-defined]

    def on_end(self, span: ReadableSpan) -> None:
        span._events.append(Event("at the end"))  # type: ignore[attr-defined]


def touched_by(processor: SpanProcessor) -> Callable[[], None]:
    def program() -> None:
        provider_now: Any = trace.get_tracer_provider()
        multi = provider_now._active_span_processor
        multi._span_processors = (processor, *multi._span_processors)
        with span("block", rows=3) as current:
            current.add_event("by the program")
            current.add_link(REMOTE_SAMPLED)
        with span("block"):
            pass

    return program


def test_private_fields_may_be_touched_as_the_sdks() -> None:
    """Processors that reach into the span's fields find the SDK's, and what they put there arrives."""
    found, _ = assert_equal_in_both(touched_by(Touches()))
    assert found.name == "touched block"
    assert attributes(found)["by field"] == 0
    assert attributes(found)["at the end"] == 1


def test_private_lists_may_be_appended_to_as_the_sdks() -> None:
    """Processors that append to the lists of events and links find lists there, also when they are empty."""
    first, second = assert_equal_in_both(touched_by(Appends()))
    assert [event.name for event in first.events] == ["by field", "by the program", "at the end"]
    assert [event.name for event in second.events] == ["by field", "at the end"]


class EndsAtOnce(SpanProcessor):
    """A processor that ends each span as soon as it has begun."""

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        span.end(9 * 10**18)


def test_processor_may_end_a_span_at_its_start() -> None:
    """The call goes on, the span arrives once, and nothing is written on it any more."""

    def program() -> None:
        provider_now: Any = trace.get_tracer_provider()
        provider_now.add_span_processor(EndsAtOnce())
        assert traced(lambda x: x, name="f", capture_result=True)(3) == 3
        with suppress(ValueError), span("block"):
            raise ValueError("x")

    assert len(assert_equal_in_both(program)) == 2


def test_parts_of_a_span_have_the_types_of_the_sdks() -> None:
    """Attributes, events and links are of the same classes, to their last parts."""

    def program() -> None:
        with span("block", rows=3) as current:
            current.add_event("event", {"a": [1]})
            current.add_link(REMOTE_SAMPLED, {"a": 1})

    def types(name: str) -> list[type]:
        (found,) = run_with(name, program)
        (event,), (link,) = found.events, found.links
        parts: list[Any] = [found.attributes, found.events, found.links, event, event.attributes, link, link.attributes]
        values = [found.status, found.kind, found.start_time, found.end_time, found.context, found.resource]
        return [type(part) for part in (*parts, *values, found.context.trace_flags, found.context.trace_state)]

    assert types("lean") == types("sdk")
