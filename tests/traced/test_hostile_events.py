"""Events under hostile conditions: values, names, destinations, decorators and ends that no caller may ever notice."""

import asyncio
import contextlib
import functools
import gc
import inspect
import itertools
import logging
import pickle
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

from otel_tracker import attributes as keys
from otel_tracker import (
    disable,
    enable,
    identify,
    propagate,
    span,
    traced,
    track,
    track_duration,
    track_error,
    track_event,
    track_function,
)
from otel_tracker.processors import DurableLogRecordProcessor

from .helpers import CountingObject, Recorder, caught, frame_count

PROMPT_S = 10.0
"""What 1,000 events may take at the very most, on the busiest machine; to wait for a destination takes longer."""


class Explodes:
    """Everything that can be asked of it raises."""

    def __repr__(self) -> str:
        raise RuntimeError("hostile")

    __str__ = __len__ = __iter__ = __bool__ = __hash__ = __int__ = __float__ = __index__ = __repr__
    __eq__ = __repr__
    __class__ = property(__repr__)


class HostileText(str):
    """A text that cannot be looked at."""

    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __len__ = __hash__ = __getitem__ = __iter__ = __format__ = __contains__ = split = __str__
    __eq__ = __ne__ = __lt__ = partition = lower = encode = startswith = endswith = rpartition = __str__


class HostileNumber(int):
    """A number that cannot be looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("hostile")

    __str__ = __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __abs__ = bit_length = __hash__ = __repr__


class HostileMapping(dict[str, Any]):
    """A mapping that cannot be looked at."""

    def items(self) -> Any:
        raise RuntimeError("hostile")

    __iter__ = __len__ = __getitem__ = keys = values = copy = __bool__ = items


class TracksItself:
    """Its repr makes an event of the same object."""

    def __repr__(self) -> str:
        track("again", of=self)
        return "<tracks itself>"


def cyclic() -> list[Any]:
    """A list that holds itself."""
    made: list[Any] = [1]
    made.append({"me": made})
    return made


def deep(levels: int = 20_000) -> list[Any]:
    """Lists inside lists, more than Python can recurse into."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def without_end() -> Iterator[int]:
    yield from itertools.count()


HOSTILE: dict[str, Callable[[], Any]] = {
    "explodes": Explodes,
    "explodes inside": lambda: {"list": [Explodes()], "key": {"a": Explodes()}},
    "text": lambda: HostileText("text"),
    "number": lambda: HostileNumber(7),
    "mapping": lambda: HostileMapping(a=1),
    "odd keys": lambda: {HostileText: 1, (1, 2): 2, None: 3, b"x": 4, Explodes: 5},
    "cycle": cyclic,
    "deep": deep,
    "huge list": lambda: list(range(300_000)),
    "huge text": lambda: "x" * 5_000_000,
    "huge bytes": lambda: b"x" * 5_000_000,
    "huge number": lambda: 10**20_000,
    "huge keys": lambda: {"k" * 1_000_000: 1},
    "NUL and surrogates": lambda: "\x00\ud800\udfff",
    "odd numbers": lambda: [float("nan"), float("inf"), -0.0, 2**63, -(2**63) - 1, 1e308, 1j],
    "generator without end": without_end,
    "lock": threading.Lock,
    "module": lambda: sys,
    "exception": lambda: ValueError("x" * 100_000),
    "tracks itself": TracksItself,
    "coroutine function": lambda: asyncio.sleep,
}


def names(events: InMemoryLogRecordExporter) -> list[str]:
    return [record.log_record.event_name or "" for record in events.get_finished_logs()]


def properties(events: InMemoryLogRecordExporter) -> list[dict[str, Any]]:
    return [dict(record.log_record.attributes or {}) for record in events.get_finished_logs()]


