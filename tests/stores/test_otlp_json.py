"""OTLP JSON lines hold every record without loss, and every other OpenTelemetry tool reads them.

What others write is in ``test_otlp_json_foreign.py``.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from strategies import event_records, log_records, metric_records, records, span_records

from otel_tracker import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker import attributes as keys
from otel_tracker.metric_recording import metric_records as metric_records_of
from otel_tracker.otel_rest import is_deep
from otel_tracker.records import INT64_MAX, INT64_MIN, Record
from otel_tracker_exporters.jsonl.otlp_decoding import decode_otlp, is_otlp
from otel_tracker_exporters.jsonl.otlp_encoding import (
    LOG_LINE_HEAD,
    SPAN_LINE_HEAD,
    encode_event_line,
    encode_log_line,
    encode_span_line,
)
from otel_tracker_exporters.jsonl.otlp_metric_encoding import METRIC_LINE_HEAD, encode_metric_line

NOON_NS = 1_795_348_800_000_000_000
UINT64_MAX = 2**64 - 1
SPAN = SpanRecord("a1" * 16, "b2" * 8, "work", NOON_NS, NOON_NS + 1)
EVENT = EventRecord("checkout.completed", NOON_NS)


def encoded(record: Record) -> bytes:
    if isinstance(record, SpanRecord):
        return encode_span_line(record)
    if isinstance(record, MetricRecord):
        return encode_metric_line(record)
    return encode_event_line(record) if isinstance(record, EventRecord) else encode_log_line(record)


def read_back(record: Record) -> Record:
    """The record after its line, which holds nothing else."""
    line = encoded(record)
    found = decode_otlp(json.loads(line))
    assert found.broken == 0
    (back,) = found.records
    return back


def item_of(line: bytes) -> dict[str, Any]:
    """The one span or log record in a line."""
    fields = json.loads(line)
    scopes = fields["resourceSpans"][0]["scopeSpans"] if "resourceSpans" in fields else None
    items = scopes[0]["spans"] if scopes else fields["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert len(items) == 1
    return dict(items[0])


def attributes_in(line: bytes) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in item_of(line).get("attributes", ())}


@pytest.mark.slow
@settings(max_examples=100)
@given(records)
def test_record_is_the_same_after_a_line(record: Record) -> None:
    """Whatever a record holds comes back, and of the same types."""
    back = read_back(record)
    assert back == record
    assert json.dumps(back.to_dict(), sort_keys=True) == json.dumps(record.to_dict(), sort_keys=True)


@settings(max_examples=50)
@given(records)
def test_line_is_one_line_of_utf8(record: Record) -> None:
    """A newline inside a text does not end it."""
    line = encoded(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    heads = {SpanRecord: SPAN_LINE_HEAD, MetricRecord: METRIC_LINE_HEAD}
    assert line.startswith(heads.get(type(record), LOG_LINE_HEAD))
    line.decode()


ODD_SPANS = {
    "aborted": {"status": "aborted", "end_ns": None},
    "aborted with an end": {"status": "aborted"},
    "started with an end": {"status": "started"},
    "completed without an end": {"end_ns": None, "status": "completed"},
    "failed without an error status": {"status": "failed"},
    "completed with an error status": {"status_code": "ERROR"},
    "unknown status": {"status": "paused"},
    "unknown kind": {"kind": "batch"},
    "unknown status code": {"status_code": "MAYBE", "status_message": "m"},
    "message without an error": {"status_code": "OK", "status_message": "fine"},
    "empty texts": {"kind": "", "status": "", "status_code": ""},
    "before 1970": {"start_ns": -1, "end_ns": -5},
    "at the epoch": {"start_ns": 0, "end_ns": 0},
    "the last nanosecond": {"start_ns": UINT64_MAX - 1, "end_ns": UINT64_MAX},
    "beyond 64 bits": {"start_ns": UINT64_MAX + 1, "end_ns": 2**67},
    "ends before it starts": {"start_ns": 5, "end_ns": 3},
    "module without function": {"module": "shop"},
    "function without module": {"function": "Cart.total"},
    "module inside function": {"module": "shop", "function": "shop.total"},
    "function of dots": {"module": "a", "function": "."},
    "own keys": {
        "attributes": {
            f"{keys.ARGS_PREFIX}x": 1,
            f"{keys.ARGS_JSON_PREFIX}y": "[1]",
            keys.RESULT: 2,
            keys.RESULT_JSON: "[]",
            keys.MODULE: "m",
            keys.CODE_FUNCTION_NAME: "m.f",
            keys.RECORD: '{"status":"failed"}',
            "kept": 1,
        },
        "args": {"x": 3, "": None, "args.x": [1]},
    },
    "own key without function": {"attributes": {keys.CODE_FUNCTION_NAME: 5}, "function": "f"},
    "result of none": {"has_result": True, "result": None},
    "result of JSON text": {"has_result": True, "result": "[1]"},
    "argument of JSON text": {"args": {"x": '{"a":1}', "y": "null", "z": ""}},
    "error of no failure": {"error": {"type": "E"}},
    "error that differs": {"status": "failed", "status_code": "ERROR", "error": {"message": "m"}},
    "error with odd keys": {"status": "failed", "status_code": "ERROR", "error": {"code": "7"}},
    "failure without error": {"status": "failed", "status_code": "ERROR"},
    "event without time": {"events": ({"name": "e"},)},
    "event with more": {"events": ({"name": "e", "time": "2026-11-22T12:00:00.000000000Z", "more": 1},)},
    "event with empty attributes": {
        "events": ({"name": "e", "time": "2026-11-22T12:00:00.000000000Z", "attributes": {}},)
    },
    "event at another offset": {"events": ({"name": "e", "time": "2026-11-22T13:00:00+01:00"},)},
    "event before 1970": {"events": ({"name": "e", "time": "1969-12-31T23:59:59.999999999Z"},)},
    "event of something": {"events": ({"name": 5, "time": 7}, {})},
    "link that leads nowhere": {"links": ({"trace_id": "0" * 32, "span_id": "0" * 16},)},
    "link with more": {"links": ({"trace_id": "a" * 32, "span_id": "b" * 16, "state": "x"},)},
    "resource with an empty key": {"resource": {"": 1, "a": {"": 2}}},
    "integers at the edge": {"attributes": {"max": INT64_MAX, "min": INT64_MIN}},
    "floats": {"attributes": {"a": 1.0, "b": -0.0, "c": 1e308, "d": 5e-324, "e": 1e16, "f": 0.1}},
    "booleans are no integers": {"attributes": {"a": True, "b": 1, "c": [False, 0]}, "args": {"d": True}},
    "none": {"attributes": {"a": None, "b": [None], "c": {"d": None}}},
    "empty": {"attributes": {"a": "", "b": [], "c": {}, "": 1}},
    "control characters": {"name": "\x00\x1f\x7f\u2028\n\r", "attributes": {'"\\': "\x85"}, "scope": '"'},
    "beyond 16 bits": {"name": "\U0001f600"},
    "text like keys": {"name": '","traceId":"', "attributes": {"traceId": '"traceId":"'}},
}


@pytest.mark.parametrize("fields", ODD_SPANS.values(), ids=ODD_SPANS)
def test_odd_span_is_the_same_after_a_line(fields: dict[str, Any]) -> None:
    """What OTLP cannot say goes along."""
    record = dataclasses.replace(SPAN, **fields)
    back = read_back(record)
    assert back == record
    assert isinstance(back, SpanRecord)
    assert {key: type(value) for key, value in back.attributes.items()} == {
        key: type(value) for key, value in record.attributes.items()
    }


ODD_EVENTS = {
    "without a name": {"name": "", "properties": {"event.name": "x"}},
    "unknown severity": {"severity": "NOTICE"},
    "severity in lower case": {"severity": "warn"},
    "empty severity": {"severity": ""},
    "before 1970": {"time_ns": -1},
    "at the epoch": {"time_ns": 0},
    "beyond 64 bits": {"time_ns": 2**64},
    "own keys": {"properties": {keys.EXCEPTION_TYPE: "E", keys.EXCEPTION_MESSAGE: 5, keys.RECORD: "x", "k": 1}},
    "properties beside an error": {"properties": {keys.EXCEPTION_TYPE: None}, "error": {"type": "E"}},
    "odd error": {"error": {"type": "E", "code": "5"}},
    "empty error": {"error": {"type": "", "message": ""}},
    "bodies": {"body": {"a": [1, None, {"b": []}]}},
    "empty text": {"body": ""},
    "empty list": {"body": []},
    "empty map": {"body": {}},
    "false": {"body": False},
    "trace without span": {"trace_id": "a" * 32},
    "span without trace": {"span_id": "b" * 16},
}


@pytest.mark.parametrize("fields", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_odd_event_is_the_same_after_a_line(fields: dict[str, Any]) -> None:
    """As for spans."""
    record = dataclasses.replace(EVENT, **fields)
    assert read_back(record) == record


def nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


@pytest.mark.parametrize("depth", [1, 23, 24, 25, 30])
def test_values_of_any_depth_come_back(depth: int) -> None:
    """Those that parsers of protobuf's would refuse the line for go along as text."""
    value = nested(depth)
    span = dataclasses.replace(
        SPAN,
        attributes={"a": value},
        args={"a": value},
        resource={"r": value},
        events=({"name": "e", "time": "2026-11-22T12:00:00.000000000Z", "attributes": {"a": value}},),
    )
    event = dataclasses.replace(EVENT, body=value, properties={"p": value})
    for record in (span, event):
        assert read_back(record) == record
        assert_protobuf_reads(encoded(record))


