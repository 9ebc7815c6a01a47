"""A record becomes the span or log record that it was made of, for any exporter of OpenTelemetry's."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from strategies import event_records, log_records, span_records

from otel_tracker import EventRecord, SpanRecord, lifecycle, traced
from otel_tracker import attributes as keys
from otel_tracker.recording import event_record, log_record, span_record
from otel_tracker.records import LogRecord as LogStored
from otel_tracker.records import Record
from otel_tracker.replaying import readable_log, readable_span

SPAN = SpanRecord("a1" * 16, "b2" * 8, "work", 5, 6)
EVENT = EventRecord("checkout.completed", 5)


def recorded_again(record: Record) -> Record:
    if isinstance(record, SpanRecord):
        return span_record(readable_span(record))
    again = (event_record if isinstance(record, EventRecord) else log_record)(readable_log(record))
    assert again is not None
    return again


# Metric points have a way of their own (`otel_tracker.metric_replaying`).
replayed = span_records() | event_records() | log_records()


@pytest.fixture
def _unredacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACKER_REDACT_ENABLED", "false")
    lifecycle.forget_cached_settings()


@pytest.mark.slow
@pytest.mark.usefixtures("_unredacted")
def test_record_is_the_same_after_its_span(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a record holds, with redaction switched off; and the SDK has nothing to complain about."""

    @settings(max_examples=100)
    @given(replayed)
    def check(record: Record) -> None:
        again = recorded_again(record)
        assert again == record
        assert json.dumps(again.to_dict(), sort_keys=True) == json.dumps(record.to_dict(), sort_keys=True)

    check()
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.slow
@given(replayed)
def test_record_that_was_redacted_is_the_same_after_its_span(record: Record) -> None:
    """What passed redaction once passes it unchanged, and no secret comes back."""
    once = recorded_again(record)
    assert recorded_again(once) == once


SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"  # the shape of a payment provider's key, from its public documentation


