"""Creates the SDK's providers from the standard environment, or joins the ones that are already there.

The SDK's own initialisation does the work, so that every ``OTEL_*`` variable means what it means elsewhere
(sampler, resource, limits, propagators, id generator). It is private to the SDK, as all distributions' entry into
it is; when it changes or fails, the public constructors are used instead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.sdk._configuration import _initialize_components
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_tracker import settings
from otel_tracker.attributes import SERVICE_NAME, TELEMETRY_DISTRO_NAME, TELEMETRY_DISTRO_VERSION
from otel_tracker.destinations import (
    LOCAL,
    Destination,
    event_destinations,
    metric_destinations,
    short_name,
    span_destinations,
)
from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.metric_readers import ExportingReader
from otel_tracker.metric_reading import add_reader
from otel_tracker.processors import DurableLogRecordProcessor, DurableSpanProcessor
from otel_tracker.routing import Branch, EventRouter
from otel_tracker.version import __version__

_EXPORTER_VARIABLES = ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_METRICS_EXPORTER")


@dataclass(slots=True)
class Installation:
    """What was set up in this process: processors, readers, and whether the providers are ours to shut down."""

    span_processors: list[SpanProcessor] = field(default_factory=list)
    log_record_processors: list[LogRecordProcessor] = field(default_factory=list)
    metric_readers: list[MetricReader] = field(default_factory=list)
    owns_providers: bool = False
    owns_meter_provider: bool = False


def install(*, auto_instrumentation_version: str | None = None) -> Installation:
    """Put a processor for every destination behind the global providers, creating them where there are none."""
    made = Installation(
        span_processors=[DurableSpanProcessor(one.exporter) for one in span_destinations()],
        log_record_processors=[_event_router()],
    )
    made.owns_meter_provider = isinstance(metrics.get_meter_provider(), _ProxyMeterProvider)
    existing = trace.get_tracer_provider()
    if isinstance(existing, trace.ProxyTracerProvider):
        made.owns_providers = True
        _create(made, auto_instrumentation_version)
    else:
        _join(made, existing)
    _read_metrics(made)
    return made


def add_exporter(made: Installation, exporter: Any, schedule_delay_ms: float | None) -> None:
    """Put a processor for an exporter behind the global provider."""
    processor = DurableSpanProcessor(exporter, schedule_delay_millis=schedule_delay_ms)
    made.span_processors.append(processor)
    _add_all(trace.get_tracer_provider(), "add_span_processor", [processor])


def _event_router() -> EventRouter:
    """The one processor of events: it hands them to a processor for each of their destinations."""
    routes, default = settings.EVENTS_ROUTES.read(), settings.EVENTS_DEFAULT.read()
    branches = [
        Branch(
            destination=short_name(one.name),
            processor=DurableLogRecordProcessor(one.exporter),
            route=routes.of(short_name(one.name)),
            takes_every_event=not one.is_by_route and routes.of(short_name(one.name)) is None,
            is_default=default is not None and short_name(default) == short_name(one.name),
            takes_logs=getattr(one.exporter, "takes_logs", True),
            level_is_own=getattr(one.exporter, "level_is_own", False),
        )
        for one in event_destinations()
    ]
    return EventRouter(branches, settings.EVENTS_SAMPLE_RATIO.read())


def distro_resource() -> dict[str, str]:
    """The resource attributes that name this distribution (semantic conventions: "Telemetry Distro")."""
    named = {TELEMETRY_DISTRO_NAME: "otel-tracker", TELEMETRY_DISTRO_VERSION: __version__}
    service_name = settings.SERVICE_NAME.read()
    return named | ({SERVICE_NAME: service_name} if service_name else {})


def _create(made: Installation, auto_instrumentation_version: str | None) -> None:
    try:
        with _without_exporter_names(), _without_complaint():
            _initialize_components(
                auto_instrumentation_version=auto_instrumentation_version,
                resource_attributes=dict(distro_resource()),
                setup_logging_handler=False,
                span_processors=made.span_processors,
                log_record_processors=made.log_record_processors,
            )
    except Exception as error:  # one bad variable must not switch everything off
        reason = str(error).replace("\n", " ")[:300]
        say_once(
            f"The OpenTelemetry SDK could not be set up from the environment ({type(error).__name__}: {reason}); "
            "its defaults are used instead. Mend the variable that the sentence names."
        )
        _create_with_defaults(made)


def _create_with_defaults(made: Installation) -> None:
    resource = Resource.create(distro_resource())
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(TracerProvider(resource=resource))
        _add_all(trace.get_tracer_provider(), "add_span_processor", made.span_processors)
    if not isinstance(_logs.get_logger_provider(), LoggerProvider):
        _logs.set_logger_provider(LoggerProvider(resource=resource))
        _add_all(_logs.get_logger_provider(), "add_log_record_processor", made.log_record_processors)
    _set_meter_provider(resource)


def _join(made: Installation, existing: object) -> None:
    """Add our processors to providers that somebody else has set."""
    logger.debug("a tracer provider is already set (%s); it is used", type(existing).__qualname__)
    _add_all(existing, "add_span_processor", made.span_processors)
    log_provider = _logs.get_logger_provider()
    if not hasattr(log_provider, "add_log_record_processor"):
        resource = getattr(existing, "resource", None)
        log_provider = LoggerProvider(resource=resource if isinstance(resource, Resource) else None)
        _logs.set_logger_provider(log_provider)
    _add_all(log_provider, "add_log_record_processor", made.log_record_processors)
    _set_meter_provider(getattr(existing, "resource", None))


def _set_meter_provider(resource: object) -> None:
    """Set one, unless there is one."""
    if isinstance(metrics.get_meter_provider(), _ProxyMeterProvider):
        metrics.set_meter_provider(MeterProvider(resource=resource if isinstance(resource, Resource) else None))


def _read_metrics(made: Installation) -> None:
    """A reader for every destination of metrics, added to whatever meter provider there is now.

    Not handed over when the provider is made: one of somebody else's is made already.
    """
    provider = metrics.get_meter_provider()
    for one in metric_destinations():
        try:
            reader = _reader(one)
        except Exception as error:  # no thread can be started, or an exporter of anybody's
            report_internal_error(f"making a reader of metrics for {one.name}", error)
            continue
        if add_reader(provider, reader):
            made.metric_readers.append(reader)
        else:
            reader.shutdown()


def _reader(destination: Destination) -> MetricReader:
    exporter = destination.exporter
    if isinstance(exporter, MetricReader):
        return exporter
    return ExportingReader(exporter, is_local=short_name(destination.name) in LOCAL)


def _add_all(provider: object, method: str, processors: Sequence[Any]) -> None:
    add = getattr(provider, method, None)
    if add is None:
        say_once(
            f"The provider {type(provider).__qualname__} that is already set takes no processors; nothing is stored. "
            "Call otel_tracker.configure() before the other set-up, or leave that out."
        )
        return
    for processor in processors:
        try:
            add(processor)
        except Exception as error:  # a provider of anybody's
            report_internal_error("adding a processor to an existing provider", error)


@contextmanager
def _without_complaint() -> Iterator[None]:
    """Keep the SDK from warning of a meter provider that somebody has set: it sets one whatever there is."""
    if isinstance(metrics.get_meter_provider(), _ProxyMeterProvider):
        yield
        return

    def is_other(record: logging.LogRecord) -> bool:
        return "Overriding of current MeterProvider" not in record.getMessage()

    api = logging.getLogger("opentelemetry.metrics._internal")
    api.addFilter(is_other)
    try:
        yield
    finally:
        api.removeFilter(is_other)


@contextmanager
def _without_exporter_names() -> Iterator[None]:
    """Hide the exporters' names from the SDK: it would load them once more, and stop at the first unknown one."""
    hidden = {name: os.environ.pop(name) for name in _EXPORTER_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
