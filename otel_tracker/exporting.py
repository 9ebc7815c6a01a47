"""From the SDK's exporter interface to records: what the exporters of every local store have in common.

An exporter of a store turns what the SDK hands over into records (`otel_tracker.recording`) and gives those to a
`StoreWriter`. It never raises and never retries: what FAILURE means is for the processor in front to
decide. Log records that are no events are stored when the setting `logs_store` says so, else passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracker.attributes import PROCESS
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.presence import own_presence, shown_presence
from otel_tracker.recording import event_record, log_record, span_record
from otel_tracker.records import EventRecord, LogRecord, SpanRecord, Texts
from otel_tracker.settings import LOGS_STORE
from otel_tracker.span_texts import SpanTexts
from otel_tracker.writing import StoreWriter

LOCAL_DELAY_MS = 1_000
"""How long a processor may hold records back from a local store: what a SIGKILL can take."""


class RecordSpanExporter(SpanExporter):
    """Hands spans to a store's writer: as records, or with ``texts`` most of them as those (see `SpanTexts`).

    The constants are for the processor in front: how long it may hold spans back, what tells this destination from
    others, and that the writer says itself why it cannot store something.
    """

    schedule_delay_ms = LOCAL_DELAY_MS
    explains_failures = True

    def __init__(self, writer: StoreWriter, texts: SpanTexts | None = None) -> None:
        self.destination = writer.location
        self._place = ""
        self._writer = writer
        self._texts = texts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store the spans; FAILURE, said once in the log by the store, when that is not possible."""
        items = _span_records(spans) if self._texts is None else _span_texts(spans, self._texts)
        return SpanExportResult.SUCCESS if self._writer.write(items) else SpanExportResult.FAILURE

    def export_started(self, spans: Sequence[ReadableSpan]) -> None:
        """Store that the spans have begun, at once, and in which process, so that their end will not be waited for."""
        presence = own_presence()
        self._place = self._place or os.path.realpath(self.destination)
        presence.store_at(self._place)
        self._writer.write(_begun(record, presence.name) for record in _span_records(spans))

    def all_ended(self) -> None:
        """Whatever `export_started` was given has ended."""
        presence = shown_presence()
        if presence is not None:
            presence.leave(self._place)

    def shutdown(self) -> None:
        """Close the store; every later `export` is a FAILURE."""
        self._writer.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


class RecordLogExporter(LogRecordExporter):
    """The same for the events among log records, and with ``store_logs`` for the others.

    None is what ``OTEL_TRACKER_LOGS_STORE`` says.
    """

    schedule_delay_ms = LOCAL_DELAY_MS
    explains_failures = True

    def __init__(self, writer: StoreWriter, *, store_logs: bool | None = None) -> None:
        self.destination = writer.location
        self._writer = writer
        self.takes_logs = LOGS_STORE.read(store_logs)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Store what is to be stored of the log records; as `RecordSpanExporter.export`."""
        is_stored = self._writer.write(_log_records(batch, with_logs=self.takes_logs))
        return LogRecordExportResult.SUCCESS if is_stored else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the store; every later `export` is a FAILURE."""
        self._writer.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


def _begun(record: SpanRecord, process: str) -> SpanRecord:
    return replace(record, attributes={**record.attributes, PROCESS: process})


def _span_records(spans: Sequence[ReadableSpan]) -> Iterator[SpanRecord]:
    for span in spans:
        try:
            yield span_record(span)
        except Exception as error:
            report_internal_error("recording a span", error)


def _span_texts(spans: Sequence[ReadableSpan], texts: SpanTexts) -> Iterator[SpanRecord | Texts]:
    texts.renew()
    for span in spans:
        try:
            found = texts.of(span)
        except Exception:  # what cannot be a text may be a record, or says why not
            found = None
        if found is None:
            yield from _span_records((span,))
        else:
            yield found


def _log_records(batch: Sequence[ReadableLogRecord], *, with_logs: bool) -> Iterator[EventRecord | LogRecord]:
    for readable in batch:
        record: EventRecord | LogRecord | None
        try:
            record = event_record(readable)
            if record is None and with_logs:
                record = log_record(readable)
        except Exception as error:
            report_internal_error("recording a log record", error)
        else:
            if record is not None:
                yield record