@pytest.mark.parametrize(
    "fields",
    [
        {"args": {"password": "hunter2", "options": {"api_key": "hunter2"}}},
        {"attributes": {keys.RESULT: {"password": "hunter2"}}},
        {"status": "paused", "attributes": {keys.RECORD: SECRET}},
        {"error": {"type": "E", "message": f"api_key={SECRET}"}},
        {"status": "aborted", "events": ({"name": "e", "secret": "hunter2"},)},
        {"resource": {"": "x", "db.password": "hunter2"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_secrets_in_every_part_of_a_record_are_redacted(fields: dict[str, Any]) -> None:
    """Also in what goes along as JSON text because OpenTelemetry cannot say it."""
    again = recorded_again(dataclasses.replace(SPAN, **fields))
    text = json.dumps(again.to_dict())
    assert "hunter2" not in text
    assert SECRET not in text
    assert "[redacted]" in text
    assert recorded_again(again) == again


class Cart:
    @traced(capture_result=True)
    def pay(self, amount: int, items: list[str]) -> Any:
        if amount < 0:
            raise ValueError(f"cannot pay {amount}")
        return {"paid": amount}


def real_spans() -> list[ReadableSpan]:
    """Spans of a real provider: of traced calls, a foreign one with everything, and a bare one."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        Cart().pay(5, ["a"])
        with pytest.raises(ValueError, match="cannot pay"):
            Cart().pay(-1, [])
    finally:
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE._done = None, False
    tracer = provider.get_tracer("somebody.else")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        link = Link(SpanContext(1, 2, is_remote=True), {"why": "retry"})
        span = tracer.start_span("call", kind=SpanKind.CLIENT, links=[link], attributes={"map": {"k": [1, None]}})
        span.add_event("cache.miss", {"key": "x"}, timestamp=1_000_000_001)
        span.set_status(StatusCode.ERROR, "declined")
        span.end()
    return list(exporter.get_finished_spans())


def test_span_of_a_real_provider_comes_back_as_it_was() -> None:
    """What an exporter sees of it: everything but what a record does not keep (flags, trace state, versions)."""
    for span in real_spans():
        again = readable_span(span_record(span))
        assert span_record(again) == span_record(span)
        for part in ("name", "kind", "start_time", "end_time"):
            assert getattr(again, part) == getattr(span, part)
        assert json.loads(again.to_json())["attributes"] == json.loads(span.to_json())["attributes"]
        assert again.resource.attributes == span.resource.attributes
        assert (again.status.status_code, again.status.description) == (
            span.status.status_code,
            span.status.description,
        )
        ours, theirs = again.get_span_context(), span.get_span_context()
        assert ours is not None
        assert theirs is not None
        assert (ours.trace_id, ours.span_id, ours.trace_flags.sampled) == (theirs.trace_id, theirs.span_id, True)
        assert (again.parent and again.parent.span_id) == (span.parent and span.parent.span_id)
        assert [(e.name, e.timestamp, dict(e.attributes or {})) for e in again.events] == [
            (e.name, e.timestamp, dict(e.attributes or {})) for e in span.events
        ]
        assert keys.RECORD not in (again.attributes or {})


def test_event_of_a_real_provider_comes_back_as_it_was() -> None:
    """Name, time, severity, body, attributes, ids and resource."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("otel_tracker").emit(
        LogRecord(
            timestamp=5,
            severity_number=SeverityNumber.WARN,
            event_name="checkout.failed",
            body={"k": [1]},
            attributes={"amount": 9.5},
            exception=KeyError("x"),
        )
    )
    (given_log,) = exporter.get_finished_logs()
    record = event_record(given_log)
    assert record is not None
    again = readable_log(record)
    assert event_record(again) == record
    ours, theirs = again.log_record, given_log.log_record
    assert (ours.event_name, ours.timestamp, ours.severity_number) == (
        theirs.event_name,
        theirs.timestamp,
        theirs.severity_number,
    )
    assert (ours.body, dict(ours.attributes or {})) == (theirs.body, dict(theirs.attributes or {}))
    assert again.resource.attributes == given_log.resource.attributes


def test_replayed_event_does_not_take_the_ids_of_the_span_that_is_current() -> None:
    """It happened elsewhere, and outside of any span."""
    with trace.use_span(trace.NonRecordingSpan(SpanContext(1, 2, is_remote=False))):
        log = readable_log(EVENT).log_record
    assert (log.trace_id, log.span_id) == (0, 0)


def test_log_keeps_logger_severity_and_body() -> None:
    """An exporter sees what the logging library said; a replayed log is no event, however odd it is."""
    record = LogStored(5, "WARNING", "slow query", "shop.db", "a1" * 16, "b2" * 8, {"rows": 3})
    again = readable_log(record)
    assert again.instrumentation_scope is not None
    assert again.instrumentation_scope.name == "shop.db"
    log = again.log_record
    assert (log.severity_number, log.severity_text, log.body) == (SeverityNumber.WARN, "WARNING", "slow query")
    assert (log.trace_id, log.span_id, log.event_name) == (int("a1" * 16, 16), int("b2" * 8, 16), None)
    odd = dataclasses.replace(record, time_ns=-5, attributes={"event.name": "x", keys.RECORD: "y"})
    assert event_record(readable_log(odd)) is None
    assert log_record(readable_log(odd)) == odd


def test_equal_resources_are_one_object_for_exporters_to_group_by() -> None:
    """A batch of one process goes out under one resource."""
    resource = {"service.name": "shop"}
    first, second = (readable_span(dataclasses.replace(SPAN, name=n, resource=resource)) for n in "ab")
    assert first.resource is second.resource
    other = readable_span(dataclasses.replace(SPAN, resource={"service.name": "other"}))
    assert other.resource.attributes == {"service.name": "other"}


def test_span_that_has_not_ended_has_no_end_time() -> None:
    """Exporters that need one must be spared it."""
    assert readable_span(dataclasses.replace(SPAN, end_ns=None, status="started")).end_time is None


@pytest.mark.parametrize("field", ["trace_id", "span_id", "parent_span_id"])
@pytest.mark.parametrize("identifier", ["xyz", "A" * 32, "0" * 16, "a"])
def test_record_whose_ids_are_none_is_refused(field: str, identifier: str) -> None:
    """OpenTelemetry has no span for it."""
    with pytest.raises(ValueError, match="ids"):
        readable_span(dataclasses.replace(SPAN, **{field: identifier}))


def test_lone_surrogates_become_replacement_characters() -> None:
    """Exporters send UTF-8, and one bad character would cost them a whole batch."""
    span = readable_span(dataclasses.replace(SPAN, name="\ud800", attributes={"a\udfff": ["\ud800"]}, scope="\ud800"))
    assert (span.name, span.attributes) == ("\ufffd", {"a\ufffd": ["\ufffd"]})
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "\ufffd"
