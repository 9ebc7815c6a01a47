"""Lean spans and others are each other's parents: in any order, across threads and tasks, in foreign contexts."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from otel_tracker import span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import (
    REMOTE_SAMPLED,
    REMOTE_UNSAMPLED,
    Collected,
    assert_equal_in_both,
    context_of,
    engine,
    is_child,
    provider,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def attached(value: context.Context) -> Iterator[None]:
    token = context.attach(value)
    try:
        yield
    finally:
        context.detach(token)


def is_root(found: Any) -> bool:
    return found.parent is None


def test_lean_and_sdk_spans_alternate(lean: Collected, tracer: trace.Tracer) -> None:
    """Each is the parent of the next, whichever kind it is, and each is current in its turn."""

    @traced("ours 1")
    def outer() -> None:
        before = trace.get_current_span()
        with tracer.start_as_current_span("theirs 2"), span("ours 3"), tracer.start_as_current_span("theirs 4"):
            pass
        assert trace.get_current_span() is before

    with tracer.start_as_current_span("theirs 0") as theirs:
        outer()
        assert trace.get_current_span() is theirs
    chain = [lean[name] for name in ("theirs 0", "ours 1", "theirs 2", "ours 3", "theirs 4")]
    assert all(is_child(child, parent) for parent, child in itertools.pairwise(chain))
    assert [isinstance(found, LeanSpan) for found in lean.started] == [False, True, False, True, False]


def test_lean_span_is_a_parent_by_explicit_context(lean: Collected, tracer: trace.Tracer) -> None:
    """A context that holds a lean span is a parent for another tracer, also after the span has ended."""
    with span("ours") as ours:
        inside = trace.set_span_in_context(ours)
    tracer.start_span("theirs", context=inside).end()
    assert is_child(lean["theirs"], lean["ours"])


def test_lean_span_can_be_made_current_again(lean: Collected, tracer: trace.Tracer) -> None:
    """OpenTelemetry's `use_span` takes a lean span, in another thread too, and does not end it unless told."""

    def elsewhere() -> None:
        with trace.use_span(ours, end_on_exit=False), span("in thread"):
            pass

    with span("ours") as ours:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert ours.is_recording()
    assert is_child(lean["in thread"], lean["ours"])


def test_lean_span_can_be_linked(lean: Collected, tracer: trace.Tracer) -> None:
    """Another span may link to a lean one, and the reverse."""
    with span("ours") as ours:
        pass
    with tracer.start_as_current_span("theirs", links=[trace.Link(ours.get_span_context())]) as theirs:
        pass
    traced(lambda: None, name="linked", links=[trace.Link(theirs.get_span_context())])()
    assert [link.context for link in lean["theirs"].links] == [ours.get_span_context()]
    assert [link.context for link in lean["linked"].links] == [theirs.get_span_context()]


def test_thread_with_a_copied_context_continues_the_trace(lean: Collected) -> None:
    """In a thread that got a copy of the context the block is the parent; in one without, there is none."""
    with span("outer"):
        copy = contextvars.copy_context()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(copy.run, traced(lambda: None, name="with copy")).result()
            pool.submit(traced(lambda: None, name="without")).result()
    assert is_child(lean["with copy"], lean["outer"])
    assert is_root(lean["without"])


def test_eight_threads_keep_their_spans_apart(lean: Collected) -> None:
    """Threads that are in the middle of their spans at the same moment do not see each other's."""
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        with span(f"outer {number}"):
            barrier.wait(20)
            with span(f"inner {number}"):
                barrier.wait(20)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert all(is_child(lean[f"inner {n}"], lean[f"outer {n}"]) for n in range(8))
    assert len({context_of(found).span_id for found in lean.finished}) == 16
    assert len({context_of(found).trace_id for found in lean.finished}) == 8


def test_tasks_keep_their_spans_apart(lean: Collected, tracer: trace.Tracer) -> None:
    """Tasks that are gathered are children of the caller and not of each other, across every `await`."""

    @traced("task")
    async def task(number: int) -> None:
        mine = trace.get_current_span()
        for _ in range(number):
            await asyncio.sleep(0)
            assert trace.get_current_span() is mine
        with tracer.start_as_current_span(f"theirs {number}"):
            await asyncio.sleep(0)

    async def main() -> None:
        async with span("outer"):
            await asyncio.gather(*(task(number) for number in range(6)))
            await asyncio.create_task(task(6))

    asyncio.run(main())
    tasks = [found for found in lean.finished if found.name == "task"]
    assert len(tasks) == 7
    assert all(is_child(found, lean["outer"]) for found in tasks)
    parents = {lean[f"theirs {n}"].parent.span_id for n in range(7)}  # type: ignore[union-attr]
    assert parents == {context_of(found).span_id for found in tasks}


