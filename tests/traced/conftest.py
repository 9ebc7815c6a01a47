"""Real providers for one test each, and the proof that a test leaves no provider and no context behind."""

import logging
from collections.abc import Callable, Iterator

import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.util._once import Once

from otel_tracker import enable, lifecycle, settings

from .helpers import Recorder


@pytest.fixture(params=["lean", pytest.param("sdk", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes the spans: every test here holds for lean spans and, among the slow tests, for the SDK's own."""
    name: str = request.param
    monkeypatch.setenv(settings.SPAN_ENGINE.variable, name)
    lifecycle.forget_cached_settings()
    return name


@pytest.fixture(autouse=True)
def clean_world(engine: str) -> Iterator[None]:
    """No provider before the test; afterwards no current span, and no context token that went astray."""
    _forget_providers()
    enable()
    detached = _Messages()
    logging.getLogger("opentelemetry.context").addHandler(detached)
    yield
    logging.getLogger("opentelemetry.context").removeHandler(detached)
    enable()
    _forget_providers()
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert detached.texts == []


@pytest.fixture
def make_recorder() -> Iterator[Callable[..., Recorder]]:
    """Makes recorders that are not installed yet."""
    made: list[Recorder] = []

    def make(sampler: Sampler = ALWAYS_ON, *processors: SpanProcessor) -> Recorder:
        made.append(Recorder(sampler, *processors))
        return made[-1]

    yield make
    for recorder in made:
        recorder.provider.shutdown()


@pytest.fixture
def install(make_recorder: Callable[..., Recorder]) -> Callable[..., Recorder]:
    """Makes a recorder and sets it as the global provider."""

    def make_and_set(sampler: Sampler = ALWAYS_ON, *processors: SpanProcessor) -> Recorder:
        recorder = make_recorder(sampler, *processors)
        trace.set_tracer_provider(recorder.provider)
        return recorder

    return make_and_set


@pytest.fixture
def spans(install: Callable[..., Recorder]) -> Recorder:
    """What a global provider that samples everything received."""
    return install()


@pytest.fixture
def unsampled(install: Callable[..., Recorder]) -> Recorder:
    """What a global provider that samples nothing received: nothing."""
    return install(ALWAYS_OFF)


@pytest.fixture
def tracer(spans: Recorder) -> trace.Tracer:
    """Somebody else's tracer of the global provider."""
    return spans.provider.get_tracer("somebody.else")


@pytest.fixture
def events() -> Iterator[InMemoryLogRecordExporter]:
    """What a global logger provider received."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    set_logger_provider(provider)
    yield exporter
    provider.shutdown()


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _forget_providers() -> None:
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()
    logs_internal._LOGGER_PROVIDER = None
    logs_internal._LOGGER_PROVIDER_SET_ONCE = Once()
