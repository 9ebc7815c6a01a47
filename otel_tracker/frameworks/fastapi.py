"""FastAPI: `instrument`, and what the launcher does in its place.

Hooks used: upstream's ``server_request_hook``. Spans for single ASGI messages are left out unless asked for: they say
nothing that the request's own span does not (open-telemetry/opentelemetry-python-contrib#831). There is no hook for
the messages of a WebSocket then, so that a thin wrapper of receive and send counts them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MethodType
from typing import Any

import fastapi
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import Span, get_current_span

from otel_tracker.attributes import WEBSOCKET_MESSAGES_RECEIVED, WEBSOCKET_MESSAGES_SENT
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.frameworks.activating import active, both, cheap_spans, is_active
from otel_tracker.frameworks.carriers import AsgiCarrier
from otel_tracker.frameworks.serving import Serving

SESSION_COOKIE = "session"
"""The cookie of Starlette's ``SessionMiddleware`` unless the application names another."""

Message = dict[str, Any]
Application = Callable[..., Awaitable[None]]


def instrument(app: fastapi.FastAPI | None = None, **options: Any) -> None:
    """Trace the requests of an application, or of all that are made from ``fastapi.FastAPI`` afterwards.

    ``options`` are those of upstream's ``FastAPIInstrumentor`` (``server_request_hook=``, ``excluded_urls=``,
    ``exclude_spans=``, ``tracer_provider=``). A second call changes nothing. It sets up no provider: `configure()` or
    the program does.
    """
    hooks = _hooks(**options)
    with active():
        if app is None:
            if not is_active(FastAPIInstrumentor()):
                FastAPIInstrumentor().instrument(**hooks)
                _count_messages(fastapi.FastAPI)  # upstream's own class by now
        elif not getattr(app, "_is_instrumented_by_opentelemetry", False):
            _count_messages(app)
            FastAPIInstrumentor.instrument_app(app, **hooks)
            app.middleware_stack = None  # what has served before is built anew, with the instrumentor in it


def _hooks(
    *, server_request_hook: Any = None, excluded_urls: str | None = None, tracer_provider: Any = None, **others: Any
) -> dict[str, Any]:
    serving = Serving("FASTAPI", excluded_urls)

    def begin(span: Span, scope: dict[str, Any]) -> None:
        serving.begin(span, AsgiCarrier(scope), session_cookie=SESSION_COOKIE, find=lambda: _user_of(scope))

    others.setdefault("exclude_spans", ["send", "receive"])
    return {
        **others,
        "server_request_hook": both(begin, server_request_hook),
        "excluded_urls": "",
        "tracer_provider": cheap_spans(tracer_provider),
    }


def _user_of(scope: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Whom Starlette's ``AuthenticationMiddleware`` has recognised by now."""
    user = scope.get("user")
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    try:
        identity = user.identity
    except NotImplementedError:  # Starlette's SimpleUser has a name only, which says who it is
        return {}
    return {"user_id": str(identity)}


def _count_messages(made: Any) -> None:
    """Let an application, or every one of a class, count the messages of its WebSockets."""
    build = made.build_middleware_stack

    def counting(stack: Any) -> Any:
        try:
            stack.app = MessageCounter(stack.app)
        except Exception as error:  # a Starlette whose stack is another
            report_internal_error("counting the messages of WebSockets", error)
        return stack

    if isinstance(made, type):
        made.build_middleware_stack = lambda self: counting(build(self))  # type: ignore[attr-defined]
    else:
        made.build_middleware_stack = MethodType(lambda self: counting(build()), made)


class MessageCounter:
    """An ASGI application that counts what goes through another one's WebSockets, on the span that is current."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, scope: Message, receive: Any, send: Any) -> Awaitable[None]:
        """Serve; nothing but a WebSocket goes through more than this call."""
        if scope["type"] != "websocket":
            return self.app(scope, receive, send)
        return self._counted(scope, receive, send)

    async def _counted(self, scope: Message, receive: Any, send: Any) -> None:
        span, received, sent = get_current_span(), 0, 0

        async def counted_receive() -> Message:
            nonlocal received
            message: Message = await receive()
            received += message["type"] == "websocket.receive"
            return message

        async def counted_send(message: Message) -> None:
            nonlocal sent
            await send(message)
            sent += message["type"] == "websocket.send"

        try:
            await self.app(scope, counted_receive, counted_send)
        finally:
            if span.is_recording():
                span.set_attributes({WEBSOCKET_MESSAGES_RECEIVED: received, WEBSOCKET_MESSAGES_SENT: sent})
