"""Generators: the span covers the iteration, and nothing but the body runs inside it."""

import contextvars
import gc
import inspect
import threading
import types
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from otel_tracker import attributes as keys
from otel_tracker import disable, span, traced

from .helpers import (
    Recorder,
    args,
    attributes,
    caught,
    current_span_id,
    exception_events,
    frame_count,
    is_child,
    is_root,
    result,
    status,
)


@traced
def leaf() -> None:
    """Makes one span."""


def count(limit: int) -> Generator[int, Any, str]:
    """Counts, and calls a traced function at each step."""
    for number in range(limit):
        leaf()
        yield number
    return "done"


def echo() -> Generator[Any, Any, str]:
    """Yields what was sent, until None is sent."""
    received: Any = "ready"
    while received is not None:
        received = yield received
    return "finished"


def test_generator_that_is_never_iterated_makes_no_span(spans: Recorder) -> None:
    """Making a generator runs nothing, so there is nothing to record."""
    traced(count)(3)
    gc.collect()
    assert spans.finished == []


def test_span_opens_at_the_first_next(spans: Recorder) -> None:
    """Time between making and first using a generator is no part of its span."""
    generator = traced(count)(1)
    with span("between"):
        pass
    assert list(generator) == [0]
    assert spans["between"].end_time <= spans["count"].start_time


def test_span_covers_the_iteration_and_counts_the_items(spans: Recorder) -> None:
    """What the body calls at each step is its child, and the items are counted."""
    assert list(traced(count)(3)) == [0, 1, 2]
    assert attributes(spans["count"])[keys.ITEMS] == 3
    assert all(is_child(child, spans["count"]) for child in spans.all("leaf"))
    assert args(spans["count"]) == {"limit": 3}
    assert keys.OUTCOME not in attributes(spans["count"])
    assert status(spans["count"]) == "UNSET"


def test_empty_generator_has_no_items(spans: Recorder) -> None:
    """A generator that yields nothing says so."""
    assert list(traced(count)(0)) == []
    assert attributes(spans["count"])[keys.ITEMS] == 0


def test_callers_spans_between_the_steps_stay_outside(spans: Recorder) -> None:
    """What the caller does between two items is no child of the generator."""

    @traced
    def caller() -> None:
        for _ in traced(count)(2):
            with span("between"):
                pass

    caller()
    assert len(spans.all("between")) == 2
    assert all(is_child(between, spans["caller"]) for between in spans.all("between"))
    assert is_child(spans["count"], spans["caller"])


def test_context_between_the_steps_is_the_callers(spans: Recorder) -> None:
    """Between two items, and after an early stop, no span of the generator is current."""
    generator = traced(count)(3)
    next(generator)
    assert trace.get_current_span() is trace.INVALID_SPAN
    generator.close()
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_parent_is_the_span_of_the_first_step(spans: Recorder) -> None:
    """A generator belongs to the one who begins to iterate over it."""
    generator = traced(count)(1)
    with span("consumer"):
        list(generator)
    assert is_child(spans["count"], spans["consumer"])


def test_sent_values_arrive(spans: Recorder) -> None:
    """`send` works as without the decorator."""
    generator = traced(echo)()
    assert next(generator) == "ready"
    assert [generator.send(value) for value in (1, "two", [])] == [1, "two", []]
    error = caught(lambda: generator.send(None))
    assert type(error) is StopIteration
    assert error.value == "finished"
    assert attributes(spans["echo"])[keys.ITEMS] == 4


def test_return_value_goes_through_yield_from(spans: Recorder) -> None:
    """`yield from` gets the generator's return value."""

    def delegate() -> Generator[int, None, str]:
        return (yield from traced(capture_result=True)(count)(2)).upper()

    outer = delegate()
    assert [next(outer), next(outer)] == [0, 1]
    error = caught(lambda: next(outer))
    assert isinstance(error, StopIteration)
    assert error.value == "DONE"
    assert result(spans["count"]) == "done"


