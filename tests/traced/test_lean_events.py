"""Events that are made past the SDK's constructors are those that the SDK makes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, LogRecordProcessor, ReadWriteLogRecord

from otel_tracker import emitting, lean_events, track
from otel_tracker.processors import snapshot_of

from .helpers import Recorder


class Kept(LogRecordProcessor):
    """Keeps what it is given, and writes on it as a processor may."""

    def __init__(self) -> None:
        self.records: list[ReadWriteLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        assert log_record.log_record.attributes is not None
        log_record.log_record.attributes["seen"] = True  # type: ignore[index]
        self.records.append(log_record)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def emitted(limits: LogRecordLimits | None = None, **properties: Any) -> dict[str, Any]:
    """The fields of one event as a processor sees them; times as whether they are there."""
    kept = Kept()
    provider = LoggerProvider(shutdown_on_exit=False, log_record_limits=limits)
    provider.add_log_record_processor(kept)
    set_logger_provider(provider)
    track("e", **properties)
    (record,) = kept.records
    assert type(record) is ReadWriteLogRecord
    fields = {**vars(record), **vars(record.log_record)}
    assert abs(fields.pop("timestamp") - fields.pop("observed_timestamp")) < 1e9
    fields.pop("log_record")
    return {**fields, "attributes": dict(fields["attributes"]), "resource": None, "dropped": record.dropped_attributes}


@pytest.mark.parametrize("is_inside", [True, False])
def test_event_has_the_same_fields_either_way(
    spans: Recorder, is_inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both engines of spans are run here: one makes lean events, the other the SDK's own."""
    import opentelemetry._logs._internal as logs_internal
    from opentelemetry.util._once import Once

    monkeypatch.setenv("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "128")
    items = [1, {"a": None}]
    properties = {"text": "x" * 3_000, "n": 2**70, "f": float("nan"), "items": items, "password": "p", "b": b"x"}
    found = []
    with trace.use_span(spans.provider.get_tracer("x").start_span("s") if is_inside else trace.INVALID_SPAN):
        for name in ("lean", "sdk"):
            monkeypatch.setenv("OTEL_TRACKER_SPAN_ENGINE", name)
            emitting.reset()
            logs_internal._LOGGER_PROVIDER, logs_internal._LOGGER_PROVIDER_SET_ONCE = None, Once()
            found.append(emitted(**properties))
    lean, own = found
    assert str(lean.pop("limits")) == str(own.pop("limits"))
    # The SDK keeps lists as tuples, and one NaN is no other.
    assert json.dumps(lean.pop("attributes"), default=str) == json.dumps(own.pop("attributes"), default=str)
    assert lean == own
    assert bool(lean["span_id"]) is is_inside


@pytest.mark.parametrize("options", [{"max_log_record_attributes": 3}, {"max_log_record_attribute_length": 3}])
@pytest.mark.filterwarnings("ignore:Log record attributes were dropped")
def test_limits_of_the_provider_hold(options: dict[str, int]) -> None:
    """Where the SDK has something to cut it makes the record."""
    found = emitted(LogRecordLimits(**options), a="12345", b="12345", c="12345")
    assert len(found["attributes"]) == 3 or found["attributes"]["a"] == "123"


def test_self_check_finds_no_difference() -> None:
    """On the SDK at hand lean events may be used."""
    assert lean_events._differing_fields() == []


def test_snapshot_is_not_touched_by_later_writes() -> None:
    """What waits for an exporter is what the event was when it came by."""
    kept = Kept()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(kept)
    set_logger_provider(provider)
    track("e", a=1)
    snapshot = snapshot_of(kept.records[0])
    kept.records[0].log_record.attributes["late"] = 1  # type: ignore[index]
    kept.records[0].log_record.event_name = "other"
    assert dict(snapshot.log_record.attributes or {}) == {"a": 1, "seen": True}
    assert snapshot.log_record.event_name == "e"
    assert snapshot.to_json()
