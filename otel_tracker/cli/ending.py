"""Being told to end: for a command that goes on until somebody has seen enough.

A KeyboardInterrupt arrives between any two steps, also between opening a file and remembering that it is open. Where
Ctrl-C is how a command ends, it is a message instead, which a thread hands on to whatever can end in an orderly way.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_OVER = b"\0"  # no signal has this number
_JOIN_S = 5.0


@contextmanager
def told_to_end(end: Callable[[], None]) -> Iterator[None]:
    """Within it another thread calls ``end`` at the first Ctrl-C, and once nobody reads our output any more.

    `tail | head -1` must not wait for one more record. The second Ctrl-C raises KeyboardInterrupt. Outside the main
    thread, which signals belong to, and where Ctrl-C is ignored (nohup) or handled already, that stays as it is.
    """
    ours, waker = socket.socketpair()
    waker.setblocking(False)  # a signal must not wait
    with closing(ours), closing(waker):
        thread = threading.Thread(target=_listen, args=(ours, end), name="otel-tracker-ending", daemon=True)
        thread.start()
        try:
            with _waking_at_interrupt(waker):
                yield
        finally:
            waker.send(_OVER)
            thread.join(_JOIN_S)  # whatever it still closes must not be in use when the program ends


def _listen(wake: socket.socket, end: Callable[[], None]) -> None:
    if _is_told(wake):
        end()


def _is_told(wake: socket.socket) -> bool:
    """Wait for a signal or the end of the output's reader (True), or for the end of the command (False)."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are told unasked
        poll.register(wake, select.POLLIN)
    except (AttributeError, OSError):  # Windows has no poll; the next record will tell
        return wake.recv(1) != _OVER
    while True:
        for descriptor, event in poll.poll():
            if descriptor == wake.fileno():
                return wake.recv(1) != _OVER
            if not event & select.POLLNVAL:
                return True
            poll.unregister(descriptor)  # cannot be watched, as devices on macOS


@contextmanager
def _waking_at_interrupt(waker: socket.socket) -> Iterator[None]:
    """Let SIGINT, the only signal that is handled here, be a byte for the other end of a pair of sockets."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    previous = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, _interrupt_next_time)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(previous)


def _interrupt_next_time(number: int, _frame: FrameType | None) -> None:
    """The byte has been written by the interpreter already; whatever does not end in time is interrupted."""
    signal.signal(number, signal.default_int_handler)
