"""The destination `logging`: events as log records of the standard library, whatever is in them and around them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from otel_tracker_exporters.standard_logging import LoggingLogExporter


def logged(caplog: pytest.LogCaptureFixture, name: str, properties: Mapping[str, Any]) -> logging.LogRecord:
    """The log record that an event of this name, of trace 7, becomes."""
    event = LogRecord(event_name=name, attributes=dict(properties), timestamp=1)
    event.trace_id, event.span_id = 7, 8
    with caplog.at_level(logging.INFO):
        LoggingLogExporter().export([ReadableLogRecord(event, Resource.get_empty(), None)])
    (record,) = caplog.records
    assert record.name == "otel_tracker.events"
    return record


def test_event_is_a_message_and_extra_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A property whose name a log record has already is there with a prefix."""
    record = logged(caplog, "order.placed", {"total": 9.99, "note": "a b", "message": "m", "category": "c", "args": 1})
    assert record.getMessage() == 'order.placed total=9.99 note="a b" message=m category=c args=1'
    found = vars(record)
    assert (found["total"], found["event_message"], found["event_category"], found["event_args"]) == (9.99, "m", "c", 1)
    assert (found["event_name"], found["category"]) == ("order.placed", "order")
    assert (found["trace_id"], found["span_id"]) == (f"{7:032x}", f"{8:016x}")


def test_fields_of_a_record_factory_do_not_keep_events_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that give every log record a trace id or a user of their own keep those, and get events too."""

    class Record(logging.LogRecord):
        trace_id = None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.trace_id, self.user = "mine", "nobody"  # type: ignore[assignment]

    monkeypatch.setattr(logging, "_logRecordFactory", Record)
    record = logged(caplog, "order.placed", {"user": "jane"})
    assert record.getMessage() == "order.placed user=jane"
    assert (vars(record)["trace_id"], vars(record)["user"]) == ("mine", "nobody")
    assert vars(record)["event_user"] == "jane"


def test_event_makes_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a name nor a property can write a line of its own into a log, or command a terminal."""
    hostile = "x\nERROR root: forged \x1b[2J"
    message = logged(caplog, hostile, {hostile: hostile}).getMessage()
    assert message.isprintable()
    assert message.count("forged") == 3
