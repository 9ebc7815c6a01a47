"""Documents of executions that run for longer than a second, with status ``started``, where somebody asked for them.

Nothing is done on the caller's thread but an append. A second later a thread of this module writes those that still
run, each under the condition that there is no such document: the end, whenever it comes, replaces it, and it never
replaces the end. So a document ``started`` is left only by an execution that has not ended, or whose process was
killed.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan

from otel_tracker.delivery.unsignalled import leave_signals_to_others
from otel_tracker.delivery.untraced import untraced
from otel_tracker.diagnostics import report_internal_error

PATIENCE_S = 1.0
MAX_WAITING = 10_000
"""Beginnings that are remembered; beyond it the oldest is forgotten, and its end is stored all the same."""

_IDLE_S = 10.0


class Beginnings:
    """Tells ``write`` about spans that have begun and not ended within `PATIENCE_S`, on a thread of its own."""

    def __init__(self, write: Callable[[Sequence[ReadableSpan]], object]) -> None:
        self._write = write
        self._closed = threading.Event()
        self._start_empty()

    def _start_empty(self) -> None:
        self._waiting: deque[tuple[float, ReadableSpan]] = deque(maxlen=MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def put(self, spans: Sequence[ReadableSpan]) -> None:
        """Remember that these have begun."""
        if self._pid != os.getpid():
            self._start_empty()
        begun_s = time.monotonic()
        self._waiting.extend((begun_s, span) for span in spans)
        if self._thread is None and not self._closed.is_set():
            self._begin()

    def close(self) -> None:
        """End the thread; what still runs is not told any more."""
        self._closed.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid() and thread is not threading.current_thread():
            thread.join(PATIENCE_S)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="otel-tracker-beginnings", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads, or the end of the interpreter
                    self._thread = None

    def _run(self) -> None:
        leave_signals_to_others()
        idle_since_s = time.monotonic()
        with untraced():
            while not self._closed.wait(PATIENCE_S / 4):
                if running := self._running():
                    self._tell(running)
                if self._waiting:
                    idle_since_s = time.monotonic()
                elif time.monotonic() - idle_since_s > _IDLE_S:
                    break
        self._thread = None

    def _running(self) -> list[ReadableSpan]:
        """The spans that have begun long enough ago and have not ended."""
        latest_s = time.monotonic() - PATIENCE_S
        found = []
        while self._waiting and self._waiting[0][0] <= latest_s:
            _, span = self._waiting.popleft()
            if span.end_time is None:
                found.append(span)
        return found

    def _tell(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            self._write(spans)
        except Exception as error:
            report_internal_error("storing the beginnings of spans", error)
