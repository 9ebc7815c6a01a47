"""What stands between the SDK and an exporter: the batch processors, with delays that fit the destination.

A local store is written every second, so that a killed process loses at most that; a remote one as the SDK does.
``OTEL_BSP_*`` and ``OTEL_BLRP_*`` go before both.
"""

from __future__ import annotations

import os

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter


def span_processor(exporter: SpanExporter) -> SpanProcessor:
    """A processor that hands batches of ended spans to the exporter, on a thread of its own."""
    return BatchSpanProcessor(exporter, schedule_delay_millis=_delay_ms(exporter, "OTEL_BSP_SCHEDULE_DELAY"))


def log_record_processor(exporter: LogRecordExporter) -> LogRecordProcessor:
    """The same for events."""
    return BatchLogRecordProcessor(exporter, schedule_delay_millis=_delay_ms(exporter, "OTEL_BLRP_SCHEDULE_DELAY"))


def _delay_ms(exporter: object, variable: str) -> float | None:
    """The exporter's own ``schedule_delay_ms``, or None for what the SDK reads from the environment."""
    if os.environ.get(variable, "").strip():
        return None
    delay_ms = getattr(exporter, "schedule_delay_ms", None)
    return float(delay_ms) if isinstance(delay_ms, (int, float)) else None
