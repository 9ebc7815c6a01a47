"""Whose request it is, in real Flask and FastAPI applications under upstream's instrumentors, 200 requests at once.

Handlers say who they serve and never clear it. Whatever they track must bear their own user or, where the request is
over, none; and no request may begin with what another one said.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.util._once import Once
from support import wait_until

from otel_tracker import context, get_context, propagate, request_context, set_context, traced, track

from .matrix import needs

REQUESTS, CLIENTS = 200, 16
RATIOS = {"all": 1.0, "some": 0.3, "none": 0.0}
SETTINGS = [
    pytest.param("all", False, id="all", marks=pytest.mark.slow),
    pytest.param("some", False, id="some"),
    pytest.param("none", False, id="none", marks=pytest.mark.slow),
    pytest.param("all", True, id="all-of-one-trace"),
]
ONE_TRACE = {"traceparent": f"00-{7:032x}-{8:016x}-01"}


class Received:
    """What real providers got: spans, and events as name and properties."""

    def __init__(self, ratio: float) -> None:
        self.spans, self.logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        sampler = ParentBased(ALWAYS_ON if ratio == 1.0 else TraceIdRatioBased(ratio))
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.logs))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [dict(log.attributes or {}) for log in self._logs() if log.event_name == name]

    def assert_attributed(self, name: str, count: int, *, may_be_late: bool = False) -> None:
        """So many events of this name, each with the user of the request that its number says."""
        found = self.events(name)
        assert len(found) == count, name
        for each in found:
            expected = f"u{each['number']}"
            assert each.get("user.id", expected if may_be_late else None) == expected, (name, each)

    def assert_spans_attributed(self) -> None:
        """Of every span with a number, and of the request's own, the user is right; no event points at a lost span."""
        ids = {each.get_span_context().span_id for each in self.spans.get_finished_spans()}
        for each in self.spans.get_finished_spans():
            attributes = dict(each.attributes or {})
            if "otel_tracker.args.number" in attributes:
                assert attributes["user.id"] == f"u{attributes['otel_tracker.args.number']}", each.name
        assert {log.span_id for log in self._logs() if log.span_id} <= ids

    def users_of_servers(self) -> list[Any]:
        servers = [each for each in self.spans.get_finished_spans() if each.kind is trace.SpanKind.SERVER]
        return sorted(str((each.attributes or {}).get("user.id")) for each in servers)

    def _logs(self) -> list[Any]:
        return [each.log_record for each in self.logs.get_finished_logs()]


@pytest.fixture
def receive() -> Iterator[Callable[[float], Received]]:
    """Sets real providers that sample a part."""
    made: list[Received] = []

    def set_up(ratio: float) -> Received:
        made.append(Received(ratio))
        trace.set_tracer_provider(made[-1].tracer_provider)
        set_logger_provider(made[-1].logger_provider)
        request_context.join_provider()
        return made[-1]

    yield set_up
    for received in made:
        received.tracer_provider.shutdown()
        received.logger_provider.shutdown()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    logs_internal._LOGGER_PROVIDER, logs_internal._LOGGER_PROVIDER_SET_ONCE = None, Once()


@traced
def work(number: int) -> None:
    """What handlers call."""
    track("worked", number=number)


def lines(number: int) -> Iterator[str]:
    """A response that comes bit by bit."""
    yield "a"
    track("streamed", number=number)
    yield "b"


async def async_lines(number: int) -> AsyncIterator[str]:
    """The same from a coroutine."""
    yield "a"
    await asyncio.sleep(0)
    track("streamed", number=number)
    yield "b"


class Ask:
    """Clients that keep their connections, so that threads and protocols of the server are used again and again."""

    def __init__(self, port: int) -> None:
        self.port = port

    def all_of(self, paths: list[str], **headers: str) -> list[tuple[int, str]]:
        """Ask for all, by 16 clients at once; gives status and body, in order."""
        shares = [paths[first::CLIENTS] for first in range(CLIENTS)]
        answers: dict[str, tuple[int, str]] = {}
        with ThreadPoolExecutor(CLIENTS) as clients:
            for answered in clients.map(lambda share: self._one_after_another(share, headers), shares):
                answers.update(answered)
        return [answers[path] for path in paths]

    def _one_after_another(self, paths: list[str], headers: dict[str, str]) -> dict[str, tuple[int, str]]:
        answers = {}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        for path in paths:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            answers[path] = (response.status, response.read().decode())
            if response.status == 500:
                connection.close()  # as uvicorn does where an application raises
        connection.close()
        return answers


