"""`track`: one event as an OTel log record, inside and outside of spans."""

import threading
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

from otel_tracker import attributes as keys
from otel_tracker import disable, span, traced, track

from .helpers import REDACTED, CountingObject, Recorder


def only(events: InMemoryLogRecordExporter) -> ReadableLogRecord:
    (record,) = events.get_finished_logs()
    return record


def properties(record: ReadableLogRecord) -> dict[str, Any]:
    return dict(record.log_record.attributes or {})


def test_event_is_a_log_record_with_its_name(events: InMemoryLogRecordExporter) -> None:
    """An event arrives with name, time, severity, properties and our scope."""
    before = time.time_ns()
    assert track("checkout.completed", amount=9.99, items=3, gift=False, user="ann") is None
    after = time.time_ns()
    found = only(events)
    assert found.log_record.event_name == "checkout.completed"
    assert before <= (found.log_record.timestamp or 0) <= after
    assert found.log_record.severity_number is SeverityNumber.INFO
    assert properties(found) == {"amount": 9.99, "items": 3, "gift": False, "user": "ann"}
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == keys.SCOPE


def test_event_inside_a_span_bears_its_ids(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Inside a sampled span the event belongs to it."""

    @traced
    def work() -> None:
        track("inside")

    work()
    context = spans.one().get_span_context()
    assert only(events).log_record.trace_id == context.trace_id
    assert only(events).log_record.span_id == context.span_id
    assert only(events).log_record.trace_flags == context.trace_flags


def test_event_belongs_to_the_innermost_span(
    spans: Recorder, tracer: trace.Tracer, events: InMemoryLogRecordExporter
) -> None:
    """Spans of other tracers count as well."""
    with span("outer"), tracer.start_as_current_span("inner") as inner:
        track("inside")
    assert only(events).log_record.span_id == inner.get_span_context().span_id


def test_event_outside_any_span_has_no_ids(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Outside of spans an event stands for itself."""
    track("outside")
    assert not only(events).log_record.trace_id
    assert not only(events).log_record.span_id


def test_event_in_an_unsampled_span_has_no_ids(unsampled: Recorder, events: InMemoryLogRecordExporter) -> None:
    """An event never points at a span that nobody stores."""

    @traced
    def work() -> None:
        track("ours", x=1)

    work()
    with unsampled.provider.get_tracer("theirs").start_as_current_span("dropped"):
        track("theirs", x=2)
    records = events.get_finished_logs()
    assert [record.log_record.event_name for record in records] == ["ours", "theirs"]
    assert all(not record.log_record.trace_id and not record.log_record.span_id for record in records)
    assert [properties(record) for record in records] == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize(
    "name",
    ["name", "event_name", "category", "self", "timestamp", "severity", "body", "exception", "attributes", "context"],
)
def test_any_property_name_is_legal(events: InMemoryLogRecordExporter, name: str) -> None:
    """The event's name is positional, so that every keyword is free."""
    track("e", **{name: "value"})
    assert properties(only(events)) == {name: "value"}
    assert only(events).log_record.event_name == "e"


def test_event_without_properties(events: InMemoryLogRecordExporter) -> None:
    """An event may be a name alone."""
    track("tick")
    assert properties(only(events)) == {}


def test_properties_are_bounded_and_redacted(events: InMemoryLogRecordExporter) -> None:
    """Properties are captured like arguments: cut, and secrets made unreadable."""
    track("e", password="tops3cret", text="a" * 5000, items=list(range(60)), table={"token": "tops3cret", "x": 1})
    found = properties(only(events))
    assert found["password"] == REDACTED
    assert len(found["text"]) <= 1003
    assert "59" not in str(found["items"])
    assert "tops3cret" not in str(found)
    assert "x" in str(found["table"])


def test_properties_are_those_of_the_call(events: InMemoryLogRecordExporter) -> None:
    """What happens to a value later does not change the event."""
    items = [1, 2]
    track("e", items=items)
    items.clear()
    assert "1" in str(properties(only(events))["items"])


def test_big_and_odd_values_arrive_in_some_form(events: InMemoryLogRecordExporter) -> None:
    """Values that a back-end could not hold are turned into something that it can."""
    track("e", big=2**70, nan=float("nan"), thing=object(), text="\ud800")
    found = properties(only(events))
    assert set(found) == {"big", "nan", "thing", "text"}
    assert not isinstance(found["big"], int)
    assert isinstance(found["thing"], str)


def test_hostile_properties_do_not_raise(events: InMemoryLogRecordExporter) -> None:
    """A property that raises when it is looked at does not take the event along."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("hostile")

        __str__ = __iter__ = __len__ = __bool__ = __repr__  # type: ignore[assignment]

    track("e", bad=Hostile(), good=1)
    assert properties(only(events))["good"] == 1


def test_event_without_provider_is_nothing() -> None:
    """With nobody listening an event is dropped, and nothing is looked at."""
    watched = CountingObject()
    track("e", x=watched)
    assert watched.looks == []


def test_event_when_disabled_is_nothing(events: InMemoryLogRecordExporter) -> None:
    """A disabled package sends no events and looks at nothing."""
    watched = CountingObject()
    disable()
    track("e", x=watched)
    assert watched.looks == []
    assert events.get_finished_logs() == ()


def test_provider_may_come_later() -> None:
    """Events go to the provider that is set when they happen."""
    track("before")
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    set_logger_provider(provider)
    track("after")
    assert only(exporter).log_record.event_name == "after"
    provider.shutdown()
    track("too late")


def test_tracer_provider_alone_is_not_enough(spans: Recorder) -> None:
    """Events are log records: with a tracer provider alone there is nowhere to send them."""
    with span("s"):
        track("e", x=1)
    assert spans.names == ["s"]
    assert list(spans.one().events) == []


def test_broken_exporter_does_not_raise() -> None:
    """An exporter that fails is no concern of the caller's."""

    class Broken(LogRecordExporter):
        def export(self, batch: Any) -> LogRecordExportResult:
            raise RuntimeError("broken exporter")

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(Broken()))
    set_logger_provider(provider)
    track("e", x=1)
    provider.shutdown()


def test_broken_processor_does_not_raise() -> None:
    """A processor that fails is no concern of the caller's."""

    class Broken(SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            raise RuntimeError("broken processor")

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(Broken(InMemoryLogRecordExporter()))
    set_logger_provider(provider)
    track("e", x=1)
    provider.shutdown()


def test_events_of_many_threads_all_arrive(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """Threads that send events at once lose none, and each event belongs to its own thread's span."""

    @traced
    def work(number: int) -> None:
        track("e", number=number, span=trace.get_current_span().get_span_context().span_id % 2**62)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = events.get_finished_logs()
    assert sorted(properties(record)["number"] for record in records) == list(range(40))
    assert all((record.log_record.span_id or 0) % 2**62 == properties(record)["span"] for record in records)


def test_event_inside_a_block_of_a_generator(spans: Recorder, events: InMemoryLogRecordExporter) -> None:
    """An event that a generator's body sends belongs to the generator's span, one of the caller's does not."""

    @traced
    def body() -> Any:
        track("inside")
        yield 1

    for _ in body():
        track("between")
    inside, between = events.get_finished_logs()
    assert inside.log_record.span_id == spans["body"].get_span_context().span_id
    assert not between.log_record.span_id
