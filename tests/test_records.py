"""A record survives its JSON form unchanged, and holds nothing that a store could not."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import OrderedDict
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import log_records, metric_records

from otel_tracker.records import (
    INT64_MAX,
    INT64_MIN,
    STATUSES,
    EventRecord,
    LogRecord,
    MetricRecord,
    SpanRecord,
    event_from_dict,
    log_from_dict,
    metric_from_dict,
    plain,
    span_from_dict,
)

NOON_NS = 1_795_348_800_000_000_000

texts = st.text(max_size=20)
hex_16, hex_32 = (st.text("0123456789abcdef", min_size=size, max_size=size) for size in (16, 32))
times = st.integers(-(2**63), 2**63 - 1)
scalars = st.none() | st.booleans() | st.integers(INT64_MIN, INT64_MAX) | texts | st.floats(allow_nan=False)
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
plain_values = st.recursive(
    finite, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
mappings = st.dictionaries(texts, plain_values, max_size=3)
errors = st.dictionaries(st.sampled_from(["type", "message", "traceback"]), texts, max_size=3)


@st.composite
def span_records(draw: st.DrawFn) -> SpanRecord:
    has_result = draw(st.booleans())
    return SpanRecord(
        trace_id=draw(hex_32),
        span_id=draw(hex_16),
        parent_span_id=draw(st.just("") | hex_16),
        name=draw(texts),
        kind=draw(texts),
        function=draw(texts),
        module=draw(texts),
        status=draw(st.sampled_from(STATUSES) | texts),
        start_ns=draw(times),
        end_ns=draw(st.none() | times),
        args=draw(mappings),
        result=draw(plain_values) if has_result else None,
        has_result=has_result,
        error=draw(errors),
        attributes=draw(mappings),
        events=tuple(draw(st.lists(mappings, max_size=2))),
        links=tuple(draw(st.lists(mappings, max_size=2))),
        status_code=draw(st.sampled_from(["UNSET", "OK", "ERROR"])),
        status_message=draw(texts),
        scope=draw(texts),
        resource=draw(mappings),
    )


@st.composite
def event_records(draw: st.DrawFn) -> EventRecord:
    return EventRecord(
        name=draw(texts),
        time_ns=draw(times),
        severity=draw(texts),
        trace_id=draw(st.just("") | hex_32),
        span_id=draw(st.just("") | hex_16),
        properties=draw(mappings),
        body=draw(plain_values),
        error=draw(errors),
        resource=draw(mappings),
    )


@settings(max_examples=50)
@given(span_records())
def test_span_is_the_same_after_a_json_line(record: SpanRecord) -> None:
    """Whatever a span record holds, its JSON text gives it back."""
    line = json.dumps(record.to_dict(), allow_nan=False)
    assert span_from_dict(json.loads(line)) == record
    assert json.dumps(span_from_dict(json.loads(line)).to_dict()) == line


@given(event_records())
def test_event_is_the_same_after_a_json_line(record: EventRecord) -> None:
    """Whatever an event record holds, its JSON text gives it back."""
    line = json.dumps(record.to_dict(), allow_nan=False)
    assert event_from_dict(json.loads(line)) == record


@given(log_records())
def test_log_is_the_same_after_a_json_line(record: LogRecord) -> None:
    """Whatever a log record holds, its JSON text gives it back."""
    line = json.dumps(record.to_dict(), allow_nan=False)
    assert log_from_dict(json.loads(line)) == record


def test_span_has_the_documented_keys_in_the_documented_order() -> None:
    """The order is that of the design's section 7, so that lines are alike to the eye."""
    full = SpanRecord(
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_span_id="c" * 16,
        name="shop.cart.total",
        function="total",
        module="shop.cart",
        start_ns=NOON_NS,
        end_ns=NOON_NS + 21_767_000,
        args={"items": [1, 2]},
        result=3,
        has_result=True,
        error={"type": "ValueError"},
        attributes={"a": 1},
        events=({"name": "e"},),
        links=({"trace_id": "d" * 32},),
        status_message="why",
        scope="otel_tracker",
        resource={"service.name": "shop"},
    ).to_dict()
    expected = (
        "schema type trace_id span_id parent_span_id name kind function module status start end duration_ms args "
        "result error attributes events links status_code status_message scope resource"
    )
    assert list(full) == expected.split()
    assert (full["schema"], full["type"], full["duration_ms"]) == (1, "span", 21.767)
    assert (full["start"], full["end"]) == ("2026-11-22T12:00:00.000000000Z", "2026-11-22T12:00:00.021767000Z")


