"""Flask: `instrument`, and what the launcher does in its place.

Hooks used: upstream's ``request_hook`` (its ``response_hook`` is left to the program), and Flask's signals
``request_finished`` for a body that is sent bit by bit and ``appcontext_tearing_down`` for a teardown that raises.

Private to upstream and used here: where it keeps the request's span in the environ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import flask
from flask.globals import app_ctx
from opentelemetry.context import detach
from opentelemetry.instrumentation.flask import (
    _ENVIRON_ACTIVATION_KEY,
    _ENVIRON_SPAN_KEY,
    _ENVIRON_TOKEN,
    FlaskInstrumentor,
)
from opentelemetry.trace import Span, get_current_span, use_span

from otel_tracker import current, request_context
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.frameworks.activating import active, cheap_spans, is_active
from otel_tracker.frameworks.carriers import WsgiCarrier
from otel_tracker.frameworks.serving import Served, Serving
from otel_tracker.frameworks.streams import InContext

_ENVIRON = "_otel_tracker_environ"
_NONE: Mapping[str, Any] = {}
_NO_BODY = frozenset({204, 304})


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
    flask.appcontext_tearing_down.connect(_end_what_is_left)


def _hooks(
    *, request_hook: Any = None, excluded_urls: str | None = None, tracer_provider: Any = None, **others: Any
) -> dict[str, Any]:
    serving = Serving("FLASK", excluded_urls)

    def begin(span: Span, environ: dict[str, Any]) -> None:
        serving.begin(span, WsgiCarrier(environ), session_cookie=_session_cookie())
        setattr(app_ctx, _ENVIRON, environ)
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
        served = request_context.known(get_current_span())
        if isinstance(served, Served) and _is_sent_later(response):
            response.response = InContext(response.response, current.get(), served)
    except Exception as error:  # a response of anybody's class
        report_internal_error("keeping a streamed response in its trace", error)


def _is_sent_later(response: Any) -> bool:
    """Whether the server will ask for the body when the request is over for upstream.

    An error page is an iterator, too (werkzeug runs an `HTTPException` as an application), but its length is known.
    """
    has_body = flask.request.method != "HEAD" and response.status_code not in _NO_BODY
    is_made_later = response.is_streamed and "Content-Length" not in response.headers
    return has_body and is_made_later and not response.direct_passthrough


def _end_what_is_left(sender: object, **details: Any) -> None:
    """End the request's span where a teardown function of the application raised: no other is called then.

    Flask 3.2 calls all of them.
    """
    if flask.has_request_context():  # another context of the application's, pushed within the request
        return
    try:
        environ = getattr(app_ctx, _ENVIRON, _NONE)
        activation, token = environ.get(_ENVIRON_ACTIVATION_KEY), environ.get(_ENVIRON_TOKEN)
        if activation is not None and environ.get(_ENVIRON_SPAN_KEY) is get_current_span():
            activation.__exit__(*sys.exc_info())
            if token is not None:
                detach(token)
    except Exception as error:
        report_internal_error("ending a request whose teardown raised", error)
