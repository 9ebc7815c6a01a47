"""How long a request lasts: its body, its tasks, clients that go, tasks that are cancelled, bodies in other threads."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

from otel_tracker import context, get_context, lifecycle, set_context, track

from ..conftest import Stored
from ..work import work
from .apps import DJANGO, FASTAPI, FLASK, SITES, STARLETTE, django_asgi_site, django_project, django_site, flask_app
from .calls import ask_wsgi, asked_asgi, wsgi_environ

pytestmark = pytest.mark.slow

WSGI = [FLASK, DJANGO]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("take", [1, 99])
def test_body_is_in_the_trace_while_it_is_sent(stored: Stored, site: Any, take: int) -> None:
    """Whether or not the client stays to its end."""
    with site() as ask:
        ask("/stream", take=take)
    server = stored.server
    below = [span for span in stored.spans if span.kind != "server"]
    assert all((span.trace_id, span.parent_span_id) == (server.trace_id, server.span_id) for span in below)
    assert len(below) == len(stored.events) <= 1
    assert len(below) == 1 or take == 1


@pytest.mark.parametrize("site", WSGI)
@pytest.mark.parametrize("take", [1, 99])
def test_body_that_holds_a_span_and_a_block_open_leaves_nothing_current(stored: Stored, site: Any, take: int) -> None:
    """Between its lines they are not the server's, and after the last one, or when it is closed, nothing is."""
    tracer = trace.get_tracer("somebody.else")

    def lines() -> Iterator[bytes]:
        with tracer.start_as_current_span("held"), context(block=1):
            yield b"a"
            track("inside")
            yield b"b"
        yield b"c"

    with pytest.MonkeyPatch.context() as patch:
        for name in ("apps", "django_pages") if site is django_site else ("apps",):
            patch.setattr(importlib.import_module(f".{name}", __package__), "lines", lines)
        with site() as ask:
            ask("/stream", take=take)
            assert trace.get_current_span() is trace.INVALID_SPAN
            assert dict(get_context()) == {}
            ask("/ok/2")
    assert len({span.trace_id for span in stored.servers}) == 2 == len(stored.servers)
    if take == 99:
        (held,) = [span for span in stored.spans if span.name == "held"]
        assert stored.events[0].span_id == held.span_id
        assert stored.events[0].properties["block"] == 1


@pytest.mark.parametrize("site", [FASTAPI, STARLETTE])
def test_background_task_is_in_the_trace(stored: Stored, site: Any) -> None:
    """Below the request's span, perhaps with a span of upstream's between."""
    with site() as ask:
        ask("/background/4")
    parents = {span.span_id: span.parent_span_id for span in stored.spans}
    assert {span.trace_id for span in stored.spans} == {stored.server.trace_id}
    assert [span_id for span_id, parent in parents.items() if parent not in parents] == [stored.server.span_id]
    assert stored.function("work").attributes["otel_tracker.request_id"] == stored.server.trace_id


@pytest.mark.parametrize("kind", ["flask", "django"])
def test_body_may_be_sent_by_another_thread(stored: Stored, kind: str) -> None:
    """WSGI allows it: the body is still in its trace, and no thread keeps the request."""
    if kind == "flask":
        pytest.importorskip("opentelemetry.instrumentation.flask")
        from otel_tracker.frameworks.flask import instrument

        app = flask_app()
        instrument(app)
        _send_elsewhere(app)
    else:
        pytest.importorskip("opentelemetry.instrumentation.django")
        with django_project():
            from django.core.handlers.wsgi import WSGIHandler

            _send_elsewhere(WSGIHandler())
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert dict(get_context()) == {}
    assert stored.function("work").trace_id == stored.server.trace_id


def _send_elsewhere(app: Any) -> None:
    result = app(wsgi_environ("/stream", (), method="GET"), lambda status, headers, info=None: None)
    left: list[Any] = []

    def send() -> None:
        left.append(b"".join(result))
        result.close()
        left.append((trace.get_current_span(), dict(get_context())))

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert left == [b"ab", (trace.INVALID_SPAN, {})]


@pytest.mark.parametrize("site", WSGI)
def test_body_that_is_never_read_leaves_nothing(stored: Stored, site: Any) -> None:
    """A server that closes at once, or only forgets."""
    with site() as ask:
        ask("/stream", take=0)
        assert trace.get_current_span() is trace.INVALID_SPAN
        ask("/ok/1")
    assert len(stored.servers) == 2
    assert len({span.trace_id for span in stored.servers}) == 2


