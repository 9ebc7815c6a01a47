"""Who activates what, when and how often: the program's own hooks, applications and propagators stay what they were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

from ..conftest import Stored
from ..work import work
from .apps import (
    DJANGO,
    DJANGO_ASGI,
    FASTAPI,
    FLASK,
    SITES,
    STARLETTE,
    fastapi_app,
    flask_app,
    starlette_app,
    upstream_alone,
)
from .calls import Answer, ask_asgi, ask_wsgi, asked_asgi

pytestmark = pytest.mark.slow

needs_flask, needs_fastapi = FLASK.marks[0], FASTAPI.marks[0]
ID = [("X-Request-ID", b"r-1")]


def instrument_flask(app: Any = None, **options: Any) -> None:
    from otel_tracker.frameworks.flask import instrument

    instrument(app, **options)


def instrument_fastapi(app: Any = None, **options: Any) -> None:
    from otel_tracker.frameworks.fastapi import instrument

    instrument(app, **options)


@pytest.fixture
def flask_instrumentor() -> Iterator[Any]:
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    yield FlaskInstrumentor()
    if FlaskInstrumentor().is_instrumented_by_opentelemetry:
        FlaskInstrumentor().uninstrument()


@pytest.fixture
def fastapi_instrumentor() -> Iterator[Any]:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    yield FastAPIInstrumentor()
    if FastAPIInstrumentor().is_instrumented_by_opentelemetry:
        FastAPIInstrumentor().uninstrument()


def assert_one_request(stored: Stored, answer: Answer) -> None:
    """One span of the request, one below, with the id that came in, given back once."""
    assert (answer.status, answer.request_id) == (200, "r-1")
    assert len(stored.spans) == 2
    assert stored.function("work").parent_span_id == stored.server.span_id
    assert {span.attributes["otel_tracker.request_id"] for span in stored.spans} == {"r-1"}


# --- Flask -----------------------------------------------------------------------------------------------------------


@needs_flask
@pytest.mark.parametrize("order", ["twice", "global-twice", "global-and-app"])
def test_flask_is_instrumented_once(stored: Stored, flask_instrumentor: Any, order: str) -> None:
    """However often that is asked for, and when."""
    if order.startswith("global"):
        instrument_flask()
        if order == "global-twice":
            instrument_flask()
        app = _new_flask()
        if order == "global-and-app":
            instrument_flask(app)
    else:
        app = flask_app()
        instrument_flask(app)
        instrument_flask(app)
    assert_one_request(stored, ask_wsgi(app, "/ok/1", ID))


def _new_flask() -> Any:
    """As a program makes it that reads the name after the instrumentor was activated."""
    import flask

    app = flask.Flask("new")
    app.add_url_rule("/ok/<int:number>", "ok", lambda number: work(number) or "ok")
    return app


@needs_flask
def test_flask_hooks_of_the_program_run_with_ours(stored: Stored, flask_instrumentor: Any) -> None:
    """Request and response hooks given to upstream's own call, before or after ours, and to ours."""
    for give in (upstream_alone(flask_instrumentor.instrument_app), instrument_flask):
        seen: list[str] = []
        app = flask_app()
        give(
            app,
            request_hook=lambda span, environ, seen=seen: seen.append(f"request {environ['PATH_INFO']}"),
            response_hook=lambda span, status, headers, seen=seen: seen.append(f"response {status}"),
        )
        instrument_flask(app)
        stored.exported_spans.clear()
        assert ask_wsgi(app, "/ok/1", ID).status == 200
        assert seen == ["request /ok/1", "response 200 OK"], give
        assert len(stored.servers) == 1


