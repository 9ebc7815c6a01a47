"""What the exporters of one process share about a server: whose turn it is, and what was learnt of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

_LOOK_AGAIN_S = 0.1


class Server:
    """One server; made by `server_of`. One request at a time goes there from a process.

    ``has_batch`` is False once it has refused a batch for good, ``gives_cache`` True once its answer to one had what
    tells stored events from those that the bot filter took.
    """

    def __init__(self) -> None:
        self.has_batch = True
        self.gives_cache = False
        self.ahead_s = 0.0
        self._locks: dict[int, threading.Lock] = {}

    def latest_s(self) -> int:
        """The server's time in whole seconds, as far as is known: nothing can have happened after it."""
        return int(time.time() - max(0.0, self.ahead_s))

    def take_turn(self, timeout_s: float, is_closed: Callable[[], bool]) -> bool:
        """Wait for our turn; False when it does not come in time, or when we are closed meanwhile."""
        end_by_s = time.monotonic() + timeout_s
        lock = self._lock()
        while not is_closed() and time.monotonic() < end_by_s:
            if lock.acquire(timeout=_LOOK_AGAIN_S):
                return True
        return False

    def end_turn(self) -> None:
        """Let others have theirs."""
        self._lock().release()

    def _lock(self) -> threading.Lock:
        """This process's lock: one that another thread held during a fork would stay locked in the child for ever."""
        return self._locks.setdefault(os.getpid(), threading.Lock())


def server_of(base_url: str) -> Server:
    """The server at this url, the same object for all who ask."""
    if len(_servers) > _MAX_SERVERS:
        _servers.clear()
    return _servers.setdefault(base_url, Server())


def forget_servers() -> None:
    """Know nothing of any server."""
    _servers.clear()


_MAX_SERVERS = 100
_servers: dict[str, Server] = {}
