"""OTLP JSON of other tools is read leniently: what is odd is understood, what is broken costs nothing but itself."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from strategies import records

from otel_tracker import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker import attributes as keys
from otel_tracker.records import INT64_MAX, Record
from otel_tracker_exporters.jsonl.otlp_decoding import Decoded, decode_otlp

TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
START_NS = 1_544_712_660_000_000_000
SPAN: dict[str, Any] = {
    "traceId": TRACE_ID,
    "spanId": SPAN_ID,
    "name": "work",
    "startTimeUnixNano": str(START_NS),
    "endTimeUnixNano": str(START_NS + 10**9),
}
LOG: dict[str, Any] = {"eventName": "browser.page_view", "timeUnixNano": str(START_NS)}


def of_spans(*spans: Any, **around: Any) -> Decoded:
    scope = {"spans": list(spans), **around.pop("scope_fields", {})}
    return decode_otlp({"resourceSpans": [{"scopeSpans": [scope], **around}]})


def of_logs(*logs: Any, **around: Any) -> Decoded:
    return decode_otlp({"resourceLogs": [{"scopeLogs": [{"logRecords": list(logs)}], **around}]})


def span_with(**fields: Any) -> SpanRecord:
    """The record of one span, which must be readable."""
    found = of_spans({**SPAN, **fields})
    assert (len(found.records), found.broken) == (1, 0)
    (record,) = found.records
    assert isinstance(record, SpanRecord)
    json.dumps(record.to_dict(), allow_nan=False)
    return record


def event_with(**fields: Any) -> EventRecord:
    found = of_logs({**LOG, **fields})
    (record,) = found.records
    assert isinstance(record, EventRecord)
    json.dumps(record.to_dict(), allow_nan=False)
    return record


def value_with(value: Any) -> Any:
    """What an attribute's value becomes, which is the same in an event's body."""
    read = span_with(attributes=[{"key": "k", "value": value}]).attributes["k"]
    assert event_with(body=value).body == read
    return read


# The protocol's own examples


def example(name: str) -> Decoded:
    """An example message of opentelemetry-proto: https://github.com/open-telemetry/opentelemetry-proto/tree/main/examples."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "otlp-json"
    folder = Path(os.environ.get("OTEL_TRACKER_OTLP_EXAMPLES", beside))
    if not (folder / name).is_file():
        pytest.skip("the protocol's example messages are not here; set OTEL_TRACKER_OTLP_EXAMPLES to their folder")
    return decode_otlp(json.loads((folder / name).read_text("utf-8")))