def test_sending_to_a_fresh_generator_is_refused_as_ever(spans: Recorder) -> None:
    """A value can't be sent before the first item, and nothing is recorded then."""
    generator = traced(echo)()
    with pytest.raises(TypeError, match="non-None value to a just-started generator"):
        generator.send(1)
    assert next(generator) == "ready"
    generator.close()


def test_thrown_exception_reaches_the_body(spans: Recorder) -> None:
    """A body that handles a thrown exception goes on, and its span is no failure."""

    @traced
    def robust() -> Generator[str, None, None]:
        try:
            yield "first"
        except ValueError as error:
            leaf()
            yield f"handled {error}"

    generator = robust()
    next(generator)
    assert generator.throw(ValueError("x")) == "handled x"
    assert list(generator) == []
    assert status(spans["robust"]) == "UNSET"
    assert exception_events(spans["robust"]) == []
    assert is_child(spans["leaf"], spans["robust"])


def test_thrown_exception_that_is_not_handled_is_recorded(spans: Recorder) -> None:
    """A thrown exception that leaves the body is the very object, and a failure."""
    generator = traced(echo)()
    next(generator)
    thrown = KeyError("x")
    assert caught(lambda: generator.throw(thrown)) is thrown
    assert status(spans["echo"]) == "ERROR"
    assert len(exception_events(spans["echo"])) == 1


def test_throwing_into_a_fresh_generator_raises_and_finishes_it(spans: Recorder) -> None:
    """An exception thrown before the first item comes out at once, as without the decorator."""
    generator = traced(echo)()
    thrown = ValueError("early")
    assert caught(lambda: generator.throw(thrown)) is thrown
    assert list(generator) == []


def test_exception_in_the_body_is_recorded(spans: Recorder) -> None:
    """A generator that fails half-way has a failed span with what it had yielded until then."""

    @traced
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("half-way")

    generator = broken()
    next(generator)
    with pytest.raises(ValueError, match="half-way"):
        next(generator)
    assert status(spans["broken"]) == "ERROR"
    assert attributes(spans["broken"])[keys.ITEMS] == 1
    assert len(exception_events(spans["broken"])) == 1
    assert list(generator) == []


def test_exception_of_the_body_has_one_frame_more_at_most(spans: Recorder) -> None:
    """The traceback of a failing generator shows one frame of ours at most."""

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("half-way")

    def run(function: Callable[[], Iterator[int]]) -> BaseException:
        return caught(lambda: list(function()))

    assert frame_count(run(traced(broken))) <= frame_count(run(broken)) + 1


def test_stop_iteration_inside_the_body_is_a_runtime_error(spans: Recorder) -> None:
    """PEP 479 holds: a StopIteration that escapes a body is a RuntimeError for the caller."""

    @traced
    def careless() -> Iterator[int]:
        yield 1
        raise StopIteration

    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(careless())
    assert status(spans["careless"]) == "ERROR"


def test_closed_generator_is_no_error(spans: Recorder) -> None:
    """Closing is an ordinary end, marked by the outcome."""
    generator = traced(count)(3)
    next(generator)
    generator.close()
    found = spans["count"]
    assert attributes(found)[keys.OUTCOME] == keys.OUTCOME_CLOSED
    assert attributes(found)[keys.ITEMS] == 1
    assert status(found) == "UNSET"
    assert exception_events(found) == []


def test_clean_up_on_close_runs_inside_the_span(spans: Recorder) -> None:
    """What a `finally` block calls when the generator is closed is a child of its span."""

    @traced
    def careful() -> Iterator[int]:
        try:
            yield 1
        finally:
            leaf()

    generator = careful()
    next(generator)
    generator.close()
    assert is_child(spans["leaf"], spans["careful"])


def test_generator_that_ignores_close_raises_as_ever(spans: Recorder) -> None:
    """A body that yields while it is closed gets Python's own error."""

    @traced
    def once() -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    generator = once()
    next(generator)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        generator.close()  # type: ignore[attr-defined]


def test_closing_twice_or_before_the_start_is_harmless(spans: Recorder) -> None:
    """Closing a generator that is finished or fresh does nothing."""
    fresh = traced(count)(1)
    fresh.close()
    fresh.close()
    done = traced(count)(1)
    assert list(done) == [0]
    done.close()
    assert spans.names == ["leaf", "count"]


