"""What a request costs with our hooks in upstream's instrumentors, against the same instrumentors without them.

Run ``python benchmarks/http_context.py``. A handler answers a little JSON; the request's span is discarded by
the processor. Flask is asked by werkzeug's test client, FastAPI as an ASGI application, Django by
its WSGI handler. "bare" is the application without an instrumentor, and where FastAPI brings telemetry of its own
without that.

FastAPI is asked twice: with the headers of a usual client, which upstream goes through some ten times a request, and
without any. The bar against the bare application applies to the latter, where upstream's default costs the 4.3 times
that the bar was set beside.

Exit status 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from time import thread_time_ns
from typing import Any

from _children import results_of
from _results import Result, is_wanted, option_parser, print_for_parent, report

ROUNDS = 40
SAMPLE_MS = 30.0
BAR = 1.03
FASTAPI_BAR = 3.2
FASTAPI, NO_HEADERS = "fastapi", "fastapi without headers"
PARTS = ("flask", FASTAPI, NO_HEADERS, "django")
HEADERS = {
    "Host": "shop.example:8000",
    "User-Agent": "python-httpx/0.28.1",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
}
TARGET = "/items/3"


def main() -> int:
    options = option_parser(__doc__, rounds=ROUNDS, sample_ms=SAMPLE_MS).parse_args()
    if options.process:
        return _measure(options)
    results: list[Result] = []
    notes: list[str] = []
    for name in PARTS:
        measured, said = results_of(__file__, name, options, settings={"OTEL_SEMCONV_STABILITY_OPT_IN": "http"})
        results += measured
        notes += said
    return report(results, options, notes)


def _measure(options: argparse.Namespace) -> int:
    """In a child process."""
    from _rounds import results

    rows = [row for row in _rows(options.process) if is_wanted(row.name, row.workload, options.only)]
    return print_for_parent(results(rows, options.rounds, options.sample_ms) if rows else [])


def _rows(framework: str) -> Iterator[Any]:
    from _rounds import Row

    cases = {"flask": _flask, FASTAPI: _fastapi, NO_HEADERS: lambda: _fastapi({}), "django": _django}
    ours, upstream, bare, *default = cases[framework]()
    yield Row("with our hooks", framework, ours, None, upstream, None, BAR, unit_name="upstream")
    bar = FASTAPI_BAR if framework == NO_HEADERS else None
    yield Row("with our hooks, against bare", framework, ours, None, bare, None, bar, unit_name="bare")
    yield Row("upstream, against bare", framework, upstream, None, bare, None, unit_name="bare")
    for case in default:
        yield Row("upstream's default, against bare", framework, case, None, bare, None, unit_name="bare")


def _providers() -> tuple[Any, Any]:
    """Two that discard every span: the global one, which ours stamps, and one that ours never sees."""
    from _sdk_spans import Discard
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    made = TracerProvider(), TracerProvider()
    for provider in made:
        provider.add_span_processor(Discard())
    trace.set_tracer_provider(made[0])
    return made


@contextmanager
def _without_ours() -> Iterator[None]:
    """Without what ours has added to the process as a whole: the id in responses, a receiver of Flask's signal."""
    from opentelemetry.instrumentation import propagators

    given = propagators.get_global_response_propagator()
    propagators.set_global_response_propagator(None)
    flask = sys.modules.get("flask")
    with flask.request_finished.muted() if flask else nullcontext():
        yield
    propagators.set_global_response_propagator(given)


@contextmanager
def _without_any() -> Iterator[None]:
    """Without a provider as well, so that an application that traces itself does not."""
    from opentelemetry import trace

    provider, trace._TRACER_PROVIDER = trace._TRACER_PROVIDER, None
    with _without_ours():
        yield
    trace._TRACER_PROVIDER = provider


def _repeated(request: Callable[[], object]) -> Callable[[int], int]:
    def run(calls: int) -> int:
        start_ns = thread_time_ns()
        for _ in range(calls):
            request()
        return thread_time_ns() - start_ns

    return run