@needs_flask
def test_flask_hook_of_the_program_that_raises_behaves_as_upstream_has_it(
    stored: Stored, complaints: list[str]
) -> None:
    """It is the program's fault; nothing of it is left to the next request."""

    def raises(*arguments: object) -> None:
        raise RuntimeError("the program's")

    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    alone, observed = flask_app(), flask_app()
    upstream_alone(FlaskInstrumentor().instrument_app)(alone, request_hook=raises)
    instrument_flask(observed, request_hook=raises)
    assert ask_wsgi(observed, "/ok/1").status == ask_wsgi(alone, "/ok/1").status
    assert {line.partition(":")[0] for line in complaints} == {"opentelemetry.instrumentation.flask"}
    complaints.clear()
    for app in (alone, observed):
        FlaskInstrumentor().uninstrument_app(app)


@needs_flask
def test_flask_applications_of_one_process_keep_apart(stored: Stored) -> None:
    """Two instrumented, one not, one inside another, and blueprints; routes as a person wrote them."""
    from flask import Blueprint
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    first, second, bare = flask_app(), flask_app(), flask_app()
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    blueprint.add_url_rule("/users/<name>", "users", lambda name: work(5) or "user")
    first.register_blueprint(blueprint)
    instrument_flask(first)
    instrument_flask(second)
    assert ask_wsgi(first, "/admin/users/ann", ID).request_id == "r-1"
    assert stored.server.attributes["http.route"] == "/admin/users/<name>"
    stored.exported_spans.clear()
    assert ask_wsgi(bare, "/ok/1").all_of("x-request-id") == []
    assert stored.servers == []
    stored.exported_spans.clear()
    mounted = DispatcherMiddleware(first, {"/second": second})
    answer = ask_wsgi(mounted, "/second/ok/1", ID)
    assert_one_request(stored, answer)


@needs_flask
def test_flask_is_as_before_when_uninstrumented(stored: Stored, flask_instrumentor: Any) -> None:
    """No span and no header, in applications old and new; and it can be instrumented anew."""
    instrument_flask()
    flask_instrumentor.uninstrument()
    assert ask_wsgi(_new_flask(), "/ok/1", ID).all_of("x-request-id") == []
    assert stored.servers == []
    instrument_flask()
    stored.exported_spans.clear()
    assert_one_request(stored, ask_wsgi(_new_flask(), "/ok/1", ID))
    flask_instrumentor.uninstrument()
    app = flask_app()
    instrument_flask(app)
    flask_instrumentor.uninstrument_app(app)
    stored.exported_spans.clear()
    assert ask_wsgi(app, "/stream").body == b"ab"
    assert ask_wsgi(app, "/ok/1", ID).all_of("x-request-id") == []
    assert stored.servers == []


# --- FastAPI and Starlette -------------------------------------------------------------------------------------------


def _new_fastapi() -> Any:
    import fastapi
    from starlette.routing import Route

    async def ok(request: Any) -> Any:
        from starlette.responses import PlainTextResponse

        work(request.path_params["number"])
        return PlainTextResponse("ok")

    return fastapi.FastAPI(routes=[Route("/ok/{number:int}", ok)])


@needs_fastapi
@pytest.mark.parametrize("order", ["twice", "after-first-request", "global-twice", "global-and-app"])
def test_fastapi_is_instrumented_once(stored: Stored, fastapi_instrumentor: Any, order: str) -> None:
    """However often that is asked for, and when; FastAPI's own telemetry adds no second span."""
    if order.startswith("global"):
        instrument_fastapi()
        if order == "global-twice":
            instrument_fastapi()
        app = _new_fastapi()
        if order == "global-and-app":
            instrument_fastapi(app)
    else:
        app = fastapi_app()
        if order == "after-first-request":
            ask_asgi(app, "/ok/1")
        else:
            instrument_fastapi(app)
        instrument_fastapi(app)
    stored.exported_spans.clear()
    assert_one_request(stored, ask_asgi(app, "/ok/1", ID))


@needs_fastapi
def test_fastapi_hooks_of_the_program_run_with_ours(stored: Stored, fastapi_instrumentor: Any) -> None:
    """Given to upstream's own call or to ours."""
    for give in (upstream_alone(fastapi_instrumentor.instrument_app), instrument_fastapi):
        seen: list[str] = []
        app = fastapi_app()
        give(app, server_request_hook=lambda span, scope, seen=seen: seen.append(scope["path"]))
        instrument_fastapi(app)
        stored.exported_spans.clear()
        assert ask_asgi(app, "/ok/1", ID).status == 200
        assert seen == ["/ok/1"], give
        assert len(stored.servers) == 1