def test_event_has_the_documented_keys_in_the_documented_order() -> None:
    """As the span's, from the same section."""
    full = EventRecord(
        "checkout.completed",
        NOON_NS,
        "INFO",
        "a" * 32,
        "b" * 16,
        {"n": 1},
        "text",
        {"type": "E"},
        {"service.name": "s"},
    ).to_dict()
    expected = "schema type name category severity time trace_id span_id properties body error resource"
    assert list(full) == expected.split()
    assert full["category"] == "checkout"


def test_log_has_the_documented_keys_in_the_documented_order() -> None:
    """As the others', from the same section; a bare one says when and nothing else."""
    full = LogRecord(
        NOON_NS, "WARNING", "text", "shop.db", "a" * 32, "b" * 16, {"n": 1}, {"type": "E"}, {"service.name": "s"}
    )
    expected = "schema type severity body logger time trace_id span_id attributes error resource"
    assert list(full.to_dict()) == expected.split()
    assert full.to_dict()["type"] == "log"
    assert full.time == datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    assert list(LogRecord(0).to_dict()) == ["schema", "type", "time"]


def test_metric_has_the_documented_keys_in_the_documented_order() -> None:
    """As the others', from the same section; a bare one says of what, what it is and when."""
    keys = (
        "schema type name kind unit description start time attributes value count sum min max buckets exponential "
        "quantiles temporality exemplars scope resource"
    )
    numbers = MetricRecord("m", NOON_NS, "counter", "s", "d", 0, {"a": 1}, 0, 1, 2.0, 3.0, 4.0, ((None, 1),))
    full = dataclasses.replace(
        numbers,
        exponential={"scale": 1},
        quantiles=((0.5, 1.0),),
        temporality="delta",
        exemplars=({"value": 1},),
        scope="x",
        resource={"service.name": "s"},
    )
    assert list(full.to_dict()) == keys.split()
    assert full.to_dict()["type"] == "metric"
    assert (full.to_dict()["value"], full.to_dict()["buckets"]) == (0, [[None, 1]])
    assert full.time == datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    assert full.start == datetime.fromtimestamp(0, timezone.utc)
    assert list(MetricRecord("", 0).to_dict()) == ["schema", "type", "name", "kind", "time"]
    assert MetricRecord("", 0).start is None


@settings(max_examples=40)
@given(metric_records())
def test_metric_is_the_same_after_its_json(record: MetricRecord) -> None:
    """Of the same types, and valid JSON without NaN."""
    fields = json.loads(json.dumps(record.to_dict(), allow_nan=False))
    back = metric_from_dict({**fields, "unknown": 1})
    assert back == record
    assert json.dumps(back.to_dict(), sort_keys=True) == json.dumps(record.to_dict(), sort_keys=True)


def test_metric_of_another_kind_has_no_numbers_of_this_one() -> None:
    """Whoever wrote them: a gauge has no buckets, and without a count there is no sum."""
    line = {"type": "metric", "name": "m", "time": "2026-11-22T12:00:00Z"}
    assert metric_from_dict({**line, "kind": "gauge", "count": 5, "buckets": 7, "temporality": "x"}).count is None
    assert metric_from_dict({**line, "kind": "histogram", "sum": 5.0, "value": 1}) == MetricRecord(
        "m", NOON_NS, "histogram"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "rate"},
        {"kind": "counter", "temporality": "now"},
        {"kind": "gauge", "value": "7"},
        {"kind": "gauge", "value": True},
        {"kind": "histogram", "count": 1.5},
        {"kind": "histogram", "count": -1},
        {"kind": "histogram", "count": 1, "buckets": [[1.0, 1]]},
        {"kind": "histogram", "count": 1, "buckets": [[2.0, 1], [1.0, 0], [None, 0]]},
        {"kind": "gauge", "exemplars": [5]},
    ],
    ids=str,
)
def test_metric_that_is_none_is_refused(fields: dict[str, Any]) -> None:
    """A reader counts it as broken instead of adding it up."""
    line = {"type": "metric", "name": "m", "time": "2026-11-22T12:00:00Z"}
    with pytest.raises((ValueError, TypeError)):
        metric_from_dict({**line, **fields})


