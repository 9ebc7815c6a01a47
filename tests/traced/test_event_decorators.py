"""Events of calls: `track_duration`, `track_function`, `track_error` and ``traced(event=...)``."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter

from otel_tracker import attributes as keys
from otel_tracker import disable, traced, track_duration, track_error, track_event, track_function

from .helpers import Recorder


def told(events: InMemoryLogRecordExporter) -> list[tuple[str, dict[str, Any]]]:
    """Name and properties of each event, durations as whether they are positive numbers."""
    found = []
    for record in events.get_finished_logs():
        said = dict(record.log_record.attributes or {})
        if "duration_ms" in said:
            said["duration_ms"] = isinstance(said["duration_ms"], float) and said["duration_ms"] >= 0
        found.append((record.log_record.event_name or "", said))
    return found


@track_duration("job")
def plain(fails: bool = False) -> str:
    """Return or raise."""
    if fails:
        raise ValueError("refused")
    return "done"


@track_duration("job")
async def coroutine(fails: bool = False) -> str:
    """Return or raise after a pause."""
    await asyncio.sleep(0.001)
    return plain.__wrapped__(fails)  # type: ignore[attr-defined,no-any-return]


@track_duration("job")
def generator(fails: bool = False) -> Iterator[int]:
    """Yield, then end or raise."""
    yield 1
    plain.__wrapped__(fails)  # type: ignore[attr-defined]


@track_duration("job")
async def async_generator(fails: bool = False) -> AsyncIterator[int]:
    """Yield, then end or raise."""
    yield 1
    plain.__wrapped__(fails)  # type: ignore[attr-defined]


async def _all_of(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


CALLS = {
    "function": lambda fails: plain(fails),
    "coroutine": lambda fails: asyncio.run(coroutine(fails)),
    "generator": lambda fails: list(generator(fails)),
    "async generator": lambda fails: asyncio.run(_all_of(async_generator(fails))),
}


@pytest.mark.parametrize("kind", CALLS)
def test_call_that_returns_has_started_and_completed(
    spans: Recorder, events: InMemoryLogRecordExporter, kind: str
) -> None:
    """Both events stand in the one span of the call, the second one with its duration."""
    CALLS[kind](False)
    assert told(events) == [("job.started", {}), ("job.completed", {"duration_ms": True})]
    span_id = spans.one().get_span_context().span_id
    assert [record.log_record.span_id for record in events.get_finished_logs()] == [span_id, span_id]


@pytest.mark.parametrize("kind", CALLS)
def test_call_that_raises_has_started_and_failed(spans: Recorder, events: InMemoryLogRecordExporter, kind: str) -> None:
    """The exception goes on as it was, and the second event says its type and message, at ERROR."""
    with pytest.raises(ValueError, match="refused"):
        CALLS[kind](True)
    failure = {keys.EXCEPTION_TYPE: "ValueError", keys.EXCEPTION_MESSAGE: "refused"}
    assert told(events) == [("job.started", {}), ("job.failed", {"duration_ms": True, **failure})]
    assert [record.log_record.severity_number for record in events.get_finished_logs()] == [
        SeverityNumber.INFO,
        SeverityNumber.ERROR,
    ]
    assert not spans.one().status.is_ok


@pytest.mark.parametrize("kind", CALLS)
def test_events_need_no_span(unsampled: Recorder, events: InMemoryLogRecordExporter, kind: str) -> None:
    """Where the trace is not sampled the events come without ids."""
    CALLS[kind](False)
    assert [name for name, _ in told(events)] == ["job.started", "job.completed"]
    assert not any(record.log_record.span_id for record in events.get_finished_logs())


def test_traced_takes_an_event(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Span and events come from one decorator, with whatever else it is told."""

    @traced("check out", event="checkout", ignore=KeyError)
    def check_out(order: int) -> int:
        if not order:
            raise KeyError(order)
        return order

    assert check_out(1) == 1
    with pytest.raises(KeyError):
        check_out(0)
    assert [name for name, _ in told(events)] == ["checkout.started", "checkout.completed"] * 2
    assert [span.name for span in spans.finished] == ["check out", "check out"]


