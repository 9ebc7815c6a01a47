"""What happens when somebody says something, whether through a WebSocket or a request."""

from __future__ import annotations

import re

from starlette.concurrency import run_in_threadpool

from fastapi_chat.background import Background
from fastapi_chat.history import History, Message
from fastapi_chat.rooms import Rooms
from otel_tracker import context, span, traced, track

MAX_MENTIONS = 20

_MENTION = re.compile(r"@([a-z0-9-]{1,32})\b")


class Chat:
    """The one chat of this process."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.rooms = Rooms()
        self.background = Background()

    @traced(capture_args=["room", "author"])
    async def say(self, room: str, author: str, text: str) -> Message:
        """Keep a message, give it to everybody in the room, and see to mentions in the background."""
        message = await run_in_threadpool(self.history.add, room, author, text)
        with context(message_id=message.id):  # for this message alone: its author says more in the same session
            with span("broadcast") as broadcast:
                members = self.rooms.broadcast(message)
                broadcast.set_attribute("chat.members", members)
            track("message.sent", room=room, length=len(text), members=members)
            if "@" in text:
                self.background.start(self.remember_mentions(message))
        return message

    @traced(capture_args=False)
    async def remember_mentions(self, message: Message) -> None:
        """Keep whom a message speaks to, so that they find it when they come back."""
        names = list(dict.fromkeys(_MENTION.findall(message.text)))[:MAX_MENTIONS]
        await run_in_threadpool(self.history.add_mentions, message.id, names)
        for name in names:
            track("user.mentioned", name=name)
