"""Async generators: as generators, and no context token ever crosses from one task to another."""

import asyncio
import gc
import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any

import pytest
from opentelemetry import trace

from otel_tracker import attributes as keys
from otel_tracker import span, traced

from .helpers import Recorder, args, attributes, current_span_id, exception_events, is_child, is_root, status


@traced
async def leaf() -> None:
    """Makes one span and lets others run."""
    await asyncio.sleep(0)


async def count(limit: int) -> AsyncGenerator[int, Any]:
    """Counts, and awaits a traced coroutine function at each step."""
    for number in range(limit):
        await leaf()
        yield number


async def echo() -> AsyncGenerator[Any, Any]:
    """Yields what was sent, until None is sent."""
    received: Any = "ready"
    while received is not None:
        received = yield received


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def test_span_covers_the_iteration_and_counts_the_items(spans: Recorder) -> None:
    """What the body awaits at each step is its child, and the items are counted."""

    async def main() -> list[int]:
        return [number async for number in traced(count)(3)]

    assert run(main()) == [0, 1, 2]
    found = spans["count"]
    assert attributes(found)[keys.ITEMS] == 3
    assert args(found) == {"limit": 3}
    assert status(found) == "UNSET"
    assert keys.OUTCOME not in attributes(found)
    assert len(spans.all("leaf")) == 3
    assert all(is_child(child, found) for child in spans.all("leaf"))


def test_async_generator_that_is_never_iterated_makes_no_span(spans: Recorder) -> None:
    """Making an async generator runs nothing, so there is nothing to record."""

    async def main() -> None:
        traced(count)(3)

    run(main())
    gc.collect()
    assert spans.finished == []


def test_callers_spans_between_the_steps_stay_outside(spans: Recorder) -> None:
    """What the consumer does between two items is no child of the generator."""

    @traced
    async def consumer() -> None:
        async for _ in traced(count)(2):
            with span("between"):
                await asyncio.sleep(0)

    run(consumer())
    assert len(spans.all("between")) == 2
    assert all(is_child(between, spans["consumer"]) for between in spans.all("between"))
    assert is_child(spans["count"], spans["consumer"])


def test_sent_values_arrive(spans: Recorder) -> None:
    """`asend` works as without the decorator."""

    async def main() -> list[Any]:
        generator = traced(echo)()
        received = [await generator.__anext__(), await generator.asend(1), await generator.asend("two")]
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)
        return received

    assert run(main()) == ["ready", 1, "two"]
    assert attributes(spans["echo"])[keys.ITEMS] == 3
    assert status(spans["echo"]) == "UNSET"


def test_sending_to_a_fresh_async_generator_is_refused_as_ever(spans: Recorder) -> None:
    """A value can't be sent before the first item."""

    async def main() -> None:
        generator = traced(echo)()
        with pytest.raises(TypeError, match="non-None value to a just-started async generator"):
            await generator.asend(1)
        await generator.aclose()

    run(main())


def test_thrown_exception_reaches_the_body(spans: Recorder) -> None:
    """A body that handles what `athrow` throws goes on, and its span is no failure."""

    @traced
    async def robust() -> AsyncGenerator[str, None]:
        try:
            yield "first"
        except ValueError as error:
            await leaf()
            yield f"handled {error}"

    async def main() -> str:
        generator = robust()
        await generator.__anext__()
        value = await generator.athrow(ValueError("x"))
        assert [item async for item in generator] == []
        return value

    assert run(main()) == "handled x"
    assert status(spans["robust"]) == "UNSET"
    assert is_child(spans["leaf"], spans["robust"])


def test_thrown_exception_that_is_not_handled_is_recorded(spans: Recorder) -> None:
    """What leaves the body after `athrow` is the very object, and a failure."""
    thrown = KeyError("x")

    async def main() -> BaseException:
        generator = traced(echo)()
        await generator.__anext__()
        with pytest.raises(KeyError) as caught:
            await generator.athrow(thrown)
        return caught.value

    assert run(main()) is thrown
    assert status(spans["echo"]) == "ERROR"
    assert len(exception_events(spans["echo"])) == 1


def test_exception_in_the_body_is_recorded(spans: Recorder) -> None:
    """An async generator that fails half-way has a failed span."""

    @traced
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ValueError("half-way")

    async def main() -> None:
        async for _ in broken():
            pass

    with pytest.raises(ValueError, match="half-way"):
        run(main())
    assert status(spans["broken"]) == "ERROR"
    assert attributes(spans["broken"])[keys.ITEMS] == 1


def test_closed_async_generator_is_no_error(spans: Recorder) -> None:
    """Closing is an ordinary end, marked by the outcome; what the clean-up awaits is a child."""

    @traced
    async def careful() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await leaf()

    async def main() -> None:
        generator = careful()
        await generator.__anext__()
        await generator.aclose()

    run(main())
    found = spans["careful"]
    assert attributes(found)[keys.OUTCOME] == keys.OUTCOME_CLOSED
    assert status(found) == "UNSET"
    assert exception_events(found) == []
    assert is_child(spans["leaf"], found)


