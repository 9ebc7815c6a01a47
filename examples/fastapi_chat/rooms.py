"""Rooms: who is in which, and what waits to be sent to each. Everything runs on the event loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi_chat.history import Message

MAX_WAITING = 100


class Member:
    """One connection to a room, and the messages that wait for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(MAX_WAITING)
        self._is_too_slow = asyncio.Event()

    def give(self, message: Message) -> None:
        """Let the message wait; who does not read is given up, so that nobody else has to wait for them."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._is_too_slow.set()

    async def messages(self) -> AsyncIterator[Message]:
        """The messages as they come, until the member has become too slow."""
        while not self._is_too_slow.is_set():
            yield await self._waiting.get()


class Rooms:
    """All rooms; one is there as long as somebody is in it."""

    def __init__(self) -> None:
        self._members: dict[str, set[Member]] = {}

    @contextmanager
    def joined(self, room: str, member: Member) -> Iterator[None]:
        """Be in the room for the length of the block."""
        self._members.setdefault(room, set()).add(member)
        try:
            yield
        finally:
            self._members[room].discard(member)
            if not self._members[room]:
                del self._members[room]

    def broadcast(self, message: Message) -> int:
        """Give the message to everybody in its room, its author included; how many that are."""
        members = self._members.get(message.room, set())
        for member in members:
            member.give(message)
        return len(members)

    def names(self) -> dict[str, list[str]]:
        """Who is where."""
        return {room: sorted({member.name for member in members}) for room, members in sorted(self._members.items())}
