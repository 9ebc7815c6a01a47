"""What is FastAPI's own: WebSockets, background tasks, users of Starlette's, applications within another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from otel_tracker import track

from .conftest import Stored
from .work import work

fastapi = pytest.importorskip("fastapi")
upstream = pytest.importorskip("opentelemetry.instrumentation.fastapi")
httpx = pytest.importorskip("httpx")


@pytest.fixture
def app() -> Iterator[Any]:
    made = fastapi.FastAPI()
    yield made
    if getattr(made, "_is_instrumented_by_opentelemetry", False):
        upstream.FastAPIInstrumentor.uninstrument_app(made)


def instrument(app: Any, **options: Any) -> None:
    from otel_tracker.frameworks.fastapi import instrument

    instrument(app, **options)


async def get(app: Any, target: str) -> Any:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(target)


def converse(app: Any, path: str, *texts: str, **scope: Any) -> list[dict[str, Any]]:
    """A client of a WebSocket that says all this and goes; gives what it was sent."""
    to_app: list[dict[str, Any]] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": text} for text in texts),
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[dict[str, Any]] = []
    asked = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "subprotocols": [],
        "state": {},
        **scope,
    }

    async def receive() -> dict[str, Any]:
        return to_app.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(asked, receive, send))
    return sent


def test_websocket_is_one_span_with_its_messages_counted(stored: Stored, app: Any) -> None:
    """From the connection to its end; what happens in it is below it, and its answer bears the id."""

    async def echo(websocket: Any) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            work(int(text))
            await websocket.send_text(text)
            await websocket.send_text("again")

    echo.__annotations__ = {"websocket": fastapi.WebSocket}
    app.websocket("/ws/{room}")(echo)
    instrument(app)
    sent = converse(app, "/ws/tea", "1", "2", "3", headers=[(b"host", b"x"), (b"x-request-id", b"r1")])
    accepted = next(message for message in sent if message["type"] == "websocket.accept")
    assert [value for key, value in accepted["headers"] if key == b"x-request-id"] == [b"r1"]
    server = stored.server
    assert server.attributes["otel_tracker.websocket.messages_received"] == 3
    assert server.attributes["otel_tracker.websocket.messages_sent"] == 6
    assert server.attributes["http.route"] == "/ws/{room}"
    below = [span for span in stored.spans if span.function == "work"]
    assert [span.parent_span_id for span in below] == [server.span_id] * 3
    assert {span.attributes["otel_tracker.request_id"] for span in stored.spans} == {"r1"}


def test_websocket_whose_handler_raises_has_its_counts_and_its_error(stored: Stored, app: Any) -> None:
    """The exception leaves the application as it does without us."""

    async def fails(websocket: Any) -> None:
        await websocket.accept()
        raise LookupError(await websocket.receive_text())

    fails.__annotations__ = {"websocket": fastapi.WebSocket}
    app.websocket("/ws")(fails)
    instrument(app)
    with pytest.raises(LookupError):
        converse(app, "/ws", "1")
    assert stored.server.attributes["otel_tracker.websocket.messages_received"] == 1
    assert stored.server.attributes["error.type"] == "LookupError"
    assert [event["name"] for event in stored.server.events] == ["exception"]


def test_background_task_stays_in_the_trace_of_its_request(stored: Stored, app: Any) -> None:
    """It runs when the response is out, in a thread; its events still know whose they are."""

    def task() -> None:
        work(1)
        track("done")

    async def serve(background: Any) -> str:
        background.add_task(task)
        return "ok"

    serve.__annotations__ = {"background": fastapi.BackgroundTasks}
    app.get("/")(serve)
    instrument(app)
    answer = asyncio.run(get(app, "/"))
    assert {span.trace_id for span in stored.spans} == {stored.server.trace_id}
    (done,) = [event for event in stored.events if event.name == "done"]
    assert done.trace_id == stored.server.trace_id
    assert done.properties["otel_tracker.request_id"] == answer.headers["x-request-id"]


def test_request_has_no_spans_for_single_messages_unless_asked_for(stored: Stored, app: Any) -> None:
    """One span; with an empty `exclude_spans` upstream's others as well."""
    app.get("/")(lambda: "ok")
    instrument(app)
    asyncio.run(get(app, "/"))
    assert len(stored.spans) == 1
    other = fastapi.FastAPI()
    other.get("/")(lambda: "ok")
    instrument(other, exclude_spans=[])
    asyncio.run(get(other, "/"))
    upstream.FastAPIInstrumentor.uninstrument_app(other)
    assert len(stored.spans) > 2


