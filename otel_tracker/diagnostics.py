"""What this package says about itself: one logger, one sentence a problem, never a flood, never an exception.

Everything goes to the standard logger ``otel_tracker``; without any logging set-up Python prints warnings to
stderr. The same problem is said once a process, whatever its frequency.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from time import monotonic

logger = logging.getLogger("otel_tracker")

_MAX_REMEMBERED = 1_000
# Without a lock: a signal handler may come while its own thread holds one, and a fork while another does. Of two
# threads that say the same, the one whose token is kept by `dict.setdefault` goes first.
_said: dict[str, object] = {}
_again_s: dict[str, float] = {}


def say_once(sentence: str, *, level: int = logging.WARNING, key: str | None = None) -> None:
    """Log a sentence unless it, or another with the same ``key``, was logged before in this process."""
    remembered = sentence if key is None else key
    token = object()
    if len(_said) >= _MAX_REMEMBERED or _said.setdefault(remembered, token) is not token:
        return
    with suppress(Exception):  # a handler of the program's own failed; there is nobody left to tell
        logger.log(level, "%s", sentence)


def say_rarely(sentence: str, *, key: str, every_s: float = 600.0) -> None:
    """Log a sentence about something that lasts, again only after ``every_s`` seconds."""
    now_s = monotonic()
    if len(_again_s) >= _MAX_REMEMBERED:
        return
    again_s = now_s + every_s  # a new object each time
    known_s = _again_s.setdefault(key, again_s)
    if known_s is not again_s and now_s < known_s:
        return
    _again_s[key] = again_s
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
    _said.clear()
    _again_s.clear()
