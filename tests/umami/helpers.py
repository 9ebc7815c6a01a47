"""Events and exporters for the tests of the `umami` destination, and the sum that always has to hold."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_tracker import delivery_report
from otel_tracker.delivery.outcomes import Outcome
from otel_tracker.processors import DurableLogRecordProcessor
from otel_tracker_exporters.umami import UmamiLogExporter, UmamiSpanExporter

from .server import WEBSITE, UmamiServer

NEVER_MS = 3_600_000.0
SHOP = Resource({"service.name": "shop"})


def event(
    name: str | None = "order.placed",
    attributes: Mapping[str, Any] | None = None,
    *,
    time_ns: int | None = None,
    resource: Resource = SHOP,
) -> ReadableLogRecord:
    """A log record as a processor hands it over; without a name it is no event."""
    log = LogRecord(
        timestamp=time.time_ns() if time_ns is None else time_ns,
        context=Context({"test": True}),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        event_name=name,
        attributes=dict(attributes or {}),
    )
    return ReadableLogRecord(log, resource, None)


def events(number: int, prefix: str = "event") -> list[ReadableLogRecord]:
    return [event(f"{prefix} {index}") for index in range(number)]


def span(
    name: str = "GET /shop/{id}",
    attributes: Mapping[str, Any] | None = None,
    *,
    kind: SpanKind = SpanKind.SERVER,
    start_ns: int | None = None,
    duration_ms: int = 12,
) -> ReadableSpan:
    """An ended span."""
    start = time.time_ns() - 10**9 if start_ns is None else start_ns
    context = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan(
        name=name,
        context=context,
        kind=kind,
        resource=SHOP,
        attributes=dict(attributes or {}),
        start_time=start,
        end_time=start + duration_ms * 1_000_000,
    )


@contextmanager
def log_exporter(server: UmamiServer, **options: Any) -> Iterator[UmamiLogExporter]:
    """An exporter that sends to the server; shut down at the end."""
    exporter = UmamiLogExporter(**{"endpoint": server.url, "website_id": WEBSITE, **options})
    try:
        yield exporter
    finally:
        exporter.shutdown()


@contextmanager
def span_exporter(server: UmamiServer, **options: Any) -> Iterator[UmamiSpanExporter]:
    exporter = UmamiSpanExporter(**{"endpoint": server.url, "website_id": WEBSITE, **options})
    try:
        yield exporter
    finally:
        exporter.shutdown()


@contextmanager
def delivering(
    server: UmamiServer, *, limits: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[tuple[LoggerProvider, DurableLogRecordProcessor]]:
    """A provider with the real processor and exporter in front of the server; shut down at the end."""
    exporter = UmamiLogExporter(**{"endpoint": server.url, "website_id": WEBSITE, **options})
    processor = DurableLogRecordProcessor(exporter, **{"schedule_delay_millis": NEVER_MS, **(limits or {})})
    provider = LoggerProvider(resource=SHOP, shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    try:
        yield provider, processor
    finally:
        provider.shutdown()


def emit(provider: LoggerProvider, number: int, prefix: str = "event") -> list[str]:
    """Emit so many events; their names."""
    logger = provider.get_logger("test")
    names = [f"{prefix} {index}" for index in range(number)]
    for name in names:
        logger.emit(LogRecord(event_name=name, attributes={"name": name}, timestamp=time.time_ns()))
    return names


def check_outcome(outcome: Outcome[Any], number: int) -> None:
    """Every item was counted once."""
    found = outcome.exported + sum(outcome.dropped.values()) + outcome.unknown + len(outcome.again)
    assert found == number, outcome


def check_report(created: int) -> None:
    """What was created is stored, dropped, unknown or still here; each once."""
    (one,) = delivery_report().destinations
    assert one.created == created
    assert created == one.exported + one.queued + one.in_journal + sum(one.dropped.values()) + one.unknown, one
