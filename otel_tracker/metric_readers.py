"""What collects metrics and hands them to an exporter: the SDK's periodic reader, with a thread of ours.

A reader collects from time to time (every 10 s for a local store, every minute for others, unless
``OTEL_METRIC_EXPORT_INTERVAL`` says otherwise), when it is flushed and when the process ends. Its thread starts with
the first measurement, so that a process which measures nothing starts nothing, and ends for a fork, which is safest and
silent without it. Exporters of the pull kind (Prometheus) bring a reader of their own.

Which readers there are, and what a fork and the end of the process mean for all of them, is in
`otel_tracker.metric_reading`.
"""

from __future__ import annotations

import os
import threading
from math import inf, isfinite
from time import monotonic
from typing import Any

from opentelemetry.sdk.environment_variables import OTEL_METRIC_EXPORT_INTERVAL
from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData, PeriodicExportingMetricReader

from otel_tracker.delivery import forking
from otel_tracker.delivery.unsignalled import leave_signals_to_others
from otel_tracker.diagnostics import report_internal_error, say_once

LOCAL_INTERVAL_MS = 10_000.0
"""How often a local store gets points: what a SIGKILL can take."""

INTERVAL_MS = 60_000.0
"""How often any other destination does (specification: "Metrics SDK", periodic exporting reader)."""


class ExportingReader(PeriodicExportingMetricReader):
    """Exports every so often, on a thread of its own, and keeps the deadlines that it is given.

    For the SDK the interval is infinite, so that it starts no thread. Private to it and used here: ``_exporter``,
    ``_export_lock``, ``_export_timeout_millis`` and ``_collect``.
    """

    def __init__(self, exporter: MetricExporter, *, is_local: bool) -> None:
        super().__init__(exporter, export_interval_millis=inf)
        self._interval_s = _interval_ms(LOCAL_INTERVAL_MS if is_local else INTERVAL_MS) / 1e3
        self._due_s = inf
        self.is_local = is_local
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._is_ending = self._is_closed = self._has_collected_all = False
        self._handing_over = threading.RLock()

    def begin(self) -> None:
        """Export every so often from now on; what was due before stays due then."""
        if self._thread is not None or self._is_ending:
            return
        self._due_s = min(self._due_s, monotonic() + self._interval_s)
        self._wake = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(self._wake,), name="OtelPeriodicExportingMetricReader-otel-tracker", daemon=True
        )
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end; the end collects all the same
            self._thread = None

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and export now; False where points are left that the exporter did not get rid of."""
        self.collect(timeout_millis=timeout_millis)
        if self._exporter.force_flush(timeout_millis=timeout_millis) is not False:
            return True
        self._receive_metrics(MetricsData([]), timeout_millis=timeout_millis)  # what an earlier export has left
        return self._exporter.force_flush(timeout_millis=timeout_millis) is not False

    def hurry(self) -> None:
        """Begin to collect for the last time."""
        self._is_ending = True
        self._wake.set()

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect a last time and close the exporter, in so many milliseconds; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        end_by_s = monotonic() + timeout_millis / 1e3
        self.hurry()
        if self._thread is not None:
            self._thread.join(timeout_millis / 1e3)
        if not (self._has_collected_all or self.is_running):  # it ended for a fork, or never began
            self._collect_now(max(1.0, (end_by_s - monotonic()) * 1e3))
        super().shutdown(timeout_millis=max(1.0, (end_by_s - monotonic()) * 1e3))

    @property
    def is_running(self) -> bool:
        """Whether its thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def begin_pause(self) -> None:
        """Let the thread end for a fork."""
        self._wake.set()

    def pause(self, end_by_s: float) -> bool:
        """Have it ended, if it can until then; whether there was one."""
        thread = self._thread
        is_there = thread is not None and thread is not threading.current_thread()
        if thread is not None and is_there:
            thread.join(max(0.0, end_by_s - monotonic()))
        if self._handing_over.acquire(timeout=max(0.0, end_by_s - monotonic())):  # to somebody who flushes
            self._handing_over.release()
        return is_there

    def resume(self) -> None:
        """Go on after a fork."""
        self._thread = None  # one that has not ended yet does so after what it is at
        self.begin()

    def start_anew(self) -> None:
        """In a forked child: the thread is the parent's, and somebody may have held a lock."""
        self._thread, self._due_s = None, inf
        self._export_lock = threading.Lock()
        self._handing_over = threading.RLock()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        """Hand over what was collected; but not while another thread forks, unless the fork waits for this one."""
        end_by_s = monotonic() + timeout_millis / 1e3
        while True:
            is_waited_for = self._thread is threading.current_thread()
            may = is_waited_for or forking.wait_for_others(end_by_s)
            with self._handing_over:
                if not may or is_waited_for or not forking.others_are_at_it():
                    super()._receive_metrics(metrics_data, timeout_millis=timeout_millis, **kwargs)
                    return

    def _run(self, wake: threading.Event) -> None:
        leave_signals_to_others()
        while not wake.wait(max(0.0, self._due_s - monotonic())):
            self._due_s = monotonic() + self._interval_s
            self._collect_now(self._export_timeout_millis)
        if self._is_ending:
            self._collect_now(self._export_timeout_millis)
            self._has_collected_all = True

    def _collect_now(self, timeout_ms: float) -> None:
        if self._collect is None:  # no provider has taken it
            return
        try:
            self.collect(timeout_millis=timeout_ms)
        except Exception as error:  # callbacks of observable instruments are anybody's, and may take too long
            report_internal_error("collecting metrics", error)


def _interval_ms(default_ms: float) -> float:
    text = os.environ.get(OTEL_METRIC_EXPORT_INTERVAL, "").strip()
    if not text:
        return default_ms
    try:
        interval_ms = float(text)
    except ValueError:
        interval_ms = inf
    if isfinite(interval_ms) and interval_ms > 0:
        return interval_ms
    say_once(
        f"{OTEL_METRIC_EXPORT_INTERVAL} is {text[:60]!r}; expected a number of milliseconds above 0. "
        f"Set it to {default_ms:.0f}, or unset it."
    )
    return default_ms