def test_async_generator_closed_in_another_task(spans: Recorder) -> None:
    """An async generator may be closed by another task; nothing is logged, and neither task keeps its span."""

    async def main() -> None:
        generator = traced(count)(3)
        await generator.__anext__()
        assert trace.get_current_span() is trace.INVALID_SPAN

        async def close() -> None:
            with span("elsewhere") as elsewhere:
                await generator.aclose()
                assert trace.get_current_span() is elsewhere

        await asyncio.ensure_future(close())

    run(main())
    assert attributes(spans["count"])[keys.OUTCOME] == keys.OUTCOME_CLOSED
    assert status(spans["count"]) == "UNSET"


def test_each_step_in_another_task(spans: Recorder) -> None:
    """Each item may be fetched by another task; the body sees one span throughout."""
    seen: list[int] = []

    @traced
    async def body() -> AsyncGenerator[int, None]:
        for number in range(3):
            seen.append(current_span_id())
            await leaf()
            yield number

    async def main() -> list[int]:
        generator = body()

        async def step() -> int:
            value = await generator.__anext__()
            assert current_span_id() == 0
            return value

        values = [await asyncio.ensure_future(step()) for _ in range(3)]
        await generator.aclose()
        return values

    assert run(main()) == [0, 1, 2]
    assert len(set(seen)) == 1
    assert all(is_child(child, spans["body"]) for child in spans.all("leaf"))


def test_abandoned_async_generator_is_ended_by_the_loop(spans: Recorder) -> None:
    """An async generator that nobody finishes is closed with its loop, and its span ends.

    The loop closes it in a task, and cancels that task when it ends before the task began: both are right.
    """

    async def main() -> None:
        async for number in traced(count)(100):
            if number == 1:
                break

    run(main())
    gc.collect()
    assert attributes(spans["count"])[keys.OUTCOME] in {keys.OUTCOME_CLOSED, keys.OUTCOME_CANCELLED}
    assert attributes(spans["count"])[keys.ITEMS] == 2


def test_cancelled_step_is_cancelled(spans: Recorder) -> None:
    """Cancelling the task that waits for an item marks the span as cancelled, without an error."""

    @traced
    async def body() -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        generator = body()
        await generator.__anext__()
        task = asyncio.ensure_future(generator.__anext__())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert attributes(spans["body"])[keys.OUTCOME] == keys.OUTCOME_CANCELLED
    assert status(spans["body"]) == "UNSET"


def test_with_block_across_a_yield_stays_the_parent(spans: Recorder) -> None:
    """A span that the body opened is current again after the yield, and only for the body."""

    @traced
    async def body() -> AsyncGenerator[int, None]:
        with span("block"):
            yield 1
            await leaf()
            yield 2
            await leaf()
        await leaf()

    async def main() -> list[int]:
        return [current_span_id() async for _ in body()]

    assert run(main()) == [0, 0]
    parents = [spans["block"], spans["block"], spans["body"]]
    assert all(is_child(child, parent) for child, parent in zip(spans.all("leaf"), parents, strict=True))


def test_two_async_generators_interleave(spans: Recorder) -> None:
    """Two consumers on one loop keep the children of their generators apart."""

    @traced
    async def body(name: str) -> AsyncGenerator[int, None]:
        for _ in range(3):
            with span(f"step-{name}"):
                await asyncio.sleep(0)
            yield 1

    async def consume(name: str) -> None:
        async for _ in body(name):
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(consume("a"), consume("b"))

    run(main())
    parents = {args(found)["name"]: found for found in spans.all("body")}
    for name, parent in parents.items():
        assert is_root(parent)
        assert len(spans.all(f"step-{name}")) == 3
        assert all(is_child(step, parent) for step in spans.all(f"step-{name}"))


def test_async_generator_nature_is_kept(spans: Recorder) -> None:
    """Function and object pass the tests of `inspect` and `types`."""
    decorated = traced(count)
    assert inspect.isasyncgenfunction(decorated)
    assert not inspect.iscoroutinefunction(decorated)

    async def main() -> None:
        generator = decorated(1)
        assert inspect.isasyncgen(generator)
        assert isinstance(generator, types.AsyncGeneratorType)
        await generator.aclose()

    run(main())


def test_async_generator_without_provider_is_forwarded() -> None:
    """With nobody listening the items come as ever."""

    async def main() -> list[int]:
        return [number async for number in traced(count)(3)]

    assert run(main()) == [0, 1, 2]


def test_wrong_call_raises_at_the_call(spans: Recorder) -> None:
    """A missing argument is said when the async generator is made."""
    with pytest.raises(TypeError, match=r"count\(\) missing 1 required positional argument: 'limit'"):
        traced(count)()  # type: ignore[call-arg]


def test_plain_async_comprehension_in_a_traced_coroutine(spans: Recorder) -> None:
    """A traced coroutine that consumes a traced async generator is its parent."""

    @traced
    async def total() -> int:
        return sum([number async for number in traced(count)(3)])

    assert run(total()) == 3
    assert is_child(spans["count"], spans["total"])
