"""A lean span is OpenTelemetry's own span, for every question that a program, a processor or a vendor may ask of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_tracker import attributes as keys
from otel_tracker import disable, leanspan, lifecycle, span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import RESOURCE, Collected, attributes, described, engine, provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from opentelemetry.context import Context


@traced
def in_function() -> trace.Span:
    return trace.get_current_span()


@traced
async def in_coroutine() -> trace.Span:
    await asyncio.sleep(0)
    return trace.get_current_span()


@traced
def in_generator() -> Iterator[trace.Span]:
    yield trace.get_current_span()


@traced
async def in_async_generator() -> AsyncIterator[trace.Span]:
    yield trace.get_current_span()


class Cart:
    @traced
    def in_method(self) -> trace.Span:
        return trace.get_current_span()


def in_block() -> trace.Span:
    with span("block") as handed:
        return handed


async def in_async_block() -> trace.Span:
    async with span("block") as handed:
        return handed


async def first_of(generator: AsyncIterator[trace.Span]) -> trace.Span:
    everything = [item async for item in generator]
    return everything[0]


SHAPES = {
    "function": in_function,
    "coroutine": lambda: asyncio.run(in_coroutine()),
    "generator": lambda: list(in_generator()).pop(),
    "async generator": lambda: asyncio.run(first_of(in_async_generator())),
    "method": lambda: Cart().in_method(),
    "block": in_block,
    "async block": lambda: asyncio.run(in_async_block()),
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@every_shape
def test_span_is_of_every_class_that_code_may_ask_for(lean: Collected, shape: Callable[[], Any]) -> None:
    """The span is a lean one, and the SDK's span, a readable one and the API's as well."""
    found = shape()
    for kind in (LeanSpan, Span, ReadableSpan, trace.Span):
        assert isinstance(found, kind)
    assert issubclass(LeanSpan, Span)


@every_shape
def test_processors_see_that_very_span_at_its_start(lean: Collected, shape: Callable[[], Any]) -> None:
    """The object that a processor gets at the start is the one that is current in the program."""
    found = shape()
    assert [id(started) for started in lean.started] == [id(found)]
    assert isinstance(lean.one(), ReadableSpan)
    assert lean.one().get_span_context() == found.get_span_context()


@every_shape
def test_engine_sdk_makes_the_spans_of_the_sdk(shape: Callable[[], Any]) -> None:
    """With OTEL_TRACKER_SPAN_ENGINE=sdk no lean span is made."""
    with engine("sdk"), provider() as collected:
        found = shape()
    assert isinstance(found, Span)
    assert not isinstance(found, LeanSpan)
    assert len(collected.finished) == 1


def test_lean_is_the_default() -> None:
    """Without the variable the spans are lean."""
    lifecycle.forget_cached_settings()
    with provider():
        assert isinstance(in_function(), LeanSpan)
        assert isinstance(in_block(), LeanSpan)


def test_engine_can_be_changed_between_calls() -> None:
    """One decorated function is recorded by the engine that is chosen when it is called."""
    with provider() as collected:
        for name in ("lean", "sdk", "lean"):
            with engine(name):
                in_function()
    assert [isinstance(found, LeanSpan) for found in collected.started] == [True, False, True]
    assert len(collected.finished) == 3


def test_unknown_engine_is_no_reason_to_lose_spans() -> None:
    """A mistyped engine neither stops the program nor switches recording off."""
    with engine("quick"), provider() as collected:
        in_function()
    assert len(collected.finished) == 1


def test_current_span_is_the_one_that_is_handed_out(lean: Collected) -> None:
    """`as` gives the span that is current, and afterwards none is."""
    with span("outer") as outer:
        assert trace.get_current_span() is outer
        assert in_function().get_span_context().trace_id == outer.get_span_context().trace_id
        assert trace.get_current_span() is outer
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_disabled_block_hands_out_no_lean_span(lean: Collected) -> None:
    """After `disable()` nothing is recorded, and the span that a block hands out says so."""
    disable()
    with span("block") as handed:
        assert not handed.is_recording()
    assert not in_function().is_recording()
    assert lean.started == []


def test_self_check_finds_no_difference() -> None:
    """A lean span and a span of the installed SDK agree in every field."""
    assert leanspan.self_check() == []


def test_self_check_leaves_nothing_behind(lean: Collected) -> None:
    """The self-check shows nothing to the program's own provider and makes no span current."""
    leanspan.self_check()
    assert lean.started == []
    assert lean.finished == []
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_every_readable_field_is_there_while_the_span_is_open(lean: Collected) -> None:
    """What the SDK's readable span offers can be read of an open lean span, with the same meaning."""
    with span("outer") as outer, span("block", rows=3) as open_span:
        assert isinstance(open_span, ReadableSpan)
        assert open_span.name == "block"
        assert open_span.kind is trace.SpanKind.INTERNAL
        assert open_span.parent == outer.get_span_context()
        assert open_span.context == open_span.get_span_context()
        assert open_span.start_time is not None
        assert open_span.end_time is None
        assert open_span.attributes is not None
        assert open_span.attributes["rows"] == 3
        assert (open_span.events, open_span.links) == ((), ())
        assert open_span.status.status_code is trace.StatusCode.UNSET
        assert open_span.resource is RESOURCE
        assert open_span.instrumentation_scope is not None
        assert open_span.instrumentation_scope.name == keys.SCOPE
        assert (open_span.dropped_attributes, open_span.dropped_events, open_span.dropped_links) == (0, 0, 0)
        assert "block" in repr(open_span)


