"""Plain functions and coroutine functions: calls, results, contexts, cancellation, awaitables."""

import asyncio
import contextvars
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from otel_tracker import attributes as keys
from otel_tracker import traced

from .helpers import (
    Recorder,
    args,
    attributes,
    caught,
    current_span_id,
    exception_events,
    has_result,
    is_child,
    result,
    status,
)

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def test_result_is_the_very_object(spans: Recorder) -> None:
    """The caller gets the object that the function returned, not a copy."""
    value = object()
    assert traced(lambda: value)() is value
    assert status(spans.one()) == "UNSET"


def test_arguments_are_the_very_objects(spans: Recorder) -> None:
    """The function gets the objects that the caller gave."""
    given = [1, 2]
    assert traced(lambda x, *y, z: (x, y, z))(given, given, z=given)[0] is given


def test_span_is_current_inside_and_gone_afterwards(spans: Recorder) -> None:
    """Inside the function its own span is current, afterwards the caller's context is back."""
    inside = traced(current_span_id)()
    assert inside == spans.one().get_span_context().span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_children_of_other_tracers_are_children(spans: Recorder, tracer: trace.Tracer) -> None:
    """Spans of other libraries inside a traced function are its children, and the other way round."""

    @traced
    def middle() -> None:
        with tracer.start_as_current_span("inner"):
            pass

    with tracer.start_as_current_span("outer"):
        middle()
    assert is_child(spans["inner"], spans["middle"])
    assert is_child(spans["middle"], spans["outer"])


def test_span_covers_the_call(spans: Recorder) -> None:
    """The span starts before and ends after what the function did."""
    marks: list[int] = []
    slack = 1_000_000  # a span may take its times from a monotonic clock that was set by the wall clock once
    before = time.time_ns() - slack
    traced(lambda: marks.append(time.time_ns()))()
    after = time.time_ns() + slack
    span = spans.one()
    assert span.start_time is not None
    assert span.end_time is not None
    assert before <= span.start_time <= marks[0] + slack
    assert marks[0] - slack <= span.end_time <= after


def test_context_values_set_inside_a_function_stay_with_the_caller(spans: Recorder) -> None:
    """A context variable that a plain function sets is seen by its caller, as without the decorator."""

    @traced
    def change() -> None:
        VARIABLE.set("changed")

    def run() -> str:
        change()
        return VARIABLE.get()

    assert contextvars.copy_context().run(run) == "changed"
    assert len(spans.finished) == 1


def test_context_attached_inside_and_not_detached_does_not_leak_a_span(spans: Recorder) -> None:
    """A function that forgets to detach a context does not leave its own span current."""

    @traced
    def careless() -> None:
        otel_context.attach(otel_context.set_value("key", "value"))

    def run() -> trace.Span:
        careless()
        return trace.get_current_span()

    assert contextvars.copy_context().run(run) is trace.INVALID_SPAN
    assert len(spans.finished) == 1


def test_coroutine_function_is_awaited_inside_its_span(spans: Recorder) -> None:
    """The span of a coroutine function covers the body across its awaits."""

    @traced(capture_result=True)
    async def fetch(x: int) -> int:
        before = current_span_id()
        await asyncio.sleep(0)
        assert current_span_id() == before
        return x + 1

    assert inspect.iscoroutinefunction(fetch)
    assert asyncio.run(fetch(1)) == 2
    span = spans.one()
    assert args(span) == {"x": 1}
    assert result(span) == 2


def test_coroutine_is_a_real_coroutine(spans: Recorder) -> None:
    """What a traced coroutine function returns passes `inspect.iscoroutine`."""

    @traced
    async def fetch() -> None: ...

    coroutine = fetch()
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


def test_coroutine_that_is_never_started_makes_no_span(spans: Recorder) -> None:
    """Calling without awaiting runs nothing, so there is nothing to record."""

    @traced
    async def fetch() -> None: ...

    fetch().close()
    assert spans.finished == []


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_coroutine_that_is_never_awaited_warns_as_ever(spans: Recorder) -> None:
    """Python's own warning about a forgotten await still comes and names the function."""

    @traced
    async def forgotten() -> None: ...

    with pytest.warns(RuntimeWarning, match=r"forgotten.* was never awaited"):
        forgotten()
    assert spans.finished == []


