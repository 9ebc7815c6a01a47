"""Exceptions pass through as they are; each is described once in a trace, at the deepest span."""

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from otel_tracker import attributes as keys
from otel_tracker import span, traced

from .helpers import (
    Recorder,
    args,
    attributes,
    caught,
    exception_events,
    frame_count,
    status,
)


class OrderError(Exception):
    """An application's own exception."""


def fail(error: BaseException) -> None:
    """Raises what it was given."""
    raise error


def run_async(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: asyncio.run(function(*values))


def exhaust(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: list(function(*values))


async def fail_async(error: BaseException) -> None:
    """Raises what it was given."""
    raise error


def fail_generator(error: BaseException) -> Iterator[int]:
    """Raises what it was given, after one item."""
    yield 1
    raise error


async def fail_async_generator(error: BaseException) -> AsyncIterator[int]:
    """Raises what it was given, after one item."""
    yield 1
    raise error


def exhaust_async(function: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*values: Any) -> None:
        async for _ in function(*values):
            pass

    return lambda *values: asyncio.run(run(*values))


KINDS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "function": (fail, lambda f: f),
    "coroutine": (fail_async, run_async),
    "generator": (fail_generator, exhaust),
    "async generator": (fail_async_generator, exhaust_async),
}
every_kind = pytest.mark.parametrize(("function", "caller"), KINDS.values(), ids=KINDS)


@every_kind
def test_exception_is_recorded_and_raised_again(
    spans: Recorder, function: Callable[..., Any], caller: Callable[[Any], Any]
) -> None:
    """The caller gets the very object; the span has status, type, message and the traceback."""
    error = ValueError("no stock")
    assert caught(lambda: caller(traced(function))(error)) is error
    found = spans.one()
    assert status(found) == "ERROR"
    assert "no stock" in (found.status.description or "")
    assert attributes(found)[keys.ERROR_TYPE] == "ValueError"
    (event,) = exception_events(found)
    assert event[keys.EXCEPTION_TYPE] == "ValueError"
    assert event[keys.EXCEPTION_MESSAGE] == "no stock"
    assert "Traceback (most recent call last)" in event[keys.EXCEPTION_STACKTRACE]
    assert function.__name__ in event[keys.EXCEPTION_STACKTRACE]


@every_kind
def test_traceback_has_one_frame_more_at_most(
    spans: Recorder, function: Callable[..., Any], caller: Callable[[Any], Any]
) -> None:
    """Whoever reads a traceback finds one frame of ours at most."""
    plain = caught(lambda: caller(function)(ValueError("x")))
    error = caught(lambda: caller(traced(function))(ValueError("x")))
    assert frame_count(error) <= frame_count(plain) + 1


@every_kind
def test_traceback_without_provider_has_one_frame_more_at_most(
    function: Callable[..., Any], caller: Callable[[Any], Any]
) -> None:
    """Also when nothing is recorded, there is one frame of ours at most."""
    plain = caught(lambda: caller(function)(ValueError("x")))
    error = caught(lambda: caller(traced(function))(ValueError("x")))
    assert frame_count(error) <= frame_count(plain) + 1


@every_kind
def test_cause_and_context_stay(spans: Recorder, function: Callable[..., Any], caller: Callable[[Any], Any]) -> None:
    """Recording an exception changes neither its cause nor its context."""
    bare = ValueError("bare")
    caught(lambda: caller(traced(function))(bare))
    assert (bare.__context__, bare.__cause__, bare.__suppress_context__) == (None, None, False)

    cause = KeyError("cause")
    chained = ValueError("chained")
    chained.__cause__ = cause
    caught(lambda: caller(traced(function))(chained))
    assert chained.__cause__ is cause
    assert chained.__suppress_context__ is True


def test_context_of_an_exception_raised_while_handling_another_stays(spans: Recorder) -> None:
    """The exception that was being handled stays the context of the one that the function raises."""
    first = KeyError("first")
    second = ValueError("second")

    def run() -> None:
        try:
            raise first
        except KeyError:
            traced(fail)(second)

    assert caught(run) is second
    assert second.__context__ is first


def test_exception_being_handled_is_visible_inside(spans: Recorder) -> None:
    """A traced function that is called in an except block sees what is being handled there."""
    error = KeyError("x")
    try:
        raise error
    except KeyError:
        assert traced(sys.exc_info)()[1] is error
        assert sys.exc_info()[1] is error
    assert status(spans.one()) == "UNSET"


def test_own_exception_has_a_qualified_type(spans: Recorder) -> None:
    """The type of an exception that is not built in is given with its module."""
    caught(lambda: traced(fail)(OrderError("x")))
    assert attributes(spans.one())[keys.ERROR_TYPE] == f"{__name__}.OrderError"
    assert exception_events(spans.one())[0][keys.EXCEPTION_TYPE] == f"{__name__}.OrderError"


def test_exception_is_described_at_the_deepest_span_only(spans: Recorder) -> None:
    """Outer spans are failed too, with type and message, but the traceback is stored once."""

    @traced
    def middle() -> None:
        traced(fail)(ValueError("deep"))

    @traced
    def outer() -> None:
        middle()

    caught(outer)
    assert len(exception_events(spans["fail"])) == 1
    for name in ("middle", "outer"):
        assert exception_events(spans[name]) == []
        assert status(spans[name]) == "ERROR"
        assert "deep" in (spans[name].status.description or "")
        assert attributes(spans[name])[keys.ERROR_TYPE] == "ValueError"


def test_exception_is_described_once_with_blocks_in_between(spans: Recorder) -> None:
    """`span()` blocks on the way count as spans of the same trace."""

    @traced
    def outer() -> None:
        with span("outer block"), span("inner block"):
            traced(fail)(ValueError("deep"))

    caught(outer)
    assert [len(exception_events(found)) for found in spans.finished] == [1, 0, 0, 0]
    assert [status(found) for found in spans.finished] == ["ERROR"] * 4


def test_exception_that_begins_in_a_block_is_described_there(spans: Recorder) -> None:
    """The deepest span may be a block of the function itself."""

    @traced
    def outer() -> None:
        with span("block"):
            raise ValueError("deep")

    caught(outer)
    assert len(exception_events(spans["block"])) == 1
    assert exception_events(spans["outer"]) == []
    assert status(spans["outer"]) == "ERROR"


def test_exception_is_described_once_across_kinds(spans: Recorder) -> None:
    """Coroutines, generators and functions on the way of one exception share one description."""

    @traced
    def steps() -> Iterator[int]:
        yield 1
        traced(fail)(ValueError("deep"))

    @traced
    async def outer() -> None:
        await asyncio.sleep(0)
        list(steps())

    caught(lambda: asyncio.run(outer()))
    assert {name: len(exception_events(spans[name])) for name in ("fail", "steps", "outer")} == {
        "fail": 1,
        "steps": 0,
        "outer": 0,
    }


def test_exception_raised_again_later_is_described_once(spans: Recorder) -> None:
    """Catching and raising the same object on the way changes nothing."""

    @traced
    def outer() -> None:
        try:
            traced(fail)(ValueError("deep"))
        except ValueError as error:
            kept = error
        raise kept

    caught(outer)
    assert len(exception_events(spans["fail"])) == 1
    assert exception_events(spans["outer"]) == []


def test_new_exception_is_described_too(spans: Recorder) -> None:
    """When a function turns one exception into another, both are described, each where it arose."""

    @traced
    def outer() -> None:
        try:
            traced(fail)(KeyError("low"))
        except KeyError as error:
            raise OrderError("high") from error

    error = caught(outer)
    assert isinstance(error.__cause__, KeyError)
    assert exception_events(spans["fail"])[0][keys.EXCEPTION_TYPE] == "KeyError"
    assert exception_events(spans["outer"])[0][keys.EXCEPTION_MESSAGE] == "high"


def test_exception_that_is_handled_fails_the_inner_span_only(spans: Recorder) -> None:
    """A function that copes with a failure has not failed."""

    @traced
    def outer() -> str:
        try:
            traced(fail)(ValueError("x"))
        except ValueError:
            return "coped"
        return ""

    assert outer() == "coped"
    assert status(spans["fail"]) == "ERROR"
    assert status(spans["outer"]) == "UNSET"


def test_same_object_is_described_in_each_trace(spans: Recorder) -> None:
    """An exception object that is raised in two traces is described in both."""
    error = ValueError("shared")
    caught(lambda: traced(fail)(error))
    caught(lambda: traced(fail)(error))
    first, second = spans.finished
    assert first.get_span_context().trace_id != second.get_span_context().trace_id
    assert len(exception_events(first)) == len(exception_events(second)) == 1


@every_kind
def test_ignored_exception_is_no_error(
    spans: Recorder, function: Callable[..., Any], caller: Callable[[Any], Any]
) -> None:
    """Types in `ignore`, and their subclasses, leave no trace on the span and are raised as ever."""
    error = KeyError("x")
    assert caught(lambda: caller(traced(ignore=(OSError, LookupError))(function))(error)) is error
    found = spans.one()
    assert status(found) == "UNSET"
    assert exception_events(found) == []
    assert keys.ERROR_TYPE not in attributes(found)


@every_kind
def test_expected_exception_is_recorded_but_no_failure(
    spans: Recorder, function: Callable[..., Any], caller: Callable[[Any], Any]
) -> None:
    """Types in `expected`, and their subclasses, are described, and the status stays unset."""
    error = KeyError("x")
    assert caught(lambda: caller(traced(expected=(LookupError,))(function))(error)) is error
    assert status(spans.one()) == "UNSET"
    assert len(exception_events(spans.one())) == 1


def test_other_exceptions_are_errors_as_ever(spans: Recorder) -> None:
    """`ignore` and `expected` hold for their types alone."""
    caught(lambda: traced(ignore=(KeyError,), expected=(OSError,))(fail)(ValueError("x")))
    assert status(spans.one()) == "ERROR"


def test_ignored_exception_is_described_further_out(spans: Recorder) -> None:
    """An exception that an inner function ignores is a failure of an outer one that does not."""

    @traced
    def outer() -> None:
        traced(ignore=(ValueError,))(fail)(ValueError("x"))

    caught(outer)
    assert status(spans["fail"]) == "UNSET"
    assert status(spans["outer"]) == "ERROR"
    assert len(exception_events(spans["outer"])) == 1


@pytest.mark.parametrize(
    "error",
    [SystemExit(), SystemExit(0), asyncio.CancelledError(), GeneratorExit()],
    ids=["exit", "exit 0", "cancelled", "generator exit"],
)
def test_ordinary_ends_are_no_errors(spans: Recorder, error: BaseException) -> None:
    """Leaving on purpose is not a failure; the span ends all the same."""
    assert caught(lambda: traced(fail)(error)) is error
    assert status(spans.one()) == "UNSET"
    assert exception_events(spans.one()) == []
    assert keys.ERROR_TYPE not in attributes(spans.one())


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), SystemExit("bad"), KeyboardInterrupt()],
    ids=["exit 1", "exit with text", "keyboard interrupt"],
)
def test_hard_ends_are_errors(spans: Recorder, error: BaseException) -> None:
    """Leaving because of a problem is a failure, and the span ends."""
    assert caught(lambda: traced(fail)(error)) is error
    assert status(spans.one()) == "ERROR"
    assert attributes(spans.one())[keys.ERROR_TYPE] == type(error).__name__


