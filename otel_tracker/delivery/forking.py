"""Whether this process is being forked: from when our threads are asked to stop until the fork has returned.

Nothing of ours may begin meanwhile. The threads of a program work on while one of them forks, and what they put in
would start a thread of ours again just when the fork has waited for its end: a child would inherit a transaction of
SQLite's in the midst of it.
"""

from __future__ import annotations

import time
from threading import get_ident

_REST_S = 0.002

_forking: set[int] = set()


def begin() -> None:
    """The calling thread is about to fork."""
    _forking.add(get_ident())


def end() -> None:
    """It has forked, or could not."""
    _forking.discard(get_ident())


def forget() -> None:
    """In the child: who forked in the parent does not concern it."""
    _forking.clear()


def is_under_way() -> bool:
    """Whether any thread forks."""
    return bool(_forking)


def wait_for_others(end_by_s: float) -> bool:
    """Wait while other threads fork, by ``end_by_s`` of `time.monotonic`; False when they still do."""
    while others_are_at_it():
        if time.monotonic() >= end_by_s:
            return False
        time.sleep(_REST_S)
    return True


def others_are_at_it() -> bool:
    """Whether a thread forks that is not the calling one."""
    return bool(_forking - {get_ident()})
