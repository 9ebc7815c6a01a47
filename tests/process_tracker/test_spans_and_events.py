"""With providers the same calls are spans, and the record is an event; without, the record is the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from traced.helpers import Recorder

from otel_tracker import ProcessTracker, disable, traced, track
from otel_tracker import attributes as keys

from .conftest import Lines


def run_once(tracker: ProcessTracker) -> None:
    """An entry point with a timer, a tracked function, a metric and an identifier."""

    @tracker
    def handler(sku: str) -> None:
        with tracker.timer("load"):
            child()
        tracker.set_metric("rows", 3)
        tracker.set_identifier("order", "o-1")
        tracker.set_identifier("password", "hunter2")

    @tracker.track
    def child() -> None:
        """Do nothing."""

    handler("A1")


def test_entry_point_is_a_span_and_its_parts_are_children(
    tracker: ProcessTracker, lines: Lines, spans: Recorder
) -> None:
    """Metrics and identifiers are attributes of the entry point's span; secrets are not."""
    run_once(tracker)
    assert spans.names == ["child", "load", "handler"]
    child, load, handler = spans.finished
    assert child.parent is not None
    assert child.parent.span_id == load.context.span_id
    assert load.parent is not None
    assert load.parent.span_id == handler.context.span_id
    found = dict(handler.attributes or {})
    assert found[f"{keys.METRICS_PREFIX}rows"] == 3
    assert found[f"{keys.IDENTIFIERS_PREFIX}order"] == "o-1"
    assert found[f"{keys.IDENTIFIERS_PREFIX}password"] == "[redacted]"
    assert found[f"{keys.ARGS_PREFIX}sku"] == "A1"
    assert lines.one()["password"] == "hunter2"


def test_key_of_an_attribute_can_be_encoded(tracker: ProcessTracker, spans: Recorder) -> None:
    """Whatever the name: exporters write UTF-8."""

    @tracker
    def handler() -> None:
        tracker.set_metric("caf\u00e9 \ud800", 1)

    handler()
    assert (spans.one().attributes or {})[f"{keys.METRICS_PREFIX}caf\u00e9 ?"] == 1


def test_record_is_an_event_in_the_entry_points_span(
    tracker: ProcessTracker, lines: Lines, spans: Recorder, events: InMemoryLogRecordExporter
) -> None:
    """Its properties are the record, secrets left out."""
    run_once(tracker)
    (event,) = (item.log_record for item in events.get_finished_logs())
    assert event.event_name == keys.PROCESS_COMPLETED
    assert event.severity_number is SeverityNumber.INFO
    assert event.span_id == spans["handler"].context.span_id
    assert {**(event.attributes or {}), "password": "hunter2"} == lines.one()


def test_failed_run_fails_its_span_and_its_event(
    tracker: ProcessTracker, spans: Recorder, events: InMemoryLogRecordExporter
) -> None:
    """The event says which exception it was."""

    @tracker
    def handler() -> None:
        raise KeyError("sku")

    with pytest.raises(KeyError):
        handler()
    assert spans.one().status.status_code is trace.StatusCode.ERROR
    (event,) = (item.log_record for item in events.get_finished_logs())
    assert event.severity_number is SeverityNumber.ERROR
    assert event.attributes is not None
    assert event.attributes["failed"] is True
    assert event.attributes[keys.EXCEPTION_TYPE] == "KeyError"


def test_tracked_function_outside_an_entry_point_is_a_span_only(
    tracker: ProcessTracker, lines: Lines, spans: Recorder
) -> None:
    """And a timer as well; metrics are nobody's."""

    @tracker.track
    def child() -> None:
        tracker.set_metric("rows", 3)

    with tracker.timer("load") as span:
        child()
    assert spans.names == ["child", "load"]
    assert f"{keys.METRICS_PREFIX}rows" not in (spans["child"].attributes or {})
    assert span.get_span_context() == spans["load"].context
    assert lines.texts == []


def test_generator_has_a_span_with_its_metrics(tracker: ProcessTracker, spans: Recorder) -> None:
    """They are set when it ends, in whatever step."""

    @tracker
    def stream() -> Iterator[int]:
        with tracker.timer("part"):
            yield 1
        tracker.set_metric("items", 1)

    assert list(stream()) == [1]
    assert spans.names == ["part", "stream"]
    assert (spans["stream"].attributes or {})[f"{keys.METRICS_PREFIX}items"] == 1


def test_output_runs_in_the_context_of_the_span_that_has_ended(spans: Recorder) -> None:
    """A log line has its trace id there, and what writing costs is not in the span."""
    seen = []
    tracker = ProcessTracker(lambda text: seen.append((trace.get_current_span(), len(spans.finished))))
    run_once(tracker)
    ((span, finished),) = seen
    assert finished == 3
    assert span.get_span_context() == spans["handler"].context


def test_traced_beside_the_tracker_makes_one_span(tracker: ProcessTracker, lines: Lines, spans: Recorder) -> None:
    """In either order, with the options of both."""

    @traced(capture_result=True)
    @tracker("first")
    def one() -> int:
        return 1

    @tracker
    @traced("second")
    def two() -> int:
        return 2

    one()
    two()
    assert [span.name for span in spans.finished] == ["first", "second"]
    assert (spans.finished[0].attributes or {})[keys.RESULT] == 1
    assert [list(record["latencies"]) for record in lines.all] == [["first"], ["two"]]


def test_record_comes_when_nothing_is_sampled(tracker: ProcessTracker, lines: Lines) -> None:
    """And no span; the attributes of a caller's span stay as they are."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    run_once(tracker)
    assert list(lines.one()["latencies"]) == ["child", "load", "handler"]
    provider.shutdown()


def test_record_comes_after_disable(
    tracker: ProcessTracker, lines: Lines, spans: Recorder, events: InMemoryLogRecordExporter
) -> None:
    """No spans and no event; what is current above stays untouched."""
    disable()
    with spans.provider.get_tracer("somebody").start_as_current_span("above"):
        run_once(tracker)
        track("nothing")

        @tracker
        def stream() -> Iterator[int]:
            with tracker.timer("part"):
                yield 1

        list(stream())
    assert [list(record["latencies"]) for record in lines.all] == [["child", "load", "handler"], ["part", "stream"]]
    assert spans.names == ["above"]
    assert not spans.one().attributes
    assert events.get_finished_logs() == ()