def paths() -> list[str]:
    """One of each kind of handler after the other, numbered; every fifth says nothing of its user."""
    kinds = ("plain", "threads", "raises", "streams", "anonymous")
    return [f"/{kinds[number % len(kinds)]}/{number}" for number in range(REQUESTS)]


# --- Flask -----------------------------------------------------------------------------------------------------------


def flask_app(leaks: list[Any]) -> Any:
    from flask import Flask, request, stream_with_context
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    app = Flask("hostile")
    FlaskInstrumentor().instrument_app(app)  # before the application's own hooks, as the launcher does it

    @app.before_request
    def say_who() -> None:
        leaks.append(dict(get_context()))
        if "anonymous" not in request.path:
            number = request.path.rpartition("/")[2]
            set_context(user_id=f"u{number}", request_id=f"r{number}", path=request.path)

    @app.get("/plain/<int:number>")
    def plain(number: int) -> str:
        work(number)
        return "ok"

    @app.get("/threads/<int:number>")
    def threads(number: int) -> str:
        worker = threading.Thread(target=propagate(work), args=(number,))
        worker.start()
        with context(shard=number):
            track("sharded", number=number)
        worker.join()
        return "ok"

    @app.get("/raises/<int:number>")
    def raises(number: int) -> str:
        work(number)
        raise LookupError(number)

    @app.get("/streams/<int:number>")
    def streams(number: int) -> Any:
        work(number)  # upstream ends the request's span before the lines, also with Flask's own context
        return app.response_class(lines(number) if number % 2 else stream_with_context(lines(number)))

    @app.get("/anonymous/<int:number>")
    def anonymous(number: int) -> str:
        track("anonymous", number=number, seen=json.dumps(dict(get_context())))
        return "ok"

    return app