@needs_fastapi
def test_fastapi_send_spans_come_where_they_are_asked_for(stored: Stored) -> None:
    """They are left out by default only."""
    app = fastapi_app()
    instrument_fastapi(app, exclude_spans=["receive"])
    ask_asgi(app, "/ok/1")
    assert [span.name for span in stored.spans if "send" in span.name] != []


@needs_fastapi
@pytest.mark.parametrize("outer", ["fastapi", "starlette"])
@pytest.mark.parametrize("inner", ["fastapi", "starlette"])
@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_mounted_application_is_one_request(stored: Stored, outer: str, inner: str, both: bool) -> None:
    """One server span and one id, whether only the outer one is instrumented or the mounted one as well."""
    if inner == "fastapi" and not both:
        pytest.skip("FastAPI from 0.165 on traces itself where it is not instrumented")
    make = {"fastapi": fastapi_app, "starlette": starlette_app}
    mounted, app = make[inner](), make[outer]()
    app.mount("/sub", mounted)
    instrument_fastapi(app)
    if both:
        instrument_fastapi(mounted)
    answer = ask_asgi(app, "/sub/ok/1", ID)
    assert (answer.status, answer.all_of("x-request-id")) == (200, ["r-1"])
    assert len(stored.servers) == 1, [(span.name, span.kind) for span in stored.spans]
    assert {span.attributes["otel_tracker.request_id"] for span in stored.spans} == {"r-1"}
    assert len({span.trace_id for span in stored.spans}) == 1
    stored.exported_spans.clear()
    assert ask_asgi(app, "/sub/raises").raised is not None
    exceptions = [event for span in stored.spans for event in span.events if event["name"] == "exception"]
    assert len(exceptions) == 1


@needs_fastapi
def test_routers_give_the_whole_route(stored: Stored) -> None:
    """Nested, with prefixes."""
    from fastapi import APIRouter, FastAPI

    inner, outer, app = APIRouter(prefix="/users"), APIRouter(prefix="/admin"), FastAPI()

    @inner.get("/{name}")
    def user(name: str) -> str:
        work(1)
        return name

    outer.include_router(inner)
    app.include_router(outer)
    instrument_fastapi(app)
    assert ask_asgi(app, "/admin/users/ann", ID).request_id == "r-1"
    assert stored.server.attributes["http.route"] == "/admin/users/{name}"
    assert stored.server.name == "GET /admin/users/{name}"


@needs_fastapi
def test_fastapi_is_as_before_when_uninstrumented(stored: Stored, fastapi_instrumentor: Any) -> None:
    """No header, and no span of ours; it can be instrumented anew."""
    import fastapi

    before = fastapi.FastAPI
    instrument_fastapi()
    fastapi_instrumentor.uninstrument()
    assert fastapi.FastAPI is before
    assert ask_asgi(_new_fastapi(), "/ok/1", ID).all_of("x-request-id") == []
    app = starlette_app()
    instrument_fastapi(app)
    fastapi_instrumentor.uninstrument_app(app)
    stored.exported_spans.clear()
    assert ask_asgi(app, "/ok/1", ID).all_of("x-request-id") == []
    assert stored.servers == []
    instrument_fastapi(app)
    stored.exported_spans.clear()
    assert_one_request(stored, ask_asgi(app, "/ok/1", ID))


@needs_fastapi
def test_lifespan_is_passed_on(stored: Stored) -> None:
    """What starts and ends with an application is no request."""
    from contextlib import asynccontextmanager

    from fastapi import FastAPI

    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        seen.append("start")
        yield {"pool": 1}
        seen.append("end")

    app = FastAPI(lifespan=lifespan)
    instrument_fastapi(app)
    incoming = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
    sent: list[str] = []

    async def receive() -> Any:
        return incoming.pop()

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    assert (seen, sent) == (["start", "end"], ["lifespan.startup.complete", "lifespan.shutdown.complete"])
    assert stored.servers == []