def test_cancelled_coroutine_is_no_error(spans: Recorder) -> None:
    """Cancellation is marked as the outcome, and is neither an error nor an exception event."""

    @traced
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    span = spans.one()
    assert attributes(span)[keys.OUTCOME] == keys.OUTCOME_CANCELLED
    assert status(span) == "UNSET"
    assert exception_events(span) == []
    assert keys.ERROR_TYPE not in attributes(span)


def test_coroutine_that_survives_its_cancellation_has_no_outcome(spans: Recorder) -> None:
    """A coroutine that handles the cancellation and returns has ended in the ordinary way."""

    @traced
    async def stubborn() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "survived"
        return ""

    async def main() -> str:
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "survived"
    assert keys.OUTCOME not in attributes(spans.one())


def test_timeout_is_an_error_only_where_it_arises(spans: Recorder) -> None:
    """The inner coroutine was cancelled; the outer one failed with the timeout."""

    @traced
    async def slow() -> None:
        await asyncio.get_running_loop().create_future()

    @traced
    async def impatient() -> None:
        await asyncio.wait_for(slow(), 0.001)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(impatient())
    assert status(spans["slow"]) == "UNSET"
    assert attributes(spans["slow"])[keys.OUTCOME] == keys.OUTCOME_CANCELLED
    assert status(spans["impatient"]) == "ERROR"


def test_coroutine_closed_half_way_is_closed(spans: Recorder) -> None:
    """Closing a suspended coroutine ends its span as closed, without an error."""

    @traced
    async def wait(future: Awaitable[None]) -> None:
        await future

    loop = asyncio.new_event_loop()
    coroutine: Any = wait(loop.create_future())
    coroutine.send(None)
    coroutine.close()
    loop.close()
    assert status(spans.one()) == "UNSET"
    assert attributes(spans.one())[keys.OUTCOME] == keys.OUTCOME_CLOSED
    assert exception_events(spans.one()) == []


def test_context_values_set_inside_an_awaited_coroutine_stay(spans: Recorder) -> None:
    """A context variable that an awaited coroutine sets is seen after the await, as without the decorator."""

    @traced
    async def change() -> None:
        await asyncio.sleep(0)
        VARIABLE.set("changed")
        await asyncio.sleep(0)

    async def main() -> str:
        await change()
        return VARIABLE.get()

    assert asyncio.run(main()) == "changed"
    assert len(spans.finished) == 1


