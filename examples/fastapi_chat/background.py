"""Work that nobody waits for: tasks that are held until they have ended, as asyncio asks for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

FINISH_TIMEOUT_S = 5.0

logger = logging.getLogger("fastapi_chat")


class Background:
    """The tasks that were started and have not ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Go on with the work beside everything else, in the trace of whoever starts it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    async def finish(self) -> None:
        """Wait for the tasks that go on, for five seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_TIMEOUT_S)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Work in the background failed.", exc_info=error)
