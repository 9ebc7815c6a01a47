"""The example `fastapi_chat`: twenty users in four rooms at once, and what is stored of what they said."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from otel_tracker import attributes as keys

from .examples import Answer, Example, Stored, ask, serving_example
from .matrix import needs, needs_linux

pytestmark = [
    pytest.mark.slow,
    needs_linux,
    needs("fastapi", "uvicorn", "websockets.asyncio", "opentelemetry.instrumentation.fastapi"),
    pytest.mark.xdist_group("fastapi_chat"),
]

ROOMS, MEMBERS, TEXTS = [f"room-{number}" for number in range(4)], 5, 6
POISON = "poison"
MENTION = 3
"""The one of a user's texts that speaks to somebody."""


@dataclass
class Session:
    """A connection as its client saw it."""

    user: str
    room: str
    request_id: str = ""
    said: list[str] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    def answer(self) -> Answer:
        return Answer(self.user, f"GET /rooms/{self.room}/ws", 101, self.request_id)


def users() -> list[tuple[str, str]]:
    """Each user and their room."""
    return [(room, f"{room}-user-{number}") for room in ROOMS for number in range(MEMBERS)]


def text_of(user: str, number: int) -> str:
    """Most are plain, one speaks to the next user."""
    return f"text {number} of {user}, @absent-{user}" if number == MENTION else f"text {number} of {user}"


async def join(port: int, room: str, user: str) -> tuple[Any, Session]:
    from websockets.asyncio.client import connect

    connection = await connect(f"ws://127.0.0.1:{port}/rooms/{room}/ws?name={user}", proxy=None)
    return connection, Session(user, room, connection.response.headers["X-Request-ID"])


async def talk(connection: Any, session: Session) -> None:
    """Say everything while others do, hear everything that is said in the room, and leave."""
    for number in range(TEXTS):
        session.said.append(text_of(session.user, number))
        await connection.send(session.said[-1])
    while len(session.heard) < MEMBERS * TEXTS:
        session.heard.append(json.loads(await connection.recv()))
    await connection.close()
    session.close_code = connection.close_code


async def everybody_talks(port: int) -> list[Session]:
    joined = await asyncio.gather(*(join(port, room, user) for room, user in users()))
    await asyncio.gather(*(talk(connection, session) for connection, session in joined))
    return [session for _, session in joined]


async def vanish(port: int) -> Session:
    """Lose the connection without a goodbye."""
    connection, session = await join(port, "vanishing", "ghost")
    connection.transport.abort()
    await connection.wait_closed()
    return session


async def fail(port: int) -> Session:
    """Say what the database can't take, so that the session ends with an error."""
    from websockets.exceptions import ConnectionClosed

    connection, session = await join(port, "failing", "eve")
    session.said = [POISON]
    await connection.send(POISON)
    with suppress(ConnectionClosed):
        session.heard.append(json.loads(await connection.recv()))
    session.close_code = connection.close_code
    return session


async def be_refused(port: int) -> int:
    """Ask for a name that is none."""
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as refused:
        await join(port, ROOMS[0], "Not-A-Name")
    return int(refused.value.response.status_code)


async def stay_until_the_server_ends(chat: Example) -> Session:
    """Say something too long, which is answered, and something, and be connected when SIGTERM arrives."""
    from websockets.exceptions import ConnectionClosed

    connection, session = await join(chat.port, "staying", "zoe")
    for text in ("x" * 3_000, "good night"):
        session.said.append(text)
        await connection.send(text)
        session.heard.append(json.loads(await connection.recv()))
    await asyncio.to_thread(chat.stop)
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    session.close_code = connection.close_code
    return session


def post(port: int, user: str, text: str) -> Answer:
    return ask(port, "POST /rooms/rest/messages", {"author": user, "text": text}, user=user)


async def use_rest(port: int) -> list[Answer]:
    """Twelve users who are not connected, all at once."""
    texts = [(f"rest-{number}", f"@{ROOMS[0]}-user-1 from rest {number}") for number in range(12)]
    return await asyncio.gather(*(asyncio.to_thread(post, port, user, text) for user, text in texts))


