"""One site of hostile pages five times: Flask, FastAPI, Starlette alone, Django under WSGI and Django under ASGI.

Each site is served in this process, with or without our hooks, so that what they change can be seen.
"""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from otel_tracker import propagate
from otel_tracker.conventions import stable_http_conventions

from ..sites import _is_there
from ..work import work
from .calls import Answer, ask_asgi, ask_wsgi

Ask = Callable[..., Answer]


class SoldError(Exception):
    """The site answers it with a page of status 409."""


class BrokenError(Exception):
    """The site answers it with a page of status 503."""


def fresh(error: Exception) -> Exception:
    """Another one like it: an exception that is raised again keeps the frames of every time."""
    return type(error)(*error.args)


def lines() -> Iterator[bytes]:
    yield b"a"
    work(1)
    yield b"b"


def breaking_lines() -> Iterator[bytes]:
    yield b"a"
    raise LookupError("late")


def in_pool(number: int) -> None:
    """Work in a thread of an executor, which the program takes its context along to."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(propagate(work), number).result()


def upstream_alone(instrument: Callable[..., Any]) -> Callable[..., Any]:
    """Upstream without us, with the conventions that it reads once a process as we have it read them."""

    def call(*arguments: Any, **options: Any) -> None:
        with stable_http_conventions():
            instrument(*arguments, **options)

    return call


# --- Flask -----------------------------------------------------------------------------------------------------------


def flask_app() -> Any:
    from flask import Flask, Response, abort, redirect, request

    app = Flask("hostile")
    app.logger.setLevel(logging.CRITICAL + 1)

    @app.before_request
    def middleware() -> None:
        if request.path == "/middleware-raises":
            raise LookupError("middleware")

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        if request.path == "/teardown-raises":
            raise LookupError("teardown")

    app.register_error_handler(SoldError, lambda error: ("sold", 409))
    app.register_error_handler(BrokenError, lambda error: ("broken", 503))

    def raising(error: Exception) -> Any:
        def page() -> Any:
            raise fresh(error)

        return page

    def ok(number: int) -> str:
        work(number)
        return f"ok {number}"

    def pool(number: int) -> str:
        in_pool(number)
        return "ok"

    def many() -> Any:
        made = Response(b"\x00\xff\r\n", headers=[("X-Odd", "caf\xe9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        made.status_code = 299
        return made

    pages: dict[str, Any] = {
        "/ok/<int:number>": ok,
        "/pool/<int:number>": pool,
        "/redirect": lambda: redirect("/ok/1"),
        "/refused": lambda: abort(403),
        "/raises": raising(LookupError("here")),
        "/answered": raising(SoldError()),
        "/broken-page": raising(BrokenError("page")),
        "/stream": lambda: Response(lines()),
        "/stream-raises": lambda: Response(breaking_lines()),
        "/many": many,
        "/empty": lambda: ("", 204),
        "/own-id": lambda: ("ok", {"X-Request-ID": "mine"}),
        "/middleware-raises": lambda: "never",
        "/teardown-raises": lambda: "ok",
        "/health": lambda: ok(0),
        "/no-signal": lambda: Response(status=304),
    }
    for path, page in pages.items():
        app.add_url_rule(path, path, page)
    app.add_url_rule("/echo", "echo", lambda: Response(request.get_data()), methods=["POST"])
    return app


@contextmanager
def flask_site(*, is_instrumented: bool = True, ours: bool = True, **options: Any) -> Iterator[Ask]:
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    from otel_tracker.frameworks.flask import instrument

    app = flask_app()
    if is_instrumented:
        (instrument if ours else upstream_alone(FlaskInstrumentor().instrument_app))(app, **options)
    yield lambda *arguments, **how: ask_wsgi(app, *arguments, **how)
    if is_instrumented:
        FlaskInstrumentor().uninstrument_app(app)


# --- Starlette and FastAPI -------------------------------------------------------------------------------------------


class RaisingMiddleware:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/middleware-raises":
            raise LookupError("middleware")
        await self.app(scope, receive, send)


def starlette_routes() -> list[Any]:
    from starlette.background import BackgroundTask
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
    from starlette.routing import Route

    def raising(error: Exception) -> Any:
        async def page(request: Any) -> Any:
            raise fresh(error)

        return page

    def answering(make: Callable[[], Any]) -> Any:
        async def page(request: Any) -> Any:
            return make()

        return page

    async def ok(request: Any) -> Any:
        number = request.path_params.get("number", 0)
        work(number)
        return PlainTextResponse(f"ok {number}")

    async def pool(request: Any) -> Any:
        await run_in_threadpool(work, request.path_params["number"])
        return PlainTextResponse("ok")

    def background(request: Any) -> Any:  # in the thread pool
        return PlainTextResponse("ok", background=BackgroundTask(work, request.path_params["number"]))

    def raising_task() -> None:
        raise LookupError("teardown")

    async def echo(request: Any) -> Any:
        return Response(await request.body())

    def many() -> Any:
        made = Response(b"\x00\xff\r\n", 299, headers={"X-Odd": "caf\xe9"})
        made.set_cookie("a", "1")
        made.set_cookie("b", "2")
        return made

    pages: dict[str, Any] = {
        "/ok/{number:int}": ok,
        "/pool/{number:int}": pool,
        "/background/{number:int}": background,
        "/redirect": answering(lambda: RedirectResponse("/ok/1", 302)),
        "/refused": raising(HTTPException(403)),
        "/raises": raising(LookupError("here")),
        "/answered": raising(SoldError()),
        "/broken-page": raising(BrokenError("page")),
        "/stream": answering(lambda: StreamingResponse(lines())),
        "/stream-raises": answering(lambda: StreamingResponse(breaking_lines())),
        "/many": answering(many),
        "/empty": answering(lambda: Response(status_code=204)),
        "/own-id": answering(lambda: PlainTextResponse("ok", headers={"X-Request-ID": "mine"})),
        "/middleware-raises": answering(lambda: PlainTextResponse("never")),
        "/teardown-raises": answering(lambda: PlainTextResponse("ok", background=BackgroundTask(raising_task))),
        "/health": ok,
        "/no-signal": answering(lambda: Response(status_code=304)),
    }
    routes = [Route(path, page) for path, page in pages.items()]
    return [*routes, Route("/echo", echo, methods=["POST"])]


def starlette_handlers() -> dict[Any, Any]:
    from starlette.responses import PlainTextResponse

    async def sold(request: Any, error: Exception) -> Any:
        return PlainTextResponse("sold", 409)

    async def broken(request: Any, error: Exception) -> Any:
        return PlainTextResponse("broken", 503)

    return {SoldError: sold, BrokenError: broken}


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    return Starlette(
        routes=starlette_routes(), middleware=[Middleware(RaisingMiddleware)], exception_handlers=starlette_handlers()
    )


def fastapi_app() -> Any:
    from fastapi import FastAPI

    app = FastAPI(routes=starlette_routes(), exception_handlers=starlette_handlers())
    app.add_middleware(RaisingMiddleware)
    return app


@contextmanager
def fastapi_site(
    make: Callable[[], Any] = fastapi_app, *, is_instrumented: bool = True, ours: bool = True, **options: Any
) -> Iterator[Ask]:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    from otel_tracker.frameworks.fastapi import instrument

    app = make()
    if is_instrumented:
        (instrument if ours else upstream_alone(FastAPIInstrumentor.instrument_app))(app, **options)
    yield lambda *arguments, **how: ask_asgi(app, *arguments, **how)
    if is_instrumented:
        FastAPIInstrumentor.uninstrument_app(app)


@contextmanager
def starlette_site(**options: Any) -> Iterator[Ask]:
    with fastapi_site(starlette_app, **options) as ask:
        yield ask


# --- Django ----------------------------------------------------------------------------------------------------------


@contextmanager
def django_project(
    *, is_instrumented: bool = True, ours: bool = True, urls: str = "", middleware: Any = None, **options: Any
) -> Iterator[None]:
    """The settings of the hostile site, and our hooks (or upstream's instrumentor alone), for as long as the block."""
    from django.test import override_settings
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    from otel_tracker.frameworks.django import instrument

    from ..django_site import configure_django

    configure_django()
    pages = __name__.replace("apps", "django_pages")
    middleware = (f"{pages}.middleware",) if middleware is None else middleware
    loggers = [logging.getLogger(name) for name in ("django.request", "django.security", "asgiref")]
    with override_settings(ROOT_URLCONF=urls or pages, MIDDLEWARE=middleware):
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        if is_instrumented:
            (instrument if ours else upstream_alone(DjangoInstrumentor().instrument))(**options)
        try:
            yield
        finally:
            if is_instrumented:
                DjangoInstrumentor().uninstrument()
            for logger in loggers:
                logger.setLevel(logging.NOTSET)


@contextmanager
def django_site(**options: Any) -> Iterator[Ask]:
    with django_project(**options):
        from django.core.handlers.wsgi import WSGIHandler

        app = WSGIHandler()
        yield lambda *arguments, **how: ask_wsgi(app, *arguments, **how)


@contextmanager
def django_asgi_site(**options: Any) -> Iterator[Ask]:
    with django_project(**options):
        from django.core.handlers.asgi import ASGIHandler

        app = ASGIHandler()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Django leaves a request's body open where a stream fails
            yield lambda *arguments, **how: ask_asgi(app, *arguments, **how)
            gc.collect()


def _param(name: str, site: Any, framework: str, *others: pytest.MarkDecorator) -> Any:
    missing = [each for each in (framework, f"opentelemetry.instrumentation.{framework}") if not _is_there(each)]
    needs = pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")
    return pytest.param(site, id=name, marks=[needs, *others])


FLASK = _param("flask", flask_site, "flask")
FASTAPI = _param("fastapi", fastapi_site, "fastapi")
STARLETTE = _param("starlette", starlette_site, "fastapi", pytest.mark.slow)
DJANGO = _param("django", django_site, "django")
DJANGO_ASGI = _param("django-asgi", django_asgi_site, "django", pytest.mark.slow)

SITES = [FLASK, FASTAPI, STARLETTE, DJANGO, DJANGO_ASGI]
