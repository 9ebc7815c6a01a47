"""The exporters of every store, behind the real SDK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from otel_tracker import attributes as keys
from otel_tracker.stores import installed_stores, open_store

from .helpers import SUFFIXES


@dataclass
class Pipeline:
    """A provider of each signal in front of a store's exporters."""

    path: Path
    spans: SpanExporter
    logs: LogRecordExporter
    tracers: TracerProvider
    loggers: LoggerProvider

    def close(self) -> None:
        self.tracers.shutdown()
        self.loggers.shutdown()


def exporter_class(group: str, kind: str) -> Callable[..., Any]:
    """The class that the installed entry point names."""
    (entry_point,) = entry_points(group=group, name=f"otel_tracker_{kind}")
    loaded: Callable[..., Any] = entry_point.load()
    return loaded


@pytest.fixture
def pipeline(kind: str, tmp_path: Path) -> Iterator[Pipeline]:
    """The exporters of every kind of store in turn, on one file."""
    path = tmp_path / f"store{SUFFIXES[kind]}"
    resource = Resource({"service.name": "shop"})
    under_test = Pipeline(
        path,
        exporter_class("opentelemetry_traces_exporter", kind)(path=path),
        exporter_class("opentelemetry_logs_exporter", kind)(path=str(path)),
        TracerProvider(resource=resource, shutdown_on_exit=False),
        LoggerProvider(resource=resource, shutdown_on_exit=False),
    )
    under_test.tracers.add_span_processor(SimpleSpanProcessor(under_test.spans))
    under_test.loggers.add_log_record_processor(SimpleLogRecordProcessor(under_test.logs))
    yield under_test
    under_test.close()


def test_spans_and_events_of_the_sdk_arrive_as_records(pipeline: Pipeline) -> None:
    """A failed child, its parent and an event inside of it come back from the store, joined by their ids."""
    tracer, logger = pipeline.tracers.get_tracer("lib"), pipeline.loggers.get_logger("lib")
    with tracer.start_as_current_span("outer", kind=trace.SpanKind.SERVER) as outer:
        outer.set_attribute(keys.CODE_FUNCTION_NAME, "shop.cart.Cart.total")
        outer.set_attribute(keys.MODULE, "shop.cart")
        outer.set_attribute(f"{keys.ARGS_PREFIX}items", 3)
        outer.set_attribute(keys.RESULT_JSON, '{"sum":[1,2]}')
        logger.emit(event_name="checkout.started", attributes={"amount": 9.5})
        with pytest.raises(ValueError, match="bad"), tracer.start_as_current_span("inner"):
            raise ValueError("bad")
    with open_store(pipeline.path) as reader:
        inner, found = reader.query_executions()
        (event,) = reader.events()
    assert (inner.name, inner.status, inner.error["type"], inner.error["message"]) == (
        "inner",
        "failed",
        "ValueError",
        "bad",
    )
    assert "Traceback" in inner.error["traceback"]
    assert inner.parent_span_id == found.span_id == event.span_id
    assert (found.module, found.function, found.kind, found.scope) == ("shop.cart", "Cart.total", "server", "lib")
    assert (found.args, found.result, found.status) == ({"items": 3}, {"sum": [1, 2]}, "completed")
    assert (event.name, event.properties, event.trace_id) == ("checkout.started", {"amount": 9.5}, found.trace_id)
    assert found.resource == event.resource == {"service.name": "shop"}


def test_log_records_that_are_no_events_are_passed_over(pipeline: Pipeline) -> None:
    """A batch without events is a success and leaves no file."""
    logger = pipeline.loggers.get_logger("lib")
    logger.emit(body="just a line")
    assert not pipeline.path.exists()
    logger.emit(event_name="tick")
    with open_store(pipeline.path) as reader:
        assert [event.name for event in reader.events()] == ["tick"]


