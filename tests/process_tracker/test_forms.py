"""Every form of the decorators, on every kind of callable."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from otel_tracker import ProcessTracker, traced

from .conftest import Lines


@pytest.mark.parametrize("is_entry", [True, False])
def test_decorators_take_all_three_forms(tracker: ProcessTracker, lines: Lines, is_entry: bool) -> None:
    """Bare, with empty parentheses, with a name."""
    decorator: Any = tracker if is_entry else tracker.track

    @decorator  # type: ignore[untyped-decorator]
    def bare() -> int:
        return 1

    @decorator()  # type: ignore[untyped-decorator]
    def empty() -> int:
        return 2

    @decorator("given")  # type: ignore[untyped-decorator]
    def named() -> int:
        return 3

    @tracker
    def main() -> tuple[int, ...]:
        return bare(), empty(), named()

    assert main() == (1, 2, 3)
    assert bare.__name__ == "bare"
    assert list(lines.all[-1]["latencies"]) == ["bare", "empty", "given", "main"]


def test_tracker_has_a_name_for_entry_points_without_one(lines: Lines) -> None:
    """Handlers are often called the same."""
    tracker = ProcessTracker(lines, name="checkout")
    tracker(lambda: None)()
    tracker("refund")(lambda: None)()
    assert [list(record["latencies"]) for record in lines.all] == [["checkout"], ["refund"]]


def test_methods_in_either_order(tracker: ProcessTracker, lines: Lines) -> None:
    """The decorator may stand above and below those of the language."""

    class Shop:
        @tracker.track
        def method(self) -> str:
            return type(self).__name__

        @tracker.track
        @classmethod
        def above_class(cls) -> str:
            return cls.__name__

        @classmethod
        @tracker.track
        def below_class(cls) -> str:
            return cls.__name__

        @tracker.track
        @staticmethod
        def above_static() -> int:
            return 1

        @staticmethod
        @tracker.track
        def below_static() -> int:
            return 2

        @tracker.track  # type: ignore[prop-decorator]
        @property
        def prop(self) -> int:
            return 3

        @tracker
        def handle(self) -> list[Any]:
            bound = [self.method(), self.above_class(), Shop.below_class()]
            return [*bound, self.above_static(), Shop.below_static(), self.prop]

    assert Shop().handle() == ["Shop", "Shop", "Shop", 1, 2, 3]
    names = ["method", "above_class", "below_class", "above_static", "below_static", "prop", "handle"]
    assert list(lines.one()["latencies"]) == names


def test_partials_and_callable_objects_have_the_names_of_what_they_call(tracker: ProcessTracker, lines: Lines) -> None:
    """A partial that of its function, an object that of its class."""

    class Price:
        def __call__(self, n: int) -> int:
            return n

    def add(a: int, b: int) -> int:
        return a + b

    @tracker
    def main() -> tuple[int, int]:
        return tracker.track(functools.partial(add, 1))(2), tracker.track(Price())(3)

    assert main() == (3, 3)
    assert list(lines.one()["latencies"]) == ["add", "Price", "main"]


def test_coroutine_is_measured_to_its_end(tracker: ProcessTracker, lines: Lines) -> None:
    """The record comes after the body, with real durations."""

    @tracker.track
    async def child() -> None:
        await asyncio.sleep(0.01)

    @tracker
    async def main() -> int:
        await child()
        async with tracker.timer("wait"):
            await asyncio.sleep(0.01)
        assert lines.texts == []
        return 5

    assert asyncio.run(main()) == 5
    latencies = lines.one()["latencies"]
    assert list(latencies) == ["child", "wait", "main"]
    assert latencies["child"] > 9
    assert latencies["wait"] > 9
    assert latencies["main"] > 18


def test_cancelled_coroutine_has_a_record_and_has_not_failed(tracker: ProcessTracker, lines: Lines) -> None:
    """Somebody stopped it."""

    @tracker
    async def main(has_begun: asyncio.Event) -> None:
        has_begun.set()
        await asyncio.sleep(60)

    async def run() -> None:
        has_begun = asyncio.Event()
        task = asyncio.create_task(main(has_begun))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert list(lines.one()["latencies"]) == ["main"]
    assert "failed" not in lines.one()


def test_generator_is_one_run_and_its_caller_is_outside(tracker: ProcessTracker, lines: Lines) -> None:
    """What the body does between two items belongs to it, what the caller does meanwhile does not."""

    @tracker.track
    def child() -> None:
        """Do nothing."""

    @tracker
    def stream() -> Iterator[int]:
        for item in range(2):
            with tracker.timer("item"):
                child()
                yield item
        tracker.set_metric("items", 2)

    for _ in stream():
        child()
        tracker.set_metric("mine", 1)
    record = lines.one()
    assert list(record["latencies"]) == ["child", "item", "stream"]
    assert (record["counts"], record["metrics"]) == ({"child": 2, "item": 2}, {"items": 2})


def test_closed_generator_has_a_record(tracker: ProcessTracker, lines: Lines) -> None:
    """Whoever iterates may stop."""

    @tracker
    def stream() -> Iterator[int]:
        yield from range(9)

    items = stream()
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert list(lines.one()["latencies"]) == ["stream"]
    assert "failed" not in lines.one()


def test_async_generator_is_one_run(tracker: ProcessTracker, lines: Lines) -> None:
    """As the generator."""

    @tracker
    async def stream() -> AsyncIterator[int]:
        for item in range(3):
            async with tracker.timer("item"):
                await asyncio.sleep(0)
            yield item

    async def main() -> list[int]:
        return [item async for item in stream()]

    assert asyncio.run(main()) == [0, 1, 2]
    assert lines.one()["counts"] == {"item": 3}
    assert list(lines.one()["latencies"]) == ["item", "stream"]


def test_context_manager_covers_its_block(tracker: ProcessTracker, lines: Lines) -> None:
    """What runs in the block belongs to it."""

    @tracker
    @contextlib.contextmanager
    def session() -> Iterator[str]:
        yield "open"

    with session() as state, tracker.timer("work"):
        assert state == "open"
    assert list(lines.one()["latencies"]) == ["work", "session"]


def test_methods_of_a_class_at_once(tracker: ProcessTracker, lines: Lines) -> None:
    """Every public method, as with `traced`."""

    @tracker.track
    class Shop:
        def price(self) -> int:
            return 1

    tracker(lambda: Shop().price())()
    assert list(lines.one()["latencies"]) == ["price", "<lambda>"]


def test_timer_is_a_decorator_too_and_may_be_used_again(tracker: ProcessTracker, lines: Lines) -> None:
    """One object, one after another and inside itself."""
    timer = tracker.timer("part")

    @timer
    def part() -> None:
        """Do nothing."""

    @tracker
    def main() -> None:
        with timer, timer:
            part()
        with timer:
            pass
        part()

    main()
    assert lines.one()["counts"] == {"part": 3}


def test_awaitable_that_a_function_returns_is_awaited_where_that_is_asked_for(
    tracker: ProcessTracker, lines: Lines
) -> None:
    """``traced(await_result=True)`` below the tracker."""

    async def load() -> int:
        with tracker.timer("load"):
            await asyncio.sleep(0.01)
        return 3

    @tracker
    @traced(await_result=True)
    def main() -> Any:
        return load()

    async def run() -> int:
        return int(await main())

    assert asyncio.run(run()) == 3
    assert list(lines.one()["latencies"]) == ["load", "main"]
    assert lines.one()["latencies"]["main"] > 9
