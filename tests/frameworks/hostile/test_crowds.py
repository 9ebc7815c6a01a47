"""Two hundred requests at once on real servers: each has its own id and user, and the next one has nothing of it.

Connections are kept and used again. Handlers raise, run into timeouts, stream, use other threads, or lose their
client in the middle.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from support import wait_until

from otel_tracker import context, get_context, propagate, set_context, traced, track

from ..conftest import Stored
from .apps import DJANGO, FASTAPI, FLASK, django_project

REQUESTS, CLIENTS = 200, 16
KINDS = ("plain", "threads", "raises", "streams", "anonymous", "slow", "aborted")
ONE_TRACE = f"00-{7:032x}-{8:016x}"
pytestmark = pytest.mark.slow


@traced
def work(number: int) -> None:
    track("worked", number=number)


def begin(path: str) -> None:
    """What every handler begins with; what it knows before is its own id alone."""
    number = int(path.rpartition("/")[2])
    track("began", number=number, known=json.dumps(dict(get_context())))
    if "anonymous" not in path:
        set_context(user_id=f"u{number}")


def lines(number: int) -> Iterator[bytes]:
    yield b"a" * 50_000
    work(number)
    yield b"b" * 50_000


def serve(path: str) -> Iterator[bytes] | bytes:
    """The handler of a thread."""
    begin(path)
    kind, number = path.strip("/").split("/")[0], int(path.rpartition("/")[2])
    if kind == "threads":
        with context(shard=number), ThreadPoolExecutor(2) as pool:
            list(pool.map(propagate(work), [number, number]))
    elif kind in ("raises", "slow"):
        work(number)
        raise (LookupError if kind == "raises" else TimeoutError)(number)
    elif kind in ("streams", "aborted"):
        return lines(number)
    else:
        work(number)
    return b"ok"


async def async_lines(number: int) -> Any:
    for part in lines(number):
        yield part
        await asyncio.sleep(0)


async def serve_async(path: str) -> Any:
    """The handler of a coroutine."""
    begin(path)
    kind, number = path.strip("/").split("/")[0], int(path.rpartition("/")[2])
    if kind == "threads":
        async with context(shard=number):
            await asyncio.gather(asyncio.to_thread(work, number), asyncio.to_thread(work, number))
    elif kind == "raises":
        work(number)
        raise LookupError(number)
    elif kind == "slow":
        work(number)
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    elif kind in ("streams", "aborted"):
        return async_lines(number)
    else:
        await asyncio.sleep(0)
        work(number)
    return b"ok"


# --- the five servers ------------------------------------------------------------------------------------------------


@contextmanager
def flask_server() -> Iterator[int]:
    from flask import Flask, Response, request
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    from otel_tracker.frameworks.flask import instrument

    app = Flask("crowd")
    app.logger.setLevel(logging.CRITICAL + 1)
    app.add_url_rule("/<kind>/<int:number>", "page", lambda kind, number: Response(serve(request.path)))
    instrument(app)
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Requests(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections

        def log(self, *arguments: Any) -> None:
            pass

    with running(make_server("127.0.0.1", 0, app, threaded=True, request_handler=Requests)) as port:
        yield port
    FlaskInstrumentor().uninstrument_app(app)


@contextmanager
def running(server: Any) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def asgi_server(app: Any) -> Iterator[int]:
    uvicorn = pytest.importorskip("uvicorn")

    config = uvicorn.Config(app, port=0, log_level=logging.CRITICAL + 1, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


async def starlette_page(request: Any) -> Any:
    from starlette.responses import PlainTextResponse, StreamingResponse

    made = await serve_async(request.url.path)
    return PlainTextResponse(made) if isinstance(made, bytes) else StreamingResponse(made)


def starlette_thread_page(request: Any) -> Any:
    from starlette.responses import PlainTextResponse, StreamingResponse

    made = serve(request.url.path)
    return PlainTextResponse(made) if isinstance(made, bytes) else StreamingResponse(made)


@contextmanager
def fastapi_server() -> Iterator[int]:
    """Even numbers are served by coroutines, odd ones by threads."""
    from fastapi import FastAPI
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from starlette.routing import Route

    from otel_tracker.frameworks.fastapi import instrument

    async def either(request: Any) -> Any:
        from starlette.concurrency import run_in_threadpool

        if request.path_params["number"] % 2:
            return await run_in_threadpool(starlette_thread_page, request)
        return await starlette_page(request)

    app = FastAPI(routes=[Route("/{kind}/{number:int}", either)])
    instrument(app)
    with asgi_server(app) as port:
        yield port
    FastAPIInstrumentor.uninstrument_app(app)


def django_page(request: Any, kind: str, number: int) -> Any:
    from django.http import HttpResponse, StreamingHttpResponse

    made = serve(request.path)
    return HttpResponse(made) if isinstance(made, bytes) else StreamingHttpResponse(made)


async def async_django_page(request: Any, kind: str, number: int) -> Any:
    from asgiref.sync import sync_to_async
    from django.http import HttpResponse, StreamingHttpResponse

    if number % 2 and kind not in ("streams", "aborted"):
        return await sync_to_async(django_page)(request, kind, number)
    made = await serve_async(request.path)
    return HttpResponse(made) if isinstance(made, bytes) else StreamingHttpResponse(made)


class Pages:
    """The urls of one sort of views."""

    def __init__(self, view: Any) -> None:
        from django.urls import path

        self.urlpatterns = [path("<str:kind>/<int:number>", view)]


@contextmanager
def django_server() -> Iterator[int]:
    with django_project(urls=Pages(django_page), middleware=[]):
        from django.core.handlers.wsgi import WSGIHandler
        from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

        class Requests(WSGIRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

        server = ThreadedWSGIServer(("127.0.0.1", 0), Requests, ipv6=False)
        server.set_app(WSGIHandler())
        with running(server) as port:
            yield port


@contextmanager
def django_asgi_server() -> Iterator[int]:
    with django_project(urls=Pages(async_django_page), middleware=[]):
        from django.core.handlers.asgi import ASGIHandler

        with asgi_server(ASGIHandler()) as port:
            yield port


SERVERS = [
    pytest.param(flask_server, id="flask", marks=FLASK.marks),
    pytest.param(fastapi_server, id="fastapi", marks=FASTAPI.marks),
    pytest.param(django_server, id="django", marks=DJANGO.marks),
    pytest.param(django_asgi_server, id="django-asgi", marks=DJANGO.marks),
]


# --- the clients -----------------------------------------------------------------------------------------------------


def ask_all(port: int, traceparent: str | None) -> dict[int, list[str]]:
    """All requests by 16 clients at once; gives the ids that came back, by number."""

    def one_after_another(numbers: range) -> dict[int, list[str]]:
        ids: dict[int, list[str]] = {}
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for number in numbers:
            path = f"/{KINDS[number % len(KINDS)]}/{number}"
            headers = {"X-Request-ID": f"r{number}"} | ({"traceparent": traceparent} if traceparent else {})
            if "aborted" in path:
                abort(port, path, headers)
                continue
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            ids[number] = response.headers.get_all("X-Request-ID", [])
            if response.status == 500:
                connection.close()  # as uvicorn does where an application raises
        connection.close()
        return ids

    with ThreadPoolExecutor(CLIENTS) as clients:
        shares = clients.map(one_after_another, [range(first, REQUESTS, CLIENTS) for first in range(CLIENTS)])
        return {number: ids for share in shares for number, ids in share.items()}


def abort(port: int, path: str, headers: dict[str, str]) -> None:
    """Ask, read the beginning of the answer, and reset the connection."""
    lines = [f"GET {path} HTTP/1.1", "Host: shop.example", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        client.recv(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "traceparent", [None, f"{ONE_TRACE}-01", f"{ONE_TRACE}-00"], ids=["own", "one-trace", "unsampled"]
)
def test_no_request_has_anything_of_another(stored: Stored, server: Any, traceparent: str | None) -> None:
    """Sampled in traces of their own, sampled in one trace of one caller, and not sampled."""
    is_sampled = traceparent is None or traceparent.endswith("1")
    with server() as port:
        ids = ask_all(port, traceparent)
        wait_until(lambda: not is_sampled or len(stored.servers) == REQUESTS, 30)
    wrong = {number: found for number, found in ids.items() if found not in ([f"r{number}"], [])}
    assert wrong == {}
    assert {KINDS[number % len(KINDS)] for number, found in ids.items() if not found} == set()

    mixed_up = [event.to_dict() for event in stored.events if not _is_own(event.properties)]
    assert mixed_up == []
    leaks = {
        event.properties["known"]
        for event in stored.events
        if event.name == "began"
        and json.loads(event.properties["known"]) != {"request_id": f"r{event.properties['number']}"}
    }
    assert leaks == set()
    assert len([event for event in stored.events if event.name == "began"]) == REQUESTS

    if is_sampled:
        for span in stored.spans:
            number = span.args["number"] if span.function else span.attributes["url.path"].rpartition("/")[2]
            assert span.attributes["otel_tracker.request_id"] == f"r{number}", span
            expected = None if KINDS[int(number) % len(KINDS)] == "anonymous" else f"u{number}"
            assert span.attributes.get("user.id") == expected, span


def _is_own(properties: Any) -> bool:
    number = properties["number"]
    is_anonymous = KINDS[number % len(KINDS)] == "anonymous"
    user = None if is_anonymous or "known" in properties else f"u{number}"
    return (properties.get("otel_tracker.request_id"), properties.get("user.id")) == (f"r{number}", user)
