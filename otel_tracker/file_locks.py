"""The lock of a file: `flock`, which ends with the process that holds it, on the file itself.

Windows has none, and some file systems do not either; there nobody ever holds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_RETRY_S = 0.0005


def try_lock(fd: int) -> bool | None:
    """True when the lock is ours now, False when somebody else's, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def wait_for_lock(fd: int, deadline_s: float, is_wanted: Callable[[], bool]) -> bool:
    """Whether we hold the lock: not where there are none, after `time.monotonic` has passed ``deadline_s``, or
    when it is wanted no longer.
    """
    while (is_ours := try_lock(fd)) is False:
        if time.monotonic() >= deadline_s or not is_wanted():
            return False
        time.sleep(_RETRY_S)
    return bool(is_ours)


def unlock(fd: int) -> None:
    """Give the lock back at once; closing would not, where a forked child has inherited the descriptor."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_UN)
