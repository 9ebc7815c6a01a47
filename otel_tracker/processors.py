"""What stands between the SDK and an exporter: processors that lose nothing and never hold up the program.

They take the place of the SDK's batch processors, with the same arguments and the same variables (``OTEL_BSP_*``,
``OTEL_BLRP_*``). A local store is written every second unless those say otherwise, so that a killed process loses at
most that; a remote one as the SDK does. How they work is told in `otel_tracker.delivery`.
"""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from otel_tracker.delivery import lanes
from otel_tracker.delivery.beginnings import Beginnings
from otel_tracker.delivery.codec import Codec
from otel_tracker.delivery.journal import Journal
from otel_tracker.delivery.lane import Lane
from otel_tracker.delivery.limits import EVENTS, SPANS, limits_of
from otel_tracker.delivery.log_codec import LOG_CODEC
from otel_tracker.delivery.span_codec import SPAN_CODEC
from otel_tracker.settings import DELIVERY_EXIT_TIMEOUT_S, DELIVERY_JOURNAL_MAX_BYTES, DELIVERY_STARTED

Item = TypeVar("Item")

_SAMPLED = 1


class DurableSpanProcessor(SpanProcessor):
    """Delivers ended, sampled spans to ``span_exporter``, in batches, on a thread of its own.

    In memory wait at most ``max_queue_size`` spans, beyond that and behind an exporter that refuses them they wait in
    a journal on disk. ``schedule_delay_millis`` is how long a span may wait for its batch. What could not be
    delivered when the process ends goes out at the next start. With ``OTEL_TRACKER_DELIVERY_STARTED`` an exporter that
    has ``export_started`` gets every span when it begins, too, on the caller's thread.
    """

    _beginnings: Beginnings | None = None

    def __init__(
        self,
        span_exporter: SpanExporter,
        max_queue_size: int | None = None,
        schedule_delay_millis: float | None = None,
        max_export_batch_size: int | None = None,
        export_timeout_millis: float | None = None,
    ) -> None:
        self.span_exporter = span_exporter
        self._limits = limits_of(
            SPANS,
            max_queue_size=max_queue_size,
            schedule_delay_ms=schedule_delay_millis,
            max_batch_size=max_export_batch_size,
            export_timeout_ms=export_timeout_millis,
            exporter=span_exporter,
        )
        self._lane = _lane(span_exporter, SPAN_CODEC, SPANS, self._limits)
        self._put = self._lane.put
        if DELIVERY_STARTED.read() and hasattr(span_exporter, "export_started"):
            self._watch_beginnings(Beginnings(span_exporter))

    def on_end(self, span: ReadableSpan) -> None:
        """Take the span in, when it is sampled."""
        context = span.context
        if context is not None and context.trace_flags & _SAMPLED:
            self._put(span)

    def _watch_beginnings(self, beginnings: Beginnings) -> None:
        """Exchange the methods, so that a processor which does not watch pays nothing for it."""

        def on_end(span: ReadableSpan) -> None:
            beginnings.end(span)
            DurableSpanProcessor.on_end(self, span)

        self._beginnings = beginnings
        self.on_start = beginnings.on_start  # type: ignore[method-assign]
        self.on_end = on_end  # type: ignore[method-assign]

    def shutdown(self) -> None:
        """Deliver what waits and close the exporter, within ``OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S`` seconds."""
        _shut_down(self._lane)
        if self._beginnings is not None:
            self._beginnings.close()

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Deliver what waits; False when that failed or took longer, by default than the export timeout."""
        return self._lane.flush(self._limits.export_timeout_s if timeout_millis is None else timeout_millis / 1e3)


class DurableLogRecordProcessor(LogRecordProcessor):
    """The same for log records, which is what events are; see `DurableSpanProcessor`."""

    def __init__(
        self,
        exporter: LogRecordExporter,
        schedule_delay_millis: float | None = None,
        max_export_batch_size: int | None = None,
        export_timeout_millis: float | None = None,
        max_queue_size: int | None = None,
    ) -> None:
        self.exporter = exporter
        self._limits = limits_of(
            EVENTS,
            max_queue_size=max_queue_size,
            schedule_delay_ms=schedule_delay_millis,
            max_batch_size=max_export_batch_size,
            export_timeout_ms=export_timeout_millis,
            exporter=exporter,
        )
        self._lane = _lane(exporter, LOG_CODEC, EVENTS, self._limits)
        self._put = self._lane.put

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Take the log record in, as it is now."""
        self._put(snapshot_of(log_record))

    def put(self, log_record: ReadableLogRecord) -> None:
        """Take in what `snapshot_of` has made: several destinations may share it."""
        self._put(log_record)

    def shutdown(self) -> None:
        """Deliver what waits and close the exporter; as `DurableSpanProcessor.shutdown`."""
        _shut_down(self._lane)

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Deliver what waits; as `DurableSpanProcessor.force_flush`."""
        return self._lane.flush(self._limits.export_timeout_s if timeout_millis is None else timeout_millis / 1e3)


_NO_CONTEXT = Context()
_new: Any = object.__new__


def snapshot_of(log_record: ReadWriteLogRecord) -> ReadableLogRecord:
    """The log record as it is now, whatever others write on it later; without its context, which may hold a lot.

    Made past the constructors, which would cost half of the event; both classes keep their fields in ``__dict__``.
    """
    given = log_record.log_record
    log = _new(type(given))
    log.__dict__.update(given.__dict__)
    log.context = _NO_CONTEXT
    if not log_record.dropped_attributes:  # else the container says how many; it is shared then
        log.attributes = dict(log.attributes or ())
    readable: ReadableLogRecord = _new(ReadableLogRecord)
    readable.__dict__.update(
        log_record=log,
        resource=log_record.resource if log_record.resource is not None else Resource.get_empty(),
        instrumentation_scope=log_record.instrumentation_scope,
        limits=log_record.limits,
    )
    return readable


def _lane(exporter: Any, codec: Codec[Item], signal: str, limits: Any) -> Lane[Item]:
    destination = destination_of(exporter)
    journal = Journal(signal, destination, DELIVERY_JOURNAL_MAX_BYTES.read())
    return Lane(exporter, codec, signal=signal, destination=destination, limits=limits, journal=journal)


def _shut_down(lane: Lane[Any]) -> None:
    with lanes.exit_time(lane, DELIVERY_EXIT_TIMEOUT_S.read()) as end_by_s:
        lane.shutdown(end_by_s)


def destination_of(exporter: object) -> str:
    """What tells an exporter's destination from others, in this process and in the next; without secrets.

    Its own ``destination``, else its class and, where it has one, its endpoint without user, password and query.
    """
    own = getattr(exporter, "destination", None)
    if isinstance(own, str) and own:
        return own
    kind = f"{type(exporter).__module__}.{type(exporter).__qualname__}"
    endpoint = getattr(exporter, "_endpoint", None)
    return f"{kind} {_without_secrets(endpoint)}" if isinstance(endpoint, str) and endpoint else kind


def _without_secrets(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:
        return "an endpoint"
