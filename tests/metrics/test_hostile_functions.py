"""However a function is called, left, cancelled or abandoned: one measurement of it, and nothing else changes."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from otel_tracker import counted, counter, disable, enable, labels, span, timed, traced, track_duration

from .helpers import Measured

pytestmark = pytest.mark.slow

DURATION = "otel_tracker.function.duration"
FUNCTION = "code.function.name"

MEASURES: dict[str, tuple[str, Callable[[], Any]]] = {
    "timed": ("m", lambda: timed("m")),
    "counted": ("m", lambda: counted("m")),
    "traced": (DURATION, lambda: traced(metrics=True)),
    "traced with event": (DURATION, lambda: traced(metrics=True, event="work.done")),
    "traced without capture": (DURATION, lambda: traced(metrics=True, capture_args=False)),
    "traced with result": (DURATION, lambda: traced(metrics=True, capture_result=True, attributes={"a": 1})),
    "both": ("m", lambda: lambda function: timed("m")(traced(metrics=True)(function))),
    "around": ("m", lambda: lambda function: traced(timed("m")(function))),
}


@pytest.fixture(params=MEASURES)
def measure(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Each way in turn to measure a function: the metric's name and the decorator."""
    name, make = MEASURES[request.param]
    return name, make()


@pytest.fixture(params=["sampled", *(pytest.param(name, marks=pytest.mark.slow) for name in ("unsampled", "none"))])
def _tracing(request: pytest.FixtureRequest, trace_with: Callable[..., Any]) -> None:
    if request.param != "none":
        trace_with(ALWAYS_ON if request.param == "sampled" else ALWAYS_OFF)


def caught(call: Callable[[], object]) -> BaseException | None:
    """The exception that the call raises, as the very object."""
    try:
        call()
    except BaseException as error:
        return error
    return None


def total(measured: Measured, name: str) -> int:
    """The measurements of a metric, over all its points."""
    return sum(count for _, count in measured.values(name))


def errors(measured: Measured, name: str) -> dict[str | None, int]:
    """The measurements by error.type."""
    found: dict[str | None, int] = {}
    for point, count in measured.values(name):
        key = point.get("error.type")
        found[key] = found.get(key, 0) + count
    return found


@pytest.mark.usefixtures("_tracing")
def test_generator_is_one_measurement_however_it_ends(measured: Measured, measure: tuple[str, Any]) -> None:
    """Exhausted, closed, dropped, thrown into, failed and answered by `return`: once each."""
    name, decorate = measure

    @decorate
    def numbers(fail: bool = False) -> Iterator[int]:
        try:
            yield 1
            yield 2
        except KeyError:
            yield 3
        if fail:
            raise ValueError

    assert list(numbers()) == [1, 2]
    closed = numbers()
    next(closed)
    closed.close()
    closed.close()
    dropped = numbers()
    next(dropped)
    del dropped
    gc.collect()
    thrown = numbers()
    next(thrown)
    assert thrown.throw(KeyError()) == 3
    assert list(thrown) == []
    escaped = numbers()
    next(escaped)
    with pytest.raises(OSError):
        escaped.throw(OSError())
    with pytest.raises(StopIteration):
        next(escaped)
    with pytest.raises(ValueError):
        list(numbers(fail=True))
    assert errors(measured, name) == {None: 4, "OSError": 1, "ValueError": 1}


@pytest.mark.usefixtures("_tracing")
def test_async_generator_is_one_measurement_however_it_ends(measured: Measured, measure: tuple[str, Any]) -> None:
    """As its synchronous brother, and cancelled in the middle as well."""
    name, decorate = measure

    @decorate
    async def numbers(fail: bool = False, wait: bool = False) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(30 if wait else 0)
        yield 2
        if fail:
            raise ValueError

    async def take(**how: bool) -> list[int]:
        return [number async for number in numbers(**how)]

    async def main() -> None:
        assert await take() == [1, 2]
        closed = numbers()
        await anext(closed)
        await closed.aclose()
        await closed.aclose()
        with pytest.raises(ValueError):
            await take(fail=True)
        task = asyncio.create_task(take(wait=True))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert errors(measured, name) == {None: 3, "ValueError": 1}