@pytest.fixture(autouse=True)
def _examples_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite takes every OTEL_* variable away before a test; this one is for the tests."""
    if _EXAMPLES:
        monkeypatch.setenv("OTEL_TRACKER_OTLP_EXAMPLES", _EXAMPLES)


_EXAMPLES = os.environ.get("OTEL_TRACKER_OTLP_EXAMPLES", "")


def test_example_trace_is_read() -> None:
    """Ids in upper case, a server span, a resource and a scope."""
    found = example("trace.json")
    assert found == Decoded(
        [
            SpanRecord(
                trace_id=TRACE_ID,
                span_id=SPAN_ID,
                parent_span_id="eee19b7ec3c1b173",
                name="I'm a server span",
                kind="server",
                start_ns=START_NS,
                end_ns=START_NS + 10**9,
                attributes={"my.span.attr": "some value"},
                scope="my.library",
                resource={"service.name": "my.service"},
            )
        ]
    )


def test_example_event_is_read() -> None:
    """A log record that bears an event name, with a map as its body."""
    found = example("events.json")
    (record,) = found.records
    assert isinstance(record, EventRecord)
    assert (record.name, record.severity) == ("browser.page_view", "test severity text")
    assert record.properties == {"event.attribute": "some event attribute"}
    assert (record.body["type"], record.body["title"]) == (0, "Free Online GUID Generator")
    assert record.resource == {"service.name": "my.service"}


def test_example_log_is_read() -> None:
    """A log record without an event name, by the logger of its scope."""
    (record,) = example("logs.json").records
    assert isinstance(record, LogRecord)
    assert (record.logger, record.body) == ("my.library", "Example log record")
    assert record.resource == {"service.name": "my.service"}


def test_example_of_metrics_is_read() -> None:
    """A counter, a gauge and both histograms, each with its only point."""
    found = example("metrics.json")
    time_ns = 1_544_712_660_300_000_000
    common: dict[str, Any] = {"unit": "1", "scope": "my.library", "resource": {"service.name": "my.service"}}
    delta = {"start_ns": time_ns, "temporality": "delta", **common}
    label = "some value"
    assert found == Decoded(
        [
            MetricRecord(
                *("my.counter", time_ns, "counter"),
                **delta,
                description="I am a Counter",
                attributes={"my.counter.attr": label},
                value=5.0,
            ),
            MetricRecord(
                *("my.gauge", time_ns, "gauge"),
                **common,
                description="I am a Gauge",
                attributes={"my.gauge.attr": label},
                value=10.0,
            ),
            MetricRecord(
                *("my.histogram", time_ns, "histogram"),
                **delta,
                description="I am a Histogram",
                attributes={"my.histogram.attr": label},
                count=2,
                sum=2.0,
                min=0.0,
                max=2.0,
                buckets=((1.0, 1), (None, 1)),
            ),
            MetricRecord(
                *("my.exponential.histogram", time_ns, "exponential_histogram"),
                **delta,
                description="I am an Exponential Histogram",
                attributes={"my.exponential.histogram.attr": label},
                count=3,
                sum=10.0,
                min=0.0,
                max=5.0,
                exponential={
                    "scale": 0,
                    "zero_count": 1,
                    "zero_threshold": 0.0,
                    "positive": {"offset": 1, "counts": [0, 2]},
                    "negative": {"offset": 0, "counts": []},
                },
            ),
        ]
    )


# Spans


@pytest.mark.parametrize(
    "identifier",
    [TRACE_ID, TRACE_ID.upper(), "W47/95gDgQPSabYzgT/GDA=="],
    ids=["hexadecimal", "upper case", "base64 of protobuf"],
)
def test_ids_in_any_spelling_are_one_id(identifier: str) -> None:
    """Otherwise the spans of one trace would not find each other."""
    assert span_with(traceId=identifier).trace_id == TRACE_ID


@pytest.mark.parametrize("parent", ["", None, "0000000000000000", "AAAAAAAAAAA="])
def test_parent_that_is_none_is_none(parent: Any) -> None:
    """Root spans are written in several ways."""
    assert span_with(parentSpanId=parent).parent_span_id == ""


@pytest.mark.parametrize("time", [START_NS, str(START_NS), float(START_NS)], ids=["number", "text", "float"])
def test_64_bit_integers_may_be_text_or_numbers(time: Any) -> None:
    """The specification has text; not every writer does."""
    assert span_with(startTimeUnixNano=time).start_ns == START_NS


@pytest.mark.parametrize("end", ["0", 0, None, ""])
def test_span_without_an_end_has_only_started(end: Any) -> None:
    """A start line of a crash-safe writer is no completed execution."""
    record = span_with(endTimeUnixNano=end)
    assert (record.end_ns, record.status) == (None, "started")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (2, "server"),
        ("SPAN_KIND_SERVER", "server"),
        ("2", "server"),
        (5, "consumer"),
        (0, "internal"),
        (None, "internal"),
        (99, "internal"),
        ("SPAN_KIND_OF_TOMORROW", "internal"),
    ],
)
def test_kind_may_be_a_number_or_a_name(kind: Any, expected: str) -> None:
    """The specification has numbers; protobuf's own JSON has names."""
    assert span_with(kind=kind).kind == expected


