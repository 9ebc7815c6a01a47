"""Request context under hostile conditions: never another's, never the last one's, never in the program's way."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from support import run_script

from otel_tracker import (
    clear_context,
    context,
    disable,
    enable,
    get_context,
    propagate,
    set_context,
    span,
    traced,
    track,
    track_duration,
    track_event,
)

from .helpers import Recorder, caught
from .test_hostile_events import HOSTILE, Explodes, HostileText

Found = dict[str, list[dict[str, Any]]]

SAMPLERS: dict[str, Sampler] = {
    "all": ParentBased(ALWAYS_ON),
    "some": ParentBased(TraceIdRatioBased(0.3)),
    "none": ParentBased(TraceIdRatioBased(0.0)),
}


@pytest.fixture
def start(make_recorder: Callable[..., Recorder], events: InMemoryLogRecordExporter) -> Iterator[Any]:
    """Sets up a provider with a sampler; gives a reader of what arrived, by name."""

    def set_up(sampler: str = "all") -> Callable[[], Found]:
        recorder = make_recorder(SAMPLERS[sampler])
        trace.set_tracer_provider(recorder.provider)

        def read() -> Found:
            found: Found = {}
            for each in recorder.finished:
                found.setdefault(each.name, []).append(dict(each.attributes or {}))
            for record in events.get_finished_logs():
                log = record.log_record
                found.setdefault(log.event_name or "", []).append(dict(log.attributes or {}))
            return found

        return read

    yield set_up
    clear_context()


def server_span(name: str = "request", headers: dict[str, str] | None = None) -> Any:
    """A request's span as an instrumentor makes it: of another tracer, below what the headers say."""
    tracer = trace.get_tracer("a framework")
    return tracer.start_as_current_span(name, context=extract(headers or {}, Context()), kind=trace.SpanKind.SERVER)


def users(found: list[dict[str, Any]]) -> list[Any]:
    return [each.get("user.id") for each in found]


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_value_breaks_a_request(start: Any, kind: str) -> None:
    """Whatever is set, the program, the other values, and later spans and events are as they should be."""
    read = start()
    value = HOSTILE[kind]()
    with server_span():
        set_context(bad=value, user_id="u1")
        with context(worse=value, shard=3), span("inner"):
            track("e", n=1)
        get_context()
    found = read()
    for name in ("e", "inner"):
        assert (found[name][0]["user.id"], found[name][0]["shard"]) == ("u1", 3)
        assert len(str(found[name][0])) < 20_000
    assert found["request"][0]["user.id"] == "u1"