@pytest.mark.usefixtures("_tracing")
def test_coroutines_cancelled_timed_out_and_never_awaited(measured: Measured, measure: tuple[str, Any]) -> None:
    """Cancelled is no failure; a coroutine that nobody awaits has not run."""
    name, decorate = measure

    @decorate
    async def work(wait: float = 0, error: BaseException | None = None) -> int:
        await asyncio.sleep(wait)
        if error is not None:
            raise error
        return 7

    async def main() -> None:
        assert await work() == 7
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(work(30), 0.01)
        done = await asyncio.gather(
            *(work(error=KeyError(n) if n % 2 else None) for n in range(100)), return_exceptions=True
        )
        assert sum(one == 7 for one in done) == 50
        unawaited = work()
        unawaited.close()

    asyncio.run(main())
    assert errors(measured, name) == {None: 52, "KeyError": 50}


@pytest.mark.usefixtures("_tracing")
def test_methods_of_each_kind_and_their_subclasses(measured: Measured, measure: tuple[str, Any]) -> None:
    """Bound, static, class method, property, super() and overridden: one measurement a call of a measured function."""
    name, decorate = measure

    class Base:
        @decorate
        def plain(self) -> str:
            return "base"

        @staticmethod
        @decorate
        def static(self: int = 1) -> int:
            return self

        @decorate
        @classmethod
        def of_class(cls) -> type:
            return cls

        @property
        @decorate
        def size(self) -> int:
            return 3

        @decorate
        def __call__(self) -> int:
            return 5

    class Child(Base):
        def plain(self) -> str:
            return f"child of {super().plain()}"

    child = Child()
    assert (child.plain(), child.static(), Base.static(2), child.of_class(), child.size, child()) == (
        *("child of base", 1, 2, Child, 3, 5),
    )
    assert total(measured, name) == 6


@pytest.mark.usefixtures("_tracing")
def test_recursion_counts_each_call(measured: Measured, measure: tuple[str, Any]) -> None:
    """Also the ones through which an exception goes, each with its type."""
    name, decorate = measure

    @decorate
    def down(n: int) -> int:
        return down(n - 1) + 1 if n else 0

    @decorate
    def fall(n: int) -> int:
        return fall(n - 1) if n else 1 // 0

    assert down(20) == 20
    with pytest.raises(ZeroDivisionError):
        fall(4)
    assert errors(measured, name) == {None: 21, "ZeroDivisionError": 5}
    with pytest.raises(RecursionError):
        down(100_000)
    assert down(5) == 5


def test_class_partial_and_callable_object_are_measured_per_call(measured: Measured) -> None:
    """What `traced` takes, `traced(metrics=True)` measures."""

    @traced(metrics=True)
    class Shop:
        def sell(self) -> None: ...

        async def deliver(self) -> None: ...

    class Adder:
        def __call__(self, a: int, b: int = 1) -> int:
            return a + b

    partial: Any = traced(metrics=True)(functools.partial(lambda a, b: a * b, 2))
    adder = traced(metrics=True)(Adder())
    shop = Shop()
    shop.sell()
    asyncio.run(shop.deliver())
    assert partial(3) == 6
    assert adder(2) == 3
    names = [point[FUNCTION] for point, count in measured.values(DURATION) if count == 1]
    assert total(measured, DURATION) == len(names) == len(set(names)) in (4, 5)
    assert any(name.endswith("Shop.sell") for name in names)