@contextmanager
def serve_flask(app: Any) -> Iterator[Ask]:
    import logging

    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    app.logger.setLevel(logging.CRITICAL)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Ask(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        logging.getLogger("werkzeug").setLevel(logging.NOTSET)


@needs("flask", "opentelemetry.instrumentation.flask")
@pytest.mark.parametrize(("kept", "is_one_trace"), SETTINGS)
def test_flask_requests_never_get_anothers_user(
    receive: Callable[[float], Received], kept: str, is_one_trace: bool
) -> None:
    """Threads, raising handlers and streams; sampled or not; every request of the same remote caller, too."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    received = receive(RATIOS[kept])
    leaks: list[Any] = []
    app = flask_app(leaks)
    with serve_flask(app) as ask:
        answers = ask.all_of(paths(), **(ONE_TRACE if is_one_trace else {}))
        share = REQUESTS // 5
        wait_until(lambda: len(received.events("streamed")) == share)
        if kept == "all":
            wait_until(lambda: len(received.users_of_servers()) == REQUESTS)
    FlaskInstrumentor().uninstrument_app(app)
    assert sorted({status for status, _ in answers}) == [200, 500]
    assert leaks == [{}] * REQUESTS
    received.assert_attributed("worked", 4 * share)
    received.assert_attributed("sharded", share)
    received.assert_attributed("streamed", share, may_be_late=True)
    assert [each for each in received.events("anonymous") if "user.id" in each or each["seen"] != "{}"] == []
    assert len(received.events("anonymous")) == share
    received.assert_spans_attributed()
    if kept == "all":
        expected = [f"u{number}" if number % 5 != 4 else "None" for number in range(REQUESTS)]
        assert received.users_of_servers() == sorted(expected)


# --- FastAPI ---------------------------------------------------------------------------------------------------------


def fastapi_app(leaks: list[Any]) -> Any:
    from fastapi import BackgroundTasks, Depends, FastAPI, Request
    from fastapi.responses import PlainTextResponse, StreamingResponse

    app = FastAPI()
    tasks: set[asyncio.Task[None]] = set()

    # The annotations of what FastAPI calls are texts, read in the module's names; so these are no annotations.
    def number_of(request: Any) -> int:
        return int(request.url.path.rpartition("/")[2])

    def say_who(request):  # FastAPI runs it in its thread pool
        leaks.append(dict(get_context()))
        set_context(user_id=f"u{number_of(request)}", path=request.url.path)

    say_who.__annotations__ = {"request": Request}

    def in_block(request):  # begins and ends in other threads of the pool
        with context(block=number_of(request)):
            yield None

    in_block.__annotations__ = {"request": Request}
    who = [Depends(say_who), Depends(in_block)]

    @app.get("/plain/{number}", dependencies=who, response_class=PlainTextResponse)
    def plain(number: int) -> str:
        work(number)
        return "ok"

    async def threads(number, background):
        async def outlives() -> None:
            await asyncio.sleep(0.001)
            track("outlived", number=number)

        async def part(shard: int) -> None:
            async with context(shard=shard):
                await asyncio.sleep(0)
                track("sharded", number=number, mine=shard)

        await asyncio.gather(asyncio.to_thread(work, number), *(part(shard) for shard in range(3)))
        task = asyncio.ensure_future(outlives())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        background.add_task(track, "background", number=number)
        background.add_task(outlives)
        return "ok"

    threads.__annotations__ = {"number": int, "background": BackgroundTasks}
    app.get("/threads/{number}", dependencies=who, response_class=PlainTextResponse)(threads)

    @app.get("/raises/{number}", dependencies=who)
    async def raises(number: int) -> str:
        await asyncio.sleep(0)
        work(number)
        raise LookupError(number)

    @app.get("/streams/{number}", dependencies=who)
    async def streams(number: int) -> Any:
        work(number)
        return StreamingResponse(lines(number) if number % 2 else async_lines(number))

    @app.get("/anonymous/{number}", response_class=PlainTextResponse)
    async def anonymous(number: int) -> str:
        track("anonymous", number=number, seen=json.dumps(dict(get_context())))
        await asyncio.sleep(0)
        track("anonymous", number=number, seen=json.dumps(dict(get_context())))
        return "ok"

    return app


@contextmanager
def serve_fastapi(app: Any) -> Iterator[Ask]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield Ask(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()


@needs("fastapi", "uvicorn", "opentelemetry.instrumentation.fastapi")
@pytest.mark.parametrize(("kept", "is_one_trace"), SETTINGS)
def test_fastapi_requests_never_get_anothers_user(
    receive: Callable[[float], Received], kept: str, is_one_trace: bool
) -> None:
    """Coroutines, thread-pool handlers and dependencies, streams, background tasks; sampled or not."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    received = receive(RATIOS[kept])
    leaks: list[Any] = []
    app = fastapi_app(leaks)
    FastAPIInstrumentor.instrument_app(app)
    with serve_fastapi(app) as ask:
        answers = ask.all_of(paths(), **(ONE_TRACE if is_one_trace else {}))
        share = REQUESTS // 5
        wait_until(lambda: len(received.events("outlived")) == 2 * share)
        if kept == "all":
            wait_until(lambda: len(received.users_of_servers()) == REQUESTS)
    FastAPIInstrumentor.uninstrument_app(app)
    assert sorted({status for status, _ in answers}) == [200, 500]
    assert leaks == [{}] * (4 * share)
    received.assert_attributed("worked", 4 * share)
    received.assert_attributed("sharded", 3 * share)
    received.assert_attributed("background", share)
    received.assert_attributed("streamed", share)
    received.assert_attributed("outlived", 2 * share, may_be_late=True)
    assert all(each["shard"] == each["mine"] for each in received.events("sharded"))
    assert all(each.get("block", each["number"]) == each["number"] for each in received.events("worked"))
    assert [each for each in received.events("anonymous") if "user.id" in each or each["seen"] != "{}"] == []
    assert len(received.events("anonymous")) == 2 * share
    received.assert_spans_attributed()
    if kept == "all":
        expected = [f"u{number}" if number % 5 != 4 else "None" for number in range(REQUESTS)]
        assert received.users_of_servers() == sorted(expected)
