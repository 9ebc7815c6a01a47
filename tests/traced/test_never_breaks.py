"""Promise 1: whatever arguments, exporters, samplers and threads do, the program runs as without us."""

import asyncio
import inspect
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult

from otel_tracker import span, traced

from .helpers import Recorder, args, attributes, caught, is_child, is_root, result, status


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"hostile {name}")

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __format__ = __dir__ = _fail
    __getitem__ = __contains__ = __index__ = __int__ = __float__ = __bytes__ = __reduce_ex__ = _fail


class ReprExits(list[int]):
    """A list whose text is an interruption."""

    def __repr__(self) -> str:
        raise SystemExit(3)

    def __iter__(self) -> Iterator[int]:
        raise SystemExit(3)


class EndlessList(list[int]):
    """A list that never ends when it is iterated over."""

    def __iter__(self) -> Iterator[int]:
        return itertools.count()


class EndlessDict(dict[str, int]):
    """A map that never ends when it is iterated over."""

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def items(self) -> Any:
        return ((str(n), n) for n in itertools.count())

    def keys(self) -> Any:
        return iter(self)


class LyingText(str):
    """Text that fails as text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__
    __len__ = __str__  # type: ignore[assignment]


class LyingInt(int):
    """A number that fails as a number."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __int__ = __index__ = __eq__ = __repr__  # type: ignore[assignment]
    __hash__ = int.__hash__


class DeepRepr:
    """Its text needs more stack than there is."""

    def __repr__(self) -> str:
        return repr(self)


def cyclic_list() -> list[Any]:
    items: list[Any] = [1]
    items.append(items)
    return items


def cyclic_dict() -> dict[str, Any]:
    table: dict[str, Any] = {"a": 1}
    table["self"] = [table]
    return table


def deep_list() -> list[Any]:
    items: list[Any] = []
    for _ in range(100_000):
        items = [items]
    return items


