"""Exporters that behave as servers do: they take, refuse, hang, wait, or refuse only some."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracker.processors import DurableSpanProcessor

NEVER_MS = 3_600_000.0
"""A schedule delay that no test waits for: what arrives was asked for."""


class Server(SpanExporter):
    """Keeps what it takes; ``takes`` says for each batch whether it does, and may wait or raise."""

    def __init__(self, destination: str = "server", takes: Callable[[Sequence[ReadableSpan]], bool] | None = None):
        self.destination = destination
        self.batches: list[list[ReadableSpan]] = []
        self.attempts: list[int] = []
        self.is_closed = False
        self._takes = takes

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.attempts.append(len(spans))
        if self._takes is not None and not self._takes(spans):
            return SpanExportResult.FAILURE
        self.batches.append(list(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.is_closed = True

    @property
    def spans(self) -> list[ReadableSpan]:
        return [span for batch in self.batches for span in batch]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


class Gate:
    """Something that hangs until it is opened, and says when somebody stands before it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, _spans: Sequence[ReadableSpan]) -> bool:
        self.reached.set()
        assert self._open.wait(60)
        return True

    def open(self) -> None:
        self._open.set()


@contextmanager
def delivering(exporter: SpanExporter, **arguments: Any) -> Iterator[tuple[TracerProvider, DurableSpanProcessor]]:
    """A provider of its own with the processor in front of ``exporter``; shut down at the end."""
    arguments.setdefault("schedule_delay_millis", NEVER_MS)
    processor = DurableSpanProcessor(exporter, **arguments)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    try:
        yield provider, processor
    finally:
        provider.shutdown()


def make_spans(provider: TracerProvider, number: int, prefix: str = "span") -> list[str]:
    """End so many spans; their names, in their order."""
    tracer = provider.get_tracer("test")
    names = [f"{prefix} {index}" for index in range(number)]
    for name in names:
        tracer.start_span(name).end()
    return names


def seconds_of(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
