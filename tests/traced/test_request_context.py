"""`set_context` and `context`: whose work it is, on the right spans and events and on no others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import getrandbits
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_tracker import attributes as keys
from otel_tracker import (
    clear_context,
    context,
    get_context,
    identify,
    propagate,
    request_context,
    set_context,
    span,
    traced,
    track,
)

from .helpers import Recorder

REQUESTS = 200


@pytest.fixture
def stored(make_recorder: Callable[..., Recorder], events: InMemoryLogRecordExporter) -> Iterator[Any]:
    """Gives what the exporters got by name: attributes of spans, properties of events."""
    recorder = make_recorder(ParentBased(ALWAYS_ON))
    trace.set_tracer_provider(recorder.provider)

    def read() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for each in recorder.finished:
            found.setdefault(each.name, []).append(dict(each.attributes or {}))
        for record in events.get_finished_logs():
            log = record.log_record
            found.setdefault(log.event_name or "", []).append(dict(log.attributes or {}))
        return found

    yield read
    clear_context()


def server_span(name: str = "request", headers: dict[str, str] | None = None) -> Any:
    """A request's span as an instrumentor makes it."""
    tracer = trace.get_tracer("a framework")
    return tracer.start_as_current_span(name, context=extract(headers or {}), kind=trace.SpanKind.SERVER)


@traced("inner")
def inner(number: int) -> None:
    """What a handler calls."""
    track("done", number=number)


def test_context_is_stamped_on_later_spans_and_events_under_the_standard_names(stored: Any) -> None:
    """The request's own span and all that follows bear it; other keys keep their names; own properties win."""
    with server_span():
        with span("before"):
            pass
        set_context(user_id="u1", session_id="s1", request_id="r1", hostname="shop.test", path="/buy", plan="pro")
        inner(1)
        track("own", plan="free")
    expected = {
        "user.id": "u1",
        "session.id": "s1",
        "otel_tracker.request_id": "r1",
        "server.address": "shop.test",
        "url.path": "/buy",
        "plan": "pro",
    }
    found = stored()
    for name in ("request", "inner", "done"):
        assert expected.items() <= found[name][0].items(), name
    assert "user.id" not in found["before"][0]
    assert found["own"][0]["plan"] == "free"


def test_attributes_of_a_spans_own_go_before_the_context(stored: Any) -> None:
    """A call to another server keeps that server's address, whatever the request's own is."""
    with server_span():
        set_context(user_id="u1", hostname="shop.test", path="/buy")
        elsewhere = {"server.address": "api.bank.test", "url.path": "/charges"}
        with trace.get_tracer("a client").start_as_current_span("POST", attributes=elsewhere):
            pass
        with span("for another", **{"user.id": "u2"}):
            pass
    found = stored()
    assert found["POST"] == [{**elsewhere, "user.id": "u1"}]
    assert found["for another"][0]["user.id"] == "u2"


def test_context_takes_no_attribute_of_a_spans_own_away(
    make_recorder: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the SDK takes few attributes, the function and its arguments stay and context is left out."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "6")
    recorder = make_recorder()
    trace.set_tracer_provider(recorder.provider)
    with span("request"):
        set_context(**{f"key_{number}": number for number in range(10)})
        inner(7)
        clear_context()
    attributes = dict(recorder["inner"].attributes or {})
    assert attributes[keys.ARGS_PREFIX + "number"] == 7
    assert attributes[keys.CODE_FUNCTION_NAME]
    assert len(attributes) == 6


def test_set_context_adds_and_takes_away(stored: Any) -> None:
    """Later values are added, None removes one, `get_context` gives what is known by the given names."""
    with server_span():
        set_context(user_id="u1", plan="pro")
        set_context(plan=None, cart=3)
        assert get_context() == {"user_id": "u1", "cart": 3}
        clear_context()
        assert get_context() == {}
        inner(1)
    assert "user.id" not in stored()["inner"][0]


def test_context_ends_with_the_request(stored: Any) -> None:
    """The next request of the same thread knows nothing of it, whether its handler returns or raises."""
    for number in range(3):
        with pytest.raises(RuntimeError), server_span():
            assert get_context() == {}
            set_context(user_id=f"u{number}")
            inner(number)
            raise RuntimeError
    assert get_context() == {}
    track("outside")
    found = stored()
    assert sorted((each["user.id"], each["number"]) for each in found["done"]) == [("u0", 0), ("u1", 1), ("u2", 2)]
    assert found["outside"] == [{}]


def test_threads_of_a_request_see_what_one_of_them_says(stored: Any) -> None:
    """What a dependency sets in a thread pool, the handler and its other threads know."""
    with server_span():
        worker = threading.Thread(target=propagate(lambda: set_context(user_id="u1")))
        worker.start()
        worker.join()
        assert get_context() == {"user_id": "u1"}
        inner(1)
    assert stored()["inner"][0]["user.id"] == "u1"


def test_concurrent_requests_in_threads_are_kept_apart(stored: Any) -> None:
    """Of 200 requests over threads none gets another's user, nor leaves its own to the next."""

    def serve(number: int) -> None:
        assert get_context() == {}
        try:
            with server_span():
                set_context(user_id=f"u{number}")
                inner(number)
                if number % 7 == 0:
                    raise RuntimeError
                inner(number)
        except RuntimeError:
            pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(serve, range(REQUESTS)))
    found = stored()["done"]
    assert len(found) == 2 * REQUESTS - len(range(0, REQUESTS, 7))
    assert all(each["user.id"] == f"u{each['number']}" for each in found)