def test_any_key_is_legal_and_their_number_is_bounded(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Names of parameters, empty ones, and ten thousand of them; the SDK, which has limits, complains of nothing."""
    read = start()
    keys = dict.fromkeys(("self", "name", "values", "key", "event_name", "context", "", "�", "a b", "x" * 9999), 1)
    with server_span():
        set_context(**keys)
        with context(**keys):
            track("odd")
        clear_context()
        set_context(**{f"k{number}": number for number in range(10_000)})
        set_context(user_id="u1")
        with span("inner", own=2):
            track("many", own=1)
            track_event("full", {f"p{number}": number for number in range(1_000)})
    found = read()
    assert found["odd"][0]["event_name"] == 1
    assert found["many"][0]["own"] == 1
    assert found["inner"][0]["own"] == 2
    assert all(len(found[name][0]) <= 128 for name in ("many", "inner", "full", "request"))
    assert caplog.records == []


def test_what_get_context_gives_is_a_copy(start: Any) -> None:
    """Whoever changes it changes nothing, neither inside a span nor outside."""
    start()
    with server_span():
        set_context(user_id="u1")
        get_context()["user_id"] = "other"
        assert get_context()["user_id"] == "u1"
    set_context(user_id="u2")
    get_context().clear()
    assert get_context() == {"user_id": "u2"}


def test_own_attributes_of_a_span_go_before_context(start: Any) -> None:
    """As an event's own properties do; a block's go before the request's."""
    read = start()
    with server_span():
        set_context(plan="pro", tier=1)
        with context(plan="block"), span("inner", plan="own"):
            track("e", plan="event")
            track("f")
    found = read()
    assert found["inner"][0]["plan"] == "own"
    assert found["e"][0]["plan"] == "event"
    assert found["f"][0]["plan"] == "block"
    assert found["f"][0]["tier"] == 1


def test_spans_of_calls_to_others_keep_whom_they_call(start: Any) -> None:
    """The host and path of a client's span are those of the service that it calls, not those of the request."""
    read = start()
    called = {"server.address": "api.test", "url.path": "/v1/pay"}
    with server_span():
        set_context(hostname="shop.test", path="/buy", user_id="u1")
        trace.get_tracer("client").start_span("POST", kind=trace.SpanKind.CLIENT, attributes=called).end()
    assert read()["POST"] == [{**called, "user.id": "u1"}]


def test_standard_name_given_by_an_event_goes_before_context(start: Any) -> None:
    """What an event says of `user.id` by itself is not overwritten by the request's."""
    read = start()
    with server_span():
        set_context(user_id="request")
        track("e", **{"user.id": "own"})
    assert users(read()["e"]) == ["own"]


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_exceptions_pass_through_blocks_as_they_are(start: Any) -> None:
    """`with context` swallows, chains and changes nothing."""
    start()
    error = ValueError("mine")

    def fail() -> None:
        with context(a=1), context(b=2):
            raise error

    async def afail() -> None:
        async with context(a=1):
            raise error

    assert caught(fail) is error
    assert error.__context__ is None
    assert caught(lambda: asyncio.run(afail())) is error
    assert get_context() == {}


def test_one_block_object_may_be_used_again_and_at_once(start: Any) -> None:
    """Kept in a module and entered by many threads, tasks and by itself, it restores what each one had."""
    start()
    block = context(shard=1)
    barrier = threading.Barrier(8)

    def use(number: int) -> list[dict[str, Any]]:
        seen = []
        with context(user_id=number):
            with block:
                barrier.wait()
                with block:
                    seen.append(dict(get_context()))
                barrier.wait()
                seen.append(dict(get_context()))
            seen.append(dict(get_context()))
        return [*seen, dict(get_context())]

    with ThreadPoolExecutor(8) as pool:
        for number, seen in enumerate([*pool.map(use, range(8))]):
            inside = {"user_id": number, "shard": 1}
            assert seen == [inside, inside, {"user_id": number}, {}]


def test_blocks_of_interleaved_generators_end_with_them(start: Any) -> None:
    """Two that advance in turn and are left half-way, in the order in which they began, leave the caller nothing."""
    start()

    def steps(number: int) -> Iterator[int]:
        with context(user_id=f"u{number}"):
            yield 1
            yield 2

    def interleave() -> dict[str, Any]:
        first, second = steps(1), steps(2)
        next(first)
        next(second)
        first.close()
        assert get_context() == {"user_id": "u2"}
        second.close()
        return dict(get_context())

    assert contextvars.copy_context().run(interleave) == {}


def test_block_of_a_generator_that_another_thread_closes_raises_nothing(start: Any) -> None:
    """The thread that began it keeps what it began, the one that closes it gets nothing."""
    start()

    def steps() -> Iterator[int]:
        with context(user_id="u1"):
            yield 1

    with ThreadPoolExecutor(1) as pool:
        running = steps()
        pool.submit(next, running).result()
        running.close()
    assert get_context() == {}


def test_block_in_an_async_generator_that_another_task_closes(start: Any) -> None:
    """No task sees the block of a generator that it did not run."""
    start()

    async def steps() -> AsyncIterator[int]:
        async with context(user_id="generator"):
            yield 1
            yield 2

    async def main() -> dict[str, Any]:
        running = steps()

        async def begin() -> None:
            await running.__anext__()

        await asyncio.ensure_future(begin())
        seen = dict(get_context())
        await running.aclose()
        assert get_context() == {}
        return seen

    assert asyncio.run(main()) == {}


# --- whose -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_concurrent_requests_of_every_kind_are_kept_apart(start: Any, sampler: str) -> None:
    """200 tasks that fan out into tasks and threads, some of which raise: all events there, each with its own user."""
    read = start(sampler)

    @traced
    async def part(number: int, shard: int) -> None:
        with context(shard=shard):
            await asyncio.sleep(0)
            track("part", number=number, mine=shard)
            await asyncio.to_thread(track, "thread", number=number, mine=shard)

    async def serve(number: int) -> None:
        assert get_context() == {}
        with suppress(ZeroDivisionError), server_span():
            set_context(user_id=f"u{number}")
            await asyncio.gather(*(part(number, shard) for shard in range(3)))
            track("handler", number=number)
            number // (number % 3)

    async def main() -> None:
        await asyncio.gather(*(serve(number) for number in range(200)))

    asyncio.run(main())
    found = read()
    assert (len(found["part"]), len(found["thread"]), len(found["handler"])) == (600, 600, 200)
    for each in (*found["part"], *found["thread"], *found["handler"]):
        assert each["user.id"] == f"u{each['number']}"
        assert each.get("shard") == each.get("mine")
    assert len(found.get("request", [])) == {"all": 200, "none": 0}.get(sampler, len(found.get("request", [])))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_threads_that_are_used_again_keep_nothing(start: Any, sampler: str) -> None:
    """A worker serves request after request, none of which clears anything; the one that sets nothing has nothing."""
    read = start(sampler)

    def serve(number: int) -> dict[str, Any]:
        with suppress(RuntimeError), server_span():
            before = dict(get_context())
            if number % 2:
                set_context(user_id=f"u{number}")
            track("e", number=number)
            if number % 5 == 0:
                raise RuntimeError
        return before | get_context()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(serve, range(400))) == [{}] * 400
    assert all(each.get("user.id") == (f"u{each['number']}" if each["number"] % 2 else None) for each in read()["e"])