@pytest.mark.usefixtures("_tracing")
def test_ignored_and_expected_errors_are_no_failures(measured: Measured) -> None:
    """`error.type` stands where the span's status is ERROR, and only there; the call counts all the same."""

    @traced(metrics=True, ignore=(KeyError,), expected=(ValueError,))
    def work(error: type[BaseException]) -> None:
        raise error

    for error in (KeyError, ValueError, OSError, SystemExit, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(error):
            work(error)
    found = errors(measured, DURATION)
    assert sum(found.values()) == 6
    assert found["OSError"] == 1
    assert "KeyError" not in found
    assert "ValueError" not in found


def test_status_of_the_span_and_error_type_of_the_metric_agree(
    measured: Measured, trace_with: Callable[..., Any]
) -> None:
    """The number of failed spans is the number of measurements with error.type."""
    exporter = trace_with()

    @traced(metrics=True, expected=(ValueError,))
    def work(error: type[BaseException] | None) -> None:
        if error is not None:
            raise error

    kinds = (
        None,
        ValueError,
        OSError,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        asyncio.CancelledError,
        StopIteration,
    )
    for error in kinds:
        with contextlib.suppress(BaseException):
            work(error)
    failed = sorted(
        str((span.attributes or {})["error.type"])
        for span in exporter.get_finished_spans()
        if span.status.status_code is trace.StatusCode.ERROR
    )
    assert sorted(key for key in errors(measured, DURATION) if key is not None) == failed
    assert total(measured, DURATION) == len(kinds)


class Evil(type):
    """A class of exceptions that does not say what it is."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError

    def __hash__(cls) -> int:
        return 1


def test_exception_whose_class_is_hostile_goes_on_unchanged(measured: Measured) -> None:
    """Its name cannot be had; it is a failure all the same, and the very object reaches the caller."""
    error = Evil("Odd", (Exception,), {})("x")

    @timed("t")
    @counted("n")
    @traced(metrics=True)
    def work() -> None:
        raise error

    def in_block() -> None:
        with timed("t"), counted("n"):
            raise error

    assert caught(work) is caught(in_block) is error
    assert total(measured, "t") == total(measured, "n") == 2
    assert total(measured, DURATION) == 1
    assert all("error.type" in point for point, _ in measured.values("t"))


def test_error_types_of_a_program_that_makes_classes_are_capped(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class for every failure is a label for every failure: the cap holds here too, and the total."""

    @traced(metrics=True)
    @timed("t")
    def work(error: type[Exception]) -> None:
        raise error

    monkeypatch.setattr(labels, "MAX_LABEL_SETS", 50)
    for n in range(100):
        with contextlib.suppress(Exception):
            work(type(f"Error{n}", (Exception,), {}))
    for name in ("t", DURATION):
        assert len(measured.points(name)) == 51
        assert total(measured, name) == 100


def test_one_object_nested_in_itself_and_across_everything(measured: Measured) -> None:
    """Block in block, block in function, function in block, and out of order by an ExitStack."""
    shared = timed("t")

    @shared
    def work(depth: int) -> None:
        with shared:
            if depth:
                work(depth - 1)

    with shared, shared, shared:
        work(3)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(shared)
    second.enter_context(shared)
    first.close()
    second.close()
    with pytest.raises(KeyError), shared:
        with shared:
            pass
        raise KeyError
    assert errors(measured, "t") == {None: 3 + 8 + 2 + 1, "KeyError": 1}
    assert all(0 <= point.min <= point.max < 5 for point in measured.points("t"))


def test_one_object_in_100_tasks_and_8_threads_keeps_durations_apart(measured: Measured) -> None:
    """Each task sleeps as long as it says; the sum of what was measured is that of the sleeps, not a multiple."""
    shared = timed("t")

    async def sleep(n: int) -> None:
        async with shared:
            await asyncio.sleep(0.001 * (n % 10))
            with shared:
                pass

    async def main() -> None:
        await asyncio.gather(*map(sleep, range(100)))

    gate = threading.Barrier(8)

    def spin(_: int) -> None:
        gate.wait()
        for _ in range(500):
            with shared:
                pass

    asyncio.run(main())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spin, range(8)))
    point = measured.one("t")
    assert point.count == 200 + 4_000
    assert point.sum >= 0.45 * 0.9
    assert point.max < 2.0


def test_left_without_being_entered_raises_nothing(measured: Measured) -> None:
    """Misuse by a framework that closes what never opened."""
    shared = timed("t")
    shared.__exit__(None, None, None)
    counted("n").__exit__(None, None, None)
    with shared:
        pass
    assert total(measured, "t") in (1, 2)


def test_generator_that_holds_a_block_open_in_another_context(measured: Measured) -> None:
    """A pytest fixture or a dependency is entered in one context and left in another."""
    shared = timed("t")

    def hold() -> Generator[int, None, None]:
        with shared:
            yield 1

    held = hold()
    contextvars.copy_context().run(next, held)
    with shared:
        pass
    contextvars.copy_context().run(held.close)
    assert total(measured, "t") == 2
    assert measured.one("t").min >= 0


@pytest.mark.parametrize("how", ["timed", "counted", "traced"])
def test_decorated_functions_are_still_themselves(how: str) -> None:
    """Signature, name, docstring, kind and annotations stay, so that frameworks see what they saw."""
    decorate = MEASURES[how][1]()

    async def work(a: int, /, b: str = "x", *rest: int, c: bool, **more: Any) -> list[int]:
        """Does it."""
        return [a]

    decorated = decorate(work)
    assert inspect.iscoroutinefunction(decorated)
    assert inspect.signature(decorated) == inspect.signature(work)
    assert (decorated.__name__, decorated.__doc__, decorated.__wrapped__) == ("work", "Does it.", work)