@pytest.mark.parametrize("code", [2, "2", "STATUS_CODE_ERROR"])
def test_status_may_be_a_number_or_a_name(code: Any) -> None:
    """An ERROR is a failure, whoever says it."""
    record = span_with(status={"code": code, "message": "declined"})
    assert (record.status, record.status_code, record.status_message) == ("failed", "ERROR", "declined")
    assert record.error == {"type": "", "message": "declined"}


@pytest.mark.parametrize("status", [None, {}, {"code": None}, {"code": 7}])
def test_status_that_says_nothing_is_unset(status: Any) -> None:
    """It has neither succeeded by somebody's word nor failed."""
    record = span_with(status=status)
    assert (record.status, record.status_code) == ("completed", "UNSET")


def test_function_and_exception_of_another_instrumentation_become_fields() -> None:
    """Statistics and failures work for spans that this package has not made."""
    exception = [
        {"key": key, "value": {"stringValue": text}}
        for key, text in (
            (keys.EXCEPTION_TYPE, "ValueError"),
            (keys.EXCEPTION_MESSAGE, "no"),
            (keys.EXCEPTION_STACKTRACE, "Traceback"),
        )
    ]
    record = span_with(
        attributes=[{"key": keys.CODE_FUNCTION_NAME, "value": {"stringValue": "shop.Cart.total"}}],
        events=[{"name": "exception", "timeUnixNano": str(START_NS), "attributes": exception}],
        status={"code": 2},
    )
    assert (record.function, record.module, dict(record.attributes)) == ("shop.Cart.total", "", {})
    assert record.error == {"type": "ValueError", "message": "no", "traceback": "Traceback"}


def test_links_and_events_are_read_and_a_link_that_leads_nowhere_is_left_out() -> None:
    """With null for what is empty, as some writers have it."""
    record = span_with(
        links=[{"traceId": TRACE_ID.upper(), "spanId": SPAN_ID, "attributes": None}, {"traceId": ""}, None],
        events=[{"name": None, "timeUnixNano": 1, "attributes": []}],
        attributes=None,
    )
    assert record.links == ({"trace_id": TRACE_ID, "span_id": SPAN_ID},)
    assert record.events == ({"name": "", "time": "1970-01-01T00:00:00.000000001Z"},)


@pytest.mark.parametrize("around", [{}, {"resource": None}, {"resource": {}}, {"resource": {"attributes": None}}])
@pytest.mark.parametrize("scope", [{}, {"scope": None}, {"scope": {}}, {"scope": {"name": None}}])
def test_resource_and_scope_may_be_missing(around: dict[str, Any], scope: dict[str, Any]) -> None:
    """Both are optional in the protocol."""
    (record,) = of_spans(SPAN, scope_fields=scope, **around).records
    assert isinstance(record, SpanRecord)
    assert (record.scope, record.resource) == ("", {})


def test_unknown_fields_are_passed_over() -> None:
    """The protocol grows."""
    record = span_with(flags=257, traceState="a=b", droppedAttributesCount=1, tomorrow={"x": []})
    assert record == of_spans(SPAN).records[0]


@pytest.mark.parametrize(
    "text",
    [
        *("x", "[]", '{"trace_id":"1"}', '{"status":5}', '{"events":{}}', '{"end_ns":1180591620717411303424}'),
        '{"attributes":' + "[" * 5000,
        '{"attributes":{"a":' + "[" * 100 + "]" * 100 + "}}",
    ],
    ids=lambda text: text[:20],
)
def test_rest_of_a_record_that_is_none_of_ours_stays_an_attribute(text: str) -> None:
    """Anybody may set an attribute of that name; it changes no field then."""
    record = span_with(attributes=[{"key": keys.RECORD, "value": {"stringValue": text}}])
    assert (record.status, record.attributes) == ("completed", {keys.RECORD: text})


