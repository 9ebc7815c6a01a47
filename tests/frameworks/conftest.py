"""What a framework's requests leave behind, as records, from real providers."""

from __future__ import annotations

from collections.abc import Iterator

import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from otel_tracker import EventRecord, SpanRecord
from otel_tracker.recording import event_record, span_record


class Stored:
    """What exporters behind real providers got."""

    def __init__(self) -> None:
        self.exported_spans, self.exported_logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exported_spans))
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.exported_logs))

    @property
    def spans(self) -> list[SpanRecord]:
        """In the order of their ends."""
        return [span_record(span) for span in self.exported_spans.get_finished_spans()]

    @property
    def events(self) -> list[EventRecord]:
        found = (event_record(log) for log in self.exported_logs.get_finished_logs())
        return [event for event in found if event is not None]

    @property
    def servers(self) -> list[SpanRecord]:
        """The spans of requests."""
        return [span for span in self.spans if span.kind == "server"]

    @property
    def server(self) -> SpanRecord:
        """The span of the one request."""
        (span,) = self.servers
        return span

    def function(self, name: str) -> SpanRecord:
        """The span of the one call of a function."""
        (span,) = [span for span in self.spans if span.function == name]
        return span


@pytest.fixture
def stored() -> Iterator[Stored]:
    """Real providers; afterwards nothing of them, and no response has an id any more."""
    made = Stored()
    trace.set_tracer_provider(made.tracer_provider)
    set_logger_provider(made.logger_provider)
    yield made
    made.tracer_provider.shutdown()
    made.logger_provider.shutdown()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    logs_internal._LOGGER_PROVIDER, logs_internal._LOGGER_PROVIDER_SET_ONCE = None, Once()


@pytest.fixture(autouse=True)
def _conventions_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of its own: another test may have activated an instrumentor with the earlier conventions."""
    semconv = pytest.importorskip("opentelemetry.instrumentation._semconv")
    monkeypatch.setattr(semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)


@pytest.fixture(autouse=True)
def _no_propagator() -> Iterator[None]:
    propagators = pytest.importorskip("opentelemetry.instrumentation.propagators")
    yield
    propagators.set_global_response_propagator(None)
