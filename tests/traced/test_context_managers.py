"""`contextmanager` and `asynccontextmanager`: the span covers the block, whichever decorator is on top."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from opentelemetry import trace

from otel_tracker import span, traced

from .helpers import Recorder, args, attributes, caught, current_span_id, exception_events, is_child, status

FORMS: list[Callable[[Any], Any]] = [lambda f: contextmanager(traced(f)), lambda f: traced(contextmanager(f))]
ASYNC_FORMS: list[Callable[[Any], Any]] = [
    lambda f: asynccontextmanager(traced(f)),
    lambda f: traced(asynccontextmanager(f)),
]
either_order = pytest.mark.parametrize("form", FORMS, ids=["traced inside", "traced outside"])
either_async_order = pytest.mark.parametrize("form", ASYNC_FORMS, ids=["traced inside", "traced outside"])


def block(value: int) -> Iterator[int]:
    """Hands out its value, with a span before and one after."""
    with span("enter"):
        pass
    yield value
    with span("leave"):
        pass


async def async_block(value: int) -> AsyncIterator[int]:
    """Hands out its value, with a span before and one after."""
    with span("enter"):
        await asyncio.sleep(0)
    yield value
    with span("leave"):
        await asyncio.sleep(0)


@either_order
def test_span_covers_the_block(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """What happens inside the `with` block is a child of the context manager's span."""
    with form(block)(5) as value:
        assert value == 5
        with span("inside"):
            pass
    found = spans["block"]
    assert found.name == f"{__name__}.block"
    assert args(found) == {"value": 5}
    assert all(is_child(spans[name], found) for name in ("enter", "inside", "leave"))
    assert status(found) == "UNSET"


@either_order
def test_context_is_restored_after_the_block(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """After the block the caller's span is current again."""
    with span("caller") as caller:
        with form(block)(1):
            assert trace.get_current_span() is not caller
        assert trace.get_current_span() is caller
        with span("after"):
            pass
    assert is_child(spans["block"], spans["caller"])
    assert is_child(spans["after"], spans["caller"])


@either_order
def test_exception_in_the_block_marks_it_failed(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """An exception inside the block comes out as the very object and stands on the span once."""
    error = ValueError("inside")

    def run() -> None:
        with form(block)(1):
            raise error

    assert caught(run) is error
    assert status(spans["block"]) == "ERROR"
    assert len(exception_events(spans["block"])) == 1
    assert trace.get_current_span() is trace.INVALID_SPAN


@either_order
def test_exception_that_the_context_manager_swallows_is_no_failure(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """A context manager that handles the block's exception has not failed."""

    def tolerant() -> Iterator[None]:
        try:
            yield
        except ValueError:
            pass

    with form(tolerant)():
        raise ValueError("swallowed")
    assert status(spans["tolerant"]) == "UNSET"


@either_order
def test_exception_while_entering_marks_it_failed(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """A context manager that can't be entered has a failed span, and nothing stays current."""

    def broken() -> Iterator[None]:
        raise OSError("no entry")
        yield

    with pytest.raises(OSError, match="no entry"):
        form(broken)().__enter__()
    assert status(spans["broken"]) == "ERROR"
    assert trace.get_current_span() is trace.INVALID_SPAN


@either_order
def test_context_manager_works_as_a_decorator_too(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """What `contextmanager` makes is also a decorator; each call of the function is a block."""

    @form(block)(1)
    def work() -> int:
        return current_span_id()

    assert work() != 0
    assert work() != 0
    assert len(spans.all("block")) == 2


@either_order
def test_blocks_nest(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """A block inside a block is its child."""
    manager = form(block)
    with manager(1), manager(2):
        pass
    outer, inner = sorted(spans.all("block"), key=lambda found: args(found)["value"])
    assert is_child(inner, outer)


@either_order
def test_block_in_an_exit_stack(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """A context manager that an exit stack entered covers what follows until the stack is closed."""
    with ExitStack() as stack:
        assert stack.enter_context(form(block)(1)) == 1
        with span("inside"):
            pass
    assert is_child(spans["inside"], spans["block"])


@either_order
def test_context_manager_without_provider_is_forwarded(form: Callable[[Any], Any]) -> None:
    """With nobody listening the block runs as ever."""
    manager = form(block)(1)
    assert isinstance(manager, AbstractContextManager)
    with manager as value:
        assert value == 1
        assert trace.get_current_span() is trace.INVALID_SPAN


@either_order
def test_unsampled_context_manager_is_forwarded(unsampled: Recorder, form: Callable[[Any], Any]) -> None:
    """A block of a trace that is not sampled runs as ever."""
    with form(block)(1) as value:
        assert value == 1
    assert unsampled.finished == []


@either_order
def test_context_manager_keeps_its_name(form: Callable[[Any], Any]) -> None:
    """Name and documentation are those of the user's generator function."""
    assert form(block).__name__ == "block"
    assert form(block).__doc__ == block.__doc__


@either_async_order
def test_span_covers_the_async_block(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """What is awaited inside the `async with` block is a child of the context manager's span."""

    async def main() -> int:
        async with form(async_block)(5) as value:
            await asyncio.sleep(0)
            with span("inside"):
                await asyncio.sleep(0)
            return value

    assert asyncio.run(main()) == 5
    found = spans["async_block"]
    assert all(is_child(spans[name], found) for name in ("enter", "inside", "leave"))


@either_async_order
def test_context_is_restored_after_the_async_block(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """After the block the caller's span is current again."""

    async def main() -> None:
        with span("caller") as caller:
            async with form(async_block)(1):
                assert trace.get_current_span() is not caller
            assert trace.get_current_span() is caller

    asyncio.run(main())
    assert is_child(spans["async_block"], spans["caller"])


@either_async_order
def test_exception_in_the_async_block_marks_it_failed(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """An exception inside the block comes out as the very object and stands on the span once."""
    error = ValueError("inside")

    async def main() -> None:
        async with form(async_block)(1):
            raise error

    assert caught(lambda: asyncio.run(main())) is error
    assert status(spans["async_block"]) == "ERROR"
    assert len(exception_events(spans["async_block"])) == 1


@either_async_order
def test_concurrent_async_blocks_keep_apart(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """Blocks of several tasks on one loop adopt only their own children."""

    async def task(number: int) -> None:
        async with form(async_block)(number):
            await asyncio.sleep(0)
            with span(f"inside-{number}"):
                await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(task(number) for number in range(5)))

    asyncio.run(main())
    blocks = {args(found)["value"]: found for found in spans.all("async_block")}
    assert all(is_child(spans[f"inside-{number}"], found) for number, found in blocks.items())
    assert len(blocks) == 5


@either_order
def test_generator_method_as_context_manager(spans: Recorder, form: Callable[[Any], Any]) -> None:
    """A context manager that is a method leaves `self` out and finds its object."""

    class Pool:
        size = 3

        @form
        def lease(self, number: int) -> Iterator[int]:
            yield self.size - number

    with Pool().lease(1) as left:
        assert left == 2
    assert args(spans["lease"]) == {"number": 1}
    assert attributes(spans["lease"])["code.function.name"].endswith("Pool.lease")
