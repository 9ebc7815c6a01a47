"""A request that is under way while the next one is encoded: a third more documents a second."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from otel_tracker.delivery.unsignalled import leave_signals_to_others
from otel_tracker.delivery.untraced import untraced
from otel_tracker_exporters.firestore.connection import Connection


class RequestAhead:
    """A request that is under way while whoever made it does something else; on a thread that ends with it.

    Where no thread can be started, as at the end of the interpreter, it is made when the answer is asked for.
    """

    def __init__(self, connection: Connection, writes: list[bytes]) -> None:
        self._write = partial(connection.batch_write, writes)
        self._statuses: list[Any] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="otel-tracker-firestore", daemon=True
        )
        try:
            self._thread.start()
        except (RuntimeError, MemoryError):
            self._thread = None

    def answer(self) -> list[Any]:
        """What `Connection.batch_write` gives or raises; waits for it."""
        if self._thread is None:
            return self._write()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._statuses

    def _run(self) -> None:
        leave_signals_to_others()
        try:
            with untraced():
                self._statuses = self._write()
        except BaseException as error:  # raised where the answer is asked for
            self._error = error