@pytest.mark.parametrize("traceparent", ["", "00-{0:032x}-00f067aa0ba902b7-01", "00-{1:032x}-00f067aa0ba902b7-01"])
def test_concurrent_requests_in_tasks_are_kept_apart(stored: Any, traceparent: str) -> None:
    """The same for 200 tasks of one event loop, also where all of them belong to one trace from elsewhere."""

    async def serve(number: int) -> None:
        headers = {"traceparent": traceparent.format(number + 1, 77)} if traceparent else {}
        with server_span(headers=headers):
            set_context(user_id=f"u{number}")
            await asyncio.sleep(0)
            inner(number)
            await asyncio.to_thread(inner, number)

    async def serve_all() -> None:
        await asyncio.gather(*(serve(number) for number in range(REQUESTS)))

    asyncio.run(serve_all())
    found = stored()["done"]
    assert len(found) == 2 * REQUESTS
    assert all(each["user.id"] == f"u{each['number']}" for each in found)


def test_requests_that_began_before_the_first_context_was_set_are_kept_apart(stored: Any) -> None:
    """Also where all of them belong to one trace from elsewhere: what is said stands on each request's own span."""
    traceparents = [f"00-{77:032x}-{number + 1:016x}-01" for number in range(8)]
    spans = [
        trace.get_tracer("a framework").start_span("request", context=extract({"traceparent": each}))
        for each in traceparents
    ]
    for number, each in enumerate(spans):
        with trace.use_span(each):
            set_context(user_id=f"u{number}")
    for number, each in enumerate(spans):
        with trace.use_span(each, end_on_exit=True):
            assert get_context() == {"user_id": f"u{number}"}
            inner(number)
    assert all(found["user.id"] == f"u{found['number']}" for found in stored()["done"])


def test_what_was_said_below_a_remote_span_holds_for_the_roots_below_it(stored: Any) -> None:
    """As of a process that was started with TRACEPARENT; another caller of the same trace knows nothing of it."""
    token = attach(extract({"traceparent": f"00-{77:032x}-00f067aa0ba902b7-01"}))
    try:
        set_context(user_id="u1")
        with span("outer"):
            inner(1)
            set_context(user_id="u2")
        assert get_context() == {"user_id": "u1"}
    finally:
        detach(token)
    with server_span(headers={"traceparent": f"00-{77:032x}-00f067aa0ba902b8-01"}):
        inner(2)
    assert [each.get("user.id") for each in stored()["inner"]] == ["u1", None]


@pytest.mark.parametrize("is_recording", [True, False])
def test_two_that_say_something_of_a_request_first_are_both_heard(stored: Any, is_recording: bool) -> None:
    """Of two threads that begin to at once, of a request that nothing is known of yet, neither's words are lost."""
    ids = SpanContext(getrandbits(127) + 1, 1, is_remote=False, trace_flags=TraceFlags(int(is_recording)))

    class Watched(NonRecordingSpan):
        """Another thread comes first while this one looks at the span."""

        parent = None
        is_first = True

        def is_recording(self) -> bool:
            if self.is_first:
                self.is_first = False
                set_context(user_id="u1")
            return is_recording

    with trace.use_span(Watched(ids)):
        set_context(plan="pro")
        assert get_context() == {"user_id": "u1", "plan": "pro"}


def test_fan_out_of_a_request_keeps_its_tasks_apart(stored: Any) -> None:
    """Of 50 tasks under one request each has its own block's values, over those of the request."""

    async def work(number: int) -> None:
        async with context(user_id=f"u{number}", shard=number):
            await asyncio.sleep(0)
            inner(number)
            with context(shard=-1):
                track("nested", number=number)

    async def serve() -> None:
        with server_span():
            set_context(user_id="all", plan="pro")
            await asyncio.gather(*(work(number) for number in range(50)))
            track("after")

    asyncio.run(serve())
    found = stored()
    assert sorted((each["number"], each["user.id"], each["shard"], each["plan"]) for each in found["done"]) == [
        (number, f"u{number}", number, "pro") for number in range(50)
    ]
    assert {(each["user.id"], each["shard"]) for each in found["nested"]} == {(f"u{n}", -1) for n in range(50)}
    assert found["after"] == [{"user.id": "all", "plan": "pro"}]


def test_outside_any_span_it_belongs_to_the_thread_until_cleared(stored: Any) -> None:
    """Another thread knows nothing of it; spans that begin later bear it."""
    set_context(user_id="batch")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_context).result() == {}
    inner(1)
    clear_context()
    inner(2)
    assert [each.get("user.id") for each in sorted(stored()["done"], key=lambda each: each["number"])] == [
        "batch",
        None,
    ]