@pytest.mark.parametrize("kind", ["fastapi", pytest.param("starlette", marks=pytest.mark.slow)])
def test_cancelled_handler_leaves_one_span_and_no_context(stored: Stored, kind: str) -> None:
    """A server that stops waiting cancels; so does a timeout inside, which the handler may not even see."""
    pytest.importorskip("opentelemetry.instrumentation.fastapi")
    from fastapi import FastAPI
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from starlette.applications import Starlette
    from starlette.routing import Route

    from otel_tracker.frameworks.fastapi import instrument

    async def waits(request: Any) -> Any:
        set_context(user_id="u1")
        track("began")
        await asyncio.Future()

    routes = [Route("/waits", waits)]
    app = FastAPI(routes=routes) if kind == "fastapi" else Starlette(routes=routes)
    instrument(app)

    async def cancel() -> None:
        for _ in range(3):
            task = asyncio.ensure_future(asked_asgi(app, "/waits"))
            before = len(stored.events)
            while len(stored.events) == before:
                await asyncio.sleep(0)
            task.cancel()
            answer = await task
            assert isinstance(answer.raised, asyncio.CancelledError)
            assert dict(get_context()) == {}

    asyncio.run(cancel())
    FastAPIInstrumentor.uninstrument_app(app)
    assert [span.attributes["user.id"] for span in stored.servers] == ["u1"] * 3
    assert len({span.trace_id for span in stored.servers}) == 3
    assert {event.properties["otel_tracker.request_id"] for event in stored.events} == {
        span.trace_id for span in stored.servers
    }


EXCLUDED = "/stream,/stream-raises,/pool/*,/background/*,/raises,/ok/1"


@pytest.mark.parametrize("site", SITES)
def test_nothing_of_an_excluded_request_is_kept(stored: Stored, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither threads, tasks, bodies nor failures; and the next request is kept whole."""
    monkeypatch.setenv("OTEL_TRACKER_HTTP_EXCLUDED_URLS", EXCLUDED)
    lifecycle.forget_cached_settings()
    with site() as ask:
        for page in ("/stream", "/stream-raises", "/pool/1", "/background/1", "/raises", "/ok/1"):
            ask(page)
            assert [span.name for span in stored.spans] == [], page
            assert trace.get_current_span() is trace.INVALID_SPAN, page
            assert dict(get_context()) == {}, page
        ask("/ok/2")
    assert len(stored.spans) == 2
    assert all((event.trace_id, event.span_id) == ("", "") for event in stored.events[:-1])
    assert stored.events[-1].trace_id == stored.server.trace_id


@pytest.mark.parametrize("site", SITES)
def test_excluded_path_is_the_whole_path(stored: Stored, site: Any) -> None:
    """Neither what begins like one, nor a query or a header that holds one."""
    with site() as ask:
        paths = ["/healthy", "/health/x", "/ok/1?next=/health", "/x/health", "/statics/a", "/favicon.ico.html"]
        for path in paths:
            ask(path, [("Referer", b"/health")])
        assert len(stored.servers) == len(paths)
        for path in (
            "/health",
            "/healthz",
            "/ready",
            "/metrics",
            "/favicon.ico",
            "/static/css/site.css",
            "/health?deep=1",
        ):
            ask(path)
    assert len(stored.servers) == len(paths)


@pytest.mark.parametrize("site", SITES)
def test_spans_of_other_libraries_are_suppressed_with_an_excluded_request(stored: Stored, site: Any) -> None:
    """Clients and databases have tracers of their own."""
    tracer = trace.get_tracer("somebody.else")

    def client_work(number: int) -> None:
        with tracer.start_as_current_span("GET", kind=trace.SpanKind.CLIENT):
            work(number)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("apps", "django_pages") if site in (django_site, django_asgi_site) else ("apps",):
            patch.setattr(importlib.import_module(f".{name}", __package__), "work", client_work)
        with site() as ask:
            ask("/health")
            assert stored.spans == []
            ask("/ok/1")
    assert [span.kind for span in stored.spans] == ["internal", "client", "server"]


def test_body_that_a_server_forgets_leaves_nothing(stored: Stored) -> None:
    """Neither read nor closed."""
    pytest.importorskip("opentelemetry.instrumentation.flask")
    from otel_tracker.frameworks.flask import instrument

    app = flask_app()
    instrument(app)
    result = app(wsgi_environ("/stream", (), method="GET"), lambda status, headers, info=None: None)
    del result
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert ask_wsgi(app, "/ok/1").status == 200
    assert all(span.parent_span_id == "" for span in stored.servers)
