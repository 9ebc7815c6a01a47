"""How fast a process writes: on average so many documents a second, all its exporters for one place together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache


class Pacer:
    """A bucket that holds one second's worth; who takes more than is in it waits until it has refilled."""

    def __init__(self, per_s: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._now = now
        self._lock = threading.Lock()
        self._left = float(per_s)
        self._at_s = now()

    def take(self, number: int) -> float:
        """How many seconds to wait before writing ``number`` documents; they are counted as written."""
        if not self._per_s:
            return 0.0
        with self._lock:
            now_s = self._now()
            self._left = min(float(self._per_s), self._left + (now_s - self._at_s) * self._per_s) - number
            self._at_s = now_s
            return max(0.0, -self._left / self._per_s)

    def give_back(self, number: int) -> None:
        """What was taken was not written."""
        with self._lock:
            self._left += number


def pacer_of(location: str, per_s: int) -> Pacer:
    """The pacer that all writers of this process for a place share."""
    return _pacer_of(os.getpid(), location, per_s)


@lru_cache(maxsize=64)
def _pacer_of(pid: int, location: str, per_s: int) -> Pacer:
    return Pacer(per_s)