def read_rest(port: int) -> list[Answer]:
    return [
        post(port, "eve", POISON),
        ask(port, f"GET /rooms/{ROOMS[1]}/messages?limit=500"),
        ask(port, f"GET /users/{ROOMS[0]}-user-1/mentions"),
        ask(port, "GET /rooms"),
        ask(port, f"GET /rooms/{ROOMS[0]}/messages?limit=0"),
        ask(port, "GET /nowhere"),
    ]


@dataclass
class Talked:
    """A chat that has ended."""

    sessions: list[Session]
    ghost: Session
    failed: Session
    stayed: Session
    refused: int
    posted: list[Answer]
    read: list[Answer]
    health: Answer
    stored: Stored
    said: str

    def all_sessions(self) -> list[Session]:
        return [*self.sessions, self.ghost, self.failed, self.stayed]


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> Talked:
    """The chat, started as its README says, used by everybody at once, and ended with SIGTERM."""
    folder = tmp_path_factory.mktemp("chat")
    with serving_example("fastapi_chat", folder) as chat:
        poison(folder / "chat.db")
        parts = asyncio.run(use(chat))
        return Talked(*parts, stored=Stored(folder), said=chat.said())


def poison(database: Path) -> None:
    """Let the database refuse one text: a failure that no part of the chat has foreseen."""
    trigger = (
        f"CREATE TRIGGER no BEFORE INSERT ON message WHEN NEW.text = '{POISON}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute(trigger)


async def use(chat: Example) -> list[Any]:
    sessions, ghost, failed, refused, posted = await asyncio.gather(
        everybody_talks(chat.port), vanish(chat.port), fail(chat.port), be_refused(chat.port), use_rest(chat.port)
    )
    read = await asyncio.to_thread(read_rest, chat.port)
    health = await asyncio.to_thread(ask, chat.port, "GET /health")
    stayed = await stay_until_the_server_ends(chat)
    return [sessions, ghost, failed, stayed, refused, posted, read, health]


def test_everybody_hears_everything_that_is_said_in_their_room(talked: Talked) -> None:
    """Each member got each text of the room once, in the same order as all others, and left cleanly."""
    for room in ROOMS:
        members = [session for session in talked.sessions if session.room == room]
        expected = Counter(text for session in members for text in session.said)
        for session in members:
            assert Counter(message["text"] for message in session.heard) == expected
            ids = [message["id"] for message in session.heard]
            assert ids == sorted(ids)
        assert {session.close_code for session in members} == {1000}


def test_rest_answers_as_it_should(talked: Talked) -> None:
    """What was said is found; what is wrong or unknown is refused; who is gone is in no room."""
    assert [answer.status for answer in talked.posted] == [201] * len(talked.posted)
    assert [answer.status for answer in talked.read] == [500, 200, 200, 200, 422, 404]
    history, mentions, rooms = talked.read[1:4]
    assert len(history.body) == MEMBERS * TEXTS
    assert {message["author"] for message in mentions.body} == {answer.user for answer in talked.posted}
    assert rooms.body == {}
    assert (talked.refused, talked.health.status) == (403, 200)


def test_every_answer_and_every_session_is_one_connected_trace(talked: Talked) -> None:
    """Header ids find them; the refused session has a span, too; nothing hangs loose; `/health` left nothing."""
    sessions = [talked.stored.request(session.answer()) for session in talked.all_sessions()]
    assert {span.name for span in sessions} == {"HTTP /rooms/{room}/ws"}
    talked.stored.assert_answered([*talked.posted, *talked.read], besides=len(sessions) + 1)
    talked.stored.assert_connected()
    assert [span for span in talked.stored.spans if span.attributes.get(keys.URL_PATH) == "/health"] == []


def test_sessions_count_their_messages(talked: Talked) -> None:
    """As many as the client has sent and received."""
    for session in (*talked.sessions, talked.stayed, talked.failed, talked.ghost):
        counted = talked.stored.request(session.answer()).attributes
        assert counted[keys.WEBSOCKET_MESSAGES_RECEIVED] == len(session.said)
        assert counted[keys.WEBSOCKET_MESSAGES_SENT] == len(session.heard)


def test_everything_of_a_session_has_its_user_and_its_id(talked: Talked) -> None:
    """Also what goes on in threads and in the background, and whoever else talks at the same time."""
    requests = [session.answer() for session in talked.all_sessions()] + talked.posted + talked.read[:1]
    talked.stored.assert_users(requests)
    talked.stored.assert_request_ids(requests)


def test_what_is_said_lies_below_its_session(talked: Talked) -> None:
    """A span for each text, with the thread that keeps it, the broadcast and the task for mentions below it."""
    for session in talked.sessions:
        request = talked.stored.request(session.answer())
        below = talked.stored.below(request)
        names = {span.span_id: span.qualified_name for span in (request, *below)}
        say, mentions = "fastapi_chat.chat.Chat.say", "fastapi_chat.chat.Chat.remember_mentions"
        assert Counter((names[span.parent_span_id], span.qualified_name) for span in below) == {
            ("HTTP /rooms/{room}/ws", say): TEXTS,
            (say, "fastapi_chat.history.History.add"): TEXTS,
            (say, "broadcast"): TEXTS,
            (say, mentions): 1,
            (mentions, "fastapi_chat.history.History.add_mentions"): 1,
        }


def test_background_task_of_a_request_lies_in_its_trace(talked: Talked) -> None:
    """What Starlette runs after the answer, in a thread of its own."""
    for answer in talked.posted:
        request = talked.stored.request(answer)
        [task] = [span for span in talked.stored.below(request) if span.function == "count_words"]
        [around] = [span for span in talked.stored.below(request) if span.span_id == task.parent_span_id]
        assert (around.name, around.parent_span_id) == ("BackgroundTask count_words", request.span_id)
        [event] = [event for event in talked.stored.events_of(request) if event.name == "room.counted"]
        assert event.span_id == task.span_id


def test_events_bear_the_message_that_they_are_about(talked: Talked) -> None:
    """`context` holds for one message, also where its author says the next one before the background is done."""
    authors = {message["id"]: message["author"] for session in talked.sessions for message in session.heard}
    authors |= {answer.body["id"]: answer.user for answer in talked.posted}
    sent = [event for event in talked.stored.events if event.name == "message.sent"]
    assert Counter(event.properties["message_id"] for event in sent) == Counter(
        [*authors, *(message["id"] for message in talked.stayed.heard if "id" in message)]
    )
    for event in talked.stored.events:
        if event.name in {"message.sent", "user.mentioned"} and event.properties["message_id"] in authors:
            assert event.properties[keys.USER_ID] == authors[event.properties["message_id"]]
        if event.name.startswith("room."):
            assert "message_id" not in event.properties


def test_everybody_who_joined_has_left(talked: Talked) -> None:
    """Whoever closes, vanishes, fails or is sent away by SIGTERM."""
    events = [(event.name, event.properties[keys.USER_ID]) for event in talked.stored.events]
    everybody = sorted(session.user for session in talked.all_sessions())
    assert sorted(user for name, user in events if name == "room.joined") == everybody
    assert sorted(user for name, user in events if name == "room.left") == everybody
    assert talked.stayed.close_code == 1012


def test_unforeseen_error_is_told_once_with_its_traceback(talked: Talked) -> None:
    """In a request and in a session alike, on the span of the function that failed."""
    for answer in (talked.read[0], talked.failed.answer()):
        assert talked.stored.assert_failed_once(answer, "sqlite3.IntegrityError").function == "History.add"
    failed = {span.trace_id for span in talked.stored.spans if span.status == "failed"}
    assert len(failed) == 2


def test_telemetry_complains_of_nothing(talked: Talked) -> None:
    """The server's log has the two tracebacks of the failure, and not a word of ours."""
    assert "otel_tracker " not in talked.said
    assert talked.said.count("IntegrityError: no") == 2
