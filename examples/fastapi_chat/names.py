"""What names and texts may be, for requests and WebSockets alike; FastAPI refuses anything else with 422."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, StringConstraints
from starlette.requests import HTTPConnection

from fastapi_chat.chat import Chat

MAX_TEXT = 2_000

_NAME = r"^[a-z0-9-]{1,32}$"

RoomName = Annotated[str, Path(pattern=_NAME)]
UserName = Annotated[str, Query(pattern=_NAME)]
UserInPath = Annotated[str, Path(pattern=_NAME)]
Limit = Annotated[int, Query(ge=1, le=500)]


class NewMessage(BaseModel):
    """What somebody says without being connected."""

    author: Annotated[str, StringConstraints(pattern=_NAME)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


def _chat_of(connection: HTTPConnection) -> Chat:
    chat: Chat = connection.app.state.chat
    return chat


TheChat = Annotated[Chat, Depends(_chat_of)]
