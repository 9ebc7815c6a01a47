"""A connection that one thread may close while another reads from it.

`sqlite3` lets threads share a connection but not close it under one another: a statement that is running then goes on
in memory that was freed, and the process ends with a segmentation fault. Here whoever works with the connection holds
`step` and lets go of it while a caller has a record in hand (`paused`); closing waits for that, interrupting what runs.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_RETRY_S = 0.02


class ReadingConnection(sqlite3.Connection):
    """See the module's docstring."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.step = threading.RLock()
        super().__init__(*arguments, **keywords)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let others close the connection; to be used by the thread that holds `step`, once."""
        self.step.release()
        try:
            yield
        finally:
            self.step.acquire()

    def close(self) -> None:
        """Close it when nobody is at work with it; who goes on with it then gets a ProgrammingError."""
        while not self.step.acquire(timeout=_RETRY_S):
            with suppress(sqlite3.ProgrammingError):  # closed meanwhile by whoever was at work
                self.interrupt()
        try:
            super().close()
        finally:
            self.step.release()