def test_empty_fields_are_absent_but_a_result_of_none_is_not() -> None:
    """A function that returned None is told from one whose result was not captured."""
    bare = SpanRecord(trace_id="a" * 32, span_id="b" * 16, name="", start_ns=0)
    expected = ["schema", "type", "trace_id", "span_id", "name", "kind", "status", "start", "status_code"]
    assert list(bare.to_dict()) == expected
    returned_none = dataclasses.replace(bare, has_result=True)
    assert returned_none.to_dict()["result"] is None
    assert span_from_dict(returned_none.to_dict()).has_result
    assert not span_from_dict(bare.to_dict()).has_result


@pytest.mark.parametrize("body", ["", [], {}, 0, False], ids=repr)
def test_empty_body_of_an_event_is_no_absent_one(body: Any) -> None:
    """Only None is nothing."""
    fields = EventRecord("e", 0, body=body).to_dict()
    assert fields["body"] == body
    assert event_from_dict(fields).body == body
    assert "body" not in EventRecord("e", 0).to_dict()
    assert log_from_dict(LogRecord(0, body=body).to_dict()).body == body


def test_empty_text_is_not_read_as_a_default() -> None:
    """What somebody left empty comes back empty, not as ``INFO`` or ``internal``."""
    event = EventRecord("e", 0, severity="")
    span = SpanRecord("a" * 32, "b" * 16, "f", 0, kind="", status="", status_code="")
    assert event_from_dict(event.to_dict()) == event
    assert span_from_dict(span.to_dict()) == span


def test_falsy_values_are_not_taken_for_absent_ones() -> None:
    """Zero and false are values."""
    record = SpanRecord("a" * 32, "b" * 16, "f", 0, 0, args={"n": 0, "flag": False}, result=0, has_result=True)
    fields = record.to_dict()
    assert (fields["duration_ms"], fields["args"], fields["result"]) == (0.0, {"n": 0, "flag": False}, 0)


def test_times_are_datetimes_in_utc_and_the_duration_is_milliseconds() -> None:
    """Code that reads records gets what it can compute with; what still runs has no end."""
    record = SpanRecord("a" * 32, "b" * 16, "f", NOON_NS, NOON_NS + 1_500_000)
    assert record.start == datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    assert record.end == datetime(2026, 11, 22, 12, 0, 0, 1500, tzinfo=timezone.utc)
    assert record.duration_ms == 1.5
    running = dataclasses.replace(record, end_ns=None, status="started")
    assert (running.end, running.duration_ms) == (None, None)
    assert EventRecord("e", NOON_NS).time == record.start


@pytest.mark.parametrize(
    ("module", "function", "expected"),
    [("shop.cart", "Cart.total", "shop.cart.Cart.total"), ("", "total", "total"), ("shop", "", "GET /")],
)
def test_qualified_name_is_the_function_or_else_the_span(module: str, function: str, expected: str) -> None:
    """Statistics have one line for each of these."""
    assert SpanRecord("a" * 32, "b" * 16, "GET /", 0, module=module, function=function).qualified_name == expected


@pytest.mark.parametrize(("name", "category"), [("order.paid.late", "order"), ("paid", "paid"), (".x", ""), ("", "")])
def test_category_is_the_name_up_to_the_first_dot(name: str, category: str) -> None:
    """A category is never stored apart from the name, so the two cannot disagree."""
    assert EventRecord(name, 0).category == category