def test_requests_below_one_remote_span_are_kept_apart(start: Any) -> None:
    """One caller fans out to us: the same trace and the same parent for all, and each has its own user."""
    read = start()
    headers = {"traceparent": f"00-{7:032x}-{8:016x}-01"}
    inside = threading.Barrier(8)

    def serve(number: int) -> None:
        with server_span(headers=headers):
            assert get_context() == {}
            inside.wait()
            set_context(user_id=f"u{number}")
            inside.wait()
            with span("inner"):
                track("e", number=number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(serve, range(8)))
    assert sorted((each["number"], each["user.id"]) for each in read()["e"]) == [(n, f"u{n}") for n in range(8)]


@pytest.mark.parametrize("sampler", ["all", "none"])
def test_new_trace_is_a_request_of_its_own(start: Any, sampler: str) -> None:
    """What is set in a trace that begins inside a request ends with it, and the request's own is as before."""
    read = start(sampler)

    @traced("job", new_trace=True)
    def job() -> None:
        set_context(user_id="job")
        track("in job")

    with server_span():
        set_context(user_id="request")
        with context(shard=1):
            job()
        track("after")
        assert get_context() == {"user_id": "request"}
    found = read()
    assert found["in job"] == [{"user.id": "job", "shard": 1}]
    assert users(found["after"]) == ["request"]


def test_what_outlives_a_request_is_not_the_next_ones(start: Any) -> None:
    """A thread that goes on after its request has ended knows its own request or none; what it sets stays there."""
    read = start()
    go: SimpleQueue[None] = SimpleQueue()

    def late() -> None:
        go.get()
        seen.append(dict(get_context()))
        set_context(user_id="late")
        track("late")

    seen: list[dict[str, Any]] = []
    with server_span():
        set_context(user_id="first")
        worker = threading.Thread(target=propagate(late))
        worker.start()
    go.put(None)
    worker.join()
    with server_span():
        assert get_context() == {}
        track("next")
    assert get_context() == {}
    assert seen in ([{}], [{"user_id": "first"}])
    found = read()
    assert users(found["next"]) == [None]
    assert users(found["request"]) == ["first", None]


