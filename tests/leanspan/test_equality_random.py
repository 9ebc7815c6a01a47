"""Random trees of calls, random writes and random limits: both engines give equal spans and equal counts."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_tracker import span, traced

from .helpers import REMOTE_SAMPLED, REMOTE_UNSAMPLED, assert_equal_in_both

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator


class Plain:
    """A value that OpenTelemetry cannot turn into text."""


class Speaks:
    """A value that OpenTelemetry turns into text."""

    def __str__(self) -> str:
        return "a long text that speaks"


class OrderError(Exception):
    """An exception that is not built in."""


PLAIN, SPEAKS = Plain(), Speaks()
KEYS = st.sampled_from(["a", "b", "c", "d", "otel_tracker.result", "long" * 5, "", None, 5, PLAIN, SPEAKS, b"k"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=30),
    st.binary(max_size=5),
    st.sampled_from([PLAIN, SPEAKS, "x" * 300, 1j, frozenset({1}), StatusCode.OK, SpanKind.SERVER]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=6,
)
SOME = st.one_of(st.none(), st.dictionaries(KEYS, VALUES, max_size=5))
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["", "x" * 300]))
CONTEXTS = st.sampled_from([REMOTE_SAMPLED, REMOTE_UNSAMPLED, trace.INVALID_SPAN_CONTEXT, None])
TIMES = st.one_of(st.none(), st.integers(0, 2**62))
CODES = st.sampled_from(list(StatusCode))
STATUSES = st.one_of(
    CODES.map(lambda code: (code,)),
    st.tuples(CODES, st.one_of(st.none(), TEXTS)),
    st.tuples(st.builds(Status, CODES, st.none()), st.one_of(st.none(), TEXTS)),
    st.sampled_from([(Status(StatusCode.ERROR, "mine"),), ("ERROR",), (None,)]),
)
WRITES = st.one_of(
    st.tuples(st.just("set_attribute"), st.tuples(KEYS, VALUES)),
    st.tuples(st.just("set_attributes"), st.tuples(st.dictionaries(KEYS, VALUES, max_size=6))),
    st.tuples(st.just("add_event"), st.tuples(TEXTS, SOME, TIMES)),
    st.tuples(st.just("add_link"), st.tuples(CONTEXTS, SOME)),
    st.tuples(st.just("update_name"), st.tuples(TEXTS)),
    st.tuples(st.just("set_status"), STATUSES),
    st.tuples(st.just("record_exception"), st.tuples(TEXTS.map(OrderError), SOME, TIMES, st.booleans())),
)
RARELY_AN_END = st.sampled_from([None] * 12 + [("end", (9 * 10**18,))])
LIMIT = st.sampled_from([None, None, SpanLimits.UNSET, 0, 1, 2, 3, 5])
LENGTH = st.sampled_from([None, SpanLimits.UNSET, 0, 1, 3, 20])
LIMITS = st.fixed_dictionaries(
    {
        "max_attributes": LIMIT,
        "max_events": LIMIT,
        "max_links": LIMIT,
        "max_span_attributes": LIMIT,
        "max_event_attributes": LIMIT,
        "max_link_attributes": LIMIT,
        "max_attribute_length": LENGTH,
        "max_span_attribute_length": LENGTH,
    }
)


@dataclass(frozen=True)
class Node:
    """One span to come: what makes it, what is written on it before and after its children, how it ends."""

    kind: str
    argument: Any
    before: list[Any]
    children: list[Any]
    after: list[Any]
    error: Callable[[], BaseException] | None


KINDS = ["call", "call", "coroutine", "generator", "async generator", "block", "theirs", "fresh"]
ERRORS: list[Callable[[], BaseException] | None] = [
    None,
    None,
    None,
    lambda: ValueError("x"),
    lambda: OrderError("expected"),
    lambda: KeyError("ignored"),
    lambda: SystemExit(0),
    lambda: SystemExit(2),
]


def nodes(children: st.SearchStrategy[Node] | None) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        st.sampled_from(KINDS),
        VALUES,
        st.lists(WRITES, max_size=5),
        st.lists(children, max_size=3) if children is not None else st.just([]),
        st.tuples(st.lists(WRITES, max_size=3), RARELY_AN_END).map(lambda pair: [*pair[0], *filter(None, pair[1:])]),
        st.sampled_from(ERRORS),
    )


TREES = st.recursive(nodes(None), nodes, max_leaves=6)


def body(node: Node, outcomes: list[object]) -> Any:
    """What happens inside the span of a node; notes what each write raised."""
    for name, given_arguments in node.before:
        write(name, given_arguments, outcomes)
    for child in node.children:
        with suppress(ValueError, OrderError, SystemExit):  # KeyError goes further out
            MAKERS[child.kind](child, outcomes)
    for name, given_arguments in node.after:
        write(name, given_arguments, outcomes)
    if node.error is not None:
        raise node.error()
    return node.argument


def write(name: str, given_arguments: Any, outcomes: list[object]) -> None:
    try:
        outcomes.append(getattr(trace.get_current_span(), name)(*given_arguments))
    except Exception as error:
        outcomes.append(type(error))


@traced(capture_result=True, ignore=(KeyError,), expected=(OrderError,), attributes={"a": "static"})
def call(argument: Any, inside: Callable[[], Any], *, b: object = 1) -> Any:
    return inside()


@traced(capture_result=True, attributes=lambda arguments: {"b": arguments["argument"]})
async def coroutine(argument: Any, inside: Callable[[], Any]) -> Any:
    await asyncio.sleep(0)
    return inside()


@traced(capture_args=["argument"], kind=SpanKind.PRODUCER)
def generator(argument: Any, inside: Callable[[], Any]) -> Iterator[Any]:
    yield 1
    yield inside()


@traced
async def async_generator(argument: Any, inside: Callable[[], Any]) -> AsyncIterator[Any]:
    yield inside()
    yield 2


def fresh(argument: Any, inside: Callable[[], Any]) -> Any:
    # Decorated anew each time: the SDK cuts the attributes of the very link that it is given.
    link = trace.Link(REMOTE_SAMPLED, {"a": 1, "b": "x" * 30})
    return traced(name="fresh", new_trace=True, links=[link])(call.__wrapped__)(argument, inside)  # type: ignore[attr-defined]


def drive(running: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end without a loop, so that it may stand inside another one."""
    while True:
        try:
            running.send(None)
        except StopIteration as end:
            return end.value