def test_records_cannot_be_changed() -> None:
    """Several readers may share one."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        SpanRecord("a" * 32, "b" * 16, "f", 0).name = "g"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        EventRecord("e", 0).name = "g"  # type: ignore[misc]


def test_keys_of_a_later_version_are_ignored() -> None:
    """A field that is added within schema 1 does not lock older readers out."""
    record = SpanRecord("a" * 32, "b" * 16, "f", 0)
    assert span_from_dict({**record.to_dict(), "later": 1}) == record


SPAN = SpanRecord("a" * 32, "b" * 16, "f", 0).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "event"},
        {"schema": 2},
        {"schema": "1"},
        {"trace_id": 5},
        {"name": None},
        {"start": "soon"},
        {"start": 5},
        {"end": "later"},
        {"args": []},
        {"attributes": "a=1"},
        {"events": 5},
        {"events": ["text"]},
        {"links": [1]},
        {"status": 1},
    ],
    ids=str,
)
def test_object_that_is_no_span_record_is_refused(change: dict[str, Any]) -> None:
    """A reader can tell a record from anything else that is JSON."""
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        span_from_dict({**SPAN, **change})


@pytest.mark.parametrize("missing", ["type", "trace_id", "span_id", "name", "start"])
def test_span_record_without_an_essential_key_is_refused(missing: str) -> None:
    """Everything else has a default."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        span_from_dict({key: value for key, value in SPAN.items() if key != missing})


@pytest.mark.parametrize("change", [{"type": "span"}, {"schema": 99}, {"time": ""}, {"properties": 1}, {"name": 1}])
def test_object_that_is_no_event_record_is_refused(change: dict[str, Any]) -> None:
    """As for spans."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        event_from_dict({**EventRecord("e", 0).to_dict(), **change})


@pytest.mark.parametrize("change", [{"type": "event"}, {"schema": 99}, {"time": ""}, {"attributes": 1}, {"logger": 1}])
def test_object_that_is_no_log_record_is_refused(change: dict[str, Any]) -> None:
    """As for spans."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        log_from_dict({**LogRecord(0).to_dict(), **change})


class Colour(str, enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Strange:
    def __str__(self) -> str:
        return "strange"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (INT64_MAX, INT64_MAX),
        (INT64_MIN, INT64_MIN),
        (INT64_MAX + 1, "9223372036854775808"),
        (INT64_MIN - 1, "-9223372036854775809"),
        (1 << 40_000, hex(1 << 40_000)),
        (b"\x00\xff", "AP8="),
        (bytearray(b"ab"), "YWI="),
        (memoryview(b"ab"), "YWI="),
        ((1, (2, 3)), [1, [2, 3]]),
        ({1: {"a": (None, True)}}, {"1": {"a": [None, True]}}),
        (OrderedDict(a=1), {"a": 1}),
        (Strange(), "strange"),
        (Colour.RED, "red"),
        (Size.BIG, 3),
    ],
    ids="nan inf -inf max min over under huge bytes bytearray memoryview tuple map ordered object enum intenum".split(),
)
def test_value_becomes_one_that_every_format_can_hold(value: object, expected: object) -> None:
    """JSON has neither bytes nor NaN, and SQLite no integer beyond 64 bits."""
    made = plain(value)
    assert made == expected
    assert type(made) is type(expected)


@given(plain_values)
def test_plain_values_stay_as_they_are(value: object) -> None:
    """Making a value plain twice changes nothing more."""
    assert plain(value) == value


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=8) | texts | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=10,
)


@given(anything)
def test_anything_becomes_strictly_valid_json(value: object) -> None:
    """Standard JSON parsers read every line."""
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_containers_that_are_too_deep_become_text() -> None:
    """Even one that contains itself comes to an end."""
    nested: list[Any] = []
    nested.append(nested)
    made, depth = plain(nested), 0
    while isinstance(made, list):
        made, depth = made[0], depth + 1
    assert depth == 32
    assert isinstance(made, str)
