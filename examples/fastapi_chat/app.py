"""The chat as an application: ``uvicorn fastapi_chat.app:app``. Its database is the file that `CHAT_DATABASE` names.

Nothing here is about tracing. Requests and WebSocket sessions become spans through OpenTelemetry's FastAPI
instrumentor when the chat is started with `otel-tracker run` or `opentelemetry-instrument`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from fastapi_chat import api, sessions
from fastapi_chat.chat import Chat
from fastapi_chat.history import History


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the history; at the end finish what still goes on in the background, then close it."""
    chat = app.state.chat = Chat(History(os.environ.get("CHAT_DATABASE", "chat.db")))
    yield
    await chat.background.finish()
    chat.history.close()


app = FastAPI(title="Chat", lifespan=lifespan)
app.include_router(api.router)
app.include_router(sessions.router)
