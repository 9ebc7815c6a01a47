"""Programs of every shape, for the comparison of both engines: each is called without arguments and raises nothing."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otel_tracker import span, traced

from .failing_programs import FAILING_PROGRAMS, OrderError
from .helpers import REMOTE_SAMPLED, REMOTE_UNSAMPLED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator


@traced
def leaf(number: int = 0, *rest: object, text: str = "x", **more: object) -> int:
    return number


def nested() -> None:
    @traced
    def outer(n: int) -> None:
        leaf(n)
        with span("block", n=n):
            leaf(n, "rest", text="y", more=[n])

    outer(1)
    outer(2)


def arguments_and_results() -> None:
    @traced(capture_result=True, hide=("hidden",))
    def many(a: Any, b: Any, hidden: str, password: str, *, c: Any = None) -> Any:
        return {"a": a, "b": [b], "c": c}

    many(1, 2.5, "h", "p", c=True)
    many("text", b"bytes", "h", "p", c=("a", 1))
    many(None, 2**80, "h", "p", c=float("nan"))
    many("x" * 5000, list(range(100)), "h", "p", c={"token": "t", "deep": {"er": [[[[[[[1]]]]]]]}})


def scalar_results() -> None:
    for value in (None, True, 3, 2.5, "text", "", [], {}, object, -(2**63), 2**63):
        traced(lambda value=value: value, name="constant", capture_result=True)()


def options() -> None:
    traced(leaf.__wrapped__, name="named", capture_args=False)(1)  # type: ignore[attr-defined]
    traced(leaf.__wrapped__, name="some", capture_args=["text"])(1, text="z")  # type: ignore[attr-defined]
    for kind in SpanKind:
        traced(leaf.__wrapped__, name=kind.name, kind=kind)(1)  # type: ignore[attr-defined]


def static_attributes() -> None:
    given = {"region": "eu", "list": [1, 2], "flag": True, "share": 0.5, "otel_tracker.module": "overwritten"}
    traced(leaf.__wrapped__, name="static", attributes=given)(1)  # type: ignore[attr-defined]


def attributes_from_arguments() -> None:
    @traced(attributes=lambda arguments: {"double": arguments["number"] * 2, "otel_tracker.args.number": "mine"})
    def computed(number: int) -> None: ...

    @traced(attributes=lambda arguments: arguments["missing"])
    def fails_to_compute(number: int) -> None: ...

    @traced(attributes=lambda arguments: {"": 1, "odd": object(), "set": {1}})
    def odd(number: int) -> None: ...

    computed(2)
    fails_to_compute(2)
    odd(2)


def links_and_new_traces() -> None:
    mine = trace.Link(REMOTE_SAMPLED, {"why": "batch"})

    @traced(new_trace=True)
    def fresh() -> None:
        leaf()

    traced(leaf.__wrapped__, name="linked", links=[mine, trace.Link(REMOTE_UNSAMPLED)])(1)  # type: ignore[attr-defined]
    traced(leaf.__wrapped__, name="invalid", links=[trace.Link(trace.INVALID_SPAN_CONTEXT)])(1)  # type: ignore[attr-defined]
    fresh()
    with span("caller"):
        fresh()


def coroutines() -> None:
    @traced(capture_result=True)
    async def child(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @traced
    async def parent() -> None:
        await child(1)
        async with span("block", x=1):
            await child(2)
        with suppress(OrderError):
            await failing()

    @traced
    async def failing() -> None:
        await asyncio.sleep(0)
        raise OrderError("x")

    asyncio.run(parent())


def cancelled() -> None:
    @traced
    async def waits() -> None:
        async with span("inside"):
            await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


def generators() -> None:
    @traced(capture_result=True)
    def rows(n: int) -> Generator[int, Any, str]:
        for i in range(n):
            leaf(i)
            yield i
        return "done"

    @traced
    def outer() -> None:
        for _ in rows(2):
            leaf()

    outer()
    closed = rows(5)
    next(closed)
    closed.close()
    thrown = rows(5)
    next(thrown)
    with suppress(OrderError):
        thrown.throw(OrderError("x"))
    rows(3).close()


def async_generators() -> None:
    @traced
    async def rows(n: int) -> AsyncIterator[int]:
        for i in range(n):
            leaf(i)
            yield i

    async def main() -> None:
        async for _ in rows(2):
            leaf()
        closed: Any = rows(5)
        await closed.__anext__()
        await closed.aclose()
        thrown: Any = rows(5)
        await thrown.__anext__()
        with suppress(OrderError):
            await thrown.athrow(OrderError("x"))

    asyncio.run(main())


def context_managers() -> None:
    @traced
    @contextmanager
    def opened(name: str) -> Iterator[str]:
        leaf()
        yield name

    with opened("x"), span("inside"):
        leaf()
    with suppress(OrderError), opened("y"):
        raise OrderError("x")


def classes_and_descriptors() -> None:
    @traced
    class Cart:
        def total(self, x: int) -> int:
            return self.one(x) + self.two(x)

        @classmethod
        def one(cls, x: int) -> int:
            return x

        @staticmethod
        def two(x: int) -> int:
            return x

        def __call__(self) -> None: ...

    Cart().total(1)
    Cart()()


def decorated_blocks() -> None:
    @span("decorated", a=1)
    def function() -> None:
        leaf()

    function()
    function()


PROGRAMS: list[Callable[[], None]] = [
    nested,
    arguments_and_results,
    scalar_results,
    options,
    static_attributes,
    attributes_from_arguments,
    links_and_new_traces,
    coroutines,
    cancelled,
    generators,
    async_generators,
    context_managers,
    classes_and_descriptors,
    decorated_blocks,
    *FAILING_PROGRAMS,
]