def test_block_that_ends_in_another_context_ends(lean: Collected) -> None:
    """A block that is left in another copy of the context logs nothing, and its span arrives."""
    block = span("block")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert lean.names == ["block"]


@pytest.mark.parametrize("parent", [REMOTE_SAMPLED, REMOTE_UNSAMPLED], ids=["sampled", "not sampled"])
def test_remote_parent_is_the_parent(lean: Collected, parent: SpanContext) -> None:
    """Trace id, parent and trace state come from the caller; the default sampler follows the caller's decision."""
    with trace.use_span(NonRecordingSpan(parent)), span("block") as handed:
        inside = handed.get_span_context()
        assert trace.get_current_span().get_span_context() == inside
    assert inside.trace_id == parent.trace_id
    assert inside.trace_state == parent.trace_state
    assert not inside.is_remote or not parent.trace_flags.sampled
    assert inside.trace_flags.sampled == parent.trace_flags.sampled
    assert [found.parent for found in lean.finished] == ([parent] if parent.trace_flags.sampled else [])


def no_span() -> context.Context:
    return context.Context()


def something_else() -> context.Context:
    return trace.set_span_in_context(object(), context.Context())  # type: ignore[arg-type]


class Foreign(NonRecordingSpan):
    """A span of an SDK that is not OpenTelemetry's."""


class Silent(NonRecordingSpan):
    """A span that has no context at all."""

    def get_span_context(self) -> Any:
        return None


def in_context(found: trace.Span) -> context.Context:
    return trace.set_span_in_context(found, context.Context())


FOREIGN = {
    "no span": no_span(),
    "no span object": something_else(),
    "the invalid span": in_context(trace.INVALID_SPAN),
    "no trace id": in_context(NonRecordingSpan(SpanContext(0, 5, True, TraceFlags(1)))),
    "no span id": in_context(NonRecordingSpan(SpanContext(5, 0, True, TraceFlags(1), TraceState([("a", "b")])))),
    "ids too large": in_context(NonRecordingSpan(SpanContext(2**128, 2**64, True, TraceFlags(1)))),
    "remote": in_context(NonRecordingSpan(REMOTE_SAMPLED)),
    "remote, not sampled": in_context(NonRecordingSpan(REMOTE_UNSAMPLED)),
    "local": in_context(NonRecordingSpan(SpanContext(0x5E0, 7, False, TraceFlags(1)))),
    "local, not sampled": in_context(NonRecordingSpan(SpanContext(0x5E0, 7, False, TraceFlags(0)))),
    "random flag": in_context(NonRecordingSpan(SpanContext(0x5E0, 7, True, TraceFlags(3)))),
    "all flags": in_context(NonRecordingSpan(SpanContext(0x5E0, 7, True, TraceFlags(0xFF)))),
    "foreign span": in_context(Foreign(REMOTE_SAMPLED)),
    "span without context": in_context(Silent(REMOTE_SAMPLED)),
}


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_any_context_is_treated_as_the_sdk_does(value: context.Context) -> None:
    """Whatever lies in the context, the span has the parent, ids, flags and state that the SDK's would have."""
    inside: list[tuple[bool, bool, int, list[tuple[str, str]]]] = []

    @traced("outer")
    def outer() -> None:
        found = trace.get_current_span().get_span_context()
        inside.append((found.is_valid, found.is_remote, found.trace_flags, list(found.trace_state.items())))
        with span("block"):
            pass

    def program() -> None:
        with attached(value):
            outer()

    assert_equal_in_both(program, lambda: {"sampler": DEFAULT_ON})
    assert inside[0] == inside[1]


def test_new_trace_under_a_remote_parent_links_to_it(lean: Collected) -> None:
    """`new_trace=True` begins a trace of its own under any parent, and links to the caller."""
    with trace.use_span(NonRecordingSpan(REMOTE_SAMPLED)):
        traced(lambda: None, name="fresh", new_trace=True)()
    found = lean.one()
    assert is_root(found)
    assert context_of(found).trace_id != REMOTE_SAMPLED.trace_id
    assert [link.context for link in found.links] == [REMOTE_SAMPLED]
    assert dict(context_of(found).trace_state) == {}


def test_span_of_one_engine_is_the_parent_in_the_other() -> None:
    """Changing the engine in the middle of a trace does not break it."""
    with provider() as collected, engine("lean"), span("lean"):
        with engine("sdk"), span("sdk"), engine("lean"), span("lean again"):
            pass
    assert is_child(collected["sdk"], collected["lean"])
    assert is_child(collected["lean again"], collected["sdk"])