def test_explicit_parents_are_followed(start: Any) -> None:
    """A span that is made below another request's gets that one's context, not the current one's."""
    read = start()
    tracer = trace.get_tracer("somebody")
    with server_span("first") as first:
        set_context(user_id="u1")
        with server_span("second"):
            set_context(user_id="u2")
            tracer.start_span("of first", context=trace.set_span_in_context(first, Context())).end()
            tracer.start_span("of second").end()
            tracer.start_span("of nobody", context=Context()).end()
        assert get_context() == {"user_id": "u1"}
    found = read()
    assert {name: users(found[name])[0] for name in ("of first", "of second", "of nobody")} == {
        "of first": "u1",
        "of second": "u2",
        "of nobody": None,
    }


def test_span_that_is_not_current_changes_nothing(start: Any) -> None:
    """A span that runs beside the request, and ends before or after it, neither gives nor takes context."""
    read = start()
    tracer = trace.get_tracer("somebody")
    with server_span():
        beside = tracer.start_span("beside", context=Context())
        set_context(user_id="u1")
        beside.end()
        child = tracer.start_span("child")
        track("e")
    child.end()
    assert users(read()["e"]) == ["u1"]
    assert users(read()["child"]) == ["u1"]
    assert users(read()["beside"]) == [None]


def test_tasks_outside_any_span_do_not_share(start: Any) -> None:
    """Each task has its own, beginning with what its parent had; the parent keeps what it had."""
    read = start()

    async def work(number: int) -> None:
        set_context(user_id=f"u{number}")
        await asyncio.sleep(0)
        track("e", number=number)
        clear_context()
        await asyncio.sleep(0)
        assert get_context() == {}

    async def main() -> None:
        set_context(user_id="parent", plan="pro")
        await asyncio.gather(*(work(number) for number in range(50)))
        assert get_context() == {"user_id": "parent", "plan": "pro"}

    asyncio.run(main())
    assert get_context() == {}
    assert all(each["user.id"] == f"u{each['number']}" for each in read()["e"])


def test_copied_contexts_do_not_share_outside_any_span(start: Any) -> None:
    """`contextvars.copy_context().run`, as frameworks use it, is a world of its own."""
    start()
    set_context(user_id="here")
    copied = contextvars.copy_context()
    copied.run(set_context, user_id="there")
    assert get_context() == {"user_id": "here"}
    assert copied.run(get_context) == {"user_id": "there"}


def test_what_is_set_outside_is_not_lost_by_a_request(start: Any) -> None:
    """A worker's own context, set before its requests, holds again after each of them."""
    start()
    set_context(worker="w1")
    with server_span():
        set_context(user_id="u1")
    assert get_context() == {"worker": "w1"}


# --- memory, switches, ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["ended", "never ended", "unsampled", "set late"])
def test_many_requests_leave_nothing(start: Any, way: str) -> None:
    """Memory does not grow with the number of requests, whatever becomes of their spans."""
    trace.set_tracer_provider(
        TracerProvider(sampler=SAMPLERS["none" if way == "unsampled" else "all"], shutdown_on_exit=False)
    )
    tracer = trace.get_tracer("a framework")

    def serve(number: int) -> None:
        current = tracer.start_span("request")
        with trace.use_span(current, end_on_exit=way in {"ended", "unsampled"}):
            set_context(user_id=f"u{number}", request_id=f"r{number}")
        if way == "set late":
            current.end()
            with trace.use_span(current):
                set_context(user_id="late")

    for number in range(2_500):
        serve(number)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(2_000):
        serve(number)
    gc.collect()
    assert sys.getallocatedblocks() - before < 2_000
    trace.get_tracer_provider().shutdown()


