"""What this package says about itself: one logger, one sentence a problem, never a flood, never an exception.

Everything goes to the standard logger ``otel_tracker``; without any logging set-up Python prints warnings to
stderr. The same problem is said once a process, whatever its frequency.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from time import monotonic

logger = logging.getLogger("otel_tracker")

_MAX_REMEMBERED = 1_000
_said: set[str] = set()
_again_s: dict[str, float] = {}
_lock = threading.Lock()


def say_once(sentence: str, *, level: int = logging.WARNING, key: str | None = None) -> None:
    """Log a sentence unless it, or another with the same ``key``, was logged before in this process."""
    remembered = sentence if key is None else key
    with _lock:
        if remembered in _said or len(_said) >= _MAX_REMEMBERED:
            return
        _said.add(remembered)
    with suppress(Exception):  # a handler of the program's own failed; there is nobody left to tell
        logger.log(level, "%s", sentence)


def say_rarely(sentence: str, *, key: str, every_s: float = 600.0) -> None:
    """Log a sentence about something that lasts, again only after ``every_s`` seconds."""
    now_s = monotonic()
    with _lock:
        if now_s < _again_s.get(key, 0.0) or len(_again_s) >= _MAX_REMEMBERED:
            return
        _again_s[key] = now_s + every_s
    with suppress(Exception):
        logger.warning("%s", sentence)


def report_internal_error(where: str, error: BaseException) -> None:
    """Log, once a place and type, that our own code failed and the program went on without it."""
    try:
        say_once(
            f"otel-tracker failed while {where} ({type(error).__name__}); the program goes on without it. "
            "Set OTEL_TRACKER_LOG_LEVEL=debug to see where, and please report it.",
            key=f"{where}:{type(error).__name__}",
        )
        logger.debug("otel-tracker failed while %s", where, exc_info=error)
    except Exception:  # noqa: S110 - reporting is the last resort: there is nobody left to tell
        pass


def set_log_level(level_name: str) -> None:
    """Let messages of this level through; print them to stderr when the program has set up no logging."""
    level = logging.getLevelName(level_name.upper())
    if not isinstance(level, int):
        return
    logger.setLevel(level)
    if level < logging.WARNING and not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)s %(levelname)s: %(message)s"))
        logger.addHandler(handler)


def forget_said() -> None:
    """Start again with nothing said (a new configuration deserves its own warnings)."""
    with _lock:
        _said.clear()
        _again_s.clear()