# --- values and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("is_traced", [True, False], ids=["inside", "outside"])
def test_no_value_costs_an_event_or_its_neighbours(
    spans: Recorder, events: InMemoryLogRecordExporter, kind: str, is_traced: bool
) -> None:
    """Whatever a property is, the event arrives with its other properties, and is small."""
    value = HOSTILE[kind]()
    with span("s") if is_traced else contextlib.nullcontext():
        track("hostile", before=1, bad=value, after=2)
    found = dict(zip(names(events), properties(events), strict=True))["hostile"]
    assert (found["before"], found["after"]) == (1, 2)
    assert len(str(found.get("bad", ""))) < 10_000


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_value_disturbs_the_decorators(spans: Recorder, events: InMemoryLogRecordExporter, kind: str) -> None:
    """Constant properties, traits, arguments and results may be anything as well."""
    value = HOSTILE[kind]()

    @track_function("made", bad=value, good=1)
    @track_duration("work")
    @traced(capture_result=True)
    def work(argument: Any) -> Any:
        return argument

    assert work(value) is value
    identify("u1", bad=value, good=1)
    identify(value, good=1)
    found = [name for name in names(events) if name != "again"]
    assert sorted(found) == ["identify", "identify", "made", "work.completed", "work.started"]
    assert all(
        each["good"] == 1 for name, each in zip(names(events), properties(events), strict=True) if name == "made"
    )


def test_iterators_are_not_used_up(events: InMemoryLogRecordExporter) -> None:
    """What can be read only once is left for the program."""
    numbers, lines = iter([1, 2, 3]), (line for line in "ab")
    track("e", numbers=numbers, lines=lines)
    assert (list(numbers), list(lines)) == ([1, 2, 3], ["a", "b"])


NO_TEXTS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "number": lambda: 7,
    "nan": lambda: float("nan"),
    "bytes": lambda: b"bytes",
    "list": lambda: ["list"],
    "object": object,
    "class": lambda: ValueError,
    "explodes": Explodes,
    "hostile text": lambda: HostileText("hostile"),
}


@pytest.mark.parametrize("kind", NO_TEXTS)
def test_names_that_are_no_text_raise_nothing(events: InMemoryLogRecordExporter, kind: str) -> None:
    """A wrong name is no reason to stop the program at run time, and makes at most one event, whose name is a text."""
    name = NO_TEXTS[kind]()
    track(name, x=1)
    track_event(name, {"x": 1})
    identify(name, x=1)
    assert all(type(record.log_record.event_name) is str for record in events.get_finished_logs())


@pytest.mark.parametrize("name", ["", " ", "\x00", "\ud800", "x" * 1_000_000, "a.b" * 5_000, ".", "..", "ä.ö", "a\nb"])
def test_odd_texts_are_names(events: InMemoryLogRecordExporter, name: str) -> None:
    """No text breaks an event or its properties."""
    track(name, x=1)
    (record,) = events.get_finished_logs()
    assert record.log_record.event_name == name
    assert dict(record.log_record.attributes or {}) == {"x": 1}


@pytest.mark.parametrize("kind", [*NO_TEXTS, "pairs", "hostile mapping", "odd keys", "many"])
def test_properties_that_are_no_mapping_raise_nothing(events: InMemoryLogRecordExporter, kind: str) -> None:
    """`track_event` with something else than a mapping of texts never reaches the caller."""
    more: dict[str, Callable[[], Any]] = {
        "pairs": lambda: [("a", 1)],
        "hostile mapping": lambda: HostileMapping(a=1),
        "odd keys": lambda: {1: 1, None: 2, Explodes: 3, ("a",): 4, "\ud800": 5, "": 6},
        "many": lambda: {f"k{number}": number for number in range(100_000)},
    }
    track_event("e", {**NO_TEXTS, **more}[kind]())
    track("after")
    assert names(events)[-1] == "after"


def test_mapping_is_neither_kept_nor_changed(events: InMemoryLogRecordExporter) -> None:
    """What is done with the mapping afterwards changes no event, and it is the caller's as it was."""
    given = {"a": [1], "password": "hunter2"}
    track_event("e", given)
    assert given == {"a": [1], "password": "hunter2"}
    given["a"] = ["changed"]
    given["more"] = [1]
    (found,) = properties(events)
    assert "changed" not in str(found)
    assert set(found) == {"a", "password"}


def test_ten_thousand_names_cost_no_memory_that_stays() -> None:
    """Names that are made up for each event leave nothing behind in this process."""
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(Discarding()))
    set_logger_provider(provider)
    for number in range(2_000):
        track(f"warm.{number}")
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(10_000):
        track(f"name.{number}", number=number)
    gc.collect()
    assert sys.getallocatedblocks() - before < 5_000
    provider.shutdown()


# --- destinations ----------------------------------------------------------------------------------------------------


