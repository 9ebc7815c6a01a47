"""`span`: a block of code as a span, with `with`, `async with`, and as a decorator."""

import asyncio
import contextvars
import inspect
import pickle
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from otel_tracker import attributes as keys
from otel_tracker import disable, span, traced

from .helpers import (
    REDACTED,
    CountingObject,
    Recorder,
    attributes,
    caught,
    current_span_id,
    exception_events,
    frame_count,
    is_child,
    is_root,
    status,
)


def test_block_is_a_span_with_its_attributes(spans: Recorder) -> None:
    """The block is a span of the given name; keywords are attributes under their own names."""
    with span("load", rows=5, source="db"):
        pass
    found = spans.one()
    assert found.name == "load"
    assert attributes(found)["rows"] == 5
    assert attributes(found)["source"] == "db"
    assert found.kind is trace.SpanKind.INTERNAL
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == keys.SCOPE


def test_block_stands_for_no_function(spans: Recorder) -> None:
    """A block has no function name; it is known by its span name."""
    with span("load"):
        pass
    assert keys.CODE_FUNCTION_NAME not in attributes(spans.one())


@pytest.mark.parametrize("name", ["name", "self", "span", "attributes", "kind", "links"])
def test_any_attribute_name_is_legal(spans: Recorder, name: str) -> None:
    """The span's name is positional, so that every keyword is free."""
    with span("load", **{name: "x"}):
        pass
    assert attributes(spans.one())[name] == "x"
    assert spans.one().name == "load"


