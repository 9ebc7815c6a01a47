"""The OpenTelemetry face of the `sqlite` store: exporters for spans and for events.

They turn what the SDK hands over into records (`otel_tracker.recording`) and give those to a `SqliteWriter`. They
never raise and never retry: what FAILURE means is for the processor in front to decide. Log records that are no
events are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracker.diagnostics import report_internal_error
from otel_tracker.recording import event_record, span_record
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.settings import SQLITE_PATH
from otel_tracker_exporters.sqlite.writer import SqliteWriter


class SqliteSpanExporter(SpanExporter):
    """Stores spans in the SQLite file at ``path``, by default the one that ``OTEL_TRACKER_SQLITE_PATH`` names.

    A relative path is taken from the working directory of the moment. The file is created with the first span.
    """

    schedule_delay_ms = 1_000
    """How long a processor may hold spans back: what a SIGKILL can take, a second for a local store."""

    def __init__(self, *, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        self._writer = SqliteWriter(self.path)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store the spans in one transaction; FAILURE, said once in the log, when the file cannot be written."""
        is_stored = self._writer.write_spans(_span_records(spans))
        return SpanExportResult.SUCCESS if is_stored else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the file; every later `export` is a FAILURE."""
        self._writer.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


class SqliteLogExporter(LogRecordExporter):
    """Stores events in the SQLite file at ``path``; as `SqliteSpanExporter`."""

    schedule_delay_ms = 1_000

    def __init__(self, *, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(SQLITE_PATH.read(path))
        self._writer = SqliteWriter(self.path)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Store the events among the log records in one transaction; as `SqliteSpanExporter.export`."""
        is_stored = self._writer.write_events(_event_records(batch))
        return LogRecordExportResult.SUCCESS if is_stored else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the file; every later `export` is a FAILURE."""
        self._writer.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


def _span_records(spans: Sequence[ReadableSpan]) -> Iterator[SpanRecord]:
    for span in spans:
        try:
            yield span_record(span)
        except Exception as error:
            report_internal_error("recording a span", error)


def _event_records(batch: Sequence[ReadableLogRecord]) -> Iterator[EventRecord]:
    for readable in batch:
        try:
            record = event_record(readable)
        except Exception as error:
            report_internal_error("recording an event", error)
        else:
            if record is not None:
                yield record
