"""The OpenTelemetry face of the `jsonl` store: exporters for spans and for log records.

A batch is one write. A relative path is taken from the working directory of the moment in which an exporter is
made; a file is created with its first record.
"""

from __future__ import annotations

import os

from otel_tracker.exporting import RecordLogExporter, RecordSpanExporter
from otel_tracker.settings import JSONL_BACKUPS, JSONL_FORMAT, JSONL_MAX_BYTES, JSONL_PATH
from otel_tracker.span_texts import SpanTexts
from otel_tracker_exporters.jsonl.formats import RECORD
from otel_tracker_exporters.jsonl.writer import JsonlWriter


class JsonlSpanExporter(RecordSpanExporter):
    """Appends spans to the JSONL store at ``path``, by default the one that ``OTEL_TRACKER_JSONL_PATH`` names.

    ``format`` is `record` (spans and events in that file) or `otlp` (OTLP JSON, spans in ``<stem>.traces.jsonl``).
    A file that would grow beyond ``max_bytes`` (a number, or text such as ``"64MiB"``; 0 = no limit) is put aside,
    and the newest ``backups`` of those are kept. What is left out is what the settings say.
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
        texts = SpanTexts() if JSONL_FORMAT.read(format) == RECORD else None
        super().__init__(new_writer(self.path, format, max_bytes, backups), texts)


class JsonlLogExporter(RecordLogExporter):
    """Appends events to the JSONL store at ``path``; as `JsonlSpanExporter`, in `otlp` to ``<stem>.logs.jsonl``.

    With ``store_logs`` log records that are no events as well; ``OTEL_TRACKER_LOGS_STORE`` says, where it is left out.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        format: str | None = None,  # noqa: A002 - the setting is called so
        max_bytes: int | str | None = None,
        backups: int | None = None,
        store_logs: bool | None = None,
    ) -> None:
        self.path = os.path.abspath(JSONL_PATH.read(path))
        super().__init__(new_writer(self.path, format, max_bytes, backups), store_logs=store_logs)


def new_writer(
    path: str,
    format: str | None,  # noqa: A002
    max_bytes: int | str | None,
    backups: int | None,
) -> JsonlWriter:
    """A writer in this format within these bounds, or those of the settings."""
    return JsonlWriter(
        path,
        format=JSONL_FORMAT.read(format),
        max_bytes=JSONL_MAX_BYTES.read(max_bytes),
        backups=JSONL_BACKUPS.read(backups),
    )