@pytest.mark.parametrize("sampler", ["all", "none"])
def test_long_request_keeps_its_context_while_many_short_ones_pass(start: Any, sampler: str) -> None:
    """A stream or a socket that stays open for a day is still its user's."""
    read = start(sampler)
    with server_span("long"):
        set_context(user_id="long")
        for number in range(500):
            with server_span("short"):
                set_context(user_id=f"u{number}")
        track("still")
    assert users(read()["still"]) == ["long"]


def test_context_without_any_provider_is_harmless() -> None:
    """Nothing is stamped on anything, and nothing raises."""
    set_context(user_id="u1", bad=Explodes())
    with context(plan=HostileText("x")):
        track("e")
        assert get_context()["user_id"] == "u1"
    clear_context()
    assert get_context() == {}


def test_provider_may_come_after_the_context(start: Any) -> None:
    """What was set before anybody listened is stamped on events that come later, and on spans from the next word on."""
    set_context(user_id="early")
    read = start()
    with span("first"):
        track("e")
    set_context(plan="pro")
    with span("second"):
        pass
    found = read()
    assert users(found["e"]) == users(found["second"]) == ["early"]


def test_disabled_means_silent_and_harmless(start: Any) -> None:
    """`disable()` silences us alone: others' spans go on; switched on again, nothing is left over."""
    read = start()
    with server_span():
        disable()
        set_context(user_id="u1")
        track("silent")
        with context(a=1):
            pass
        enable()
    with server_span():
        assert get_context() == {}
        track("heard")
    found = read()
    assert "silent" not in found
    assert found["heard"] == [{}]
    assert len(found["request"]) == 2


def test_ends_of_calls_have_the_context_of_the_call(start: Any) -> None:
    """Both events of a call that is the root itself bear what was set before each; afterwards it is gone."""
    read = start()

    @track_duration("job")
    def job() -> None:
        set_context(user_id="u1")

    job()
    job()
    found = read()
    assert users(found["job.started"]) == [None, None]
    assert users(found["job.completed"]) == ["u1", "u1"]
    assert get_context() == {}


@pytest.mark.parametrize("sampler", ["all", "none"])
def test_ends_of_unsampled_calls_have_the_context_as_well(start: Any, sampler: str) -> None:
    """The same below a request, whether it is kept or not."""
    read = start(sampler)

    @track_duration("job")
    def job(number: int) -> None:
        set_context(user_id=f"u{number}")

    for number in range(3):
        with server_span():
            job(number)
    found = read()
    assert users(found["job.started"]) == [None] * 3
    assert users(found["job.completed"]) == ["u0", "u1", "u2"]


@pytest.mark.skipif(not hasattr(sys, "getswitchinterval") or sys.platform == "win32", reason="needs fork")
def test_forked_children_and_parents_do_not_share() -> None:
    """A child continues with its parent's context, changes its own alone, and does not hang while threads are busy."""
    ended = run_script(
        """
        import os, sys, threading, warnings
        warnings.simplefilter("ignore")
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_tracker import configure, get_context, set_context, span, track

        trace.set_tracer_provider(TracerProvider())
        configure(exporters="none")
        over = threading.Event()

        def busy():
            while not over.is_set():
                with span("busy"):
                    set_context(user_id="busy")

        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        with span("parent"):
            set_context(user_id="parent")
            for number in range(20):
                pid = os.fork()
                if pid == 0:
                    is_mine = get_context() == {"user_id": "parent"}
                    set_context(user_id=f"child{number}")
                    with span("inner"):
                        track("e")
                        is_mine = is_mine and get_context() == {"user_id": f"child{number}"}
                    os._exit(0 if is_mine else 1)
                assert os.waitpid(pid, 0)[1] == 0, number
                assert get_context() == {"user_id": "parent"}
        over.set()
        for thread in threads:
            thread.join()
        assert get_context() == {}
        print("well")
        """,
        PYTHONWARNINGS="ignore",
    )
    assert (ended.status, ended.stdout.strip()) == (0, "well"), ended
