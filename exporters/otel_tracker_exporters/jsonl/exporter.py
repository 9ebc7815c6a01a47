"""The OpenTelemetry face of the `jsonl` store: exporters for spans and for events.

A batch is one write. A relative path is taken from the working directory of the moment in which an exporter is
made; the file is created with the first record.
"""

from __future__ import annotations

import os

from otel_tracker.exporting import RecordLogExporter, RecordSpanExporter
from otel_tracker.settings import JSONL_PATH
from otel_tracker_exporters.jsonl.writer import JsonlWriter


class JsonlSpanExporter(RecordSpanExporter):
    """Appends spans to the JSONL file at ``path``, by default the one that ``OTEL_TRACKER_JSONL_PATH`` names."""

    def __init__(self, *, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(JSONL_PATH.read(path))
        writer = JsonlWriter(self.path)
        super().__init__(writer.write, writer.close)


class JsonlLogExporter(RecordLogExporter):
    """Appends events to the JSONL file at ``path``; as `JsonlSpanExporter`."""

    def __init__(self, *, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(JSONL_PATH.read(path))
        writer = JsonlWriter(self.path)
        super().__init__(writer.write, writer.close)
