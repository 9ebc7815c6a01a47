"""The OpenTelemetry face of the `sqlite` store: exporters for spans and for log records.

A batch is one transaction. A relative path is taken from the working directory of the moment in which an exporter
is made; the file is created with the first record.
"""

from __future__ import annotations

import os

from otel_tracker.exporting import RecordLogExporter, RecordSpanExporter
from otel_tracker.settings import SQLITE_MAX_AGE_DAYS, SQLITE_MAX_BYTES, SQLITE_PATH
from otel_tracker.span_texts import SpanTexts
from otel_tracker_exporters.sqlite.keeping import NS_PER_DAY, Keeper
from otel_tracker_exporters.sqlite.writer import SqliteWriter


class SqliteSpanExporter(RecordSpanExporter):
    """Stores spans in the SQLite file at ``path``, by default the one that ``OTEL_TRACKER_SQLITE_PATH`` names.

    Above ``max_bytes`` and beyond ``max_age_days`` the oldest traces are removed, each as a whole; 0 is no limit. By
    default ``OTEL_TRACKER_SQLITE_MAX_BYTES`` and ``OTEL_TRACKER_SQLITE_MAX_AGE_DAYS`` say.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        max_bytes: int | str | None = None,
        max_age_days: float | None = None,
    ) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        super().__init__(new_writer(self.path, max_bytes, max_age_days), SpanTexts())


class SqliteLogExporter(RecordLogExporter):
    """Stores events in the SQLite file at ``path``; as `SqliteSpanExporter`.

    With ``store_logs`` log records that are no events as well; ``OTEL_TRACKER_LOGS_STORE`` says, where it is left out.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        max_bytes: int | str | None = None,
        max_age_days: float | None = None,
        store_logs: bool | None = None,
    ) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        super().__init__(new_writer(self.path, max_bytes, max_age_days), store_logs=store_logs)


def new_writer(path: str, max_bytes: int | str | None, max_age_days: float | None) -> SqliteWriter:
    """A writer that keeps the store within these bounds, or those of the settings."""
    max_age_ns = round(SQLITE_MAX_AGE_DAYS.read(max_age_days) * NS_PER_DAY)
    return SqliteWriter(path, keeper=Keeper(SQLITE_MAX_BYTES.read(max_bytes), max_age_ns))
