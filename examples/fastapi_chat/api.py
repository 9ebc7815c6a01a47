"""The REST side: rooms, what was said in them, and saying something without being connected."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, BackgroundTasks
from starlette.concurrency import run_in_threadpool

from fastapi_chat.chat import Chat
from fastapi_chat.names import Limit, NewMessage, RoomName, TheChat, UserInPath
from otel_tracker import set_context, traced, track

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/rooms")
async def list_rooms(chat: TheChat) -> dict[str, list[str]]:
    return chat.rooms.names()


@router.get("/rooms/{room}/messages")
async def list_messages(chat: TheChat, room: RoomName, limit: Limit = 50) -> list[dict[str, Any]]:
    messages = await run_in_threadpool(chat.history.latest, room, limit)
    return [message.to_dict() for message in messages]


@router.post("/rooms/{room}/messages", status_code=201)
async def post_message(chat: TheChat, room: RoomName, new: NewMessage, tasks: BackgroundTasks) -> dict[str, Any]:
    set_context(user_id=new.author)
    message = await chat.say(room, new.author, new.text)
    tasks.add_task(count_words, chat, room)
    return message.to_dict()


# A plain function: FastAPI runs it in a thread, and the messages are read in one.
@router.get("/users/{name}/mentions")
def list_mentions(chat: TheChat, name: UserInPath, limit: Limit = 50) -> list[dict[str, Any]]:
    return [message.to_dict() for message in chat.history.mentions(name, limit)]


@traced(capture_args=["room"], capture_result=True)
def count_words(chat: Chat, room: str) -> int:
    """How long the last messages of a room are; after the answer, so that nobody waits for it."""
    words = sum(len(message.text.split()) for message in chat.history.latest(room, limit=500))
    track("room.counted", room=room, words=words)
    return words
