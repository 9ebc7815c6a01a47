"""From the SDK's metric exporter interface to records: what the metric exporters of every local store have in common.

A point of delta temporality is told once: what is not written is missing from every sum. So points whose writing
failed are kept, up to `MAX_KEPT`, and written with the next export; the oldest beyond that are dropped, counted
and said once. Nothing is retried inside of an export, which has a deadline and never raises.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from itertools import chain
from typing import Any

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData

from otel_tracker.diagnostics import report_internal_error, say_once
from otel_tracker.metric_recording import metric_records
from otel_tracker.metric_records import MetricRecord
from otel_tracker.writing import StoreWriter

MAX_KEPT = 10_000
"""How many points wait for the next export; about 10 MB."""

# What an up-down counter stands at is its total; of all others the increase of a time is what adds up, over processes
# and restarts. Gauges have none.
TEMPORALITY: dict[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    ObservableCounter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
    UpDownCounter: AggregationTemporality.CUMULATIVE,
    ObservableUpDownCounter: AggregationTemporality.CUMULATIVE,
    ObservableGauge: AggregationTemporality.CUMULATIVE,
}


class RecordMetricExporter(MetricExporter):
    """Hands metric points to a store's writer as records; see the module's docstring.

    ``destination`` tells the store from others; ``dropped`` counts the points that this process has lost.
    """

    explains_failures = True

    def __init__(self, writer: StoreWriter) -> None:
        super().__init__(preferred_temporality=dict(TEMPORALITY))
        self.destination = writer.location
        self.dropped = 0
        self._writer = writer
        self._kept = _Kept()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Store the points and those that are kept; FAILURE, said once in the log, when that is not possible."""
        try:
            records = [*self._kept_here().take(), *metric_records(metrics_data)]
        except Exception as error:  # data of nobody's shape
            report_internal_error("recording metric points", error)
            return MetricExportResult.FAILURE
        if not records or self._writer.write(records, timeout_s=timeout_millis / 1000):
            return MetricExportResult.SUCCESS
        self._drop(self._kept_here().put_back(records))
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Whether nothing is kept for the next export."""
        return not self._kept_here().points

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Write what is kept, if that is possible now, and close the store; every later `export` is a FAILURE."""
        left_millis = kwargs.get("timeout", timeout_millis)  # the SDK's periodic reader calls its milliseconds so
        kept = self._kept_here().take()
        if kept and not self._writer.write(kept, timeout_s=left_millis / 1000):
            self._drop(len(kept))
        self._writer.close()

    def _drop(self, count: int) -> None:
        if count:
            self.dropped += count
            say_once(
                f"Metric points could not be stored in {self.destination} for so long that the oldest are lost "
                f"({count:,} so far): sums of counters and histograms lack them. See to the store.",
                key=f"metrics dropped:{self.destination}",
            )

    def _kept_here(self) -> _Kept:
        """What this process keeps: a child has nothing of what its parent will write."""
        if self._kept.pid != os.getpid():
            self._kept = _Kept()
            self.dropped = 0
        return self._kept


class _Kept:
    """Points that wait, of one process, the oldest first."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.points: list[MetricRecord] = []
        self._lock = threading.Lock()

    def take(self) -> list[MetricRecord]:
        """All of them; they wait no longer."""
        with self._lock:
            taken, self.points = self.points, []
        return taken

    def put_back(self, points: Iterable[MetricRecord]) -> int:
        """Let these wait, as the older ones; how many of the oldest there was no room for."""
        with self._lock:
            waiting = list(chain(points, self.points))
            self.points = waiting[-MAX_KEPT:]
        return len(waiting) - len(self.points)
