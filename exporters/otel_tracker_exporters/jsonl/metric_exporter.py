"""The OpenTelemetry face of the `jsonl` store for metrics; apart, because it loads the SDK's metrics."""

from __future__ import annotations

import os

from otel_tracker.metric_exporting import RecordMetricExporter
from otel_tracker.settings import JSONL_PATH
from otel_tracker_exporters.jsonl.exporter import new_writer


class JsonlMetricExporter(RecordMetricExporter):
    """Appends metric points to the JSONL store at ``path``; as `JsonlSpanExporter`.

    In the format `otlp` to ``<stem>.metrics.jsonl``. Points that cannot be written are kept for the next
    export, see `otel_tracker.metric_exporting`.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        format: str | None = None,  # noqa: A002 - the setting is called so
        max_bytes: int | str | None = None,
        backups: int | None = None,
    ) -> None:
        self.path = os.path.abspath(JSONL_PATH.read(path))
        super().__init__(new_writer(self.path, format, max_bytes, backups))
