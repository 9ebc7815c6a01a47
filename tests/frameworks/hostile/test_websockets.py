"""A WebSocket session is one span, with what went through it counted, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from otel_tracker import context, set_context

from ..conftest import Stored
from ..work import work
from .apps import FASTAPI
from .calls import Headers, asgi_scope

KINDS = ["fastapi", pytest.param("starlette", marks=pytest.mark.slow)]
pytestmark = [pytest.mark.slow, FASTAPI.marks[0], pytest.mark.parametrize("kind", KINDS)]


class Session(NamedTuple):
    """What the application sent, and what it raised."""

    sent: list[dict[str, Any]]
    raised: BaseException | None


async def talk(app: Any, path: str, *messages: str | bytes, headers: Headers = (), code: int | None = 1000) -> Session:
    """A client that says these and is gone, with this code (None: waits until the application ends)."""
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    for message in messages:
        field = "text" if isinstance(message, str) else "bytes"
        incoming.append({"type": "websocket.receive", field: message})
    if code is not None:
        incoming.append({"type": "websocket.disconnect", "code": code})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        if incoming:
            return incoming.pop(0)
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    raised: BaseException | None = None
    scope = asgi_scope(path, headers, type="websocket", subprotocols=[])
    try:
        await asyncio.wait_for(app(scope, receive, send), 10)
    except BaseException as error:
        raised = error
    return Session(sent, raised)


async def echo(websocket: Any) -> None:
    from starlette.websockets import WebSocketDisconnect

    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if "text" in message:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return


async def number_of_user(websocket: Any) -> None:
    """Says who it serves, and works between its messages."""
    number = int(websocket.path_params["number"])
    await websocket.accept()
    set_context(user_id=f"u{number}")
    for _ in range(2):
        await websocket.receive_text()
        with context(turn=number):
            await asyncio.sleep(0)
            work(number)
        await websocket.send_text(str(number))
    await websocket.close()


async def reject(websocket: Any) -> None:
    await websocket.close(code=1008)


async def raises(websocket: Any) -> None:
    await websocket.accept()
    await websocket.receive_text()
    raise LookupError("inside")


async def drops(websocket: Any) -> None:
    await websocket.accept()
    await websocket.receive_text()
    await websocket.receive_text()  # raises WebSocketDisconnect


def socket_app(kind: str) -> Any:
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    pages = {"/echo": echo, "/users/{number}": number_of_user, "/reject": reject, "/raises": raises, "/drops": drops}
    routes = [WebSocketRoute(path, page) for path, page in pages.items()]
    return FastAPI(routes=routes) if kind == "fastapi" else Starlette(routes=routes)


@pytest.fixture
def app(kind: str) -> Any:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    from otel_tracker.frameworks.fastapi import instrument

    made = socket_app(kind)
    instrument(made)
    yield made
    FastAPIInstrumentor.uninstrument_app(made)


def counts(stored: Stored) -> tuple[Any, Any]:
    """Of the messages of the one session: received, sent."""
    found = stored.server.attributes
    return found["otel_tracker.websocket.messages_received"], found["otel_tracker.websocket.messages_sent"]


def test_text_and_bytes_are_counted_and_passed_on(stored: Stored, app: Any) -> None:
    """Messages of both kinds, empty ones too; neither connecting nor closing is one."""
    talked = asyncio.run(talk(app, "/echo", "a", b"\x00\xff", "", b""))
    assert talked.raised is None
    assert [each.get("text", each.get("bytes")) for each in talked.sent[1:]] == ["a", b"\x00\xff", "", b""]
    assert counts(stored) == (4, 4)
    assert len(stored.spans) == 1
    assert stored.server.status == "completed"


def test_session_without_messages_has_counts_of_zero(stored: Stored, app: Any) -> None:
    """Zero is an answer, too."""
    asyncio.run(talk(app, "/echo"))
    assert counts(stored) == (0, 0)


def test_rejected_session_is_one_span_and_no_failure(stored: Stored, app: Any) -> None:
    """It was never accepted."""
    talked = asyncio.run(talk(app, "/reject"))
    assert [each["type"] for each in talked.sent] == ["websocket.close"]
    assert (stored.server.status, len(stored.spans)) == ("completed", 1)
    assert counts(stored) == (0, 0)


def test_unknown_path_is_one_span(stored: Stored, app: Any) -> None:
    """Starlette closes it."""
    asyncio.run(talk(app, "/nowhere"))
    assert len(stored.spans) == 1


def test_client_that_drops_is_one_span_and_no_leak(stored: Stored, app: Any) -> None:
    """An abnormal end (1006) in the middle of what the handler waits for."""
    asyncio.run(talk(app, "/drops", "a", code=1006))
    assert len(stored.spans) == 1
    assert counts(stored) == (1, 0)


def test_exception_inside_is_told_once_and_raised_on(stored: Stored, app: Any) -> None:
    """With its type, and the messages that had come by then."""
    talked = asyncio.run(talk(app, "/raises", "a"))
    assert isinstance(talked.raised, LookupError)
    server = stored.server
    assert (server.status, server.attributes["error.type"]) == ("failed", "LookupError")
    assert [event["name"] for event in server.events] == ["exception"]
    assert counts(stored) == (1, 0)


def test_cancelled_session_is_one_span(stored: Stored, app: Any) -> None:
    """A server that stops cancels what still waits."""

    async def cancel() -> None:
        task = asyncio.ensure_future(talk(app, "/users/1", "a", code=None))
        while not any(span.function == "work" for span in stored.spans):
            await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(cancel())
    assert len(stored.servers) == 1
    assert counts(stored) == (1, 1)


def test_fifty_sessions_at_once_keep_apart(stored: Stored, app: Any) -> None:
    """Each has its own id, user and counts, on its own span and on what it does between messages."""

    async def crowd() -> list[Session]:
        numbers = range(50)
        each = [
            talk(app, f"/users/{number}", "a", "b", headers=[("X-Request-ID", f"r{number}".encode())], code=None)
            for number in numbers
        ]
        return await asyncio.gather(*each)

    talked = asyncio.run(crowd())
    assert [each.raised for each in talked] == [None] * 50
    assert len(stored.servers) == 50
    roots = {span.span_id: span for span in stored.servers}
    for span in roots.values():
        number = span.attributes["url.path"].rpartition("/")[2]  # type: ignore[union-attr]
        assert (span.attributes["otel_tracker.request_id"], span.attributes["user.id"]) == (f"r{number}", f"u{number}")
        assert span.attributes["otel_tracker.websocket.messages_received"] == 2
        assert span.attributes["otel_tracker.websocket.messages_sent"] == 2
    works = [span for span in stored.spans if span.function == "work"]
    assert len(works) == 100 == len(stored.events)
    for span in works:
        number = span.args["number"]
        assert (span.attributes["otel_tracker.request_id"], span.attributes["user.id"]) == (f"r{number}", f"u{number}")
        assert span.trace_id == roots[span.parent_span_id].trace_id
    for event in stored.events:
        number = event.properties["number"]
        found = (event.properties["otel_tracker.request_id"], event.properties["user.id"], event.properties["turn"])
        assert found == (f"r{number}", f"u{number}", number)


def test_messages_are_the_same_without_us(stored: Stored, kind: str, app: Any) -> None:
    """To the byte, in the order of the application; only the acceptance may bear an id."""
    bare = socket_app(kind)
    for path, messages in [("/echo", ["a", b"b"]), ("/reject", []), ("/users/1", ["a", "b"]), ("/nowhere", [])]:
        code = None if "users" in path else 1000
        alone = asyncio.run(talk(bare, path, *messages, code=code))
        observed = asyncio.run(talk(app, path, *messages, code=code))
        for session in (alone, observed):
            for message in session.sent:
                message["headers"] = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
        assert observed == alone, path