@pytest.mark.parametrize("is_argument", [False, True])
def test_log_records_that_are_no_events_are_stored_when_the_setting_says_so(
    pipeline: Pipeline, kind: str, is_argument: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable or by the exporter's own keyword; what belongs to a span bears its ids."""
    if not is_argument:
        monkeypatch.setenv("OTEL_TRACKER_LOGS_STORE", "true")
    make = exporter_class("opentelemetry_logs_exporter", kind)
    exporter = make(path=pipeline.path, store_logs=True) if is_argument else make(path=pipeline.path)
    pipeline.loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = pipeline.loggers.get_logger("shop.db")
    with pipeline.tracers.get_tracer("lib").start_as_current_span("outer"):
        logger.emit(body="slow query", severity_text="WARNING")
    logger.emit(event_name="tick")
    with open_store(pipeline.path) as reader:
        (span,), (log,) = reader.query_executions(), reader.logs()
        assert [event.name for event in reader.events()] == ["tick", "tick"]  # of both exporters
    assert (log.severity, log.body, log.logger) == ("WARNING", "slow query", "shop.db")
    assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)


def test_one_unreadable_span_costs_no_other(pipeline: Pipeline, sentences: list[str]) -> None:
    """What is no span at all is said once and left out of the batch."""
    tracer = pipeline.tracers.get_tracer("lib")
    good = tracer.start_span("good")
    good.end()
    with open_store(pipeline.path) as reader:
        before = len(list(reader.query_executions()))
    assert pipeline.spans.export([object(), good, None]) is SpanExportResult.SUCCESS  # type: ignore[list-item]
    assert pipeline.logs.export([object()]) is LogRecordExportResult.SUCCESS  # type: ignore[list-item]
    with open_store(pipeline.path) as reader:
        assert len(list(reader.query_executions())) == before == 1
    assert len(sentences) == 2


def test_after_shutdown_export_fails_quietly(pipeline: Pipeline, sentences: list[str]) -> None:
    """No exception, no sentence, no file left beside the store."""
    tracer, logger = pipeline.tracers.get_tracer("lib"), pipeline.loggers.get_logger("lib")
    span = tracer.start_span("one")
    span.end()
    logger.emit(event_name="tick")
    assert pipeline.spans.force_flush()
    assert pipeline.logs.force_flush()
    pipeline.close()
    assert [path.name for path in pipeline.path.parent.iterdir()] == [pipeline.path.name]
    assert pipeline.spans.export([span]) is SpanExportResult.FAILURE  # type: ignore[list-item]
    assert pipeline.logs.export([]) is LogRecordExportResult.FAILURE
    assert len(sentences) == 0


def test_the_path_is_fixed_at_construction(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that changes its directory keeps writing to the file that it began with."""
    monkeypatch.setenv(f"OTEL_TRACKER_{kind.upper()}_PATH", f"here{SUFFIXES[kind]}")
    monkeypatch.chdir(tmp_path)
    exporter = exporter_class("opentelemetry_traces_exporter", kind)()
    assert installed_stores()[kind].default_location() == exporter.path == str(tmp_path / f"here{SUFFIXES[kind]}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("lib").start_span("one").end()
    provider.shutdown()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f"here{SUFFIXES[kind]}"]


def test_local_exporters_ask_for_a_short_delay(pipeline: Pipeline) -> None:
    """What a SIGKILL may take is one second of spans and events."""
    assert pipeline.spans.schedule_delay_ms == pipeline.logs.schedule_delay_ms == 1_000  # type: ignore[attr-defined]


def test_importing_a_store_has_no_effect(kind: str, tmp_path: Path) -> None:
    """Neither a file nor the SDK comes with the import; the exporters are there when they are asked for."""
    script = f"""
import sys
import otel_tracker_exporters.{kind} as store
print([name for name in sys.modules if name.startswith("opentelemetry.sdk") or name == "sqlite3"])
print([getattr(getattr(store, name), "__name__", name) for name in store.__all__])
try:
    store.Nonsense
except AttributeError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True, cwd=tmp_path)
    loaded, names, error = result.stdout.splitlines()
    assert loaded == "[]"
    assert f"{kind.capitalize()}SpanExporter" in names
    assert "Nonsense" in error
    assert list(tmp_path.iterdir()) == []