def test_function_is_one_event_a_call(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """It says how the call ended, and the properties that are always the same."""

    @track_function("picture.made", model="flux")
    def make(prompt: str) -> None:
        if not prompt:
            raise ValueError("empty")

    make("a cat")
    with pytest.raises(ValueError, match="empty"):
        make("")
    assert told(events)[0] == ("picture.made", {"duration_ms": True, "status": "completed", "model": "flux"})
    name, said = told(events)[1]
    assert (name, said["status"], said[keys.EXCEPTION_MESSAGE]) == ("picture.made", "failed", "empty")
    assert len(spans.finished) == 2


def test_error_is_an_event_with_its_stack_trace(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Calls that return are no events; of one that raises the traceback is kept, without our frames."""

    @track_error("error.critical")
    def risky(n: int) -> float:
        return 1 / n

    assert risky(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        risky(0)
    ((name, said),) = told(events)
    assert name == "error.critical"
    assert "return 1 / n" in said[keys.EXCEPTION_STACKTRACE]
    assert "otel_tracker>" not in said[keys.EXCEPTION_STACKTRACE]


def test_decorators_add_up_in_one_span(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Several of them, and `traced`, in any order, make one span and all events."""

    @track_error("error.work")
    @traced("work")
    @track_duration("work")
    def work() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        work()
    assert [name for name, _ in told(events)] == ["work.started", "work.failed", "error.work"]
    assert spans.one().name == "work"


def test_cancelled_and_closed_calls_have_completed(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Who stops an execution makes no failure of it."""

    @track_duration("wait")
    async def wait() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    steps = generator()
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert told(events) == [
        ("wait.started", {}),
        ("wait.completed", {"duration_ms": True, "outcome": "cancelled"}),
        ("job.started", {}),
        ("job.completed", {"duration_ms": True, "outcome": "closed"}),
    ]


def test_methods_and_classes_are_watched(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Static and class methods in either order, and every public method of a class."""

    class Cart:
        @staticmethod
        @track_duration("static")
        def one() -> None: ...

        @track_duration("class")
        @classmethod
        def two(cls) -> None: ...

    @track_function("shelf")
    class Shelf:
        def three(self) -> None: ...

    Cart.one()
    Cart().two()
    Shelf().three()
    assert [name for name, _ in told(events)] == [
        "static.started",
        "static.completed",
        "class.started",
        "class.completed",
        "shelf",
    ]


def test_awaitable_is_waited_for(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """With ``await_result`` the events cover the awaiting."""

    @traced(event="later", await_result=True)
    def later() -> Any:
        return coroutine.__wrapped__()  # type: ignore[attr-defined]

    assert asyncio.run(_awaited(later())) == "done"
    assert told(events) == [("later.started", {}), ("later.completed", {"duration_ms": True})]
    assert all(record.log_record.span_id for record in events.get_finished_logs())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def test_switched_off_it_is_silent(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """`disable()` silences events of calls, too."""
    disable()
    assert plain() == "done"
    track_event("e", {"a": 1})
    assert told(events) == []


@pytest.mark.parametrize("decorator", [track_duration, track_error, track_function, lambda name: traced(event=name)])
@pytest.mark.parametrize("name", ["", " ", 7, plain])
def test_wrong_name_is_said_at_decoration(decorator: Any, name: Any) -> None:
    """A name that is none is the developer's mistake, and shows where it stands."""
    with pytest.raises(ValueError, match="expected a text"):
        decorator(name)(lambda: None)


def test_many_and_odd_properties_are_bounded(events: InMemoryLogRecordExporter) -> None:
    """More properties than a log record takes, and names that are no text, cost no event."""
    track_event("many", {f"k{i}": i for i in range(300)})
    track_event("odd", {1: "one", None: 2})  # type: ignore[dict-item]
    many, odd = told(events)
    assert len(many[1]) == 101
    assert many[1]["..."] == "200 more"
    assert len(odd[1]) == 2
