"""`timed` and `counted`: blocks and functions of every kind, shared by threads and tasks, and inside themselves."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_tracker import counted, disable, enable, timed, traced, track_error

from .helpers import Measured


class Refused(Exception):
    """What fails here."""


REFUSED = f"{Refused.__module__}.Refused"


def plain(fails: bool = False) -> str:
    """Return or raise."""
    if fails:
        raise Refused
    return "done"


async def coroutine(fails: bool = False) -> str:
    await asyncio.sleep(0)
    return plain(fails)


def generator(fails: bool = False) -> Iterator[int]:
    yield 1
    plain(fails)


async def async_generator(fails: bool = False) -> AsyncIterator[int]:
    yield 1
    plain(fails)


async def _all_of(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


KINDS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "function": (plain, lambda result: result),
    "coroutine": (coroutine, asyncio.run),
    "generator": (generator, list),
    "async generator": (async_generator, lambda items: asyncio.run(_all_of(items))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", [timed, counted])
def test_every_call_is_measured_once(measured: Measured, kind: str, measure: Any) -> None:
    """One that fails with the type of its error, which passes on unchanged; there is no span."""
    function, finish = KINDS[kind]
    decorated = measure("calls", area="shop")(function)
    finish(decorated())
    finish(decorated(False))
    with pytest.raises(Refused):
        finish(decorated(fails=True))
    assert measured.values("calls") == [({"area": "shop"}, 2), ({"area": "shop", "error.type": REFUSED}, 1)]
    assert decorated.__name__ == function.__name__


def test_durations_are_seconds_with_buckets_for_them(measured: Measured) -> None:
    with timed("work"):
        threading.Event().wait(0.02)
    point = measured.one("work")
    assert 0.02 <= point.sum < 5
    assert measured.metrics()["work"].unit == "s"
    assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (0.0001, 60.0)


def test_whole_iteration_of_a_generator_is_timed(measured: Measured) -> None:
    """What its caller does in between included; one that is closed has ended and not failed."""
    items = timed("items")(generator)()
    next(items)
    threading.Event().wait(0.02)
    items.close()  # type: ignore[attr-defined]
    point = measured.one("items")
    assert (dict(point.attributes), point.count) == ({}, 1)
    assert point.sum >= 0.02


class Shop:
    """Methods of every kind."""

    @timed("method")
    def method(self) -> Shop:
        return self

    @classmethod
    @timed("class.method")
    def made(cls) -> type:
        return cls

    @timed("static.method")
    @staticmethod
    def alone() -> int:
        return 1

    @property
    @counted("property")
    def size(self) -> int:
        return 2


def test_methods_of_every_kind(measured: Measured) -> None:
    shop = Shop()
    assert (shop.method(), shop.made(), shop.alone(), shop.size) == (shop, Shop, 1, 2)
    names = ("class.method", "method", "property", "static.method")
    assert sorted((name, value) for name in names for _, value in measured.values(name)) == [
        (name, 1) for name in names
    ]


def test_context_manager_function_is_timed_with_its_block(measured: Measured) -> None:
    @timed("managed")
    @contextlib.contextmanager
    def managed() -> Iterator[None]:
        yield

    with managed():
        threading.Event().wait(0.02)
    assert measured.one("managed").sum >= 0.02


def test_blocks_of_both_kinds(measured: Measured) -> None:
    async def main() -> None:
        async with timed("block", kind="async"), counted("block.count"):
            await asyncio.sleep(0)

    with timed("block", kind="sync"):
        pass
    asyncio.run(main())
    with pytest.raises(Refused), timed("block", kind="sync"):
        raise Refused
    assert measured.values("block") == [
        ({"kind": "sync"}, 1),
        ({"kind": "async"}, 1),
        ({"kind": "sync", "error.type": REFUSED}, 1),
    ]
    assert measured.values("block.count") == [({}, 1)]


@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError, SystemExit])
def test_what_ends_a_block_without_failure_has_no_error_type(measured: Measured, error: type[BaseException]) -> None:
    """As in the status of a span."""
    with pytest.raises(error), timed("stopped"):
        raise error
    assert measured.values("stopped") == [({}, 1)]


def test_one_object_inside_itself_keeps_its_beginnings_apart(measured: Measured) -> None:
    shared = timed("nested")
    with shared:
        threading.Event().wait(0.03)
        with shared, shared:
            pass
    point = measured.one("nested")
    assert point.count == 3
    assert (point.min < 0.02, point.max >= 0.03) == (True, True)


def test_one_object_in_many_tasks_keeps_their_beginnings_apart(measured: Measured) -> None:
    """They end in another order than they began in."""
    shared = timed("tasks")

    async def work(turns: int) -> None:
        async with shared:
            for _ in range(turns):
                await asyncio.sleep(0.01)

    async def main() -> None:
        await asyncio.gather(*(work(turns) for turns in (6, 1, 4, 1)))

    asyncio.run(main())
    point = measured.one("tasks")
    assert point.count == 4
    assert point.max >= 0.06
    assert point.min < 0.03


def test_one_object_in_many_threads(measured: Measured) -> None:
    shared = counted("threads")

    def work() -> None:
        for _ in range(500):
            with shared, shared:
                pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert measured.one("threads").value == 6_000


def test_block_that_is_left_in_another_context_is_measured(measured: Measured) -> None:
    """As asynchronous fixtures do; nothing of it stays behind in the context that it was entered in."""
    shared = timed("foreign")

    async def fixture() -> AsyncIterator[int]:
        with shared:
            yield 1

    async def main() -> None:
        with shared:
            for _ in range(3):
                items = fixture()
                await asyncio.create_task(_next(items))
                await asyncio.create_task(items.aclose())  # type: ignore[attr-defined]

    async def _next(items: AsyncIterator[int]) -> int:
        return await items.__anext__()

    asyncio.run(main())
    point = measured.one("foreign")
    assert point.count == 4
    assert shared._open == []


def test_disable_switches_both_off(measured: Measured) -> None:
    disable()
    timed("off")(plain)()
    with timed("off"), counted("off.count"):
        pass
    enable()
    assert measured.metrics() == {}


def test_sdk_disabled_leaves_functions_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert timed("off")(plain) is plain
    assert counted("off")(plain) is plain


def test_without_a_provider_everything_runs() -> None:
    decorated = counted("nobody")(timed("nobody")(plain))
    assert decorated() == "done"
    with pytest.raises(Refused):
        decorated(True)


@pytest.mark.parametrize("order", ["above", "below"])
def test_stands_on_either_side_of_other_decorators(
    measured: Measured, trace_with: Callable[..., Any], order: str
) -> None:
    """One span, one duration, one call: nothing twice and nothing lost."""
    exporter = trace_with()
    decorators = [traced("span"), timed("took"), counted("calls"), track_error("failed")]
    function: Any = plain
    for decorator in decorators if order == "above" else reversed(decorators):
        function = decorator(function)
    assert function() == "done"
    assert [span.name for span in exporter.get_finished_spans()] == ["span"]
    assert measured.values("took") == [({}, 1)]
    assert measured.values("calls") == [({}, 1)]


def test_timed_alone_makes_no_span(measured: Measured, trace_with: Callable[..., Any]) -> None:
    exporter = trace_with()
    for function, finish in KINDS.values():
        finish(timed("alone")(function)())
    assert list(exporter.get_finished_spans()) == []
    assert measured.one("alone").count == 4


@pytest.mark.parametrize("measure", [timed, counted])
def test_empty_name_is_refused(measure: Any) -> None:
    with pytest.raises(ValueError, match="expected a text"):
        measure("")


def test_any_name_is_a_label(measured: Measured) -> None:
    with timed("free", name="n", self="s", labels="l"):
        pass
    assert dict(measured.one("free").attributes) == {"name": "n", "self": "s", "labels": "l"}


def test_object_travels_to_another_process() -> None:
    with pickle.loads(pickle.dumps(timed("pickled", a="x"))):
        pass


def test_class_gets_every_method_timed(measured: Measured) -> None:
    @timed("class")
    class Counted:
        def one(self) -> int:
            return 1

        def two(self) -> int:
            return self.one() + 1

    assert Counted().two() == 2
    assert measured.one("class").count == 2


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF])
@pytest.mark.parametrize("kind", KINDS)
def test_traced_metrics_measures_each_call_once_sampled_or_not(
    measured: Measured, trace_with: Callable[..., Any], kind: str, sampler: Any
) -> None:
    """Under the function's name, with the type of its error, and with its own span as the exemplar."""
    exporter = trace_with(sampler) if sampler else trace_with()
    function, finish = KINDS[kind]
    decorated = traced(metrics=True)(function)
    finish(decorated())
    with pytest.raises(Refused):
        finish(decorated(True))
    name = f"{function.__module__}.{function.__qualname__}"
    metric = measured.metrics()["otel_tracker.function.duration"]
    assert metric.unit == "s"
    found = [(dict(point.attributes), point.count) for point in metric.data.data_points]
    assert found == [({"code.function.name": name}, 1), ({"code.function.name": name, "error.type": REFUSED}, 1)]
    exemplars = [exemplar.span_id for point in metric.data.data_points for exemplar in point.exemplars]
    assert exemplars == [span.context.span_id for span in exporter.get_finished_spans()]
    assert len(exemplars) == (0 if sampler else 2)


