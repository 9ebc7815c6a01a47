"""The same site in Flask, FastAPI and Django, served in this process and asked as a client would."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from .work import fail, lines, serve_user, work


class Answer(NamedTuple):
    """What a client gets; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: str


Ask = Callable[..., Answer]
"""``ask("/items/3?x=1", {"X-Request-ID": "r1"})``"""


def flask_app() -> Any:
    from flask import Flask, abort

    app = Flask("site")
    app.logger.setLevel(logging.CRITICAL)

    @app.get("/items/<int:number>")
    def item(number: int) -> str:
        work(number)
        return "ok"

    @app.get("/raises")
    def raises() -> str:
        raise LookupError("here")

    @app.get("/raises-below")
    def raises_below() -> str:
        fail()
        return "never"

    app.add_url_rule("/missing", "missing", lambda: abort(404))
    app.add_url_rule("/stream", "stream", lambda: app.response_class(lines()))
    app.add_url_rule("/who/<int:number>", "who", serve_user)
    app.add_url_rule("/own-id", "own_id", lambda: ("ok", {"X-Request-ID": "mine"}))

    @app.get("/failing-who/<int:number>")
    def failing_who(number: int) -> str:
        serve_user(number)
        raise LookupError(number)

    for path in ("/health", "/static/app.js"):
        app.add_url_rule(path, path, lambda: item(0))
    return app


@contextmanager
def flask_site(**options: Any) -> Iterator[Ask]:
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    from otel_tracker.frameworks.flask import instrument

    app = flask_app()
    instrument(app, **options)

    def ask(target: str, headers: dict[str, str] | None = None) -> Answer:
        client = app.test_client(use_cookies=False)
        response = client.get(target, headers=headers or {})
        return Answer(response.status_code, _lower(response.headers.items()), response.text)

    try:
        yield ask
    finally:
        FlaskInstrumentor().uninstrument_app(app)


def fastapi_app() -> Any:
    from fastapi import FastAPI, HTTPException
    from fastapi.responses import PlainTextResponse, StreamingResponse

    app = FastAPI(default_response_class=PlainTextResponse)

    async def item(number: int = 0) -> str:
        work(number)
        return "ok"

    for path in ("/items/{number}", "/health", "/static/app.js"):
        app.get(path)(item)

    @app.get("/raises")
    async def raises() -> str:
        raise LookupError("here")

    @app.get("/raises-below")
    def raises_below() -> str:  # in the thread pool
        fail()
        return "never"

    @app.get("/missing")
    async def missing() -> str:
        raise HTTPException(404)

    @app.get("/stream")
    async def stream() -> Any:
        return StreamingResponse(lines())

    @app.get("/who/{number}")
    async def who(number: int) -> Any:
        from fastapi.responses import JSONResponse

        return JSONResponse(serve_user(number))

    @app.get("/failing-who/{number}")
    async def failing_who(number: int) -> str:
        serve_user(number)
        raise LookupError(number)

    @app.get("/own-id")
    async def own_id() -> Any:
        return PlainTextResponse("ok", headers={"X-Request-ID": "mine"})

    return app


@contextmanager
def fastapi_site(**options: Any) -> Iterator[Ask]:
    import httpx
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    from otel_tracker.frameworks.fastapi import instrument

    if "request_hook" in options:
        options["server_request_hook"] = options.pop("request_hook")
    app = fastapi_app()
    instrument(app, **options)

    async def asked(target: str, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            return await client.get(target, headers=headers)

    def ask(target: str, headers: dict[str, str] | None = None) -> Answer:
        response = asyncio.run(asked(target, headers or {}))
        return Answer(response.status_code, _lower(response.headers.items()), response.text)

    try:
        yield ask
    finally:
        FastAPIInstrumentor.uninstrument_app(app)


@contextmanager
def django_site(**options: Any) -> Iterator[Ask]:
    from django.conf import settings
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    from otel_tracker.frameworks.django import activate

    from .django_site import configure_django

    configure_django()
    middleware = list(settings.MIDDLEWARE)
    activate(**options)
    from django.test import Client

    handler = Client(raise_request_exception=False).handler

    def ask(target: str, headers: dict[str, str] | None = None) -> Answer:
        client = Client(raise_request_exception=False)  # a client is one thread's
        client.handler = handler
        given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
        response = client.get(target, **{"HTTP_HOST": "localhost:8000", **given})
        body = response.getvalue() if response.streaming else response.content
        return Answer(response.status_code, _lower(response.items()), body.decode())

    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    try:
        yield ask
    finally:
        DjangoInstrumentor().uninstrument()
        settings.MIDDLEWARE = middleware
        logging.getLogger("django.request").setLevel(logging.NOTSET)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _param(name: str, site: Any, *modules: str) -> Any:
    wanted = (name, f"opentelemetry.instrumentation.{name}", *modules)
    missing = [module for module in wanted if not _is_there(module)]
    return pytest.param(site, id=name, marks=pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}"))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


SITES = [
    _param("flask", flask_site),
    _param("fastapi", fastapi_site, "httpx"),
    _param("django", django_site),
]