# Values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "x"}, "x"),
        ({"boolValue": True}, True),
        ({"boolValue": "false"}, False),
        ({"intValue": "10"}, 10),
        ({"intValue": 10}, 10),
        ({"intValue": 10.0}, 10),
        ({"intValue": "-9223372036854775808"}, -(2**63)),
        ({"intValue": str(INT64_MAX + 1)}, str(INT64_MAX + 1)),
        ({"intValue": 2**70}, str(2**70)),
        ({"intValue": "9" * 5000}, "9" * 5000),
        ({"intValue": "many"}, "many"),
        ({"doubleValue": 637.704}, 637.704),
        ({"doubleValue": 5}, 5.0),
        ({"doubleValue": "1.5"}, 1.5),
        ({"doubleValue": "NaN"}, "NaN"),
        ({"doubleValue": "-Infinity"}, "-Infinity"),
        ({"doubleValue": float("nan")}, "NaN"),
        ({"doubleValue": float("inf")}, "Infinity"),
        ({"bytesValue": "YWI="}, "YWI="),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}, None, {"arrayValue": {}}]}}, [1, None, None, []]),
        ({"arrayValue": {"values": None}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"kvlistValue": {}}}, {"key": "b"}]}}, {"a": {}, "b": None}),
        ({}, None),
        (None, None),
        ({"stringValue": None}, None),
        ({"valueOfTomorrow": 1}, None),
        ("bare", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_value_of_any_spelling_becomes_a_plain_one(value: Any, expected: Any) -> None:
    """64-bit integers are text or numbers, those beyond stay text, and nothing is NaN."""
    read = value_with(value)
    assert read == expected
    assert type(read) is type(expected)


def test_of_equal_keys_the_last_holds_and_pairs_that_are_none_are_passed_over() -> None:
    """A list of pairs can say more than a map can hold."""
    pairs = [{"key": "a", "value": {"intValue": 1}}, None, "x", {"key": 5}, {"key": "a", "value": {"intValue": 2}}]
    assert span_with(attributes=pairs).attributes == {"a": 2}


def deep(levels: int) -> Any:
    value: Any = {"stringValue": "x"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return value


def test_value_that_is_too_deep_becomes_text_there() -> None:
    """As everywhere in a record, at 32 levels."""
    value, levels = event_with(body=deep(33)).body, 0
    while isinstance(value, list):
        value, levels = value[0], levels + 1
    assert levels == 32
    assert isinstance(value, str)


def test_hostile_depth_costs_its_own_span_alone() -> None:
    """Recursion ends in a count, never in an exception."""
    bomb = {**SPAN, "attributes": [{"key": "k", "value": deep(sys.getrecursionlimit())}]}
    found = of_spans(SPAN, bomb, SPAN)
    assert (len(found.records), found.broken) == (2, 1)
    logs = of_logs(LOG, {**LOG, "body": deep(sys.getrecursionlimit())})
    assert (len(logs.records), logs.broken) == (1, 1)
    around = of_spans(SPAN, resource={"attributes": bomb["attributes"]})
    assert (len(around.records), around.broken) == (1, 1)


# Log records


def test_older_name_of_an_event_is_read() -> None:
    """Before log records had a name of their own, it was an attribute."""
    former = [{"key": "event.name", "value": {"stringValue": "user.login"}}, {"key": "n", "value": {"intValue": 1}}]
    record = event_with(eventName="", attributes=former)
    assert (record.name, record.properties) == ("user.login", {"n": 1})
    newer = event_with(attributes=former)
    assert (newer.name, newer.properties) == ("browser.page_view", {"event.name": "user.login", "n": 1})


def test_event_without_a_time_has_that_of_its_observation() -> None:
    """Its source did not say when it was."""
    for missing in ("0", 0, None):
        assert event_with(timeUnixNano=missing, observedTimeUnixNano=str(START_NS)).time_ns == START_NS


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"severityText": "Information", "severityNumber": 10}, "Information"),
        ({"severityNumber": 13}, "WARN"),
        ({"severityNumber": "SEVERITY_NUMBER_ERROR2"}, "ERROR2"),
        ({"severityNumber": 0}, "INFO"),
        ({"severityNumber": 99}, "INFO"),
        ({}, "INFO"),
    ],
)
def test_severity_is_the_text_or_the_numbers_name(fields: dict[str, Any], expected: str) -> None:
    """A record always has one."""
    assert event_with(**fields).severity == expected


