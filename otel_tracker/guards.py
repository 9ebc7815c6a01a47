"""Delivers what waits when a process ends in a way that runs no exit handler of the interpreter.

SIGTERM kills a program that does not handle it; children of `multiprocessing` and its pools, and those of Celery, end
with `os._exit`. Everything here waits for others to be imported, and nothing is installed over somebody else's.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from wrapt import register_post_import_hook, wrap_function_wrapper

from otel_tracker.delivery.postponing import do_or_postpone
from otel_tracker.diagnostics import logger, report_internal_error

# Other threads of the program work on while the handler delivers, and hold the interpreter for 5 ms by default, each
# time that delivery has waited for the disk: three busy ones make that ten times slower.
_SWITCH_INTERVAL_S = 0.0002

Action = Callable[..., object]


class Guards:
    """The guards of a process and, as they survive a fork, of its children.

    ``deliver`` is called before the end, and ``go_on`` if that did not come; neither may raise.
    """

    def __init__(self, deliver: Action, go_on: Action) -> None:
        self._deliver = deliver
        self._go_on = go_on
        self._is_ending = False

    def install(self, *, handles_signals: bool) -> None:
        """Install what there is to install; call it once a process."""
        if handles_signals:
            self._guard_signal(signal.SIGTERM)
            register_post_import_hook(self._guard_uvicorn, "uvicorn.server")
        register_post_import_hook(self._guard_multiprocessing, "multiprocessing.util")
        register_post_import_hook(self._guard_celery, "celery.signals")

    def _guard_signal(self, number: signal.Signals) -> None:
        """Only where the signal would kill at once: who handles it ends the program in an orderly way."""
        if threading.current_thread() is not threading.main_thread() or os.name != "posix":
            return
        try:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._on_signal)
        except (ValueError, OSError) as error:  # an interpreter inside another program
            logger.debug("%s cannot be handled here: %s", number.name, error)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_ending:  # a second one while the first is being dealt with
            self._is_ending = True
            do_or_postpone(lambda: self._deliver_and_die(number))

    def _deliver_and_die(self, number: int) -> None:
        """Deliver and send the signal again, so that the process ends by it, with the status that shows that."""
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        try:
            self._deliver()
        finally:
            self._is_ending = False
            sys.setswitchinterval(interval_s)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._go_on()  # the first process of a container does not die of a signal that it does not handle
        signal.signal(number, self._on_signal)

    def _guard_uvicorn(self, server: Any) -> None:
        """Uvicorn ends by sending itself the signal again, to the handler that it found: under gunicorn to none.

        Its worker class puts the system's defaults back before.
        """

        def capture(wrapped: Action, _server: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._guard_signal(number)
            return wrapped(*args, **kwargs)

        try:
            wrap_function_wrapper(server, "Server.capture_signals", capture)
        except Exception as error:  # another version of uvicorn
            logger.debug("uvicorn's signals are not guarded: %s", error)

    def _guard_multiprocessing(self, util: Any) -> None:
        """A child runs its finalizers and then `os._exit`; those that its parent had are gone."""

        def in_child(_: object) -> None:
            util.Finalize(None, self._deliver, exitpriority=0)

        try:
            util.register_after_fork(self, in_child)
        except Exception as error:
            report_internal_error("guarding multiprocessing", error)

    def _guard_celery(self, signals: Any) -> None:
        def on_shutdown(**_: object) -> None:
            self._deliver()

        try:
            signals.worker_process_shutdown.connect(on_shutdown, weak=False)
        except Exception as error:
            report_internal_error("guarding Celery's workers", error)