def test_early_break_ends_the_span(spans: Recorder) -> None:
    """A loop that is left early closes its generator, and the span ends."""
    for number in traced(count)(100):
        if number == 4:
            break
    gc.collect()
    assert attributes(spans["count"])[keys.ITEMS] == 5
    assert attributes(spans["count"])[keys.OUTCOME] == keys.OUTCOME_CLOSED


def test_abandoned_generator_ends_without_touching_the_current_context(spans: Recorder) -> None:
    """When the garbage collector finishes a generator, whatever runs then keeps its own span."""
    generator = traced(count)(3)
    next(generator)
    with span("elsewhere") as elsewhere:
        del generator
        gc.collect()
        assert trace.get_current_span() is elsewhere
        leaf()
    assert attributes(spans["count"])[keys.OUTCOME] == keys.OUTCOME_CLOSED
    assert is_child(spans.all("leaf")[-1], spans["elsewhere"])


def test_abandoned_generator_in_another_thread_is_harmless(spans: Recorder) -> None:
    """A generator that began in one thread may be finished by the collector of another one."""
    box = [traced(count)(3)]
    next(box[0])

    def drop() -> None:
        with span("elsewhere") as elsewhere:
            box.clear()
            gc.collect()
            assert trace.get_current_span() is elsewhere

    _in_thread(drop)
    assert attributes(spans["count"])[keys.OUTCOME] == keys.OUTCOME_CLOSED


def test_generator_used_from_several_threads(spans: Recorder) -> None:
    """Each step may run in another thread; the body sees one span, and no thread keeps it."""
    seen: list[int] = []
    left: list[int] = []

    @traced
    def body() -> Iterator[int]:
        for number in range(3):
            seen.append(current_span_id())
            leaf()
            yield number

    generator = body()

    def step() -> None:
        next(generator, None)
        left.append(current_span_id())

    for _ in range(4):
        _in_thread(step)
    assert len(set(seen)) == 1
    assert left == [0, 0, 0, 0]
    assert len(spans.all("leaf")) == 3
    assert all(is_child(child, spans["body"]) for child in spans.all("leaf"))
    assert attributes(spans["body"])[keys.ITEMS] == 3


def test_with_block_across_a_yield_stays_the_parent(spans: Recorder, tracer: trace.Tracer) -> None:
    """A span that the body opened is current again after the yield, and only for the body."""
    between: list[int] = []

    @traced
    def body() -> Iterator[int]:
        with span("ours"):
            yield 1
            leaf()
            with tracer.start_as_current_span("theirs"):
                yield 2
                leaf()
                yield 3
            leaf()
        leaf()

    for _ in body():
        between.append(current_span_id())
    assert between == [0, 0, 0]
    assert is_child(spans["ours"], spans["body"])
    assert is_child(spans["theirs"], spans["ours"])
    expected = [spans["ours"], spans["theirs"], spans["ours"], spans["body"]]
    leaves = spans.all("leaf")
    assert len(leaves) == len(expected)
    assert all(is_child(child, parent) for child, parent in zip(leaves, expected, strict=True))


def test_with_block_across_a_yield_keeps_apart_from_the_callers_blocks(spans: Recorder) -> None:
    """Blocks of the body and blocks of the caller interleave without adopting each other."""

    @traced
    def body() -> Iterator[int]:
        with span("inside"):
            yield 1
            leaf()
            yield 2

    generator = body()
    with span("first"):
        next(generator)
        with span("second"):
            next(generator)
        generator.close()  # type: ignore[attr-defined]
    assert is_child(spans["second"], spans["first"])
    assert is_child(spans["leaf"], spans["inside"])
    assert is_child(spans["inside"], spans["body"])
    assert is_child(spans["body"], spans["first"])