def test_ordinary_span_has_nothing_of_ours_beyond_its_captured_values() -> None:
    """The attribute for what OTLP cannot say is for odd records only."""
    record = dataclasses.replace(
        SPAN,
        function="Cart.total",
        module="shop.cart",
        args={"n": 1, "items": [1, 2]},
        has_result=True,
        result="ok",
        attributes={keys.CODE_LINE_NUMBER: 3, keys.OUTCOME: "closed"},
        resource={"service.name": "shop"},
    )
    assert attributes_in(encode_span_line(record)) == {
        keys.CODE_FUNCTION_NAME: {"stringValue": "shop.cart.Cart.total"},
        keys.MODULE: {"stringValue": "shop.cart"},
        f"{keys.ARGS_PREFIX}n": {"intValue": "1"},
        f"{keys.ARGS_JSON_PREFIX}items": {"stringValue": "[1,2]"},
        keys.RESULT: {"stringValue": "ok"},
        keys.CODE_LINE_NUMBER: {"intValue": "3"},
        keys.OUTCOME: {"stringValue": "closed"},
    }


def test_started_and_failed_spans_are_ordinary() -> None:
    """A start line of a crash-safe program, and a failure as capture records it, need no attribute of ours."""
    started = dataclasses.replace(SPAN, end_ns=None, status="started")
    time = "2026-11-22T12:00:00.000000001Z"
    said = {keys.EXCEPTION_TYPE: "E", keys.EXCEPTION_MESSAGE: "m", keys.EXCEPTION_STACKTRACE: "t"}
    failed = dataclasses.replace(
        SPAN,
        status="failed",
        status_code="ERROR",
        status_message="E: m",
        error={"type": "E", "message": "m", "traceback": "t"},
        attributes={keys.ERROR_TYPE: "E"},
        events=({"name": keys.EXCEPTION_EVENT, "time": time, "attributes": said},),
    )
    outer = dataclasses.replace(failed, error={"type": "E", "message": "m"}, events=())
    for record in (started, failed, outer):
        assert read_back(record) == record
        assert keys.RECORD not in attributes_in(encode_span_line(record))


