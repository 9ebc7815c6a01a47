"""A lock that a signal handler can ask about, because waiting for one that its own thread holds would never end.

A Python signal handler runs in the main thread, between any two instructions of it. When those stand inside such a
lock, what the handler has to do is postponed until the lock is given back.
"""

from __future__ import annotations

import weakref
from _thread import RLock
from collections.abc import Callable
from types import TracebackType
from typing import Any

_locks: weakref.WeakSet[AskableLock] = weakref.WeakSet()
_postponed: Callable[[], None] | None = None


class AskableLock:
    """A lock for short sections, which its holder takes no second time by `try_acquire`; that does not wait.

    It is the interpreter's own re-entrant lock, because that alone knows its owner from the very instruction that
    takes it: a signal may come, and Ctrl-C may raise, before the next. Between taking it and giving it back nothing is
    called here that could fail: in a program at its recursion limit, or out of memory, every call of a Python function
    can, and a lock that is never given back would stop everything.
    """

    def __init__(self) -> None:
        lock: Any = RLock()
        self._lock = lock
        self.is_mine: Callable[[], bool] = lock._is_owned
        _locks.add(self)

    def try_acquire(self) -> bool:
        """Take it if it is free."""
        return not self.is_mine() and bool(self._lock.acquire(False))

    def release(self) -> None:
        """Give it back, and do what was postponed meanwhile."""
        self._lock.release()
        if _postponed is not None:
            _do_postponed()

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except BaseException:
            if self.is_mine():
                self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
        if _postponed is not None:
            _do_postponed()


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