def test_user_that_starlette_knows_is_on_what_comes_after(stored: Stored, app: Any) -> None:
    """Of its authentication middleware; a user without an identity is none."""
    from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
    from starlette.middleware.authentication import AuthenticationMiddleware

    class User(BaseUser):
        is_authenticated = True
        identity = "u7"

    class Backend(AuthenticationBackend):
        async def authenticate(self, conn: Any) -> Any:
            return AuthCredentials([]), User()

    app.add_middleware(AuthenticationMiddleware, backend=Backend())

    async def serve() -> str:
        work(1)
        return "ok"

    app.get("/")(serve)
    instrument(app)
    asyncio.run(get(app, "/"))
    assert {span.attributes["user.id"] for span in stored.spans} == {"u7"}
    assert stored.events[0].properties["user.id"] == "u7"


def test_application_that_has_served_already_is_traced_from_then_on(stored: Stored, app: Any) -> None:
    """Its middleware is built anew."""
    app.get("/")(lambda: "ok")
    asyncio.run(get(app, "/"))
    stored.exported_spans.clear()  # newer FastAPIs trace themselves where nobody else does
    instrument(app)
    instrument(app)
    answer = asyncio.run(get(app, "/"))
    assert answer.headers["x-request-id"] == stored.server.trace_id
    assert len(stored.spans) == 1


def test_applications_made_after_the_call_are_instrumented_once(stored: Stored) -> None:
    """Twice is harmless; messages are counted in them, too."""
    from otel_tracker.frameworks.fastapi import instrument

    instrument()
    instrument()
    app = fastapi.FastAPI()

    async def close(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text("x")

    close.__annotations__ = {"websocket": fastapi.WebSocket}
    app.websocket("/ws")(close)
    app.get("/")(lambda: "ok")
    asyncio.run(get(app, "/"))
    converse(app, "/ws")
    upstream.FastAPIInstrumentor().uninstrument()
    http, websocket = stored.servers
    assert len(stored.spans) == 2
    assert "otel_tracker.websocket.messages_sent" not in http.attributes
    assert websocket.attributes["otel_tracker.websocket.messages_sent"] == 1


def test_application_within_another_keeps_the_outer_requests_id(stored: Stored, app: Any) -> None:
    """One request: its inner span is a child, its response has one id."""
    inner = fastapi.FastAPI()

    async def serve() -> str:
        work(1)
        return "ok"

    inner.get("/")(serve)
    instrument(inner)
    app.mount("/inner", inner)
    instrument(app)
    answer = asyncio.run(get(app, "/inner/"))
    upstream.FastAPIInstrumentor.uninstrument_app(inner)
    assert answer.headers.get_list("x-request-id") == [stored.server.trace_id]
    assert {span.trace_id for span in stored.spans} == {stored.server.trace_id}
    assert {span.attributes["otel_tracker.request_id"] for span in stored.spans} == {stored.server.trace_id}


def test_hundred_requests_at_once_keep_apart(stored: Stored, app: Any) -> None:
    """Each with its own id and user, on all that is made for it, in tasks and in the thread pool."""
    from otel_tracker import set_context

    async def serve(number: int) -> str:
        set_context(user_id=f"u{number}")
        await asyncio.sleep(0)
        await asyncio.gather(*(asyncio.to_thread(work, number) for _ in range(2)))
        return "ok"

    app.get("/items/{number}")(serve)
    instrument(app)

    async def ask_all() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await asyncio.gather(
                *(client.get(f"/items/{number}", headers={"X-Request-ID": f"r{number}"}) for number in range(100))
            )

    asyncio.run(ask_all())
    assert len(stored.events) == 200
    for event in stored.events:
        number = event.properties["number"]
        assert event.properties["user.id"] == f"u{number}"
        assert event.properties["otel_tracker.request_id"] == f"r{number}"
    assert {server.attributes["user.id"] for server in stored.servers} == {f"u{number}" for number in range(100)}
