"""Being asked to stop while a child process runs: the first signal unwinds, what was started is stopped on the way.

A signal that arrives between two steps that belong together (starting a process and remembering to stop it) waits
until both are done; further signals are ignored, so that the clean-up is not interrupted itself.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# By name: SIGHUP is unknown on Windows.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """A context in which SIGINT raises KeyboardInterrupt, and SIGTERM and SIGHUP a SystemExit of 128 + number."""
    interrupts = Interrupts()
    previous: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        known = [signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__]
        # What is ignored stays ignored (nohup).
        handled = [number for number in known if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        previous = {number: signal.signal(number, interrupts.arrived) for number in handled}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Interrupts:
    """What became of the signals that arrived."""

    def __init__(self) -> None:
        self._is_held = False
        self._pending: int | None = None
        self._is_stopping = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until the end of this block."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._pending is not None:
            self._stop(self._pending)

    def arrived(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: now, at the end of the held block, or not at all once we are stopping."""
        if self._is_held:
            self._pending = number
        elif not self._is_stopping:
            self._stop(number)

    def _stop(self, number: int) -> NoReturn:
        self._is_stopping = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