# --- Django ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", [DJANGO, DJANGO_ASGI])
def test_django_hooks_of_the_program_run_with_ours(stored: Stored, site: Any) -> None:
    """Both of them."""
    seen: list[str] = []
    with site(
        request_hook=lambda span, request: seen.append(f"request {request.path}"),
        response_hook=lambda span, request, response: seen.append(f"response {response.status_code}"),
    ) as ask:
        assert ask("/ok/1", ID).request_id == "r-1"
    assert seen == ["request /ok/1", "response 200"]


@pytest.mark.parametrize("site", [DJANGO, DJANGO_ASGI])
@pytest.mark.parametrize("kind", [list, tuple])
def test_django_is_instrumented_once_with_any_sequence_of_middleware(stored: Stored, site: Any, kind: Any) -> None:
    """A list or a tuple; asked for twice; nested urls have their whole route."""
    from otel_tracker.frameworks.django import instrument

    with site(middleware=kind(["frameworks.hostile.django_pages.middleware"])) as ask:
        instrument()
        answer = ask("/nested/deeper/3", ID)
    assert_one_request(stored, answer)
    assert stored.server.attributes["http.route"] == "nested/deeper/<int:number>"


@pytest.mark.parametrize("site", [DJANGO, DJANGO_ASGI])
def test_django_is_as_before_when_uninstrumented(stored: Stored, site: Any) -> None:
    """The list of middleware is what it was, for handlers made later, too, though it was asked for twice."""
    from otel_tracker.frameworks.django import instrument

    with site() as ask:
        instrument()
        ask("/ok/1")
    stored.exported_spans.clear()
    with site(is_instrumented=False) as ask:
        assert ask("/ok/1", ID).all_of("x-request-id") == []
    assert stored.servers == []


# --- what all have in common -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", SITES)
def test_propagator_that_the_program_has_set_is_kept(stored: Stored, site: Any) -> None:
    """Both headers; set before us or, as the later word of the program, after us."""
    from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator

    set_global_response_propagator(TraceResponsePropagator())
    with site() as ask:
        answer = ask("/ok/1", ID)
        assert answer.request_id == "r-1"
        (given,) = answer.all_of("traceresponse")
        assert stored.server.trace_id in given
        set_global_response_propagator(TraceResponsePropagator())
        assert len(ask("/ok/1", ID).all_of("traceresponse")) == 1
    with site() as ask:  # twice is one
        answer = ask("/ok/1", ID)
    assert (answer.all_of("x-request-id"), len(answer.all_of("traceresponse"))) == (["r-1"], 1)


@pytest.mark.parametrize("site", [STARLETTE])
def test_two_sites_one_after_another_answer_alike(stored: Stored, site: Any) -> None:
    """Activating, uninstrumenting and activating again piles nothing up."""
    for _ in range(5):
        stored.exported_spans.clear()
        with site() as ask:
            assert_one_request(stored, ask("/ok/1", ID))


@needs_fastapi
def test_call_inside_a_request_of_the_same_process_is_its_child(stored: Stored) -> None:
    """An application that asks itself: the inner request has its own id, and the outer keeps its own."""
    app = starlette_app()
    instrument_fastapi(app)

    async def nested() -> tuple[str, str]:
        tracer = trace.get_tracer("client")
        with tracer.start_as_current_span("outer", kind=trace.SpanKind.CLIENT):
            first = await asked_asgi(app, "/ok/1", [("X-Request-ID", b"inner-1")])
            second = await asked_asgi(app, "/ok/2", [("X-Request-ID", b"inner-2")])
        return first.request_id, second.request_id

    assert asyncio.run(nested()) == ("inner-1", "inner-2")
    found = {span.args["number"]: span.attributes["otel_tracker.request_id"] for span in stored.spans if span.function}
    assert found == {1: "inner-1", 2: "inner-2"}
