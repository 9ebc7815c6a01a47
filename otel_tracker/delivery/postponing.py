"""A lock that a signal handler can ask about, because waiting for one that its own thread holds would never end.

A Python signal handler runs in the main thread, between any two instructions of it. When those stand inside such a
lock, what the handler has to do is postponed until the lock is given back.
"""

from __future__ import annotations

import weakref
from _thread import allocate_lock, get_ident
from collections.abc import Callable
from types import TracebackType

_locks: weakref.WeakSet[AskableLock] = weakref.WeakSet()
_postponed: Callable[[], None] | None = None


class AskableLock:
    """A plain lock, for short sections; `try_acquire` does not wait."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._owner = 0
        _locks.add(self)

    def is_mine(self) -> bool:
        """Whether the calling thread holds it."""
        return self._owner == get_ident()

    def try_acquire(self) -> bool:
        """Take it if it is free."""
        if not self._lock.acquire(False):
            return False
        self._owner = get_ident()
        return True

    def release(self) -> None:
        """Give it back, and do what was postponed meanwhile."""
        self._owner = 0
        self._lock.release()
        if _postponed is not None:
            _do_postponed()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = get_ident()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def do_or_postpone(action: Callable[[], None]) -> None:
    """Do something in a signal handler: now, or as soon as this thread holds none of these locks."""
    global _postponed
    if any(lock.is_mine() for lock in list(_locks)):
        _postponed = action
    else:
        action()


def _do_postponed() -> None:
    global _postponed
    action = _postponed
    if action is not None and _is_main_thread() and not any(lock.is_mine() for lock in list(_locks)):
        _postponed = None
        action()


def _is_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
