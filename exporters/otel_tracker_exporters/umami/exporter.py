"""The OpenTelemetry face of the `umami` destination: exporters for events and, on request, for spans.

Behind `otel_tracker.processors` they are asked what became of each item (`deliver`); behind any other processor they
try a few times themselves (`export`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracker import attributes as keys
from otel_tracker import event_needs
from otel_tracker.delivery.outcomes import Outcome, is_delivered_at_once
from otel_tracker.diagnostics import report_internal_error, say_once
from otel_tracker.errors import SettingError
from otel_tracker.recording import event_record, span_record
from otel_tracker.redaction import redactor
from otel_tracker.umami_settings import UMAMI_HOSTNAME
from otel_tracker_exporters.umami.analytics import AnalyticsEvent, Message
from otel_tracker_exporters.umami.connection import Connection
from otel_tracker_exporters.umami.delivering import UNFIT, Deliverer
from otel_tracker_exporters.umami.dialects import dialect_of
from otel_tracker_exporters.umami.mapping import event_of, is_request, span_event_of
from otel_tracker_exporters.umami.options import POSTHOG, Options, options_of
from otel_tracker_exporters.umami.places import host_of
from otel_tracker_exporters.umami.state import server_of
from otel_tracker_exporters.umami.texts import hash_of

Item = TypeVar("Item")

FROM_HEADERS = (keys.HTTP_REQUEST_REFERER, keys.HTTP_REQUEST_LANGUAGE)
PAGE = (keys.URL_PATH, keys.SERVER_ADDRESS, keys.HTTP_ROUTE, *FROM_HEADERS)
CLIENT = (keys.CLIENT_ADDRESS, keys.USER_AGENT_ORIGINAL)
"""What an event's page, and its visitor, are told by; taken from the request that it happens in."""


class UmamiExporting(Generic[Item]):
    """What both exporters do alike. The attributes are for the processor in front: see docs/delivery.md.

    ``may_repeat`` is False unless at-least-once delivery was asked for: what was sent without an answer would be
    counted twice by a server that knows no ids. ``max_batch_size`` is one request's, so that what a process that is
    killed has in hand, and must give up as unknown, is no more than that.
    """

    explains_failures = True

    def __init__(self, options: Options, mapped: Callable[[Item], AnalyticsEvent | None]) -> None:
        server = server_of(options.base_url)
        dialect = dialect_of(options, server)
        self.options = options
        _check_hostname(options)
        self.max_batch_size = dialect.max_events
        self.may_repeat = options.is_at_least_once or dialect.may_repeat
        self.destination = _destination(options)
        self._mapped = mapped
        self._connection = Connection(options.base_url, dialect.headers, options.timeout_s)
        self._deliverer: Deliverer[Item] = Deliverer(options, dialect, server, self._connection)
        self._closed = threading.Event()

    def deliver(self, batch: Sequence[Item]) -> Outcome[Item]:
        """Send what is meant for the server; what became of each item. What is not meant for it counts as exported."""
        outcome: Outcome[Item] = Outcome()
        messages = []
        for item in batch:
            try:
                event = self._mapped(item)
            except Exception as error:  # whatever a program puts into its telemetry, the others shall go on
                report_internal_error("mapping telemetry for analytics", error)
                outcome.drop(UNFIT)
                continue
            if event is None:
                outcome.exported += 1
            else:
                messages.append(Message([item], event))
        return _sum(outcome, self._deliverer.deliver(messages)) if messages else outcome

    def deliver_now(self, batch: Sequence[Item]) -> bool:
        """For a processor that asks once; False when some of it did not arrive."""
        return is_delivered_at_once(self.deliver, batch, self._closed)

    def shutdown(self) -> None:
        """End a request that waits, and close; what comes later is not sent."""
        event_needs.release(self)
        self._closed.set()
        self._connection.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True


class UmamiLogExporter(UmamiExporting[ReadableLogRecord], LogRecordExporter):
    """Sends events to an Umami server; log records that are no events are passed over.

    Each argument falls back to its setting (docs/umami.md). Raises `MissingSettingError` without an endpoint or a
    website, `SettingError` for a website id that is none, `MissingExtraError` without httpx.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        website_id: str | None = None,
        hostname: str | None = None,
        api_key: str | None = None,
        user_agent: str | None = None,
        dialect: str | None = None,
        attributes: Sequence[str] | str | None = None,
        forward_client: bool | None = None,
        hash_key: str | None = None,
        instance_visitor: bool | None = None,
        at_least_once: bool | None = None,
        timeout_s: float | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__(options_of(given), self._event)
        event_needs.ask_for(self, on_events=_asked_of_requests(self.options))

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send the events; FAILURE, said in the log, when one of them did not arrive."""
        return LogRecordExportResult.SUCCESS if self.deliver_now(batch) else LogRecordExportResult.FAILURE

    def _event(self, readable: ReadableLogRecord) -> AnalyticsEvent | None:
        record = event_record(readable)
        return None if record is None else event_of(record, self.options, readable.log_record.attributes or {})


class UmamiSpanExporter(UmamiExporting[ReadableSpan], SpanExporter):
    """Sends nothing, unless ``page_views`` asks for those of HTTP server spans or ``spans`` for spans by their names.

    The other arguments, and what is raised, are those of `UmamiLogExporter`.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        website_id: str | None = None,
        hostname: str | None = None,
        api_key: str | None = None,
        user_agent: str | None = None,
        dialect: str | None = None,
        page_views: bool | None = None,
        spans: Sequence[str] | str | None = None,
        attributes: Sequence[str] | str | None = None,
        forward_client: bool | None = None,
        hash_key: str | None = None,
        instance_visitor: bool | None = None,
        at_least_once: bool | None = None,
        timeout_s: float | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__(options_of(given), self._event)
        event_needs.ask_for(
            self,
            on_requests=FROM_HEADERS if self.options.has_page_views else (),
            on_spans=_asked_of_requests(self.options) if self.options.span_globs else (),
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans that were asked for; FAILURE, said in the log, when one of them did not arrive."""
        return SpanExportResult.SUCCESS if self.deliver_now(spans) else SpanExportResult.FAILURE

    def _event(self, span: ReadableSpan) -> AnalyticsEvent | None:
        if not self._takes(span):
            return None
        return span_event_of(span_record(span), self.options, span.attributes or {})

    def _takes(self, span: ReadableSpan) -> bool:
        options = self.options
        if options.has_page_views and is_request(span.kind.name.lower(), span.attributes or {}):
            return True
        return options.takes_span(span.name)


def _asked_of_requests(options: Options) -> Sequence[str]:
    """What an event, or a span that is sent as one, takes from the request in which it happens."""
    return [*PAGE, *(CLIENT if options.forwards_client else ())]


def _check_hostname(options: Options) -> None:
    """Say that the host name which was set is none; another is found for each event then."""
    if options.hostname and not host_of(options.hostname):
        row = UMAMI_HOSTNAME
        say_once(str(SettingError(row.variable, options.hostname, row.expected, row.fix)))


def _destination(options: Options) -> str:
    """What tells this destination from others, for journals and reports; an API key is not shown."""
    project = hash_of(options.website_id)[:8] if options.dialect == POSTHOG else redactor().text(options.website_id)
    return f"{options.dialect} {project} {options.shown_url}"


def _sum(outcome: Outcome[Item], other: Outcome[Item]) -> Outcome[Item]:
    outcome.exported += other.exported
    outcome.unknown += other.unknown
    outcome.again = other.again
    outcome.again_after_s = other.again_after_s
    for reason, number in other.dropped.items():
        outcome.drop(reason, number)
    return outcome
