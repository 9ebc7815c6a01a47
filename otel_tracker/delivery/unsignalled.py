"""Keeps the program's signals away from a thread of ours.

The kernel gives a signal to any thread that does not block it. Python's own handlers do not mind, as they run in the
main thread; those of a server that embeds the interpreter do: uWSGI calls `exit` in the thread that it finds itself in,
which then would wait for itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

# Faults of the thread itself, which nobody else can take.
_OWN = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"}


def leave_signals_to_others() -> None:
    """Block every signal in the calling thread, unless it is the main one: a greenlet of gevent's runs there."""
    if not sys.platform.startswith("linux") or threading.get_native_id() == os.getpid():
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {one for one in signal.valid_signals() if _name(one) not in _OWN})


def _name(number: int) -> str:
    return number.name if isinstance(number, signal.Signals) else ""