def test_log_records_without_a_name_are_logs() -> None:
    """With whatever of severity, body and time they have; one that says nothing at all is one, too."""
    log, event, empty = of_logs({"body": {"stringValue": "text"}, "severityNumber": 13}, LOG, {}).records
    assert log == LogRecord(0, "WARN", "text")
    assert isinstance(event, EventRecord)
    assert empty == LogRecord(0)


# Metric points


def of_metric(**data: Any) -> Decoded:
    return decode_otlp({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", **data}]}]}]})


def point_with(kind: str = "gauge", data: dict[str, Any] | None = None, **fields: Any) -> MetricRecord:
    """The record of one metric point, which must be readable."""
    found = of_metric(**{kind: {"dataPoints": [{"timeUnixNano": str(START_NS), **fields}], **(data or {})}})
    assert (len(found.records), found.broken) == (1, 0)
    (record,) = found.records
    assert isinstance(record, MetricRecord)
    json.dumps(record.to_dict(), allow_nan=False)
    return record


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"asInt": "7"}, 7),
        ({"asInt": 7}, 7),
        ({"asInt": "-9223372036854775808"}, -(2**63)),
        ({"asInt": str(2**64)}, float(2**64)),
        ({"asDouble": 7}, 7.0),
        ({"asDouble": "1.5"}, 1.5),
        ({"asDouble": "NaN"}, None),
        ({"asDouble": "-Infinity"}, None),
        ({"asDouble": float("nan")}, None),
        ({"asDouble": 5, "flags": 1}, None),
        ({"asDouble": 5, "flags": 2}, 5.0),
        ({}, None),
    ],
    ids=repr,
)
def test_value_of_a_point_in_any_spelling(fields: dict[str, Any], expected: Any) -> None:
    """What is not finite is no number, nor is one that the writer takes back."""
    value = point_with(**fields).value
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("data", "kind", "temporality"),
    [
        ({"isMonotonic": True, "aggregationTemporality": 1}, "counter", "delta"),
        (
            {"isMonotonic": "true", "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE"},
            *("counter", "cumulative"),
        ),
        ({"isMonotonic": False, "aggregationTemporality": "2"}, "up_down_counter", "cumulative"),
        ({}, "up_down_counter", ""),
        ({"isMonotonic": None, "aggregationTemporality": 9}, "up_down_counter", ""),
    ],
    ids=repr,
)
def test_kind_and_temporality_of_a_sum(data: dict[str, Any], kind: str, temporality: str) -> None:
    """As numbers or names; what says nothing is neither monotonic nor of any temporality."""
    record = point_with("sum", data, asInt="1")
    assert (record.kind, record.temporality) == (kind, temporality)


def test_histogram_in_other_spellings() -> None:
    """Without buckets, with numbers as text, with numbers that are none."""
    bare = point_with("histogram", count=3, sum="NaN", min=None)
    assert (bare.count, bare.sum, bare.min, bare.buckets) == (3, None, None, ())
    empty = point_with("histogram", bucketCounts=[], explicitBounds=[])
    assert (empty.count, empty.sum, empty.buckets) == (0, None, ())
    record = point_with("histogram", count="2", sum=1, bucketCounts=["1", 1], explicitBounds=["0.5"])
    assert (record.sum, record.buckets) == (1.0, ((0.5, 1), (None, 1)))
    assert point_with("histogram", count="2", flags=1).count is None


