"""What leaves the SDK's logging becomes the record of an event or of a log: nothing more, and no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, TraceFlags

from otel_tracker import attributes as keys
from otel_tracker import records
from otel_tracker.recording import event_record, log_record
from otel_tracker.records import EventRecord

SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"  # the shape of a payment provider's key, from its public documentation


class Events:
    """A real logger provider and the records of what was emitted."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))
        self.logger = provider.get_logger("somebody.else")

    def emitted(self, **fields: Any) -> EventRecord | None:
        record = event_record(self._emitted(fields))
        if record is not None:
            json.dumps(record.to_dict(), allow_nan=False)
        return record

    def logged(self, **fields: Any) -> records.LogRecord:
        record = log_record(self._emitted(fields))
        assert record is not None
        json.dumps(record.to_dict(), allow_nan=False)
        return record

    def _emitted(self, fields: dict[str, Any]) -> ReadableLogRecord:
        self.logger.emit(LogRecord(**fields))
        (readable,) = self.exporter.get_finished_logs()
        return readable


@pytest.fixture
def events() -> Events:
    return Events()


def test_log_record_with_an_event_name_is_an_event(events: Events) -> None:
    """Everything that it bears is in the record."""
    span = trace.NonRecordingSpan(SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1)))
    record = events.emitted(
        timestamp=123,
        context=trace.set_span_in_context(span, otel_context.Context()),
        severity_number=SeverityNumber.WARN,
        severity_text="WARNING",
        body={"text": b"ab"},
        attributes={"n": 1, "map": {"a": [1]}},
        event_name="order.paid",
    )
    assert record == EventRecord(
        name="order.paid",
        time_ns=123,
        severity="WARNING",
        trace_id="ab".rjust(32, "0"),
        span_id="cd".rjust(16, "0"),
        properties={"n": 1, "map": {"a": [1]}},
        body={"text": "YWI="},
        resource={"service.name": "shop"},
    )


def test_log_record_without_an_event_name_is_none(events: Events) -> None:
    """Standard logging is not stored as events."""
    assert events.emitted(timestamp=1, body="text") is None


def test_event_outside_any_span_has_no_ids(events: Events) -> None:
    """An id of zeros would be a link to nowhere."""
    record = events.emitted(timestamp=1, event_name="e")
    assert record is not None
    assert (record.trace_id, record.span_id, record.severity) == ("", "", "INFO")


def test_event_without_a_time_takes_that_of_its_observation(events: Events) -> None:
    """Many log libraries set only one of the two."""
    record = events.emitted(observed_timestamp=456, event_name="e")
    assert record is not None
    assert record.time_ns == 456


def test_exception_of_an_event_is_its_error(events: Events) -> None:
    """It moves out of the properties, as it does for spans."""
    record = events.emitted(timestamp=1, event_name="e", exception=ValueError("bad"), attributes={"n": 1})
    assert record is not None
    assert (record.error["type"], record.error["message"]) == ("ValueError", "bad")
    assert "ValueError: bad" in record.error["traceback"]
    assert record.properties == {"n": 1}


def test_empty_exception_attribute_of_an_event_stays_a_property(events: Events) -> None:
    """It says nothing about an error, and nothing that was emitted gets lost."""
    record = events.emitted(timestamp=1, event_name="e", attributes={keys.EXCEPTION_TYPE: None})
    assert record is not None
    assert (record.error, record.properties) == ({}, {keys.EXCEPTION_TYPE: None})


def test_severity_is_the_text_or_the_numbers_name(events: Events) -> None:
    """The number says nothing when it is unspecified."""
    record = events.emitted(timestamp=1, event_name="e", severity_number=SeverityNumber.UNSPECIFIED)
    assert record is not None
    assert record.severity == "INFO"


def test_secrets_of_an_event_are_redacted(events: Events) -> None:
    """Properties by name and shape, the name and the body by shape, the exception's text too."""
    record = events.emitted(
        timestamp=1,
        event_name=f"charged {SECRET}",
        attributes={"password": "hunter2", "url": f"/?token={SECRET}"},
        body=f"api_key={SECRET}",
        exception=ValueError(f"api_key={SECRET}"),
    )
    assert record is not None
    text = json.dumps(record.to_dict())
    assert "hunter2" not in text
    assert SECRET not in text


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    "body", [object(), Unprintable(), {1, 2}, 1 << 70, float("nan")], ids=lambda body: type(body).__name__
)
def test_body_of_any_type_becomes_something_that_can_be_stored(body: Any, events: Events) -> None:
    """The API takes any object as a body."""
    record = events.emitted(timestamp=1, event_name="e", body=body)
    assert record is not None
    assert record.body is not None


def test_log_record_without_an_event_name_is_a_log(events: Events) -> None:
    """Everything that it bears is in the record; the logger is who made it."""
    span = trace.NonRecordingSpan(SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1)))
    record = events.logged(
        timestamp=123,
        context=trace.set_span_in_context(span, otel_context.Context()),
        severity_number=SeverityNumber.WARN,
        severity_text="WARNING",
        body="slow query",
        attributes={"n": 1},
        exception=ValueError("bad"),
    )
    traceback = record.error["traceback"]
    assert "ValueError: bad" in traceback
    assert record == records.LogRecord(
        time_ns=123,
        severity="WARNING",
        body="slow query",
        logger="somebody.else",
        trace_id="ab".rjust(32, "0"),
        span_id="cd".rjust(16, "0"),
        attributes={"n": 1},
        error={"type": "ValueError", "message": "bad", "traceback": traceback},
        resource={"service.name": "shop"},
    )


def test_event_is_no_log(events: Events) -> None:
    """What has a name is stored once, as an event."""
    assert events.emitted(timestamp=1, event_name="e") is not None
    assert log_record(events.exporter.get_finished_logs()[0]) is None


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (SeverityNumber.ERROR2, None, "ERROR2"),
        (SeverityNumber.ERROR, "CRITICAL", "CRITICAL"),
        (None, None, ""),
        (SeverityNumber.UNSPECIFIED, None, ""),
    ],
)
def test_severity_of_a_log_is_what_was_said(
    number: SeverityNumber | None, text: str | None, expected: str, events: Events
) -> None:
    """The text, else the number's name; a log that says none has none."""
    assert events.logged(timestamp=1, severity_number=number, severity_text=text).severity == expected


def test_secrets_of_a_log_are_redacted(events: Events) -> None:
    """Programs log what they should not: the message, its attributes and the exception's text."""
    record = events.logged(
        timestamp=1,
        body=f"connecting with api_key={SECRET}",
        attributes={"password": "hunter2"},
        exception=ValueError(f"api_key={SECRET}"),
    )
    text = json.dumps(record.to_dict())
    assert "hunter2" not in text
    assert SECRET not in text
    assert record.body.startswith("connecting with api_key=")