def test_traced_metrics_without_a_tracer_provider(measured: Measured) -> None:
    traced(metrics=True)(plain)()
    assert measured.one("otel_tracker.function.duration").count == 1


def test_errors_that_are_none_for_the_span_are_none_for_the_metric(measured: Measured) -> None:
    """`ignore` and `expected` types."""
    for option in ("ignore", "expected"):
        with pytest.raises(Refused):
            traced(metrics=True, **{option: Refused})(plain)(True)  # type: ignore[call-overload]
    assert "error.type" not in measured.one("otel_tracker.function.duration").attributes


def test_traced_metrics_with_await_result(measured: Measured, trace_with: Callable[..., Any]) -> None:
    """The await counts, once."""
    trace_with()

    @traced(metrics=True, await_result=True)
    def later() -> Any:
        return asyncio.sleep(0.02)

    asyncio.run(_awaited(later))
    point = measured.one("otel_tracker.function.duration")
    assert (point.count, point.sum >= 0.02) == (1, True)


async def _awaited(function: Any) -> Any:
    return await function()


def test_traced_metrics_of_a_class_and_with_events(measured: Measured) -> None:
    """Each method has its own name; a second application adds no second measurement."""

    @traced(metrics=True)
    class Cart:
        @traced(metrics=True, event="cart")
        def total(self) -> int:
            return 3

    assert Cart().total() == 3
    point = measured.one("otel_tracker.function.duration")
    assert point.count == 1
    assert point.attributes["code.function.name"].endswith("Cart.total")