def test_keys_of_a_span_stand_in_the_documented_order() -> None:
    """So that a reader may judge a line by its bytes; what is absent leaves no gap."""
    line = encode_span_line(
        dataclasses.replace(
            SPAN,
            parent_span_id="c3" * 8,
            kind="server",
            attributes={"a": 1},
            events=({"name": "e", "time": "2026-11-22T12:00:00.000000000Z"},),
            links=({"trace_id": "d4" * 16, "span_id": "e5" * 8},),
            status="failed",
            status_code="ERROR",
            error={"type": "", "message": ""},
            scope="s",
            resource={"service.name": "shop"},
        )
    )
    assert (
        list(item_of(line))
        == (
            "traceId spanId parentSpanId startTimeUnixNano endTimeUnixNano kind name attributes events links status"
        ).split()
    )
    assert line.startswith(b'{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":')
    ids = b'"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"' + b"a1" * 16 + b'","spanId":"'
    assert ids in line
    assert list(item_of(encode_span_line(SPAN))) == (
        "traceId spanId startTimeUnixNano endTimeUnixNano kind name".split()
    )


def test_keys_of_an_event_stand_in_the_documented_order() -> None:
    """As the span's."""
    line = encode_event_line(
        dataclasses.replace(
            EVENT, trace_id="a" * 32, span_id="b" * 16, body="b", properties={"p": 1}, resource={"r": 1}
        )
    )
    assert (
        list(item_of(line))
        == ("timeUnixNano traceId spanId severityNumber severityText eventName body attributes").split()
    )