def test_attributes_cannot_be_changed_through_the_view(lean: Collected) -> None:
    """`span.attributes` is a read-only view, as with the SDK."""
    with span("block", rows=3) as open_span:
        view: Any = open_span.attributes  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            view["rows"] = 4
    assert attributes(lean.one())["rows"] == 3


def test_snapshot_of_an_open_span_is_a_readable_span(lean: Collected) -> None:
    """The SDK's own way to show a span that is still open (pending-span processors) works on a lean one."""
    with span("block", rows=3) as open_span:
        snapshot = open_span._readable_span()  # type: ignore[attr-defined]
        assert isinstance(snapshot, ReadableSpan)
        assert (snapshot.name, snapshot.end_time, dict(snapshot.attributes)) == ("block", None, {"rows": 3})


def test_vendors_may_hang_their_own_fields_on_a_span(lean: Collected) -> None:
    """Processors that keep a note on the span object find it again."""
    with span("block") as open_span:
        open_span.vendor_note = "x"  # type: ignore[attr-defined]
        assert trace.get_current_span().vendor_note == "x"  # type: ignore[attr-defined]


def test_span_can_be_a_key_and_be_referred_to_weakly(lean: Collected) -> None:
    """Instrumentations keep spans in sets, dictionaries and weak references."""
    with span("one") as one, span("two") as two:
        assert len({one, two, one}) == 2
        assert weakref.WeakValueDictionary({1: one})[1] is one
        assert one != two


def test_span_is_freed_when_nobody_holds_it() -> None:
    """A span that has ended is no part of a reference cycle: it goes when its last holder goes."""

    class Nothing(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            references.append(weakref.ref(span))

    references: list[weakref.ref[Span]] = []
    with engine("lean"), provider() as collected:
        collected.provider.add_span_processor(Nothing())
        gc.disable()
        try:
            in_function()
            with span("block"):
                pass
            collected.started.clear()
            collected.finished.clear()
            assert [reference() for reference in references] == [None, None]
        finally:
            gc.enable()


def test_processors_that_rewrite_a_finished_span_are_obeyed() -> None:
    """Redacting processors replace private fields of the finished span; the exporters behind them see that."""

    class Rewrites(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            span._attributes = {"replaced": True}
            span._name = "renamed"

    with engine("lean"), provider(active_span_processor=None) as collected:
        multi = collected.provider._active_span_processor
        multi._span_processors = (Rewrites(), *multi._span_processors)
        with span("block", secret="x"):
            pass
    assert collected.one().name == "renamed"
    assert attributes(collected.one()) == {"replaced": True}
    assert '"replaced": true' in collected.one().to_json()
    assert described(collected.finished)[0]["name"] == "renamed"
