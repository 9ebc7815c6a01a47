"""Gives a request's id back to the client: a `ResponsePropagator`, which every upstream instrumentor asks.

There is one for the whole process. One that the program had set before is asked first, by ours.
"""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry.context import Context
from opentelemetry.instrumentation.propagators import (
    ResponsePropagator,
    default_setter,
    get_global_response_propagator,
    set_global_response_propagator,
)

from otel_tracker import current, request_context
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.frameworks.carriers import header
from otel_tracker.frameworks.serving import Served
from otel_tracker.http_rules import rules_in_force

_ASGI_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""The messages of ASGI's that headers go out with; upstream hands over every message."""

_FAILURE = 500
"""The first status that says that the server failed."""


class RequestIdPropagator(ResponsePropagator):
    """Adds the header, unless the response has one of that name; ``first`` adds its own before that."""

    def __init__(self, first: ResponsePropagator | None) -> None:
        self._first = first

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = default_setter) -> None:
        """See `ResponsePropagator.inject`."""
        if self._first is not None:
            self._first.inject(carrier, context=context, setter=setter)
        try:
            if type(carrier) is dict and carrier.get("type") not in _ASGI_STARTS:
                return
            served = request_context.request_of(current.get() if context is None else context)
            if isinstance(served, Served):
                if type(carrier) is dict and carrier.get("status", 0) >= _FAILURE:
                    _see(carrier["status"], served)
                name = rules_in_force().request_id_header
                if not _has(carrier, name):
                    setter.set(carrier, name, served.request_id)
        except Exception as error:  # carriers are servers' and frameworks' own
            report_internal_error("writing the request's id into a response", error)


def _see(status: int, served: Served) -> None:
    """The exception that an ASGI application answers, if it does so while it handles one: a mounted one's own
    middleware answers completely before it raises on, and the request's span ends with the answer. One that is itself
    the answer (``HTTPException(503)``) is none.
    """
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and getattr(error, "status_code", None) != status:
        served.see(error)


def give_ids_back() -> None:
    """Set the propagator, once a process."""
    first = get_global_response_propagator()
    if not isinstance(first, RequestIdPropagator):
        set_global_response_propagator(RequestIdPropagator(first))


def _has(carrier: Any, name: str) -> bool:
    """Whether the header is there: in WSGI's list of pairs, in a message of ASGI's, in a response of Django's."""
    if isinstance(carrier, list):
        return name.lower() in [key.lower() for key, _ in carrier]
    if isinstance(carrier, dict):
        wanted = header(name).name
        return wanted in [key.lower() for key, _ in carrier.get("headers") or ()]
    return name in carrier