HOSTILE: dict[str, Callable[[], Any]] = {
    "everything raises": Hostile,
    "repr exits": ReprExits,
    "endless list": EndlessList,
    "endless dict": EndlessDict,
    "lying text": lambda: LyingText("x"),
    "lying int": lambda: LyingInt(3),
    "endless repr": DeepRepr,
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "hostile keys": lambda: {1: "a", (2, 3): "b", None: "c", b"d": "e", 1.5: "f"},
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_arguments_and_results(spans: Recorder, make: Callable[[], Any]) -> None:
    """An object that raises, exits or never ends when it is looked at is passed through, alone and in containers."""
    value = make()
    returned = traced(capture_result=True)(lambda x, y: x)(value, [value, {"k": value}])
    assert returned is value
    assert len(spans.finished) == 1
    assert status(spans.one()) == "UNSET"


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_attributes_of_a_block(spans: Recorder, make: Callable[[], Any]) -> None:
    """The same for the attributes of a `span` block."""
    value = make()
    with span("block", x=value, y=[value]):
        pass
    assert spans.names == ["block"]


def test_good_arguments_are_kept_beside_a_hostile_one(spans: Recorder) -> None:
    """One argument that can't be captured does not take the others along."""
    traced(lambda a, b, c: None)(1, Hostile(), "x")
    assert args(spans.one())["a"] == 1
    assert args(spans.one())["c"] == "x"


def test_deeply_nested_argument(spans: Recorder) -> None:
    """A hundred thousand levels of nesting neither crash nor raise."""
    value = deep_list()
    assert traced(lambda x: x)(value) is value
    assert len(spans.finished) == 1
    while value:  # taken apart here, because freeing it in one go needs much stack on some versions
        value = value.pop()


def test_huge_list_costs_next_to_nothing(spans: Recorder) -> None:
    """A list of ten million elements is cut, not walked: 50 items are looked at."""
    huge = [0] * 10_000_000
    assert _least_time(lambda: traced(lambda x: None)(huge)) < 0.05
    assert len(args(spans.finished[0])["x"]) == 51


def test_huge_text_costs_next_to_nothing(spans: Recorder) -> None:
    """A text of a hundred million characters is cut before anything is done with it."""
    huge = "a" * 100_000_000
    assert _least_time(lambda: traced(lambda x, y: None)(huge, [huge])) < 0.05
    assert len(args(spans.finished[0])["x"]) <= 1003


def _least_time(call: Callable[[], object]) -> float:
    """The least CPU seconds of this thread that one of five calls took: a busy machine can only add to it."""
    times: list[float] = []
    for _ in range(5):
        before = time.thread_time()
        call()
        times.append(time.thread_time() - before)
    return min(times)


def test_object_that_changes_while_it_is_captured(spans: Recorder) -> None:
    """A map that another thread fills all the time is captured or skipped, and the call works."""
    table: dict[int, int] = {}
    stop = threading.Event()

    def fill() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            table[number % 1000] = number
            table.pop((number + 500) % 1000, None)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        decorated = traced(lambda x: x)
        assert all(decorated(table) is table for _ in range(200))
    finally:
        stop.set()
        thread.join()
    assert len(spans.finished) == 200


class _Broken(SpanProcessor):
    """A processor that fails at the start or at the end of each span."""

    def __init__(self, *, start: bool, end: bool) -> None:
        self.start, self.end = start, end

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self.start:
            raise RuntimeError("broken at start")

    def on_end(self, span: ReadableSpan) -> None:
        if self.end:
            raise RuntimeError("broken at end")


class _BrokenExporter(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        raise RuntimeError("broken exporter")


class _BrokenSampler(Sampler):
    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        raise RuntimeError("broken sampler")

    def get_description(self) -> str:
        return "Broken"


BROKEN: dict[str, Callable[[Callable[..., Recorder]], Recorder]] = {
    "processor at start": lambda install: install(ALWAYS_ON, _Broken(start=True, end=False)),
    "processor at end": lambda install: install(ALWAYS_ON, _Broken(start=False, end=True)),
    "processor at both": lambda install: install(ALWAYS_ON, _Broken(start=True, end=True)),
    "exporter": lambda install: install(ALWAYS_ON, SimpleSpanProcessor(_BrokenExporter())),
    "sampler": lambda install: install(_BrokenSampler()),
}
every_breakage = pytest.mark.parametrize("breakage", BROKEN.values(), ids=BROKEN)


@every_breakage
def test_broken_pipeline_and_functions(install: Callable[..., Recorder], breakage: Callable[..., Recorder]) -> None:
    """When the pipeline fails, a traced function returns and raises as ever and leaves no context behind."""
    breakage(install)
    assert traced(capture_result=True)(lambda x: x + 1)(1) == 2
    error = ValueError("own")
    assert caught(lambda: traced(_raise)(error)) is error
    assert error.__context__ is None
    assert trace.get_current_span() is trace.INVALID_SPAN


@every_breakage
def test_broken_pipeline_and_other_forms(install: Callable[..., Recorder], breakage: Callable[..., Recorder]) -> None:
    """The same for coroutines, generators, async generators and blocks."""
    breakage(install)

    @traced
    async def coroutine() -> int:
        await asyncio.sleep(0)
        return 1

    @traced
    def generator() -> Iterator[int]:
        yield 1
        yield 2

    @traced
    async def async_generator() -> Any:
        yield 1
        yield 2

    async def collect() -> list[int]:
        return [item async for item in async_generator()]

    assert asyncio.run(coroutine()) == 1
    assert list(generator()) == [1, 2]
    assert asyncio.run(collect()) == [1, 2]
    with span("block") as handed:
        handed.set_attribute("x", 1)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_provider_that_raises() -> None:
    """A provider whose tracers can't be had does not stop a call."""

    class Broken(trace.TracerProvider):
        def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
            raise RuntimeError("no tracer")

    trace.set_tracer_provider(Broken())
    assert traced(lambda: 1)() == 1
    with span("block"):
        pass


def test_endless_recursion_raises_the_same_type(spans: Recorder) -> None:
    """A function that calls itself for ever ends as without the decorator, and what follows works."""

    @traced
    def forever(n: int) -> int:
        return forever(n + 1)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        error = caught(lambda: forever(0))
    finally:
        sys.setrecursionlimit(limit)
    assert type(error) is RecursionError
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert traced(lambda: 1)() == 1


def test_recursion_near_the_limit_is_usable(spans: Recorder) -> None:
    """Each level costs at most a few frames: a recursion of a third of the limit still works."""

    @traced
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    assert down(sys.getrecursionlimit() // 3) == sys.getrecursionlimit() // 3


def test_many_threads_have_the_right_parents(spans: Recorder) -> None:
    """A hundred threads with fifty calls each: no span lost, none under another thread's parent."""

    @traced
    def inner(thread: int, number: int) -> int:
        return number

    @traced(capture_result=True)
    def outer(thread: int, number: int) -> int:
        return inner(thread, number)

    errors: list[BaseException] = []

    def run(thread: int) -> None:
        try:
            assert [outer(thread, number) for number in range(50)] == list(range(50))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    outers = {(args(found)["thread"], args(found)["number"]): found for found in spans.all("outer")}
    inners = {(args(found)["thread"], args(found)["number"]): found for found in spans.all("inner")}
    assert len(outers) == len(inners) == len(spans.finished) // 2 == 5000
    assert all(is_root(found) and result(found) == key[1] for key, found in outers.items())
    assert all(is_child(found, outers[key]) for key, found in inners.items())
    assert len({found.get_span_context().trace_id for found in outers.values()}) == 5000


def test_function_that_ends_its_own_span(spans: Recorder) -> None:
    """A function that ends the current span itself gets no second end and no error."""
    assert traced(lambda: trace.get_current_span().end())() is None
    assert len(spans.finished) == 1


def test_call_from_a_destructor(spans: Recorder) -> None:
    """A traced function may be called while an object is being destroyed."""
    called: list[int] = []

    class Resource:
        def __del__(self) -> None:
            traced(called.append)(1)

    Resource()
    assert called == [1]


def test_keyboard_interrupt_while_capturing_is_not_swallowed_for_ever(spans: Recorder) -> None:
    """After arguments whose text interrupts, later calls are recorded as ever."""

    class Interrupting:
        def __repr__(self) -> str:
            raise RuntimeError("interrupted")

    decorated = traced(lambda x: x)
    decorated([Interrupting()])
    assert decorated(1) == 1
    assert args(spans.finished[-1]) == {"x": 1}
    assert trace.get_current_span() is trace.INVALID_SPAN


def _raise(error: BaseException) -> None:
    raise error


# Random signatures and random calls. Names that a wrapper might use itself are among the candidates.
NAMES = ["a", "b", "self", "cls", "args", "kwargs", "span", "type", "_ot_fn", "fn", "name", "exc", "result", "_x"]
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """The text between the parentheses of a function definition."""
    names = draw(st.permutations(NAMES))
    counts = [draw(st.integers(0, 3)) for _ in range(3)]
    pick = iter(names)
    positional_only, ordinary, keyword_only = ([next(pick) for _ in range(n)] for n in counts)
    first_default = draw(st.integers(0, counts[0] + counts[1]))
    parts: list[str] = []
    for index, name in enumerate([*positional_only, *ordinary]):
        parts.append(f"{name}={index}" if index >= first_default else name)
        if index + 1 == counts[0]:
            parts.append("/")
    if draw(st.booleans()):
        parts.append("*" + next(pick))
    elif keyword_only:
        parts.append("*")
    parts += [f"{name}='d'" if draw(st.booleans()) else name for name in keyword_only]
    if draw(st.booleans()):
        parts.append("**" + next(pick))
    return ", ".join(parts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    signature=signatures(),
    values=st.lists(VALUES, max_size=7),
    keywords=st.dictionaries(st.sampled_from([*NAMES, "other"]), VALUES, max_size=4),
    records=st.booleans(),
    nature=st.sampled_from(["plain", "coroutine", "generator"]),
)
def test_any_signature_and_any_call_behave_as_undecorated(
    make_recorder: Callable[..., Recorder],
    signature: str,
    values: list[Any],
    keywords: dict[str, Any],
    records: bool,
    nature: str,
) -> None:
    """For any signature and any call: the same result, or the same TypeError with the same text."""
    namespace: dict[str, Any] = {"__name__": __name__}
    prefix, verb = ("async ", "return") if nature == "coroutine" else ("", "return")
    verb = "yield" if nature == "generator" else verb
    exec(f"{prefix}def work({signature}): {verb} dict(locals())", namespace)
    plain = namespace["work"]
    recorder = make_recorder()
    trace._TRACER_PROVIDER = recorder.provider if records else None
    decorated = traced(capture_result=True)(plain)
    expected, wrong = _outcome(lambda: plain(*values, **keywords))
    if wrong is not None:
        raised = caught(lambda: decorated(*values, **keywords))
        assert type(raised) is TypeError
        assert str(raised) == str(wrong)
        return
    assert _finish(decorated(*values, **keywords)) == _finish(expected)
    assert len(recorder.finished) == (1 if records else 0)
    if records:
        recorded = set(args(recorder.one())) - {"self", "cls"}
        assert recorded == set(inspect.signature(plain).parameters) - {"self", "cls"}
        assert all("\x00" not in key for key in attributes(recorder.one()))


def _outcome(call: Callable[[], Any]) -> tuple[Any, TypeError | None]:
    try:
        return call(), None
    except TypeError as error:
        return None, error


def _finish(value: Any) -> Any:
    if inspect.iscoroutine(value):
        try:
            value.send(None)
        except StopIteration as stop:
            return stop.value
    return list(value) if inspect.isgenerator(value) else value
