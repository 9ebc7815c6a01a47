"""What a query of a jsonl store passes over unparsed is nothing that it wants."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import event_records, log_records, metric_records, span_records

from otel_tracker.query import EventFilter, LogFilter, MetricFilter, SpanFilter
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.otlp_encoding import encode_event_line, encode_log_line, encode_span_line
from otel_tracker_exporters.jsonl.otlp_metric_encoding import encode_metric_line
from otel_tracker_exporters.jsonl.prefilter import (
    event_prefilter,
    log_prefilter,
    metric_prefilter,
    span_prefilter,
    trace_prefilter,
    traceback_prefilter,
)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.lists(span_records(), min_size=1, max_size=4, unique_by=lambda span: (span.trace_id, span.span_id)),
    st.data(),
)
def test_what_a_query_passes_over_is_what_it_does_not_want(found: list[SpanRecord], data: st.DataObject) -> None:
    """Whatever is asked for: a line that is held back unparsed holds nothing wanted, in either format."""
    span = data.draw(st.sampled_from(found))
    names = st.sampled_from([span.name, span.function, f"{span.module}.{span.function}", "*", "0"])
    wanted = SpanFilter(
        function_name=data.draw(st.none() | names),
        status=data.draw(st.none() | st.just(span.status)),
        start_ns=data.draw(st.none() | st.just(span.start_ns)),
        end_ns=data.draw(st.none() | st.just(span.start_ns + 1)),
        trace_id=data.draw(st.none() | st.just(span.trace_id)),
        kind=data.draw(st.none() | st.just(span.kind)),
    )
    prefilter, of_trace = span_prefilter(wanted), trace_prefilter(span.trace_id[: data.draw(st.integers(1, 32))])
    for record in filter(wanted.matches, found):
        assert prefilter.may_want(encode_line(record)[:-1])
        assert prefilter.may_want(encode_span_line(record)[:-1])
    assert of_trace.may_want(encode_line(span)[:-1])
    line = encode_span_line(span)[:-1]
    id_in_base64 = b64encode(bytes.fromhex(span.trace_id))
    for trace_id in (span.trace_id.upper().encode(), id_in_base64, id_in_base64.replace(b"/", b"\\/")):
        assert of_trace.may_want(line.replace(span.trace_id.encode(), trace_id))


@settings(max_examples=25)
@given(event_records(), st.booleans(), st.booleans(), st.booleans())
def test_wanted_events_are_never_passed_over(event: EventRecord, by_name: bool, by_time: bool, by_trace: bool) -> None:
    """The same for events."""
    wanted = EventFilter(
        name=event.name if by_name else None,
        start_ns=event.time_ns if by_time else None,
        end_ns=event.time_ns + 1 if by_time else None,
        trace_id=event.trace_id if by_trace and event.trace_id else None,
    )
    if wanted.matches(event):
        assert event_prefilter(wanted).may_want(encode_line(event)[:-1])
        assert event_prefilter(wanted).may_want(encode_event_line(event)[:-1])


@settings(max_examples=25)
@given(log_records(), st.none() | st.just({"time": "x", "trace_id": "y"}), st.booleans(), st.booleans(), st.booleans())
def test_wanted_logs_are_never_passed_over(
    log: LogRecord, body: object, by_logger: bool, by_time: bool, by_trace: bool
) -> None:
    """The same for logs, whose body stands before their time and may hold any key."""
    log = replace(log, body=log.body if body is None else body)
    wanted = LogFilter(
        logger=log.logger if by_logger else None,
        start_ns=log.time_ns if by_time else None,
        end_ns=log.time_ns + 1 if by_time else None,
        trace_id=log.trace_id if by_trace and log.trace_id else None,
    )
    if wanted.matches(log):
        assert log_prefilter(wanted).may_want(encode_line(log)[:-1])
        assert log_prefilter(wanted).may_want(encode_log_line(log)[:-1])


@settings(max_examples=25)
@given(metric_records(), st.booleans(), st.booleans(), st.booleans())
def test_wanted_metric_points_are_never_passed_over(
    point: MetricRecord, by_name: bool, by_kind: bool, by_time: bool
) -> None:
    """The same for metric points."""
    wanted = MetricFilter(
        name=point.name if by_name else None,
        kind=point.kind if by_kind else None,
        start_ns=point.time_ns if by_time else None,
        end_ns=point.time_ns + 1 if by_time else None,
    )
    if wanted.matches(point):
        assert metric_prefilter(wanted).may_want(encode_line(point)[:-1])
        assert metric_prefilter(wanted).may_want(encode_metric_line(point)[:-1])


@settings(max_examples=25)
@given(span_records())
def test_tracebacks_are_never_passed_over(span: SpanRecord) -> None:
    """Wherever the format keeps them."""
    if span.error.get("traceback"):
        assert traceback_prefilter().may_want(encode_line(span)[:-1])
        assert traceback_prefilter().may_want(encode_span_line(span)[:-1])
