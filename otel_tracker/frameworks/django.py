"""Django: `instrument`, and what the launcher does in its place.

Hooks used: upstream's ``request_hook`` and ``response_hook``, and Django's signal ``got_request_exception``. The
middleware of upstream is added when Django reads the list of them (see `otel_tracker.django_middleware`), so that it
does not matter when and where the settings are named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.utils.functional import LazyObject, empty
from django.utils.module_loading import import_string
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.trace import Span

from otel_tracker import current, request_context
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.django_middleware import before_middleware_is_read
from otel_tracker.frameworks.activating import active, both, cheap_spans, is_active
from otel_tracker.frameworks.carriers import WsgiCarrier
from otel_tracker.frameworks.serving import Served, Serving
from otel_tracker.frameworks.streams import AsyncInContext, InContext


def instrument(**options: Any) -> None:
    """Trace the requests of the project; call it before Django makes its application.

    ``manage.py``, ``wsgi.py`` and ``asgi.py`` are good places, before or after the settings are named. ``options`` are
    those of upstream's ``DjangoInstrumentor`` (``request_hook=``, ``response_hook=``, ``excluded_urls=``). A second
    call changes nothing. It sets up no provider: `configure()` or the program does.
    """
    if is_active(DjangoInstrumentor()):
        activate(**options)  # now, so that nothing is left waiting that a later `uninstrument()` knows nothing of
    else:
        before_middleware_is_read(lambda: activate(**options))


def activate(**options: Any) -> None:
    """Add upstream's middleware to the settings, which are known by now, unless it is there."""
    with active():
        if not is_active(DjangoInstrumentor()):
            DjangoInstrumentor().instrument(**_hooks(**options))
    got_request_exception.connect(_see)


def joined(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """For a middleware that activates us while Django reads the list of them: the handler in the making is traced, too.

    Upstream's middleware is at the head of the list for the next handler; where it was when this one was begun,
    ``get_response`` itself is given back.
    """
    path = DjangoInstrumentor._opentelemetry_middleware
    if path in settings.MIDDLEWARE:
        return get_response
    settings.MIDDLEWARE = [*settings.MIDDLEWARE]  # Django goes through the other one at this moment
    activate()
    middleware: Callable[..., Any] = import_string(path)(get_response)
    return middleware


def _hooks(
    *,
    request_hook: Any = None,
    response_hook: Any = None,
    excluded_urls: str | None = None,
    tracer_provider: Any = None,
    **others: Any,
) -> dict[str, Any]:
    serving = Serving("DJANGO", excluded_urls)

    def begin(span: Span, request: Any) -> None:
        cookie: str = settings.SESSION_COOKIE_NAME
        carrier = WsgiCarrier(request.META, lacks_host=hasattr(request, "scope"))
        serving.begin(span, carrier, session_cookie=cookie, find=lambda: _user_of(request))

    return {
        **others,
        "request_hook": both(begin, request_hook),
        "response_hook": both(_respond, response_hook),
        "excluded_urls": "",
        "tracer_provider": cheap_spans(tracer_provider),
    }


def _respond(span: Span, request: Any, response: Any) -> None:
    served = request_context.known(span)
    if not isinstance(served, Served):
        return
    # Django makes answers of Http404, PermissionDenied and the like, which upstream would call errors.
    served.is_answered = response.status_code < 500
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        try:
            _keep_in_trace(response, served)
        except Exception as error:  # a response of anybody's class
            report_internal_error("keeping a streamed response in its trace", error)


def _keep_in_trace(response: Any, served: Served) -> None:
    if getattr(response, "is_async", False):
        response.streaming_content = AsyncInContext(response.streaming_content, current.get(), served)
        return
    # Django closes what it was given by itself, which must happen in the context, too; private to it and used here.
    closers, response._resource_closers = response._resource_closers, []

    def close() -> None:
        for closer in closers:
            with suppress(Exception):  # as Django does
                closer()

    response.streaming_content = InContext(response.streaming_content, current.get(), served, close)


def _see(sender: object, **details: Any) -> None:
    """What no view has raised, but a middleware, is told to upstream's middleware by nobody."""
    served, error = request_context.request_of(current.get()), sys.exc_info()[1]
    if isinstance(served, Served) and error is not None:
        served.see(error)


def _user_of(request: Any) -> Mapping[str, Any] | None:
    """Who is known to be logged in by now: nothing is loaded for it, least of all from the database."""
    user = vars(request).get("user")
    if isinstance(user, LazyObject):
        user = vars(user).get("_wrapped", empty)
    if user is None or user is empty or not getattr(user, "is_authenticated", False):
        return None
    return None if user.pk is None else {"user_id": str(user.pk)}