def test_otel_span_is_handed_out(spans: Recorder) -> None:
    """`as` gives OTel's own span, which is current inside the block."""
    with span("load") as handed:
        assert isinstance(handed, trace.Span)
        assert trace.get_current_span() is handed
        assert handed.is_recording()
        handed.set_attribute("rows", 7)
        handed.add_event("half-way")
    assert attributes(spans.one())["rows"] == 7
    assert [event.name for event in spans.one().events] == ["half-way"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_blocks_and_functions_nest(spans: Recorder) -> None:
    """Blocks inside functions inside blocks are children in that order."""

    @traced
    def function() -> None:
        with span("inner"):
            pass

    with span("outer"):
        function()
    assert is_child(spans["function"], spans["outer"])
    assert is_child(spans["inner"], spans["function"])


def test_async_block(spans: Recorder) -> None:
    """`async with` covers what is awaited inside."""

    async def main() -> None:
        async with span("load", rows=5) as handed:
            await asyncio.sleep(0)
            assert trace.get_current_span() is handed
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(main())
    assert attributes(spans.one())["rows"] == 5


@pytest.mark.parametrize("form", ["with", "async with"])
def test_exception_in_a_block_is_recorded_and_raised_again(spans: Recorder, form: str) -> None:
    """An exception leaves the block as the very object; the span describes it."""
    error = ValueError("no stock")

    def run() -> None:
        with span("load"):
            raise error

    async def run_async() -> None:
        async with span("load"):
            raise error

    assert caught(run if form == "with" else lambda: asyncio.run(run_async())) is error
    found = spans.one()
    assert status(found) == "ERROR"
    assert "no stock" in (found.status.description or "")
    assert attributes(found)[keys.ERROR_TYPE] == "ValueError"
    assert len(exception_events(found)) == 1


def test_traceback_of_an_exception_in_a_block_is_unchanged(spans: Recorder) -> None:
    """A `with` block adds no frame to the traceback at all."""

    def run() -> None:
        with span("load"):
            raise ValueError("x")

    def plain() -> None:
        raise ValueError("x")

    assert frame_count(caught(run)) == frame_count(caught(plain))


def test_cancelled_async_block_is_no_error(spans: Recorder) -> None:
    """A block whose task is cancelled has the outcome `cancelled`."""

    async def wait() -> None:
        async with span("wait"):
            await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert status(spans.one()) == "UNSET"
    assert attributes(spans.one())[keys.OUTCOME] == keys.OUTCOME_CANCELLED


def test_span_is_a_decorator(spans: Recorder) -> None:
    """As a decorator each call is a block; name, signature and result stay."""

    @span("load", source="db")
    def load(x: int) -> int:
        """Loads."""
        return x + current_span_id() * 0

    assert [load(1), load(2)] == [1, 2]
    assert [found.name for found in spans.finished] == ["load", "load"]
    assert all(attributes(found)["source"] == "db" for found in spans.finished)
    assert load.__name__ == "load"
    assert load.__doc__ == "Loads."
    assert list(inspect.signature(load).parameters) == ["x"]


def test_span_is_a_decorator_of_coroutine_functions(spans: Recorder) -> None:
    """The span of a decorated coroutine function covers its awaits."""

    @span("load")
    async def load() -> int:
        await asyncio.sleep(0)
        return current_span_id()

    assert inspect.iscoroutinefunction(load)
    assert asyncio.run(load()) == spans.one().get_span_context().span_id


def test_span_is_a_decorator_of_generators(spans: Recorder) -> None:
    """The span of a decorated generator covers the iteration, and the caller stays outside."""

    @span("rows")
    def rows() -> Iterator[int]:
        with span("inside"):
            pass
        yield 1
        yield 2

    for _ in rows():
        with span("between"):
            pass
    assert inspect.isgeneratorfunction(rows)
    assert is_child(spans["inside"], spans["rows"])
    assert all(is_root(found) for found in spans.all("between"))


def test_span_is_a_decorator_of_async_generators(spans: Recorder) -> None:
    """The span of a decorated async generator covers the iteration."""

    @span("rows")
    async def rows() -> AsyncIterator[int]:
        with span("inside"):
            await asyncio.sleep(0)
        yield 1

    async def main() -> list[int]:
        return [row async for row in rows()]

    assert asyncio.run(main()) == [1]
    assert inspect.isasyncgenfunction(rows)
    assert is_child(spans["inside"], spans["rows"])


def test_span_is_a_decorator_of_methods(spans: Recorder) -> None:
    """A decorated method finds its object."""

    class Cart:
        @span("total")
        def total(self, x: int) -> int:
            return x

    assert Cart().total(3) == 3
    assert spans.names == ["total"]


def test_exception_in_a_decorated_function_is_the_very_object(spans: Recorder) -> None:
    """A failure of a function that `span` decorates is recorded and raised."""
    error = ValueError("x")

    @span("load")
    def load() -> None:
        raise error

    assert caught(load) is error
    assert len(exception_events(spans.one())) == 1


def test_span_object_can_be_used_again(spans: Recorder) -> None:
    """One object may stand for many blocks, one after the other."""
    block = span("load", x=1)
    with block as first:
        pass
    with block as second:
        pass
    assert first is not second
    assert len(spans.finished) == 2
    assert all(attributes(found)["x"] == 1 for found in spans.finished)


def test_span_object_can_be_entered_inside_itself(spans: Recorder) -> None:
    """A block inside itself is its own child, and both end in order."""
    block = span("load")
    with block as outer:
        with block as inner:
            assert trace.get_current_span() is inner
        assert trace.get_current_span() is outer
    first, second = spans.finished
    assert is_child(first, second)


def test_span_object_can_be_used_by_threads_at_once(spans: Recorder) -> None:
    """One object in several threads keeps their blocks apart."""
    block = span("load")
    barrier = threading.Barrier(8)

    def run() -> None:
        with block as mine:
            barrier.wait(10)
            assert trace.get_current_span() is mine
            with span("inside"):
                barrier.wait(10)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spans.all("load")) == 8
    assert all(is_root(found) for found in spans.all("load"))
    parents = [found.parent.span_id for found in spans.all("inside") if found.parent]
    assert sorted(parents) == sorted(found.get_span_context().span_id for found in spans.all("load"))


def test_span_object_can_be_used_by_tasks_at_once(spans: Recorder) -> None:
    """One object in several tasks of one loop keeps their blocks apart, also when they end out of order."""
    block = span("load")

    async def run(number: int) -> None:
        async with block as mine:
            for _ in range(10 - number):
                await asyncio.sleep(0)
            assert trace.get_current_span() is mine

    async def main() -> None:
        await asyncio.gather(*(run(number) for number in range(10)))

    asyncio.run(main())
    assert len(spans.finished) == 10
    assert all(is_root(found) for found in spans.finished)


def test_recursive_decorated_function(spans: Recorder) -> None:
    """A function that `span` decorates may call itself."""

    @span("down")
    def down(n: int) -> int:
        return n if n == 0 else down(n - 1)

    assert down(3) == 0
    assert len(spans.finished) == 4
    assert sum(is_root(found) for found in spans.finished) == 1


