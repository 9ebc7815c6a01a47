"""From the SDK's exporter interface to records: what the exporters of every local store have in common.

An exporter of a store turns what the SDK hands over into records (`otel_tracker.recording`) and gives those to a
function that writes them. It never raises and never retries: what FAILURE means is for the processor in front to
decide. Log records that are no events are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracker.diagnostics import report_internal_error
from otel_tracker.recording import event_record, span_record
from otel_tracker.records import EventRecord, SpanRecord

LOCAL_DELAY_MS = 1_000
"""How long a processor may hold records back from a local store: what a SIGKILL can take."""


class RecordSpanExporter(SpanExporter):
    """Hands spans, as records, to ``write``, which answers whether they are stored; ``close`` ends it."""

    schedule_delay_ms = LOCAL_DELAY_MS

    def __init__(self, write: Callable[[Iterable[SpanRecord]], bool], close: Callable[[], None]) -> None:
        self._write = write
        self._close = close

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store the spans; FAILURE, said once in the log by the store, when that is not possible."""
        return SpanExportResult.SUCCESS if self._write(_span_records(spans)) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the store; every later `export` is a FAILURE."""
        self._close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


class RecordLogExporter(LogRecordExporter):
    """The same for the events among log records."""

    schedule_delay_ms = LOCAL_DELAY_MS

    def __init__(self, write: Callable[[Iterable[EventRecord]], bool], close: Callable[[], None]) -> None:
        self._write = write
        self._close = close

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Store the events among the log records; as `RecordSpanExporter.export`."""
        return LogRecordExportResult.SUCCESS if self._write(_event_records(batch)) else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the store; every later `export` is a FAILURE."""
        self._close()

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
