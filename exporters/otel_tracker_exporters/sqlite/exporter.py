"""The OpenTelemetry face of the `sqlite` store: exporters for spans and for events.

A batch is one transaction. A relative path is taken from the working directory of the moment in which an exporter
is made; the file is created with the first record.
"""

from __future__ import annotations

import os

from otel_tracker.exporting import RecordLogExporter, RecordSpanExporter
from otel_tracker.settings import SQLITE_PATH
from otel_tracker_exporters.sqlite.writer import SqliteWriter


class SqliteSpanExporter(RecordSpanExporter):
    """Stores spans in the SQLite file at ``path``, by default the one that ``OTEL_TRACKER_SQLITE_PATH`` names."""

    def __init__(self, *, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        writer = SqliteWriter(self.path)
        super().__init__(writer.write_spans, writer.close)


class SqliteLogExporter(RecordLogExporter):
    """Stores events in the SQLite file at ``path``; as `SqliteSpanExporter`."""

    def __init__(self, *, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        writer = SqliteWriter(self.path)
        super().__init__(writer.write_events, writer.close)