def test_unsampled_requests_are_kept_apart_as_well(stored: Any) -> None:
    """Events of requests that are not sampled have no ids, but their own user."""
    for number in range(3):
        with server_span(headers={"traceparent": f"00-{getrandbits(127) + 1:032x}-00f067aa0ba902b7-00"}):
            assert get_context() == {}
            set_context(user_id=f"u{number}")
            inner(number)
    assert sorted((each["number"], each["user.id"]) for each in stored()["done"]) == [(0, "u0"), (1, "u1"), (2, "u2")]


def test_values_mean_the_same_in_context_and_in_an_event(stored: Any) -> None:
    """An id that is a UUID is its text, without quotes; containers are JSON text, which a span can hold."""
    user = UUID(int=5)
    with server_span():
        set_context(user_id=user, total=Decimal("1.5"), items=[1, "a"], count=2**70)
        track("own", **{"user.id": user, "total": Decimal("1.5")})
        inner(1)
    found = stored()
    expected = {"user.id": str(user), "total": "1.5", "items": '[1,"a"]', "count": str(2**70)}
    for name in ("request", "inner", "done", "own"):
        assert expected.items() <= found[name][0].items(), name


def test_secrets_in_context_are_redacted(stored: Any) -> None:
    """Context is captured like everything else."""
    with server_span():
        set_context(api_key="sk-very-secret", note="x" * 5_000, basket={"a": [1]})
        inner(1)
    found = stored()["done"][0]
    assert found["api_key"] == "[redacted]"
    assert len(found["note"]) < 1_100


def test_context_block_as_it_is_left_wrongly_raises_nothing() -> None:
    """A block that is left in another context than it was entered in harms nobody."""
    block = context(user_id="u1")
    ran = threading.Thread(target=block.__enter__)
    ran.start()
    ran.join()
    block.__exit__(None, None, None)
    block.__exit__(None, None, None)
    assert get_context() == {}


def test_baggage_is_stamped_only_where_it_is_named(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what other services send along, the named keys are taken."""
    monkeypatch.setenv("OTEL_TRACKER_CONTEXT_BAGGAGE_KEYS", "tenant")
    request_context.reset()
    request_context.join_provider()
    token = attach(baggage.set_baggage("other", "x", baggage.set_baggage("tenant", "t1")))
    try:
        inner(1)
    finally:
        detach(token)
    found = stored()
    assert found["done"] == [{"tenant": "t1", "number": 1}]
    assert found["inner"][0]["tenant"] == "t1"
    assert "other" not in found["inner"][0]


@pytest.mark.parametrize("engine", ["lean"], indirect=True)  # a span of the SDK's knows its parent's id alone
def test_requests_of_one_remote_trace_are_kept_apart_by_the_first_context_below_a_traced_function(stored: Any) -> None:
    """Also where nobody has set any context when they began, and a decorated handler is the first that does."""
    seen = []
    request_context._stamped_provider = None

    @traced
    def handle(number: int) -> None:
        set_context(user_id=f"u{number}")
        inner(number)
        seen.append(get_context())

    tracer = trace.get_tracer("a framework")
    parent = extract({"traceparent": f"00-{78:032x}-00f067aa0ba902b7-01"})
    requests = [tracer.start_span("request", context=parent) for _ in range(8)]
    for number, request in enumerate(requests):
        with trace.use_span(request):
            handle(number)
    for number, request in enumerate(requests):
        with trace.use_span(request, end_on_exit=True):
            assert get_context() == {"user_id": f"u{number}"}
            inner(number)
    assert seen == [{"user_id": f"u{number}"} for number in range(8)]
    assert all(found["user.id"] == f"u{found['number']}" for found in stored()["done"])


def test_free_context_is_no_trait_of_a_user(stored: Any) -> None:
    """`identify` has the traits, and of the context what is known to be no trait."""
    with server_span():
        set_context(session_id="s1", order=7)
        identify("u1", plan="pro")
    assert stored()["identify"] == [{"session.id": "s1", "user.id": "u1", "plan": "pro"}]


def test_first_context_below_a_function_is_known_above_it_and_beside_it(stored: Any) -> None:
    """Spans of the request that were open already know it as well, in this thread and in another one."""
    is_open, is_set = threading.Event(), threading.Event()

    @traced
    def dependency() -> None:
        set_context(user_id="u1")

    @traced
    def beside() -> None:
        is_open.set()
        assert is_set.wait(10)
        inner(2)

    @traced
    def handle() -> None:
        worker = threading.Thread(target=propagate(beside))
        worker.start()
        assert is_open.wait(10)
        dependency()
        is_set.set()
        worker.join()
        assert get_context() == {"user_id": "u1"}
        inner(1)

    with server_span():
        handle()
        assert get_context() == {"user_id": "u1"}
    assert [found["user.id"] for found in stored()["done"]] == ["u1", "u1"]