class Discarding(LogRecordExporter):
    """Takes everything and keeps nothing."""

    def export(self, batch: Any) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


class Hanging(Discarding):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.is_asked, self.may_go = threading.Event(), threading.Event()
        self.taken = 0

    def export(self, batch: Any) -> LogRecordExportResult:
        self.is_asked.set()
        self.may_go.wait()
        self.taken += len(batch)
        return LogRecordExportResult.SUCCESS


def test_hanging_exporter_holds_nobody_up() -> None:
    """A thousand events are promptly away while the destination does not answer; all arrive when it does."""
    hanging = Hanging()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(DurableLogRecordProcessor(hanging, schedule_delay_millis=1))
    set_logger_provider(provider)

    @track_duration("work")
    def work() -> None: ...

    try:
        track("first")
        assert hanging.is_asked.wait(PROMPT_S)
        begin_s = time.monotonic()
        for number in range(1_000):
            track("e", number=number)
        for _ in range(100):
            work()
        assert time.monotonic() - begin_s < PROMPT_S
        assert hanging.taken == 0
    finally:
        hanging.may_go.set()
        provider.force_flush()
        provider.shutdown()
    assert hanging.taken == 1_201


class Raising(LogRecordProcessor):
    """Fails at everything, with whatever it is told to."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_emit(self, log_record: Any) -> None:
        raise self.error

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


@pytest.mark.parametrize(
    "error", [RuntimeError("p"), RecursionError(), MemoryError(), KeyError("x"), OSError(28, "full")]
)
def test_processor_that_raises_reaches_no_caller(error: Exception) -> None:
    """Neither `track` nor a decorated function notices; the function's own exception stays the one that is raised."""
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(Raising(error))
    set_logger_provider(provider)
    own = LookupError("own")

    @track_duration("work")
    @track_error("failed")
    def work(fails: bool) -> int:
        if fails:
            raise own
        return 1

    track("e", x=1)
    identify("u")
    assert work(False) == 1
    found = caught(lambda: work(True))
    assert found is own
    assert found.__context__ is None
    assert found.__cause__ is None
    provider.shutdown()


