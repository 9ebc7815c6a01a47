"""The OpenTelemetry face of the `firestore` store: exporters for spans and for log records.

Behind `otel_tracker.processors` they are asked what became of each item (`deliver`); behind any other processor they
try a few times themselves (`export`). Google's client is imported and made with the first batch, on the thread that
delivers it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracker.attributes import SINK
from otel_tracker.delivery.outcomes import Outcome, is_delivered_at_once
from otel_tracker.diagnostics import logger, report_internal_error
from otel_tracker.recording import event_record, log_record, span_record
from otel_tracker.records import Record
from otel_tracker.settings import LOGS_STORE
from otel_tracker.span_texts import SpanTexts
from otel_tracker.writing import Item as Source
from otel_tracker_exporters.firestore.beginnings import Beginnings
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.delivering import MAX_WRITES, Deliverer
from otel_tracker_exporters.firestore.options import Options, options_of, require_client
from otel_tracker_exporters.firestore.pacing import pacer_of
from otel_tracker_exporters.firestore.rollups import Rollups
from otel_tracker_exporters.firestore.tailoring import Tracebacks, reduced

Item = TypeVar("Item")

UNFIT = "unfit"
_ROLLUPS_TIMEOUT_S = 1.0


class FirestoreExporting(Generic[Item]):
    """What both exporters do alike. The attributes are for the processor in front: see docs/delivery.md."""

    explains_failures = True
    max_batch_size = 4 * MAX_WRITES  # while two requests are under way, the next is encoded
    may_repeat = True

    def __init__(
        self,
        options: Options,
        record_of: Callable[[Item], Source | None],
        stored: Callable[[Source], None] | None = None,
    ) -> None:
        require_client()
        self.options = options
        self.destination = options.location
        self._record_of = record_of
        self._connection = Connection(options)
        pacer = pacer_of(options.location, options.max_writes_per_s)
        self._deliverer: Deliverer[Item] = Deliverer(self._connection, pacer, stored)
        self._closed = threading.Event()

    def deliver(self, batch: Sequence[Item]) -> Outcome[Item]:
        """Write what is meant for the store; what became of each item. What is not meant for it counts as exported."""
        pairs: list[tuple[Item, Source]] = []
        passed, unfit = 0, 0
        for item in batch:
            try:
                record = self._record_of(item)
            except Exception as error:  # whatever a program puts into its telemetry, the others shall go on
                report_internal_error("recording telemetry for firestore", error)
                unfit += 1
                continue
            if record is None:
                passed += 1
            else:
                pairs.append((item, record))
        outcome = self._deliverer.deliver(pairs) if pairs else Outcome()
        outcome.exported += passed
        if unfit:
            outcome.drop(UNFIT, unfit)
        return outcome

    def deliver_now(self, batch: Sequence[Item]) -> bool:
        """For a processor that asks once; False when some of it did not arrive."""
        return is_delivered_at_once(self.deliver, batch, self._closed)

    def shutdown(self) -> None:
        """End a request that waits, and close; what comes later is not written."""
        self._closed.set()
        self._deliverer.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


class FirestoreSpanExporter(FirestoreExporting[ReadableSpan], SpanExporter):
    """Stores spans as documents of Firestore.

    Each argument falls back to its setting (docs/firestore.md). ``sink`` is the name of the one exporter that a span
    is for (attribute ``otel_tracker.sink``): with it, only such spans are stored, and each failed one with the
    traceback of the deepest; without, only spans that name none. ``stores_errors`` and ``stores_durations`` are the
    switches of the Firestore tracker: the status says all the same whether a call has failed.

    Raises `MissingExtraError` without google-cloud-firestore; needs no credentials before the first batch.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        database: str | None = None,
        collection: str | None = None,
        ttl_days: float | None = None,
        max_writes_per_s: int | None = None,
        shards: int | None = None,
        sink: str | None = None,
        stores_errors: bool = True,
        stores_durations: bool = True,
    ) -> None:
        others = ("self", "__class__", "sink", "stores_errors", "stores_durations")
        given = {name: value for name, value in locals().items() if name not in others}
        self._sink = sink
        self._reduce = partial(reduced, has_error=stores_errors, has_duration=stores_durations)
        self._is_reduced = not (stores_errors and stores_durations)
        self._tracebacks = Tracebacks()
        self._texts = SpanTexts()
        options = options_of(given)
        self._rollups = Rollups(options)
        super().__init__(options, self._record, self._rollups.count)
        pacer = pacer_of(options.location, options.max_writes_per_s)
        self._begun: Deliverer[ReadableSpan] = Deliverer(self._connection, pacer)
        self._beginnings = Beginnings(self._write_begun)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store the spans; FAILURE, said in the log, when one of them did not arrive."""
        return SpanExportResult.SUCCESS if self.deliver_now(spans) else SpanExportResult.FAILURE

    def deliver(self, batch: Sequence[ReadableSpan]) -> Outcome[ReadableSpan]:
        """As `FirestoreExporting.deliver`; now and then also what was counted."""
        self._texts.renew()
        outcome = super().deliver(batch)
        if self._rollups.is_due() and not outcome.again:
            self._write_rollups()
        return outcome

    def export_started(self, spans: Sequence[ReadableSpan]) -> None:
        """Remember that the spans have begun; see `otel_tracker_exporters.firestore.beginnings`."""
        self._beginnings.put([span for span in spans if self._is_meant(span)])

    def shutdown(self) -> None:
        """As `FirestoreExporting.shutdown`, after what was counted."""
        self._begun.end_waiting()
        self._beginnings.close()
        if not self._deliverer.is_busy:
            self._write_rollups()
        super().shutdown()

    def _write_rollups(self) -> None:
        try:
            writes = self._rollups.writes(self._connection.document_root()) if self._rollups.has_changed() else []
            for first in range(0, len(writes), MAX_WRITES):
                self._connection.batch_write(writes[first : first + MAX_WRITES], _ROLLUPS_TIMEOUT_S)
            self._rollups.written()
        except Exception as error:  # percentiles are counted then
            logger.debug("rollups cannot be written: %s", error)

    def _write_begun(self, spans: Sequence[ReadableSpan]) -> None:
        self._begun.deliver([(span, self._reduce(span_record(span))) for span in spans])

    def _is_meant(self, span: ReadableSpan) -> bool:
        return (span.attributes or {}).get(SINK) == self._sink

    def _record(self, span: ReadableSpan) -> Source | None:
        has_failed = self._sink is not None and span.status.status_code.name == "ERROR"
        if not self._is_meant(span):
            if has_failed:  # the exception may be the one that a span of ours has failed with
                self._tracebacks.filled(span_record(span))
            return None
        try:
            texts = None if has_failed or self._is_reduced else self._texts.of(span)
        except Exception:  # what cannot be a text may be a record, or says why not
            texts = None
        if texts is not None:
            return texts
        record = span_record(span)
        return self._reduce(self._tracebacks.filled(record) if has_failed else record)


class FirestoreLogExporter(FirestoreExporting[ReadableLogRecord], LogRecordExporter):
    """Stores events as documents of Firestore; the arguments are those of `FirestoreSpanExporter`.

    With ``store_logs`` log records that are no events as well; ``OTEL_TRACKER_LOGS_STORE`` says, where it is left out.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        database: str | None = None,
        collection: str | None = None,
        ttl_days: float | None = None,
        max_writes_per_s: int | None = None,
        shards: int | None = None,
        store_logs: bool | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__", "store_logs")}
        self.takes_logs = LOGS_STORE.read(store_logs)
        super().__init__(options_of(given), self._record)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Store the events; FAILURE, said in the log, when one of them did not arrive."""
        return LogRecordExportResult.SUCCESS if self.deliver_now(batch) else LogRecordExportResult.FAILURE

    def _record(self, readable: ReadableLogRecord) -> Source | None:
        record: Record | None = event_record(readable)
        return log_record(readable) if record is None and self.takes_logs else record
