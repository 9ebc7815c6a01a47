"""Flask: `instrument`, and what the launcher does in its place.

Hooks used: upstream's ``request_hook`` (its ``response_hook`` is left to the program), and Flask's signal
``request_finished`` for a body that is sent bit by bit.
"""

from __future__ import annotations

from typing import Any

import flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.trace import Span, get_current_span, use_span

from otel_tracker import current, request_context
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.frameworks.activating import active, cheap_spans, is_active
from otel_tracker.frameworks.carriers import WsgiCarrier
from otel_tracker.frameworks.serving import Served, Serving
from otel_tracker.frameworks.streams import InContext


def instrument(app: flask.Flask | None = None, **options: Any) -> None:
    """Trace the requests of an application, or of all that are made from ``flask.Flask`` afterwards.

    ``options`` are those of upstream's ``FlaskInstrumentor`` (``request_hook=``, ``excluded_urls=``,
    ``tracer_provider=``). A second call changes nothing. It sets up no provider: `configure()` or the program does.
    """
    hooks = _hooks(**options)
    with active():
        if app is None:
            if not is_active(FlaskInstrumentor()):
                FlaskInstrumentor().instrument(**hooks)
        elif not getattr(app, "_is_instrumented_by_opentelemetry", False):
            FlaskInstrumentor().instrument_app(app, **hooks)
            _put_first(app)
    flask.request_finished.connect(_keep_in_trace)


def _hooks(
    *, request_hook: Any = None, excluded_urls: str | None = None, tracer_provider: Any = None, **others: Any
) -> dict[str, Any]:
    serving = Serving("FLASK", excluded_urls)

    def begin(span: Span, environ: dict[str, Any]) -> None:
        serving.begin(span, WsgiCarrier(environ), session_cookie=_session_cookie())
        if request_hook is not None:  # with the span current, as the other frameworks have it
            with use_span(span, record_exception=False, set_status_on_exception=False):
                request_hook(span, environ)

    return {
        **others,
        "request_hook": begin,
        "excluded_urls": "",
        "tracer_provider": cheap_spans(tracer_provider),
    }


def _session_cookie() -> str | None:
    name: str | None = flask.current_app.config.get("SESSION_COOKIE_NAME")
    return name


def _put_first(app: flask.Flask) -> None:
    """Let the request's span begin before the application's own hooks, and end after them (teardown is reversed)."""
    every: tuple[list[Any], ...] = (app.before_request_funcs[None], app.teardown_request_funcs[None])
    for hooks in every:
        hooks.insert(0, hooks.pop())


def _keep_in_trace(sender: object, response: Any, **details: Any) -> None:
    try:
        is_ours = response.is_streamed and isinstance(request_context.known(get_current_span()), Served)
        if is_ours and not response.direct_passthrough:
            response.response = InContext(response.response, current.get())
    except Exception as error:  # a response of anybody's class
        report_internal_error("keeping a streamed response in its trace", error)