@traced(metrics=True)
def function() -> None:
    """Holds a child's measurement."""
    with span("inner"):
        counter("inside").add(1)


@traced(metrics=True)
async def coroutine() -> None:
    """Gives way inside a child."""
    async with span("inner"):
        await asyncio.sleep(0)


@traced(metrics=True)
def generator() -> Iterator[int]:
    """Stands inside a child."""
    with span("inner"):
        yield 1


@traced(metrics=True)
async def async_generator() -> AsyncIterator[int]:
    """Ends behind a child."""
    yield 1
    async with span("inner"):
        pass


async def exhausted() -> list[int]:
    """All of it."""
    return [number async for number in async_generator()]


def block() -> None:
    """A block inside a span."""
    with span("own"), timed(DURATION):
        pass


async def async_block() -> None:
    """The same, with `async with`."""
    async with span("own"), timed(DURATION):
        pass


RUNS: dict[str, Callable[[], object]] = {
    "function": function,
    "coroutine": lambda: asyncio.run(coroutine()),
    "generator": lambda: list(generator()),
    "async generator": lambda: asyncio.run(exhausted()),
    "block": block,
    "async block": lambda: asyncio.run(async_block()),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_exemplar_names_the_functions_own_span(
    measured: Measured, trace_with: Callable[..., Any], run: Callable[[], object]
) -> None:
    """Not its parent's and not a child's, whatever kind of callable it is."""
    exporter = trace_with()
    with span("outer"):
        run()
    found = measured.metrics()
    (exemplar,) = found[DURATION].data.data_points[0].exemplars
    own = [one for one in exporter.get_finished_spans() if one.name not in ("inner", "outer")]
    assert [(one.context.trace_id, one.context.span_id) for one in own] == [(exemplar.trace_id, exemplar.span_id)]
    inner = [one for one in exporter.get_finished_spans() if one.name == "inner"]
    for metric in (found[name] for name in found if name == "inside"):
        (inside,) = metric.data.data_points[0].exemplars
        assert [one.context.span_id for one in inner] == [inside.span_id]


@pytest.mark.parametrize("when", ["disabled", "no sampling"])
def test_nothing_of_a_span_that_was_not_sampled_is_in_an_exemplar(
    measured: Measured, trace_with: Callable[..., Any], when: str
) -> None:
    """A link to a trace that nobody stored leads nowhere."""
    trace_with(ALWAYS_OFF)
    if when == "disabled":
        disable()

    @traced(metrics=True)
    def work() -> None:
        counter("c").add(1)

    work()
    if when == "disabled":
        enable()
        assert measured.metrics() == {}
    else:
        assert list(measured.one(DURATION).exemplars) == list(measured.one("c").exemplars) == []
        assert total(measured, DURATION) == 1


def test_the_functions_name_is_the_spans(measured: Measured, trace_with: Callable[..., Any]) -> None:
    """A renamed span is still the same function's; the label is never the caller's text."""
    exporter = trace_with()

    @traced("renamed {by} me", metrics=True)
    def work() -> None: ...

    work()
    (found,) = exporter.get_finished_spans()
    assert measured.one(DURATION).attributes[FUNCTION] == (found.attributes or {})[FUNCTION]


def test_with_an_event_decorator_and_metrics_each_happens_once(measured: Measured) -> None:
    """Stacked in either order, one measurement a call."""

    @track_duration("work")
    @traced(metrics=True)
    def inner() -> None: ...

    @traced(metrics=True)
    @track_duration("work")
    def outer() -> None: ...

    for _ in range(3):
        inner()
        outer()
    assert [count for _, count in measured.values(DURATION)] == [3, 3]


@pytest.mark.parametrize("value", [None, "yes", 1, 0, [], object()], ids=range(6))
def test_odd_value_of_metrics_is_a_sentence_or_a_truth_value(value: Any) -> None:
    """A mistyped option is told at decoration, or taken as Python takes it; the function runs."""
    try:

        @traced(metrics=value)
        def work() -> int:
            return 7

    except (TypeError, ValueError) as error:
        assert "metrics" in str(error)  # noqa: PT017
    else:
        assert work() == 7
