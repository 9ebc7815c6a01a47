"""What is Flask's own: hooks of an application, bodies with a context, the class that applications are made from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from otel_tracker import get_context, set_context, track

from .conftest import Stored
from .work import lines, work

flask = pytest.importorskip("flask")
upstream = pytest.importorskip("opentelemetry.instrumentation.flask")


@pytest.fixture
def app() -> Iterator[Any]:
    made = flask.Flask("own")
    made.logger.setLevel(logging.CRITICAL)
    yield made
    if getattr(made, "_is_instrumented_by_opentelemetry", False):
        upstream.FlaskInstrumentor().uninstrument_app(made)


def instrument(app: Any, **options: Any) -> None:
    from otel_tracker.frameworks.flask import instrument

    instrument(app, **options)


def test_hooks_that_the_application_had_before_run_inside_the_request(stored: Stored, app: Any) -> None:
    """What they say and track belongs to the request, and is gone after it, also when nothing clears it."""
    seen: list[Any] = []

    @app.before_request
    def say_who() -> None:
        seen.append(get_context())
        set_context(user_id="u1")

    @app.teardown_request
    def last(error: BaseException | None) -> None:
        track("torn.down")

    app.get("/")(lambda: "ok")
    instrument(app)
    for _ in range(2):
        app.test_client().get("/", headers={"X-Request-ID": "r1"})
    assert seen == [{"request_id": "r1"}] * 2
    assert [server.attributes["user.id"] for server in stored.servers] == ["u1", "u1"]
    assert [event.trace_id for event in stored.events] == [server.trace_id for server in stored.servers]


@pytest.mark.parametrize("has_context", [False, True])
def test_every_kind_of_stream_stays_in_its_trace(stored: Stored, app: Any, has_context: bool) -> None:
    """With and without Flask's own context, closed by the server or read to its end."""

    @app.get("/")
    def stream() -> Any:
        return app.response_class(flask.stream_with_context(lines()) if has_context else lines())

    instrument(app)
    response = app.test_client().get("/", buffered=False)
    body = iter(response.response)
    assert [next(body), next(body)] == [b"a", b"b"]
    response.close()
    assert stored.function("work").trace_id == stored.server.trace_id


def test_span_of_an_error_page_waits_for_nobody_to_read_it(stored: Stored, app: Any) -> None:
    """Flask makes an iterator of such a page; a client that only looks at the status never closes it."""

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("no stock")

    instrument(app)
    answers = [app.test_client().get(path) for path in ("/broken", "/nowhere")]
    assert [(server.attributes["http.response.status_code"], server.status) for server in stored.servers] == [
        (answer.status_code, status) for answer, status in zip(answers, ("failed", "completed"), strict=True)
    ]


def test_file_is_sent_as_without_us(stored: Stored, app: Any, tmp_path: Any) -> None:
    """A server may have a faster way for it, which a wrapper would bar."""
    (tmp_path / "a.txt").write_text("text")
    made: list[Any] = []

    @app.after_request
    def look(response: Any) -> Any:
        made.append(response.response)
        return response

    @app.get("/")
    def send() -> Any:
        return flask.send_file(tmp_path / "a.txt")

    instrument(app)
    response = app.test_client().get("/")
    assert response.data == b"text"
    assert type(made[0]).__name__ == "FileWrapper"
    response.close()


def test_exception_that_leaves_the_application_has_its_type(stored: Stored, app: Any) -> None:
    """Where exceptions propagate, upstream is told of no response."""
    app.testing = True

    @app.get("/")
    def fails() -> str:
        raise LookupError("out")

    instrument(app)
    with pytest.raises(LookupError):
        app.test_client().get("/")
    assert stored.server.attributes["error.type"] == "LookupError"
    assert [event["name"] for event in stored.server.events] == ["exception"]


def test_applications_made_after_the_call_are_instrumented_once(stored: Stored) -> None:
    """Twice is harmless, for the class and for one application of it."""
    from otel_tracker.frameworks.flask import instrument

    instrument()
    instrument()
    app = flask.Flask("later")
    instrument(app)
    app.get("/")(lambda: "ok")
    assert app.test_client().get("/").headers["X-Request-ID"] == stored.server.trace_id
    upstream.FlaskInstrumentor().uninstrument()
    assert len(stored.spans) == 1


def test_propagator_that_the_program_has_set_works_on(stored: Stored, app: Any) -> None:
    """Both headers; the last one to be set is asked by upstream."""
    from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator

    set_global_response_propagator(TraceResponsePropagator())
    app.get("/")(lambda: "ok")
    instrument(app)
    headers = app.test_client().get("/").headers
    assert headers["X-Request-ID"] == stored.server.trace_id
    assert stored.server.trace_id in headers["traceresponse"]


def test_application_below_a_prefix_is_left_out_by_its_own_paths(stored: Stored, app: Any) -> None:
    """The server takes the prefix away."""
    app.get("/health")(lambda: work(0) or "ok")
    instrument(app)
    app.test_client().get("/health", base_url="http://localhost/shop")
    assert stored.spans == []