def test_attributes_are_bounded_and_redacted(spans: Recorder) -> None:
    """Attributes of a block are captured like arguments: cut, and secrets made unreadable."""
    with span("load", password="tops3cret", text="a" * 5000, items=list(range(60)), table={"token": "tops3cret"}):
        pass
    found = attributes(spans.one())
    assert found["password"] == REDACTED
    assert len(found["text"]) <= 1003
    assert len(str(found["items"])) < 1000
    assert "tops3cret" not in str(found)


def test_attributes_are_those_of_the_beginning(spans: Recorder) -> None:
    """What happens to a value inside the block does not change the attribute."""
    items = [1, 2]
    with span("load", items=items):
        items.clear()
    assert "1" in str(attributes(spans.one())["items"])


def test_block_that_ends_in_another_task(spans: Recorder) -> None:
    """A block inside an undecorated async generator may be left by another task: nothing is logged, the span ends."""

    async def rows() -> AsyncGenerator[int, None]:
        with span("inside"):
            yield 1
            yield 2

    async def main() -> None:
        generator = rows()
        await asyncio.ensure_future(generator.__anext__())

        async def close() -> None:
            with span("elsewhere") as elsewhere:
                await generator.aclose()
                assert trace.get_current_span() is elsewhere

        await asyncio.ensure_future(close())

    asyncio.run(main())
    assert sorted(spans.names) == ["elsewhere", "inside"]


def test_block_that_ends_in_another_thread(spans: Recorder) -> None:
    """A block inside an undecorated generator may be left by another thread: nothing is logged, the span ends."""

    def rows() -> Generator[int, None, None]:
        with span("inside"):
            yield 1

    generator = rows()
    contextvars.copy_context().run(next, generator)
    left: list[trace.Span] = []

    def close() -> None:
        generator.close()
        left.append(trace.get_current_span())

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    assert left == [trace.INVALID_SPAN]
    assert spans.names == ["inside"]


def test_block_without_provider(spans_absent: None) -> None:
    """With nobody listening the block runs with a span that records nothing."""
    watched = CountingObject()
    with span("load", x=watched) as handed:
        assert isinstance(handed, trace.Span)
        assert not handed.is_recording()
        handed.set_attribute("rows", 7)
        handed.record_exception(ValueError("x"))
        handed.set_status(trace.StatusCode.ERROR)
    assert watched.looks == []


def test_async_block_without_provider(spans_absent: None) -> None:
    """The same for `async with`."""

    async def main() -> bool:
        async with span("load") as handed:
            return handed.is_recording()

    assert asyncio.run(main()) is False


def test_unsampled_block(unsampled: Recorder) -> None:
    """A block of a trace that is not sampled runs, and nothing is looked at."""
    watched = CountingObject()
    with span("load", x=watched) as handed:
        assert not handed.is_recording()
    assert watched.looks == []
    assert unsampled.finished == []


def test_disabled_block_leaves_the_current_span(spans: Recorder, tracer: trace.Tracer) -> None:
    """When disabled, a block hands out a span that records nothing and leaves other tracers' spans current."""
    disable()
    with tracer.start_as_current_span("theirs") as theirs:
        with span("load") as handed:
            assert not handed.is_recording()
            assert trace.get_current_span() is theirs
    assert spans.names == ["theirs"]


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_exception_in_a_block_without_provider_passes(error: BaseException) -> None:
    """With nobody listening an exception leaves the block as ever."""

    def run() -> None:
        with span("load"):
            raise error

    assert caught(run) is error


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: span(), TypeError),
        (lambda: span(42), (TypeError, ValueError)),
        (lambda: span(""), (TypeError, ValueError)),
    ],
    ids=["no name", "number", "empty"],
)
def test_wrong_name_raises_when_made(make: Callable[[], Any], kind: Any) -> None:
    """A block without a usable name is refused at once."""
    with pytest.raises(kind):
        make()


def test_span_decorated_function_can_be_pickled_by_reference(spans: Recorder) -> None:
    """A module-level function that `span` decorates is pickled by its name."""
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert module_level() == 1


@span("module level")
def module_level() -> int:
    """For pickling."""
    return 1


@pytest.fixture
def spans_absent() -> None:
    """Says that a test runs without any provider."""
    assert trace._TRACER_PROVIDER is None
