"""A tracker whose records can be looked at, and real providers for one test each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.util._once import Once
from traced.helpers import Recorder

from otel_tracker import ProcessTracker, enable, lifecycle, settings


class Lines:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> None:
        assert type(text) is str
        self.texts.append(text)

    @property
    def all(self) -> list[dict[str, Any]]:
        """The records as they came."""
        return [json.loads(text, parse_constant=_refused) for text in self.texts]

    def one(self) -> dict[str, Any]:
        """The only record."""
        assert len(self.texts) == 1, self.texts
        return self.all[0]


def _refused(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def tracker(lines: Lines) -> ProcessTracker:
    return ProcessTracker(lines)


@pytest.fixture(autouse=True)
def no_provider_is_left() -> Iterator[None]:
    """No provider before the test and after it, and no context."""
    yield
    enable()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    logs_internal._LOGGER_PROVIDER, logs_internal._LOGGER_PROVIDER_SET_ONCE = None, Once()
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.fixture(params=["lean", pytest.param("sdk", marks=pytest.mark.slow)])
def spans(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """What a global provider that samples everything received, with either span engine."""
    monkeypatch.setenv(settings.SPAN_ENGINE.variable, request.param)
    lifecycle.forget_cached_settings()
    recorder = Recorder()
    trace.set_tracer_provider(recorder.provider)
    yield recorder
    recorder.provider.shutdown()


@pytest.fixture
def events() -> Iterator[InMemoryLogRecordExporter]:
    """What a global logger provider received."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    set_logger_provider(provider)
    yield exporter
    provider.shutdown()