def test_exception_whose_text_fails(spans: Recorder) -> None:
    """An exception that can't be turned into text is raised unchanged, and its type is recorded."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    error = Mute()
    assert caught(lambda: traced(fail)(error)) is error
    assert status(spans.one()) == "ERROR"
    assert attributes(spans.one())[keys.ERROR_TYPE].endswith("Mute")


def test_exception_with_a_hostile_class(spans: Recorder) -> None:
    """An exception that forbids attributes and lies about equality and truth is raised unchanged."""

    class Hostile(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise RuntimeError("closed")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not comparable")

        __hash__ = None  # type: ignore[assignment]

        def __bool__(self) -> bool:
            raise RuntimeError("neither")

    @traced
    def outer() -> None:
        traced(fail)(Hostile("x"))

    assert type(caught(outer)) is Hostile
    assert len(exception_events(spans["fail"])) == 1
    assert exception_events(spans["outer"]) == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="ExceptionGroup needs Python 3.11")
def test_exception_group_is_recorded_with_its_parts(spans: Recorder) -> None:
    """A group is the very object, and its description names the exceptions inside."""
    group = ExceptionGroup("several", [ValueError("one"), KeyError("two")])  # noqa: F821
    assert caught(lambda: traced(fail)(group)) is group
    (event,) = exception_events(spans.one())
    assert event[keys.EXCEPTION_TYPE] == "ExceptionGroup"
    assert "one" in event[keys.EXCEPTION_STACKTRACE]
    assert "two" in event[keys.EXCEPTION_STACKTRACE]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup needs Python 3.11")
def test_task_group_records_each_failure(spans: Recorder) -> None:
    """Failures of several tasks are each described on the span of their task, the group on the outer one."""

    @traced
    async def broken(number: int) -> None:
        raise ValueError(f"task {number}")

    @traced
    async def outer() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(broken(number))

    caught(lambda: asyncio.run(outer()))
    assert sorted(args(found)["number"] for found in spans.all("broken")) == [0, 1]
    assert all(len(exception_events(found)) == 1 for found in spans.all("broken"))
    assert exception_events(spans["outer"])[0][keys.EXCEPTION_TYPE] == "ExceptionGroup"


def test_exception_keeps_no_reference_to_itself(spans: Recorder) -> None:
    """Recording leaves no attribute and no note on the exception."""
    error = ValueError("x")
    before = set(vars(error))
    caught(lambda: traced(fail)(error))
    assert set(vars(error)) == before
    assert not getattr(error, "__notes__", [])


def test_secret_in_the_result_of_a_failure_is_no_result(spans: Recorder) -> None:
    """A function that fails has no result."""
    caught(lambda: traced(capture_result=True)(fail)(ValueError("x")))
    assert keys.RESULT not in attributes(spans.one())
    assert keys.RESULT_JSON not in attributes(spans.one())


def test_context_is_restored_after_an_exception(spans: Recorder) -> None:
    """After a failure the caller's span is current again."""
    with span("caller") as caller:
        caught(lambda: traced(fail)(ValueError("x")))
        assert trace.get_current_span() is caller
    assert status(spans["caller"]) == "UNSET"