@pytest.mark.parametrize("is_wrong", ["provider", "logger", "enabled", "emit"])
def test_foreign_provider_that_raises_reaches_no_caller(is_wrong: str) -> None:
    """Somebody else's implementation of the logs API may be broken at each of its steps."""

    class Logger:
        def enabled(self, *args: Any, **kwargs: Any) -> bool:
            if is_wrong == "enabled":
                raise RuntimeError("enabled")
            return True

        def emit(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("emit")

    class Provider:
        def get_logger(self, *args: Any, **kwargs: Any) -> Any:
            if is_wrong == "provider":
                raise RuntimeError("provider")
            return Logger() if is_wrong != "logger" else None

    set_logger_provider(Provider())
    for _ in range(3):
        track("e", x=1)
    assert track_duration("work")(lambda: 1)() == 1


def test_after_shutdown_of_the_provider_events_are_nothing(events: InMemoryLogRecordExporter) -> None:
    """A provider that is closed takes no more, and nobody hears of it."""
    import opentelemetry._logs._internal as logs_internal

    provider: Any = logs_internal._LOGGER_PROVIDER
    track("before")
    provider.shutdown()
    track("after")
    assert track_function("f")(lambda: 1)() == 1
    assert "before" in names(events)


def test_handler_on_the_root_that_tracks_does_not_recurse(events: InMemoryLogRecordExporter) -> None:
    """A handler of the standard library that tracks what is logged, while our own complaints are logged, ends."""

    class Tracking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            track("logged", of=record.getMessage(), bad=Explodes())

    handler = Tracking()
    logging.getLogger().addHandler(handler)
    try:
        track("e", bad=Explodes())
        logging.getLogger("somebody").error("hello")
    finally:
        logging.getLogger().removeHandler(handler)
    assert names(events).count("e") == 1
    assert len(names(events)) < 10


# --- on and off ------------------------------------------------------------------------------------------------------


def test_without_a_provider_decorated_calls_are_forwarded() -> None:
    """Nothing is looked at, whatever is stacked."""
    watched = CountingObject()
    work = track_error("e")(track_function("f", x=watched)(track_duration("d")(lambda value: value)))
    looks = list(watched.looks)
    assert work(watched) is watched
    identify("u", x=watched)
    track_event("e", {"x": watched})
    assert watched.looks == looks


def test_logger_provider_alone_is_enough(events: InMemoryLogRecordExporter) -> None:
    """Events of calls need no tracer provider; they come without ids."""

    @track_duration("work")
    def work() -> None:
        track("inside")

    work()
    assert names(events) == ["work.started", "inside", "work.completed"]
    assert not any(record.log_record.span_id for record in events.get_finished_logs())


def test_disabled_in_the_middle_ends_no_call_that_has_not_begun(
    spans: Recorder, events: InMemoryLogRecordExporter
) -> None:
    """Switching on inside a call makes no end without its start; switching off breaks nothing."""

    @track_duration("work")
    def work(switch: Callable[[], None]) -> int:
        switch()
        return 1

    disable()
    assert work(enable) == 1
    assert "work.completed" not in names(events)
    assert work(disable) == 1
    enable()
    assert names(events)[0] == "work.started"


@pytest.mark.parametrize("first", ["on", "off"])
def test_events_enabled_is_read_at_run_time(
    spans: Recorder, events: InMemoryLogRecordExporter, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """``OTEL_TRACKER_EVENTS_ENABLED=false`` takes the events of `track` and of decorators, and leaves the spans."""
    from otel_tracker import lifecycle

    monkeypatch.setenv("OTEL_TRACKER_EVENTS_ENABLED", "true" if first == "on" else "false")
    lifecycle.forget_cached_settings()

    @track_duration("work")
    def work() -> None:
        track("inside")
        identify("u")

    work()
    assert len(names(events)) == (4 if first == "on" else 0)
    assert len(spans.finished) == 1
    monkeypatch.delenv("OTEL_TRACKER_EVENTS_ENABLED")


def test_unsampled_calls_have_both_events_without_ids(unsampled: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Each way to make an event of a call holds where the trace is not kept, nested as well."""

    @track_duration("outer")
    def outer() -> None:
        inner()
        with contextlib.suppress(ValueError):
            fails()

    @traced(event="inner")
    def inner() -> None:
        track("innermost")

    @track_error("error.fails")
    @track_function("fails")
    def fails() -> None:
        raise ValueError("no")

    outer()
    assert names(events)[:4] == ["outer.started", "inner.started", "innermost", "inner.completed"]
    assert sorted(names(events)[4:6]) == ["error.fails", "fails"]
    assert names(events)[6:] == ["outer.completed"]
    assert not any(r.log_record.span_id or r.log_record.trace_id for r in events.get_finished_logs())


# --- threads and tasks -----------------------------------------------------------------------------------------------


def spans_by_number(events: InMemoryLogRecordExporter) -> dict[int, set[int]]:
    """Of each call, by the number that it tracks, the spans of that event."""
    found: dict[int, set[int]] = {}
    for record in events.get_finished_logs():
        said = dict(record.log_record.attributes or {})
        if "number" in said:
            found.setdefault(said["number"], set()).add(record.log_record.span_id or 0)
    return found


@track_duration("step")
def step(number: int) -> int:
    """Track from inside."""
    track("stepped", number=number)
    return number


@track_duration("astep")
async def astep(number: int) -> int:
    """Track from inside, before and after a pause, and in a thread."""
    track("stepped", number=number)
    await asyncio.sleep(0)
    track("stepped", number=number)
    await asyncio.to_thread(track, "stepped", number=number)
    return number


def expected_spans(spans: Recorder, name: str) -> dict[int, set[int]]:
    return {
        int(each.attributes[f"{keys.ARGS_PREFIX}number"]): {each.get_span_context().span_id} for each in spans.all(name)
    }


def test_events_of_gathered_tasks_stand_in_their_own_spans(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """100 tasks at once, each with a pause and a thread: every event is in its own call's span."""

    async def main() -> None:
        await asyncio.gather(*(astep(number) for number in range(100)))

    asyncio.run(main())
    assert spans_by_number(events) == expected_spans(spans, "astep")
    assert names(events).count("astep.started") == names(events).count("astep.completed") == 100


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs asyncio.TaskGroup")
def test_task_group_that_fails_has_an_end_for_each_start(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """One task fails, its siblings are cancelled: every call that started has one end, and the failure is one."""

    @track_duration("member")
    async def member(number: int) -> None:
        if number == 7:
            await asyncio.sleep(0)
            raise ValueError("seven")
        await asyncio.sleep(3_600)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(member(number))

    error = caught(lambda: asyncio.run(main()))
    assert type(error).__name__ == "ExceptionGroup"
    counted = {name: names(events).count(name) for name in set(names(events))}
    assert counted == {"member.started": 20, "member.failed": 1, "member.completed": 19}
    assert sum(said.get("outcome") == "cancelled" for said in properties(events)) == 19


def test_executor_with_and_without_propagate(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Carried work belongs to the caller's trace; other work makes a trace of its own; no event is lost."""
    with ThreadPoolExecutor(4) as pool, span("caller") as caller:
        trace_id = caller.get_span_context().trace_id
        list(pool.map(propagate(step), range(20)))
        list(pool.map(step, range(20, 40)))
    assert spans_by_number(events) == expected_spans(spans, "step")
    trace_ids = {
        int(each.attributes[f"{keys.ARGS_PREFIX}number"]): each.get_span_context().trace_id
        for each in spans.all("step")
    }
    assert {number for number, found in trace_ids.items() if found == trace_id} == set(range(20))


def test_cancellation_passes_as_it_was(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """A cancelled call raises the very exception, with its message, and has completed as cancelled."""
    seen: list[BaseException] = []

    @track_duration("wait")
    @track_error("error.wait")
    async def wait() -> None:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError as error:
            seen.append(error)
            raise

    async def main() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel("enough")
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(main())
    assert seen[0].args == ("enough",)
    assert names(events) == ["wait.started", "wait.completed"]
    assert properties(events)[1]["outcome"] == "cancelled"


def test_timeout_is_the_callers_affair(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """`asyncio.wait_for` around a tracked call raises TimeoutError, and the call is stopped rather than failed."""

    @track_duration("wait")
    async def wait() -> None:
        await asyncio.sleep(3_600)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(wait(), 0.01))
    assert names(events) == ["wait.started", "wait.completed"]


# --- generators and blocks -------------------------------------------------------------------------------------------


@track_duration("gen")
def generator(count: int) -> Iterator[int]:
    """Say what was sent, and return the sum."""
    total = 0
    for number in range(count):
        total += (yield number) or 0
    return total


@track_duration("agen")
async def async_generator(count: int) -> AsyncIterator[int]:
    """Yield numbers."""
    for number in range(count):
        track("inside", number=number)
        yield number


def test_generator_keeps_what_is_sent_thrown_and_returned(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """The generator's protocol is the one without the decorator."""
    running = generator(3)
    assert next(running) == 0
    assert running.send(5) == 1
    assert running.send(6) == 2
    with pytest.raises(StopIteration) as stopped:
        running.send(7)
    assert stopped.value.value == 18
    other, thrown = generator(3), KeyError("thrown")
    next(other)
    assert caught(lambda: other.throw(thrown)) is thrown
    assert names(events) == ["gen.started", "gen.completed", "gen.started", "gen.failed"]


def test_generator_that_nobody_iterates_makes_no_event(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """A start without an end would be a lie; there is neither."""
    made = generator(3)
    del made
    generator(3).close()
    gc.collect()
    assert names(events) == []


@pytest.mark.parametrize("way", ["close", "drop", "break", "throw GeneratorExit"])
def test_generator_that_is_left_has_completed_as_closed(
    spans: Recorder, events: InMemoryLogRecordExporter, way: str
) -> None:
    """Every way to leave one half-way is one end, whose outcome is `closed`."""
    running = generator(9)
    next(running)
    if way == "close":
        running.close()
    elif way == "throw GeneratorExit":
        with pytest.raises(GeneratorExit):
            running.throw(GeneratorExit)
    elif way == "break":
        for _ in running:
            break
    del running
    gc.collect()
    assert names(events) == ["gen.started", "gen.completed"]
    assert properties(events)[1]["outcome"] == "closed"


def test_generator_that_is_left_has_completed_as_closed_without_a_span_too(
    unsampled: Recorder, events: InMemoryLogRecordExporter
) -> None:
    """The same where the trace is not kept, also when the body itself deals with being closed."""

    @track_duration("calm")
    def calm() -> Iterator[int]:
        with contextlib.suppress(GeneratorExit):
            yield 1

    def leave() -> None:
        for running in (generator(9), calm()):
            next(running)
            running.close()

    leave()
    with unsampled.provider.get_tracer("theirs").start_as_current_span("dropped"):
        leave()
    assert names(events) == ["gen.started", "gen.completed", "calm.started", "calm.completed"] * 2
    assert [said.get("outcome") for said in properties(events)] == [None, "closed"] * 4


@pytest.mark.parametrize("way", ["aclose", "drop", "other task"])
def test_async_generator_that_is_left_has_completed_as_closed(
    spans: Recorder, events: InMemoryLogRecordExporter, way: str
) -> None:
    """Also when another task than the one that began it closes it, or nobody does until the loop ends."""

    async def main() -> None:
        running = async_generator(9)
        async for number in running:
            if number == 1:
                break
        if way == "aclose":
            await running.aclose()
        elif way == "other task":
            await asyncio.ensure_future(running.aclose())
        else:
            del running
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(main())
    assert names(events) == ["agen.started", "inside", "inside", "agen.completed"]
    assert properties(events)[-1]["outcome"] == "closed"
    assert len({record.log_record.span_id for record in events.get_finished_logs()}) == 1


def test_interleaved_generators_keep_their_events(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Two generators that advance in turn never get each other's events, nor does the caller."""

    @track_duration("turn")
    def turn(number: int) -> Iterator[int]:
        for _ in range(5):
            track("inside", number=number)
            yield number

    for _ in zip(turn(1), turn(2), strict=True):
        track("between")
    found = spans_by_number(events)
    assert found == expected_spans(spans, "turn")
    between = [r.log_record.span_id for r in events.get_finished_logs() if r.log_record.event_name == "between"]
    assert not any(between)


@pytest.mark.parametrize("is_outside", [True, False], ids=["above", "below"])
@pytest.mark.parametrize("fails", [True, False])
def test_context_manager_is_covered_as_a_block(
    spans: Recorder, events: InMemoryLogRecordExporter, is_outside: bool, fails: bool
) -> None:
    """On either side of `contextmanager` the events surround the block, and its exception fails it."""

    def block() -> Iterator[str]:
        try:
            yield "value"
        finally:
            track("cleanup")

    if is_outside:
        manager: Any = track_duration("block")(contextlib.contextmanager(block))
    else:
        manager = contextlib.contextmanager(track_duration("block")(block))
    error = ValueError("inside")

    def use() -> None:
        with manager() as value:
            assert value == "value"
            track("body")
            if fails:
                raise error

    assert caught(use) is error if fails else use() is None
    end = "block.failed" if fails else "block.completed"
    assert names(events) == ["block.started", "body", "cleanup", end]


@pytest.mark.parametrize("is_outside", [True, False], ids=["above", "below"])
def test_async_context_manager_is_covered_as_a_block(
    spans: Recorder, events: InMemoryLogRecordExporter, is_outside: bool
) -> None:
    """The same for `asynccontextmanager`."""

    async def block() -> AsyncIterator[int]:
        yield 1

    if is_outside:
        manager: Any = track_duration("block")(contextlib.asynccontextmanager(block))
    else:
        manager = contextlib.asynccontextmanager(track_duration("block")(block))

    async def use() -> None:
        async with manager() as value:
            track("body", value=value)

    asyncio.run(use())
    assert names(events) == ["block.started", "body", "block.completed"]


# --- decorators ------------------------------------------------------------------------------------------------------

DECORATORS: dict[str, Callable[[Any], Any]] = {
    "duration": track_duration("d"),
    "function": track_function("f", model="flux"),
    "error": track_error("e"),
    "traced": traced,
    "event": traced(event="t"),
}
EXPECTED = {
    "duration": ["d.failed", "d.started"],
    "function": ["f"],
    "error": ["e"],
    "traced": [],
    "event": ["t.failed", "t.started"],
}


def stacked(order: tuple[str, ...], function: Any) -> Any:
    for name in reversed(order):
        function = DECORATORS[name](function)
    return function


@pytest.mark.parametrize("order", [p for n in (1, 2, 3) for p in itertools.permutations(DECORATORS, n)], ids="-".join)
def test_every_order_of_decorators_is_one_span_and_all_events(
    spans: Recorder, events: InMemoryLogRecordExporter, order: tuple[str, ...]
) -> None:
    """What is stacked adds up, in any order; the exception has one more frame, ours, and its notes."""

    def work(a: int, *, b: str = "x") -> None:
        """Doc."""
        raise error

    error = ValueError("no")
    notes = ["first"]
    error.__notes__ = notes
    bare = frame_count(caught(lambda: work(1)))
    error.__traceback__ = None
    decorated = stacked(order, work)
    found = caught(lambda: decorated(1, b="y"))
    assert found is error
    assert frame_count(found) <= bare + 1
    assert found.__notes__ is notes
    assert notes == ["first"]
    assert found.__context__ is None
    assert spans.one().name.endswith("work")
    assert sorted(names(events)) == sorted(itertools.chain(*(EXPECTED[name] for name in order)))
    assert {record.log_record.span_id for record in events.get_finished_logs()} <= {
        spans.one().get_span_context().span_id
    }
    assert inspect.signature(decorated) == inspect.signature(work)
    assert (decorated.__name__, decorated.__qualname__, decorated.__doc__) == ("work", work.__qualname__, "Doc.")
    assert inspect.unwrap(decorated) is work


@pytest.mark.parametrize("order", [("duration", "traced"), ("traced", "duration"), ("error", "function", "duration")])
@pytest.mark.parametrize("kind", ["async", "generator", "async generator"])
def test_nature_of_functions_is_kept(order: tuple[str, ...], kind: str) -> None:
    """`inspect` and `asyncio` see what they saw before."""

    async def coroutine() -> None: ...

    def gen() -> Iterator[int]:
        yield 1

    async def agen() -> AsyncIterator[int]:
        yield 1

    function: Any = {"async": coroutine, "generator": gen, "async generator": agen}[kind]
    decorated = stacked(order, function)
    for is_so in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ):
        assert is_so(decorated) == is_so(function), is_so.__name__


@track_duration("module.level")
@track_function("module.level.one")
def module_level(x: int) -> int:
    """Be pickled."""
    return x + 1


@track_duration("shelf")
class Shelf:
    """A decorated class."""

    slots = 3

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def put(self, thing: str) -> str:
        return thing

    @classmethod
    def made(cls) -> "Shelf":
        return cls(5)

    @staticmethod
    def fixed() -> int:
        return 7

    @property
    def area(self) -> int:
        return self.size * 2

    async def later(self) -> int:
        return self.size

    def _private(self) -> int:
        return 0


class Room:
    """Decorated members, in both orders of the descriptors."""

    @track_duration("m")
    def method(self, x: int) -> int:
        return x

    @classmethod
    @track_duration("c1")
    def class_inside(cls) -> str:
        return cls.__name__

    @track_duration("c2")
    @classmethod
    def class_outside(cls) -> str:
        return cls.__name__

    @staticmethod
    @track_duration("s1")
    def static_inside(x: int) -> int:
        return x

    @track_duration("s2")
    @staticmethod
    def static_outside(x: int) -> int:
        return x

    @property
    @track_duration("p1")
    def property_inside(self) -> int:
        return 1

    @track_duration("p2")
    @property
    def property_outside(self) -> int:
        return 2

    @track_duration("p3")
    @functools.cached_property
    def cached(self) -> int:
        return 3


def test_members_keep_their_nature(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Methods, class and static methods and properties work as before, by instance, class and subclass."""

    class Sub(Room): ...

    room = Sub()
    assert (room.method(1), Room.method(room, 2)) == (1, 2)
    assert (room.class_inside(), Sub.class_inside(), Room.class_outside()) == ("Sub", "Sub", "Room")
    assert (room.static_inside(1), Room.static_outside(2), room.static_outside(3)) == (1, 2, 3)
    assert (room.property_inside, room.property_outside, room.cached, room.cached) == (1, 2, 3, 3)
    assert names(events).count("p3.started") == 1
    assert sorted(set(names(events))) == sorted(
        f"{prefix}.{end}"
        for prefix in ("m", "c1", "c2", "s1", "s2", "p1", "p2", "p3")
        for end in ("started", "completed")
    )


def test_decorated_class_stays_itself(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Type, instances, subclasses, class attributes and pickles are those of the class; only methods are watched."""

    class Sub(Shelf):
        def own(self) -> int:
            return 1

    shelf = Sub(4)
    assert isinstance(Shelf, type)
    assert isinstance(shelf, Shelf)
    assert issubclass(Sub, Shelf)
    assert (Shelf.slots, shelf.area, shelf._private(), shelf.own()) == (3, 8, 0, 1)
    assert names(events) == []
    assert (shelf.put("x"), Shelf.fixed(), type(Sub.made()), asyncio.run(shelf.later())) == ("x", 7, Sub, 4)
    assert names(events) == ["shelf.started", "shelf.completed"] * 4
    assert pickle.loads(pickle.dumps(Shelf(9))).size == 9


def test_decorated_function_is_pickled_by_name() -> None:
    """Pickle, and so a process pool, gets the very function."""
    assert pickle.loads(pickle.dumps(module_level)) is module_level


@pytest.mark.parametrize("make", [KeyboardInterrupt, lambda: SystemExit(3), lambda: SystemExit(0), GeneratorExit])
def test_exits_pass_and_end_what_started(
    spans: Recorder, events: InMemoryLogRecordExporter, make: Callable[[], BaseException]
) -> None:
    """What is no Exception leaves as it came, and its call has exactly one end."""
    error = make()

    @track_duration("work")
    @track_function("once")
    def work() -> None:
        raise error

    assert caught(work) is error
    assert names(events)[0] == "work.started"
    assert sorted(name for name in names(events) if name != "work.started")[0] == "once"
    assert len([name for name in names(events) if name in {"work.completed", "work.failed"}]) == 1
    assert len(names(events)) == 3


def test_same_exception_object_of_many_calls_is_told_each_time(
    spans: Recorder, events: InMemoryLogRecordExporter
) -> None:
    """An exception that is kept and raised again and again is no leak and no lost event."""
    error = ValueError("kept")

    @track_error("failed")
    def work() -> None:
        raise error

    for _ in range(3):
        assert caught(work) is error
    assert names(events) == ["failed"] * 3
    assert all(keys.EXCEPTION_STACKTRACE in said for said in properties(events))


def test_hostile_exceptions_pass(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """An exception whose text raises, or whose type lies, is told all the same and raised again."""

    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("hostile")

        __repr__ = __str__

    error = Hostile()

    @track_duration("work")
    @track_error("failed")
    def work() -> None:
        raise error

    assert caught(work) is error
    assert sorted(names(events)) == ["failed", "work.failed", "work.started"]
    assert {r.log_record.severity_number for r in events.get_finished_logs()} == {
        SeverityNumber.INFO,
        SeverityNumber.ERROR,
    }


def test_ignored_and_expected_exceptions_have_completed(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """As the documentation says of what `traced(ignore=, expected=)` names."""

    @traced(event="work", ignore=KeyError, expected=(ValueError,))
    def work(error: Exception) -> None:
        raise error

    for error in (KeyError("k"), ValueError("v"), TypeError("t")):
        assert caught(functools.partial(work, error)) is error
    assert [name for name in names(events) if name != "work.started"] == [
        "work.completed",
        "work.completed",
        "work.failed",
    ]


def test_secrets_in_events_of_calls_are_redacted(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Constant properties and identities are captured like everything else."""

    @track_function("call", api_key="hunter2hunter2", url="https://u:hunter2@x.test/")
    def work() -> None: ...

    work()
    identify("u1", password="hunter2")
    assert "hunter2" not in str(properties(events))


def test_recursive_calls_have_their_own_spans_and_pairs(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Each level has its start and its end, in the order of calls, in a span of its own."""

    @track_duration("fall")
    def fall(depth: int) -> None:
        if depth:
            fall(depth - 1)

    fall(4)
    assert names(events) == ["fall.started"] * 5 + ["fall.completed"] * 5
    ids = [record.log_record.span_id for record in events.get_finished_logs()]
    assert ids[:5] == ids[:4:-1]
    assert len(set(ids)) == 5


def test_function_that_overflows_the_stack_still_raises_it(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """RecursionError of the program arrives as such, although there is hardly any stack left for us."""

    @track_duration("fall")
    def fall() -> None:
        fall()

    error = caught(fall)
    assert type(error) is RecursionError
    track("after")
    assert names(events)[-1] == "after"