def test_gathered_coroutines_have_the_right_parents(spans: Recorder) -> None:
    """Coroutines that interleave on one loop keep their own spans apart."""

    @traced
    async def leaf(number: int) -> None:
        await asyncio.sleep(0)

    @traced
    async def branch(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            await leaf(number)

    @traced
    async def root() -> None:
        await asyncio.gather(*(branch(number) for number in range(20)))

    asyncio.run(root())
    branches = {args(span)["number"]: span for span in spans.all("branch")}
    assert len(branches) == 20
    assert all(is_child(branch, spans["root"]) for branch in branches.values())
    leaves = spans.all("leaf")
    assert len(leaves) == 60
    assert all(is_child(leaf, branches[args(leaf)["number"]]) for leaf in leaves)


def test_sync_function_that_returns_an_awaitable_times_the_call_only(spans: Recorder) -> None:
    """Without a word to the contrary, the span ends when the plain function returns."""

    @traced
    def start() -> Awaitable[int]:
        async def work() -> int:
            assert len(spans.finished) == 1
            assert current_span_id() == 0
            return 5

        return work()

    async def main() -> int:
        return await start()

    assert asyncio.run(main()) == 5
    assert not inspect.iscoroutinefunction(start)


@pytest.mark.parametrize("wrap", [lambda c: c, asyncio.ensure_future], ids=["coroutine", "task"])
def test_await_result_extends_the_span_to_the_awaitable(spans: Recorder, wrap: Callable[[Any], Any]) -> None:
    """With `await_result=True` the span ends when the awaitable does, and holds its result."""

    @traced(await_result=True, capture_result=True)
    def start() -> Awaitable[int]:
        async def work() -> int:
            await asyncio.sleep(0)
            assert spans.finished == []
            return 5

        return wrap(work())

    async def main() -> int:
        return await start()

    assert asyncio.run(main()) == 5
    assert result(spans.one()) == 5


def test_await_result_records_the_exception_of_the_awaitable(spans: Recorder) -> None:
    """With `await_result=True` a failure of the awaitable is a failure of the function."""

    @traced(await_result=True)
    def start() -> Awaitable[None]:
        async def work() -> None:
            await asyncio.sleep(0)
            raise ValueError("late")

        return work()

    async def main() -> None:
        await start()

    with pytest.raises(ValueError, match="late"):
        asyncio.run(main())
    assert status(spans.one()) == "ERROR"
    assert len(exception_events(spans.one())) == 1


def test_await_result_of_a_plain_value_is_that_value(spans: Recorder) -> None:
    """A function that returns nothing to await is traced like any other."""
    assert traced(await_result=True)(lambda: 5)() == 5
    assert len(spans.finished) == 1


def test_await_result_without_provider_forwards_the_awaitable() -> None:
    """With nobody listening the awaitable is as usable as ever."""

    @traced(await_result=True)
    def start() -> Awaitable[int]:
        async def work() -> int:
            return 5

        return work()

    async def main() -> int:
        return await start()

    assert asyncio.run(main()) == 5


def test_injecting_decorator_inside_keeps_working(spans: Recorder) -> None:
    """A decorator that adds arguments (as `mock.patch` does) is called with what the caller gave, no more, no less."""

    class Clock:
        now = 1

    @traced
    @mock.patch.object(Clock, "now", 5)
    @mock.patch.object(Clock, "later", create=True)
    def read(offset: int, injected: object) -> int:
        assert injected is Clock.later
        return Clock.now + offset

    assert read(1) == 6
    assert Clock.now == 1
    assert spans.names == ["read"]


def test_wrapper_over_star_arguments_takes_more_than_its_signature_shows(spans: Recorder) -> None:
    """`functools.wraps` shows the inner signature, but the call is the wrapper's business."""

    def with_retries(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, retries: int = 0, **kwargs: Any) -> Any:
            return function(*args, **kwargs), retries

        return wrapper

    @traced
    @with_retries
    def get(url: str) -> str:
        return url

    assert get("u", retries=3) == ("u", 3)
    assert get(url="u") == ("u", 0)
    assert spans.names == ["get", "get"]


def test_async_wrapper_of_a_sync_signature_stays_async(spans: Recorder) -> None:
    """Whether a function is a coroutine function is decided by what is called, not by what it wraps."""

    def in_loop(function: Callable[..., int]) -> Callable[..., Awaitable[int]]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> int:
            await asyncio.sleep(0)
            return function(*args, **kwargs)

        return wrapper

    @traced
    @in_loop
    def add(a: int, b: int) -> int:
        assert spans.finished == []
        return a + b

    assert asyncio.run(add(1, b=2)) == 3
    assert spans.names == ["add"]


def test_sync_wrapper_of_an_async_function_returns_its_value(spans: Recorder) -> None:
    """A wrapper that runs the coroutine itself returns a plain value, also when traced."""

    def run(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return asyncio.run(function(*args))

        return wrapper

    @traced
    @run
    async def add(a: int) -> int:
        return a + 1

    assert add(1) == 2
    assert spans.names == ["add"]


@pytest.mark.parametrize("values", [(), (1, 2, 3), (1, "x")], ids=["none", "too many", "right number"])
@pytest.mark.parametrize("keywords", [{}, {"unknown": 1}, {"a": 1}], ids=["no keywords", "unknown", "twice"])
def test_wrong_call_raises_the_ordinary_type_error(
    spans: Recorder, values: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    """A call that does not fit raises what Python would have raised, with the function's name."""

    def work(a: int, b: str) -> None: ...

    decorated = traced(work)
    if values == (1, "x") and not keywords:
        assert decorated(*values) is None
        return
    plain = caught(lambda: work(*values, **keywords))
    error = caught(lambda: decorated(*values, **keywords))
    assert type(error) is TypeError
    assert str(error) == str(plain)
    assert "work" in str(error)


def test_wrong_call_of_a_coroutine_function_raises_at_the_call(spans: Recorder) -> None:
    """A missing argument is said when the call is made, not when it is awaited."""

    @traced
    async def work(a: int) -> None: ...

    with pytest.raises(TypeError, match=r"work\(\) missing 1 required positional argument: 'a'"):
        work()


def test_recursion_makes_a_chain(spans: Recorder) -> None:
    """Each level of a recursion is the child of the level above."""

    @traced
    def down(n: int) -> int:
        return n if n == 0 else down(n - 1)

    assert down(4) == 0
    by_level = {args(span)["n"]: span for span in spans.finished}
    assert all(is_child(by_level[n - 1], by_level[n]) for n in range(1, 5))


def test_result_is_not_captured_unless_asked_for(spans: Recorder) -> None:
    """Results are private by default."""
    traced(lambda: 5)()
    assert not has_result(spans.one())