@pytest.mark.parametrize("severity", "TRACE TRACE4 DEBUG2 INFO INFO3 WARN WARN2 ERROR ERROR3 FATAL FATAL4".split())
def test_severity_has_the_standard_number(severity: str) -> None:
    """Back-ends sort by it."""
    from opentelemetry._logs import SeverityNumber

    item = item_of(encode_event_line(dataclasses.replace(EVENT, severity=severity)))
    assert (item["severityNumber"], item["severityText"]) == (SeverityNumber[severity].value, severity)


def test_lone_surrogates_become_replacement_characters_in_text() -> None:
    """Protobuf's parser refuses a line with one; in JSON text of ours they survive as escapes."""
    odd = dataclasses.replace(SPAN, name="a\ud800b", attributes={"\udfff": "\ud83d\ude00"}, args={"x": ["\ud800"]})
    line = encode_span_line(odd)
    assert_protobuf_reads(line)
    (back,) = decode_otlp(json.loads(line)).records
    assert isinstance(back, SpanRecord)
    assert (back.name, back.attributes) == ("a\ufffdb", {"\ufffd": "\U0001f600"})
    assert back.args == {"x": ["\ud800"]}


def test_values_that_are_not_plain_are_written_as_otlp_has_them() -> None:
    """A record made by hand may hold more than records do; readers get what stands for it in a record."""
    odd: dict[str, Any] = {"big": 2**70, "nan": float("nan"), "low": float("-inf"), "bytes": b"ab", "t": (1, "x")}
    record = dataclasses.replace(SPAN, attributes=odd)
    line = encode_span_line(record)
    assert attributes_in(line) == {
        "big": {"stringValue": str(2**70)},
        "nan": {"doubleValue": "NaN"},
        "low": {"doubleValue": "-Infinity"},
        "bytes": {"bytesValue": "YWI="},
        "t": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}},
    }
    assert_protobuf_reads(line)
    (back,) = decode_otlp(json.loads(line)).records
    assert isinstance(back, SpanRecord)
    assert back.attributes == {"big": str(2**70), "nan": "NaN", "low": "-Infinity", "bytes": "YWI=", "t": [1, "x"]}


def selfish() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "record",
    [
        dataclasses.replace(SPAN, trace_id="A1" * 16),
        dataclasses.replace(SPAN, trace_id=""),
        dataclasses.replace(SPAN, span_id="0" * 16),
        dataclasses.replace(SPAN, span_id="b2" * 7 + '"}'),
        dataclasses.replace(SPAN, parent_span_id="c3"),
        dataclasses.replace(SPAN, attributes={"a": object()}),
        dataclasses.replace(SPAN, args={"a": object()}),
        dataclasses.replace(SPAN, args={"a": [float("nan")]}),
        dataclasses.replace(SPAN, name=None),
        dataclasses.replace(SPAN, start_ns=2**70),
        dataclasses.replace(EVENT, time_ns=-(2**70)),
        dataclasses.replace(SPAN, args={"a": selfish()}),
        dataclasses.replace(SPAN, attributes={"a": selfish()}),
        dataclasses.replace(EVENT, trace_id="x"),
        dataclasses.replace(EVENT, span_id="0" * 16),
        dataclasses.replace(EVENT, body={1, 2}),
    ],
    ids=lambda record: repr(record)[:40],
)
def test_record_that_cannot_be_encoded_raises_one_of_three_errors(record: Record) -> None:
    """A writer leaves it out and keeps its neighbours."""
    with pytest.raises((ValueError, TypeError, RecursionError)):
        encoded(record)


def test_resources_of_several_processes_are_not_confused() -> None:
    """The text of a resource is kept for the next record, which may have another."""
    first, second = {"service.name": "a"}, {"service.name": "b"}
    for resource in (first, second, first, {}, second):
        record = dataclasses.replace(SPAN, resource=resource)
        assert read_back(record).resource == resource


def test_equal_resources_are_one_object_after_reading() -> None:
    """A million spans hold one resource in memory, and stores see by identity that they know it."""
    record = dataclasses.replace(SPAN, resource={"service.name": "shop"})
    first, second = read_back(record), read_back(record)
    assert first.resource is second.resource