async def consume(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def block(node: Node, outcomes: list[object]) -> None:
    with span("block", argument=node.argument, b="x" * 30):
        body(node, outcomes)


def theirs(node: Node, outcomes: list[object]) -> None:
    with trace.get_tracer("somebody.else").start_as_current_span("theirs"):
        body(node, outcomes)


MAKERS: dict[str, Callable[[Node, list[object]], object]] = {
    "call": lambda node, outcomes: call(node.argument, lambda: body(node, outcomes)),
    "coroutine": lambda node, outcomes: drive(coroutine(node.argument, lambda: body(node, outcomes))),
    "generator": lambda node, outcomes: list(generator(node.argument, lambda: body(node, outcomes))),
    "async generator": lambda node, outcomes: drive(
        consume(async_generator(node.argument, lambda: body(node, outcomes)))
    ),
    "block": block,
    "theirs": theirs,
    "fresh": lambda node, outcomes: fresh(node.argument, lambda: body(node, outcomes)),
}


@pytest.fixture(autouse=True)
def no_warnings_logged() -> Iterator[None]:
    """OpenTelemetry logs a line for each value that it cuts or refuses: tens of thousands here."""
    loggers = [logging.getLogger(name) for name in ("opentelemetry.attributes", "opentelemetry.sdk.trace")]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(trees=st.lists(TREES, min_size=1, max_size=2), limits=LIMITS)
def test_random_programs_are_recorded_alike(trees: list[Node], limits: dict[str, Any]) -> None:
    """Whatever is called, written and dropped: the spans, their counts, and what each write raised are equal."""
    outcomes: list[list[object]] = []

    def program() -> None:
        outcomes.append([])
        for tree in trees:
            with suppress(Exception, SystemExit):
                MAKERS[tree.kind](tree, outcomes[-1])

    assert_equal_in_both(program, lambda: {"span_limits": SpanLimits(**limits)})
    assert outcomes[0] == outcomes[1]


@pytest.mark.slow
@settings(max_examples=100)
@given(writes=st.lists(WRITES, min_size=5, max_size=40), limits=LIMITS)
def test_many_writes_on_one_span_are_recorded_alike(writes: list[Any], limits: dict[str, Any]) -> None:
    """A span that is written on until its limits are passed keeps and counts what the SDK's would."""
    outcomes: list[list[object]] = []

    def program() -> None:
        outcomes.append([])
        with span("block", a=1, b="x" * 30, c=[1, 2]):
            for name, given_arguments in writes:
                write(name, given_arguments, outcomes[-1])

    assert_equal_in_both(program, lambda: {"span_limits": SpanLimits(**limits)})
    assert outcomes[0] == outcomes[1]
