"""Delivers what waits when a process ends in a way that runs no exit handler of the interpreter.

SIGTERM kills a program that does not handle it; children of `multiprocessing` and its pools, and those of Celery, end
with `os._exit`. Everything here waits for others to be imported, and nothing is installed over somebody else's.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from wrapt import register_post_import_hook, wrap_function_wrapper

from otel_tracker.delivery.postponing import do_or_postpone
from otel_tracker.delivery.turns import short_turns
from otel_tracker.diagnostics import logger, report_internal_error

# The SDK's metrics have locks that cannot be asked who holds them. Where this thread may, the signal is sent again.
_METRICS_MODULE = "opentelemetry.sdk.metrics"
_MAX_FRAMES, _MAX_ATTEMPTS, _ATTEMPT_S = 16, 200, 0.002

Action = Callable[..., object]


class Guards:
    """The guards of a process and, as they survive a fork, of its children.

    ``deliver`` is called before the end, and ``go_on`` if that did not come; neither may raise.
    """

    def __init__(self, deliver: Action, go_on: Action) -> None:
        self._deliver = deliver
        self._go_on = go_on
        self._is_ending = False
        self._attempts = 0

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

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_ending:  # a second one while the first is being dealt with
            return
        if self._attempts < _MAX_ATTEMPTS and _is_measuring(frame):
            self._attempts += 1
            timer = threading.Timer(_ATTEMPT_S, _send_to_main_thread, (number,))
            timer.daemon = True
            timer.start()
            return
        self._attempts = 0
        self._is_ending = True
        do_or_postpone(lambda: self._deliver_and_die(number))

    def _deliver_and_die(self, number: int) -> None:
        """Deliver and send the signal again, so that the process ends by it, with the status that shows that."""
        try:
            with short_turns():
                self._deliver()
        finally:
            self._is_ending = False
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
            if util.process.parent_process() is not None:  # itself a child, such as that of a fork server
                in_child(None)
        except Exception as error:
            report_internal_error("guarding multiprocessing", error)

    def _guard_celery(self, signals: Any) -> None:
        def on_shutdown(**_: object) -> None:
            self._deliver()

        try:
            signals.worker_process_shutdown.connect(on_shutdown, weak=False)
        except Exception as error:
            report_internal_error("guarding Celery's workers", error)


def _send_to_main_thread(number: int) -> None:
    """To no other one: Python's handler runs in the main thread, which sleeps on where another gets the signal."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        os.kill(os.getpid(), number)


def _is_measuring(frame: FrameType | None) -> bool:
    """Whether the handler stands inside of a measurement, or of a collection, of its own thread."""
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return False
        if str(frame.f_globals.get("__name__", "")).startswith(_METRICS_MODULE):
            return True
        frame = frame.f_back
    return False
