"""Threads, tasks and executors: every run has its own timers and identifiers, and nothing of another's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from otel_tracker import ProcessTracker, propagate

from .conftest import Lines


def test_runs_in_threads_keep_apart(tracker: ProcessTracker, lines: Lines) -> None:
    """200 over 8 threads, 200 of 200 right."""

    @tracker
    def handler(n: int) -> None:
        tracker.set_identifier("n", n)
        for _ in range(3):
            with tracker.timer(f"timer {n}"):
                child(n)
        tracker.set_metric(f"metric {n}", n)

    @tracker.track
    def child(n: int) -> None:
        """Do nothing."""

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(handler, range(200)))
    assert sorted(record["n"] for record in lines.all) == list(range(200))
    for record in lines.all:
        n = record["n"]
        assert list(record["latencies"]) == ["child", f"timer {n}", "handler"]
        assert record["counts"] == {"child": 3, f"timer {n}": 3}
        assert record["metrics"] == {f"metric {n}": n}


def test_runs_in_tasks_keep_apart(tracker: ProcessTracker, lines: Lines) -> None:
    """100 at once, 100 of 100 right, with their children in tasks and threads of their own."""

    @tracker.track
    def in_thread() -> None:
        """Do nothing."""

    async def part(n: int) -> None:
        async with tracker.timer(f"timer {n}"):
            await asyncio.sleep(0)

    @tracker
    async def handler(n: int) -> None:
        tracker.set_identifier("n", n)
        await asyncio.gather(part(n), part(n))
        await asyncio.to_thread(in_thread)

    async def main() -> None:
        await asyncio.gather(*[handler(n) for n in range(100)])

    asyncio.run(main())
    assert sorted(record["n"] for record in lines.all) == list(range(100))
    for record in lines.all:
        n = record["n"]
        assert list(record["latencies"]) == [f"timer {n}", "in_thread", "handler"]
        assert record["counts"] == {f"timer {n}": 2}


def test_threads_of_one_run_add_up(tracker: ProcessTracker, lines: Lines) -> None:
    """With `propagate`; no run of a part is lost."""

    @tracker.track
    def part(n: int) -> None:
        tracker.set_metric(f"metric {n}", n)

    @tracker
    def handler() -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(propagate(part), range(1_000)))

    handler()
    assert lines.one()["counts"] == {"part": 1_000}
    assert len(lines.one()["metrics"]) == 1_000


def test_threading_instrumentor_carries_the_run_into_threads(tracker: ProcessTracker, lines: Lines) -> None:
    """`configure()` and the launcher activate it."""

    @tracker.track
    def part() -> None:
        """Do nothing."""

    @tracker
    def handler() -> None:
        thread = threading.Thread(target=part)
        thread.start()
        thread.join()

    ThreadingInstrumentor().instrument()
    try:
        handler()
    finally:
        ThreadingInstrumentor().uninstrument()
    assert list(lines.one()["latencies"]) == ["part", "handler"]


def test_thread_without_the_context_belongs_to_no_run(tracker: ProcessTracker, lines: Lines) -> None:
    """Whose it is cannot be known, and a guess would be wrong for some."""

    @tracker.track
    def part() -> None:
        tracker.set_identifier("id", 1)

    @tracker
    def handler() -> None:
        thread = threading.Thread(target=part)
        thread.start()
        thread.join()

    handler()
    assert list(lines.one()["latencies"]) == ["handler"]
    assert "id" not in lines.one()


def test_child_that_outlives_its_entry_point_is_not_carried_over(tracker: ProcessTracker, lines: Lines) -> None:
    """Neither into the record that is written already nor into the next."""

    async def late() -> None:
        with tracker.timer("late"):
            await asyncio.sleep(0.01)
        tracker.set_identifier("late", 1)

    @tracker
    async def handler() -> asyncio.Task[None]:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
        return task

    async def main() -> None:
        task = await handler()
        other = await handler()
        await asyncio.gather(task, other)

    asyncio.run(main())
    assert [list(record) for record in lines.all] == [["latencies", "metrics"]] * 2
    assert [list(record["latencies"]) for record in lines.all] == [["handler"]] * 2


def test_task_of_an_ended_run_can_begin_a_run(tracker: ProcessTracker, lines: Lines) -> None:
    """An entry point in a background task that another entry point has started."""

    @tracker
    async def background() -> None:
        with tracker.timer("late"):
            await asyncio.sleep(0.01)

    @tracker
    async def handler() -> asyncio.Task[None]:
        return asyncio.create_task(background())

    async def main() -> None:
        await (await handler())

    asyncio.run(main())
    assert [list(record["latencies"]) for record in lines.all] == [["handler"], ["late", "background"]]


def test_same_timer_object_in_many_tasks(tracker: ProcessTracker, lines: Lines) -> None:
    """Each task leaves the block that it entered."""
    timer = tracker.timer("part")

    async def part(n: int) -> None:
        with timer:
            await asyncio.sleep(0.001 * (n % 3))

    @tracker
    async def handler() -> None:
        await asyncio.gather(*[part(n) for n in range(20)])

    asyncio.run(handler())
    assert lines.one()["counts"] == {"part": 20}