def _flask() -> tuple[Any, Any, Any]:
    from _rounds import Case
    from flask import Flask
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    from otel_tracker.frameworks.flask import instrument

    def client() -> Any:
        app = Flask("shop")
        app.add_url_rule("/items/<int:number>", "item", lambda number: {"number": number})
        return app, app.test_client(use_cookies=False)

    _, other = _providers()
    (own_app, own), (stock_app, stock), (_, bare) = client(), client(), client()
    instrument(own_app)
    FlaskInstrumentor.instrument_app(stock_app, tracer_provider=other)

    def asking(asked: Any) -> Callable[[int], int]:
        return _repeated(lambda: asked.get(TARGET, headers=HEADERS))

    return (
        Case("ours", asking(own)),
        Case("upstream", asking(stock), _without_ours),
        Case("bare", asking(bare), _without_any),
    )


def _fastapi(given: Mapping[str, str] = HEADERS) -> tuple[Any, Any, Any, Any]:
    from _rounds import Case
    from fastapi import FastAPI
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    from otel_tracker.frameworks.fastapi import instrument

    def application() -> Any:
        app = FastAPI()

        @app.get("/items/{number}")
        async def item(number: int) -> dict[str, int]:
            return {"number": number}

        return app

    _, other = _providers()
    own, stock, default, bare = (application() for _ in range(4))
    instrument(own)
    FastAPIInstrumentor.instrument_app(stock, tracer_provider=other, exclude_spans=["send", "receive"])
    FastAPIInstrumentor.instrument_app(default, tracer_provider=other)
    loop = asyncio.new_event_loop()
    headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Nobody reads it."""

    async def served(app: Any, calls: int) -> int:
        start_ns = thread_time_ns()
        for _ in range(calls):
            scope = {
                "type": "http",
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "root_path": "",
                "path": TARGET,
                "raw_path": TARGET.encode(),
                "query_string": b"",
                "headers": headers,
                "client": ("127.0.0.1", 5),
                "server": ("127.0.0.1", 8000),
                "asgi": {"version": "3.0"},
            }
            await app(scope, receive, send)
        return thread_time_ns() - start_ns

    def asking(app: Any) -> Callable[[int], int]:
        return lambda calls: loop.run_until_complete(served(app, calls))

    return (
        Case("ours", asking(own)),
        Case("upstream", asking(stock), _without_ours),
        Case("bare", asking(bare), _without_any),
        Case("upstream's default", asking(default), _without_ours),
    )


def _django() -> tuple[Any, Any, Any]:
    from _rounds import Case
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import JsonResponse
    from django.test import RequestFactory
    from django.urls import path
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    from otel_tracker.frameworks.django import activate

    urls = type(sys)("shop_urls")
    urls.urlpatterns = [path("items/<int:number>", lambda request, number: JsonResponse({"number": number}))]
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, SECRET_KEY="no secret")
    _, other = _providers()
    bare = WSGIHandler()
    activate()
    traced = WSGIHandler()
    keys = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
    environ = RequestFactory()._base_environ(PATH_INFO=TARGET, **keys)

    @contextmanager
    def stock() -> Iterator[None]:
        DjangoInstrumentor().uninstrument()
        DjangoInstrumentor().instrument(tracer_provider=other)
        with _without_ours():
            yield
        DjangoInstrumentor().uninstrument()
        activate()

    def asking(handler: Any) -> Callable[[int], int]:
        def run(calls: int) -> int:
            environs = [dict(environ) for _ in range(calls)]
            start_ns = thread_time_ns()
            for each in environs:
                handler(each, lambda status, headers: None)
            return thread_time_ns() - start_ns

        return run

    return (
        Case("ours", asking(traced)),
        Case("upstream", asking(traced), stock),
        Case("bare", asking(bare), _without_any),
    )


if __name__ == "__main__":
    sys.exit(main())