def test_two_generators_interleave(spans: Recorder) -> None:
    """Two open generators in lock step keep their children apart."""

    @traced
    def body(name: str) -> Iterator[int]:
        for _ in range(3):
            with span(f"step-{name}"):
                pass
            yield 1

    list(zip(body("a"), body("b"), strict=True))
    parents = {args(found)["name"]: found for found in spans.all("body")}
    for name, parent in parents.items():
        assert len(spans.all(f"step-{name}")) == 3
        assert all(is_child(step, parent) for step in spans.all(f"step-{name}"))


def test_traced_generator_inside_a_traced_generator(spans: Recorder) -> None:
    """`yield from` another traced generator makes parent and child."""

    @traced
    def outer() -> Generator[int, Any, str]:
        return (yield from traced(count)(2))

    assert list(outer()) == [0, 1]
    assert is_child(spans["count"], spans["outer"])
    assert is_root(spans["outer"])
    assert all(is_child(child, spans["count"]) for child in spans.all("leaf"))


def test_generator_nature_is_kept(spans: Recorder) -> None:
    """Function and object pass the tests of `inspect` and `types`."""
    decorated = traced(count)
    assert inspect.isgeneratorfunction(decorated)
    generator = decorated(1)
    assert inspect.isgenerator(generator)
    assert isinstance(generator, types.GeneratorType)
    assert inspect.getgeneratorstate(generator) == inspect.GEN_CREATED
    assert list(generator) == [0]
    assert inspect.getgeneratorstate(generator) == inspect.GEN_CLOSED


def test_generator_context_variables_are_the_callers(spans: Recorder) -> None:
    """A context variable that the body sets is seen by the caller, as without the decorator."""
    variable = contextvars.ContextVar("variable", default=0)

    @traced
    def body() -> Iterator[int]:
        variable.set(1)
        yield variable.get()
        yield variable.get()

    def run() -> tuple[int, int, int]:
        generator = body()
        first = next(generator)
        seen = variable.get()
        variable.set(2)
        return first, seen, next(generator)

    assert contextvars.copy_context().run(run) == (1, 1, 2)
    gc.collect()
    assert len(spans.finished) == 1


def test_wrong_call_raises_at_the_call(spans: Recorder) -> None:
    """A missing argument is said when the generator is made, not when it is iterated."""
    with pytest.raises(TypeError, match=r"count\(\) missing 1 required positional argument: 'limit'"):
        traced(count)()  # type: ignore[call-arg]


def test_arguments_are_taken_when_the_generator_is_first_used(spans: Recorder) -> None:
    """What is recorded is what the body saw, even when the body changes it later."""

    @traced
    def body(items: list[int]) -> Iterator[int]:
        items.append(99)
        yield from items

    assert list(body([1])) == [1, 99]
    assert args(spans["body"]) == {"items": [1]}


def test_generator_without_provider_is_forwarded() -> None:
    """With nobody listening, send, throw, close and the return value work as ever."""
    generator = traced(echo)()
    assert next(generator) == "ready"
    assert generator.send(1) == 1
    thrown = ValueError("x")
    assert caught(lambda: generator.throw(thrown)) is thrown


def test_generator_when_disabled_is_forwarded(spans: Recorder) -> None:
    """A disabled package leaves generators alone."""
    decorated = traced(count)
    disable()
    assert list(decorated(2)) == [0, 1]
    assert spans.finished == []


def test_generator_disabled_half_way_still_ends_its_span(spans: Recorder) -> None:
    """Switching off in the middle neither breaks the iteration nor leaves the span open for ever."""
    generator = traced(count)(2)
    next(generator)
    disable()
    assert list(generator) == [1]
    assert len(spans.all("count")) == 1


def test_unsampled_generator_is_forwarded(unsampled: Recorder) -> None:
    """A generator of a trace that is not sampled yields as ever."""
    assert list(traced(count)(2)) == [0, 1]
    assert unsampled.finished == []


def test_function_that_returns_a_generator_is_a_plain_function(spans: Recorder) -> None:
    """A plain function that hands out a generator has a span of its call alone."""

    @traced
    def make() -> Iterator[int]:
        return iter(count(2))

    generator = make()
    assert "make" in spans.names
    assert list(generator) == [0, 1]
    assert all(is_root(found) for found in spans.all("leaf"))


def _in_thread(work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