def test_summary_is_read() -> None:
    """A kind that older programs have; protobuf's JSON leaves zeros out."""
    record = point_with("summary", count="2", quantileValues=[{"quantile": 0.5, "value": 3}, {}])
    assert (record.kind, record.count, record.sum) == ("summary", 2, 0.0)
    assert record.quantiles == ((0.5, 3.0), (0.0, 0.0))


def test_exemplars_are_read_and_one_without_a_number_is_left_out() -> None:
    """With the trace where there is one, in any spelling."""
    record = point_with(
        asInt=1,
        exemplars=[
            {"asDouble": 1, "timeUnixNano": START_NS, "traceId": TRACE_ID.upper(), "spanId": SPAN_ID},
            {"asInt": "2", "filteredAttributes": [{"key": "a", "value": {"intValue": 1}}]},
            {"asDouble": "NaN"},
            None,
        ],
    )
    time = "2018-12-13T14:51:00.000000000Z"
    assert record.exemplars == (
        {"value": 1.0, "time": time, "trace_id": TRACE_ID, "span_id": SPAN_ID},
        {"value": 2, "time": "1970-01-01T00:00:00.000000000Z", "attributes": {"a": 1}},
    )


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("gauge", 5),
        ("gauge", {"asInt": "many"}),
        ("gauge", {"asDouble": {}}),
        ("gauge", {"timeUnixNano": "soon"}),
        ("histogram", {"count": "1", "bucketCounts": [1, 2], "explicitBounds": []}),
        ("histogram", {"count": "1", "bucketCounts": [], "explicitBounds": [1]}),
        ("histogram", {"count": "1", "bucketCounts": [1, 0, 0], "explicitBounds": [2, 1]}),
        ("histogram", {"count": "1", "bucketCounts": [1, 0], "explicitBounds": ["Infinity"]}),
        ("histogram", {"count": "-1"}),
        ("histogram", {"count": str(2**64)}),
        ("exponentialHistogram", {"count": "1", "scale": 2**40}),
        ("exponentialHistogram", {"count": "1", "positive": {"bucketCounts": [-1]}}),
        ("summary", {"count": "1", "quantileValues": [{"quantile": "NaN"}]}),
    ],
    ids=str,
)
def test_broken_point_is_counted_and_its_neighbours_are_read(kind: str, broken: Any) -> None:
    """One bad number never takes the points of a whole process along."""
    found = of_metric(**{kind: {"dataPoints": [{}, broken, {}]}})
    assert (len(found.records), found.broken) == (2, 1)


# What is broken


@pytest.mark.parametrize(
    "broken",
    [
        {},
        None,
        "x",
        5,
        [],
        {**SPAN, "traceId": ""},
        {**SPAN, "traceId": "0" * 32},
        {**SPAN, "traceId": None},
        {**SPAN, "spanId": "xyz"},
        {**SPAN, "spanId": 5},
        {**SPAN, "spanId": "é" * 16},
        {**SPAN, "startTimeUnixNano": "soon"},
        {**SPAN, "startTimeUnixNano": {}},
        {**SPAN, "startTimeUnixNano": [1]},
        {**SPAN, "startTimeUnixNano": "-1"},
        {**SPAN, "startTimeUnixNano": str(2**64)},
        {**SPAN, "endTimeUnixNano": float("inf")},
        {**SPAN, "endTimeUnixNano": "9" * 5000},
        {**SPAN, "kind": {"a": 1}},
        {**SPAN, "status": "ERROR"},
        {**SPAN, "events": [{"timeUnixNano": str(2**80)}]},
    ],
    ids=lambda broken: repr(broken)[-40:],
)
def test_broken_span_is_counted_and_its_neighbours_are_read(broken: Any) -> None:
    """One bad entry never takes a batch of hundreds along."""
    found = of_spans(SPAN, broken, SPAN)
    assert (len(found.records), found.broken) == (2, 1)