# What protobuf's own parser makes of a line.

_ID_KEYS = {"traceId", "spanId", "parentSpanId"}


def with_base64_ids(tree: Any) -> Any:
    """OTLP JSON has ids in hexadecimal where protobuf's JSON has base64; all else is alike."""
    if isinstance(tree, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in _ID_KEYS else with_base64_ids(value)
            for key, value in tree.items()
        }
    return [with_base64_ids(item) for item in tree] if isinstance(tree, list) else tree


def assert_protobuf_reads(line: bytes) -> Any:
    """The message in a line, which is also a valid one on the wire."""
    json_format = pytest.importorskip("google.protobuf.json_format", reason="protobuf is not installed")
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    types = {SPAN_LINE_HEAD: TracesData, LOG_LINE_HEAD: LogsData, METRIC_LINE_HEAD: MetricsData}
    (message,) = (make() for head, make in types.items() if line.startswith(head))
    json_format.Parse(json.dumps(with_base64_ids(json.loads(line))), message, ignore_unknown_fields=False)
    assert type(message).FromString(message.SerializeToString()) == message
    return message


def proto_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [proto_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: proto_value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def proto_attributes(message: Any) -> dict[str, Any]:
    return {pair.key: proto_value(pair.value) for pair in message.attributes}


def too_deep(value: Any) -> bool:
    """Whether a value is more than the parser takes, and goes along as JSON text."""
    return isinstance(value, (dict, list)) and is_deep(value)


@pytest.mark.slow
@settings(max_examples=60)
@given(span_records())
@example(dataclasses.replace(SPAN, attributes={"max": INT64_MAX, "min": INT64_MIN, "none": None, "m": {"": [{}]}}))
def test_protobuf_reads_every_span_line_and_finds_the_same_values(record: SpanRecord) -> None:
    """Its parser is the strictest there is: one wrong type and the whole line is refused."""
    (of_resource,) = assert_protobuf_reads(encode_span_line(record)).resource_spans
    (of_scope,) = of_resource.scope_spans
    (span,) = of_scope.spans
    assert (span.trace_id.hex(), span.span_id.hex()) == (record.trace_id, record.span_id)
    assert (span.parent_span_id.hex(), span.name, of_scope.scope.name) == (
        record.parent_span_id,
        record.name,
        record.scope,
    )
    assert span.kind == "internal server client producer consumer".split().index(record.kind) + 1
    assert span.status.code == ["UNSET", "OK", "ERROR"].index(record.status_code)
    assert span.status.message == record.status_message
    assert span.start_time_unix_nano == max(record.start_ns, 0)
    assert span.end_time_unix_nano == (0 if record.end_ns is None else max(record.end_ns, 1))
    found = proto_attributes(span)
    own = (keys.PREFIX, keys.CODE_FUNCTION_NAME)
    expected = {key: value for key, value in record.attributes.items() if not (key.startswith(own) or too_deep(value))}
    assert {key: value for key, value in found.items() if not key.startswith(own)} == expected
    assert proto_attributes(of_resource.resource) == record.resource or keys.RECORD in found


@settings(max_examples=60)
@given(event_records())
def test_protobuf_reads_every_event_line_and_finds_the_same_values(record: EventRecord) -> None:
    """As for spans."""
    (of_resource,) = assert_protobuf_reads(encode_event_line(record)).resource_logs
    ((log,),) = (of_scope.log_records for of_scope in of_resource.scope_logs)
    assert (log.trace_id.hex(), log.span_id.hex()) == (record.trace_id, record.span_id)
    assert (log.event_name, log.severity_text) == (record.name, record.severity)
    assert log.time_unix_nano == max(record.time_ns, 1)
    assert proto_value(log.body) == (None if too_deep(record.body) else record.body)
    for key, value in record.properties.items():
        if key != keys.RECORD and not key.startswith("exception.") and not too_deep(value):
            assert proto_attributes(log)[key] == value


@settings(max_examples=30)
@given(log_records())
def test_protobuf_reads_every_log_line_and_finds_the_same_values(record: LogRecord) -> None:
    """As for spans; the logger is the scope."""
    (of_resource,) = assert_protobuf_reads(encode_log_line(record)).resource_logs
    (of_scope,) = of_resource.scope_logs
    (log,) = of_scope.log_records
    assert (of_scope.scope.name, log.severity_text, log.event_name) == (record.logger, record.severity, "")
    assert log.trace_id.hex() == record.trace_id
    assert proto_value(log.body) == (None if too_deep(record.body) else record.body)


@settings(max_examples=60)
@given(metric_records())
def test_protobuf_reads_every_metric_line_and_finds_the_same_values(record: MetricRecord) -> None:
    """As for spans; every kind of point, with its exemplars."""
    (of_resource,) = assert_protobuf_reads(encode_metric_line(record)).resource_metrics
    ((metric,),) = (of_scope.metrics for of_scope in of_resource.scope_metrics)
    assert (metric.name, metric.unit, metric.description) == (record.name, record.unit, record.description)
    data = getattr(metric, metric.WhichOneof("data"))
    (point,) = data.data_points
    assert point.time_unix_nano == max(record.time_ns, 0)
    assert point.start_time_unix_nano == (0 if record.start_ns is None else max(record.start_ns, 1))
    if record.temporality:
        assert data.aggregation_temporality == ["", "delta", "cumulative"].index(record.temporality)
    numbers = {"as_int": record.value, "as_double": record.value, "count": record.count}
    if (record.value, record.count) == (None, None):
        assert point.flags == 1
    elif record.value is not None:
        assert data.is_monotonic == (record.kind == "counter") if record.kind != "gauge" else True
        kind = point.WhichOneof("value")
        assert (kind, getattr(point, kind)) == ("as_int" if type(record.value) is int else "as_double", numbers[kind])
    else:
        assert (point.count, point.sum) == (record.count, record.sum or 0)
    if record.buckets:
        assert [*zip([*point.explicit_bounds, None], point.bucket_counts, strict=True)] == list(record.buckets)


def test_upstream_says_the_same_of_what_was_measured() -> None:
    """Every instrument of the SDK, with exemplars: our lines and the official encoder agree, number by number."""
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.metrics_encoder")
    data = measured()
    request = encoder.encode_metrics(data)
    (expected,) = request.resource_metrics
    lines = [encode_metric_line(record) for record in metric_records_of(data)]
    found = [of_resource for line in lines for of_resource in assert_protobuf_reads(line).resource_metrics]
    assert points_of(found) == points_of([expected])
    assert len(points_of(found)) == 8


def measured() -> Any:
    """What an SDK collects after one measurement or two of each kind of instrument."""
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    reader = InMemoryMetricReader()
    provider = MeterProvider(
        [reader],
        Resource({"service.name": "shop", "n": 1}),
        views=[View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())],
        shutdown_on_exit=False,
    )
    meter = provider.get_meter("shop.lib")
    with TracerProvider(shutdown_on_exit=False).get_tracer("x").start_as_current_span("work"):
        meter.create_counter("orders", "{order}", "Orders placed").add(3, {"region": "eu", "list": ["a", "b"]})
        meter.create_counter("weight", "kg").add(1.5)
        meter.create_up_down_counter("queue").add(-2)
        meter.create_gauge("load").set(0.5)
        for value in (0.0, 0.5, 700):
            meter.create_histogram("duration", "s").record(value)
            meter.create_histogram("size", "By").record(value)
        meter.create_observable_counter("read", [lambda options: [Observation(7)]])
        meter.create_observable_gauge("heat", [lambda options: [Observation(7, {"at": True})]])
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def points_of(resources: Iterable[Any]) -> list[tuple[str, ...]]:
    """Every point as text, with all around it."""
    found = []
    for of_resource in resources:
        around = sorted(proto_attributes(of_resource.resource).items())
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    if metric.WhichOneof("data") == "gauge":
                        point.start_time_unix_nano = 0  # which the official encoder leaves out
                    nature = [str(getattr(data, name, "")) for name in ("aggregation_temporality", "is_monotonic")]
                    if metric.WhichOneof("data") == "exponential_histogram" and not point.negative.bucket_counts:
                        point.ClearField("negative")
                    texts = (metric.name, metric.unit, metric.description, of_scope.scope.name)
                    found.append((*texts, str(around), *nature, str(point)))
    return sorted(found)


def test_line_is_told_from_other_json() -> None:
    """By its one top-level key."""
    assert is_otlp(json.loads(encode_span_line(SPAN)))
    assert is_otlp(json.loads(encode_event_line(EVENT)))
    assert is_otlp({"resourceMetrics": []})
    assert not is_otlp(SPAN.to_dict())