def test_status_that_the_function_set_itself_is_kept_on_success(spans: Recorder) -> None:
    """A function may mark its own span as failed without raising."""

    @traced
    def check() -> None:
        trace.get_current_span().set_status(trace.StatusCode.ERROR, "checked and found wanting")

    check()
    assert status(spans.one()) == "ERROR"
    assert spans.one().status.description == "checked and found wanting"


def test_stop_iteration_from_a_plain_function_is_raised_as_it_is(spans: Recorder) -> None:
    """A function that raises StopIteration (a hand-written `__next__`) does so also when traced."""
    error = StopIteration(5)
    assert caught(lambda: traced(fail)(error)) is error


def test_wrong_argument_count_inside_a_traced_function_is_recorded(spans: Recorder) -> None:
    """A TypeError that arises inside the body is a failure of the body."""

    @traced
    def work() -> None:
        len()  # type: ignore[call-arg]

    with pytest.raises(TypeError):
        work()
    assert status(spans.one()) == "ERROR"


def test_exceptions_of_one_trace_are_told_apart_by_object(spans: Recorder) -> None:
    """New exceptions that take the place of old ones in memory are described as well."""

    @traced
    def outer() -> None:
        for number in range(500):
            with pytest.raises(ValueError):
                traced(fail)(ValueError(number))

    outer()
    assert len(spans.all("fail")) == 500
    assert all(len(exception_events(found)) == 1 for found in spans.all("fail"))


def test_exceptions_are_not_kept_alive(spans: Recorder) -> None:
    """Remembering which exception was described does not keep it, nor what its frames hold."""

    class Big:
        pass

    gone: list[weakref.ref[Any]] = []

    @traced
    def inner() -> None:
        big = Big()
        gone.append(weakref.ref(big))
        raise OrderError("x")

    @traced
    def outer() -> None:
        try:
            inner()
        except OrderError as error:
            gone.append(weakref.ref(error))

    outer()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_exceptions_are_freed_without_the_collector(spans: Recorder) -> None:
    """A traced failure makes no reference cycle of its own."""

    def broken() -> None:
        raise OrderError("x")

    gc.collect()
    gc.disable()
    try:
        reference = weakref.ref(caught(traced(broken)))
        assert reference() is None
    finally:
        gc.enable()
