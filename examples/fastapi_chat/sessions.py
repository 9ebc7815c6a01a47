"""The WebSocket side: one session is one connection of one user to one room.

What a client sends is a text, which everybody in the room gets, its sender too, as JSON:
``{"id": 7, "room": "tea", "author": "ada", "text": "hello", "sent_at": ...}``. A text that can't be taken is answered
with ``{"error": ...}`` to its sender alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.status import WS_1013_TRY_AGAIN_LATER

from fastapi_chat.chat import Chat
from fastapi_chat.names import MAX_TEXT, RoomName, TheChat, UserName
from fastapi_chat.rooms import Member
from otel_tracker import set_context, track

router = APIRouter()


@router.websocket("/rooms/{room}/ws")
async def session(websocket: WebSocket, chat: TheChat, room: RoomName, name: UserName) -> None:
    """Be in a room until the client leaves or the server ends."""
    set_context(user_id=name)
    member = Member(name)
    with chat.rooms.joined(room, member):  # so that whoever is connected gets what is said from then on
        await websocket.accept()
        track("room.joined", room=room)
        try:
            async with _sending(websocket, member):
                await _listen(websocket, chat, room, name)
        finally:
            track("room.left", room=room)


async def _listen(websocket: WebSocket, chat: Chat, room: str, name: str) -> None:
    async for text in websocket.iter_text():
        if 0 < len(text) <= MAX_TEXT:
            await chat.say(room, name, text)
        else:
            await websocket.send_json({"error": f"A message has 1 to {MAX_TEXT} characters."})


@asynccontextmanager
async def _sending(websocket: WebSocket, member: Member) -> AsyncIterator[None]:
    """Send what others say for the length of the block, so that a slow client holds up nobody but itself."""
    task = asyncio.create_task(_send_all(websocket, member))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _send_all(websocket: WebSocket, member: Member) -> None:
    try:
        async for message in member.messages():
            await websocket.send_json(message.to_dict())
        await websocket.close(WS_1013_TRY_AGAIN_LATER, "too many messages wait for you")
    except (WebSocketDisconnect, RuntimeError):
        pass  # the client is gone, which the session finds out by listening