@pytest.mark.parametrize("broken", [None, 5, "x", {**LOG, "timeUnixNano": "soon"}, {**LOG, "severityNumber": []}])
def test_broken_log_record_is_counted_and_its_neighbours_are_read(broken: Any) -> None:
    """As for spans; an empty list stands for nothing and is no fault."""
    found = of_logs(LOG, broken, LOG)
    assert len(found.records) >= 2
    assert found.broken + len(found.records) == 3


@pytest.mark.parametrize(
    ("document", "broken"),
    [
        ({}, 0),
        ({"resourceSpans": None}, 0),
        ({"resourceSpans": []}, 0),
        ({"resourceSpans": {}}, 1),
        ({"resourceSpans": "x"}, 1),
        ({"resourceSpans": [None, 5]}, 2),
        ({"resourceSpans": [{"scopeSpans": 5}]}, 1),
        ({"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}, 1),
        ({"resourceLogs": [[]]}, 1),
        ({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{}, {"sum": 5}, {"sum": {"dataPoints": 5}}]}]}]}, 2),
    ],
    ids=str,
)
def test_document_of_another_shape_is_survived(document: dict[str, Any], broken: int) -> None:
    """Somebody else's JSON may have anything anywhere."""
    assert decode_otlp(document) == Decoded([], broken)


def test_signals_of_one_document_are_all_read() -> None:
    """A collector may write them together; spans come first."""
    found = decode_otlp(
        {
            "resourceLogs": [{"scopeLogs": [{"logRecords": [LOG]}]}],
            "resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}, {"spans": [SPAN]}]}, {"scopeSpans": []}],
        }
    )
    assert [type(record).__name__ for record in found.records] == ["SpanRecord", "SpanRecord", "EventRecord"]


def test_what_protobuf_itself_writes_as_json_is_read() -> None:
    """Ids in base64, enumerations as names: the JSON of `json_format`, which some tools write to files."""
    json_format = pytest.importorskip("google.protobuf.json_format", reason="protobuf is not installed")
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    message = TracesData()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID)
    span.name, span.kind, span.status.code = "work", 3, 2
    span.start_time_unix_nano, span.end_time_unix_nano = START_NS, START_NS + 1
    pair = span.attributes.add()
    pair.key, pair.value.bytes_value = "b", b"\xff"
    (record,) = decode_otlp(json.loads(json_format.MessageToJson(message))).records
    assert record == SpanRecord(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        name="work",
        kind="client",
        start_ns=START_NS,
        end_ns=START_NS + 1,
        attributes={"b": "/w=="},
        status="failed",
        status_code="ERROR",
        error={"type": "", "message": ""},
    )


def as_sent(record: MetricRecord) -> MetricRecord:
    """The point without what the SDK or its exporter has no words for."""
    assume(record.kind != "summary" and (record.value, record.count) != (None, None))
    if record.kind == "gauge":
        return replace(record, start_ns=None)
    if record.kind == "exponential_histogram":
        sides = {side: record.exponential[side] for side in ("positive", "negative")}
        said = {side: fields if fields["counts"] else {"offset": 0, "counts": []} for side, fields in sides.items()}
        return replace(record, exponential={**record.exponential, "zero_threshold": 0.0, **said})
    return record


@settings(max_examples=60)
@given(records)
def test_what_the_official_exporter_sends_is_read(record: Record) -> None:
    """A record that was replayed and then written to a file by a collector is the same in that file."""
    json_format = pytest.importorskip("google.protobuf.json_format", reason="protobuf is not installed")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the otlp extra is not installed")
    from otel_tracker.metric_replaying import metrics_data, readable_point
    from otel_tracker.replaying import readable_log, readable_span

    if isinstance(record, SpanRecord):
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        message = encode_spans([readable_span(record)])
    elif isinstance(record, MetricRecord):
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        record = as_sent(record)
        message = encode_metrics(metrics_data([readable_point(record)]))
    else:
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

        message = encode_logs([readable_log(record)])
    found = decode_otlp(json_format.MessageToDict(message))
    assert (found.records, found.broken) == ([record], 0)
