"""The OpenTelemetry face of the `sqlite` store for metrics; apart, because it loads the SDK's metrics."""

from __future__ import annotations

import os

from otel_tracker.metric_exporting import RecordMetricExporter
from otel_tracker.settings import SQLITE_PATH
from otel_tracker_exporters.sqlite.exporter import new_writer


class SqliteMetricExporter(RecordMetricExporter):
    """Stores metric points in the SQLite file at ``path``; as `SqliteSpanExporter`.

    Points that cannot be written are kept for the next export, see `otel_tracker.metric_exporting`.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        max_bytes: int | str | None = None,
        max_age_days: float | None = None,
    ) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        super().__init__(new_writer(self.path, max_bytes, max_age_days))
