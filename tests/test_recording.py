"""What leaves the SDK becomes records: nothing of it is lost, and no secret gets through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from otel_tracker import attributes as keys
from otel_tracker import lifecycle, traced
from otel_tracker.recording import span_record
from otel_tracker.records import SpanRecord, span_from_dict

REDACTED = "[redacted]"
SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"  # the shape of a payment provider's key, from its public documentation


class Spans:
    """A real provider and the records of what ended in it."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("somebody.else")

    def one(self) -> SpanRecord:
        (span,) = self.exporter.get_finished_spans()
        return checked(span)

    def traced(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> SpanRecord:
        """The record of one call of a traced function, whatever its outcome."""
        trace.set_tracer_provider(self.provider)
        try:
            function(*args, **kwargs)
        except Exception:
            pass
        finally:
            trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE._done = None, False
        return self.one()


def checked(span: ReadableSpan) -> SpanRecord:
    """The span's record, which is JSON and the same after it."""
    record = span_record(span)
    assert span_from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False))).to_dict() == record.to_dict()
    return record


@pytest.fixture
def spans() -> Spans:
    return Spans(resource=Resource({"service.name": "shop"}))


@pytest.fixture
def tracer(spans: Spans) -> Tracer:
    return spans.tracer


@traced(capture_result=True)
def total(items: list[int], factor: float = 1.5, *rest: int, currency: str = "EUR", **options: Any) -> Any:
    return {"sum": sum(items) * factor}


class Cart:
    @traced
    def pay(self, amount: int) -> None:
        raise ValueError(f"cannot pay {amount}")


def test_traced_call_is_a_record_with_arguments_and_result(spans: Spans) -> None:
    """Scalars and containers come back as the values they were, defaults included."""
    record = spans.traced(total, [1, 2], 2.0, 7, 8, discount=True)
    assert record.args == {
        "items": [1, 2],
        "factor": 2.0,
        "rest": [7, 8],
        "currency": "EUR",
        "options": {"discount": True},
    }
    assert (record.has_result, record.result) == (True, {"sum": 6.0})
    assert (record.module, record.function, record.qualified_name) == (__name__, "total", f"{__name__}.total")
    assert (record.status, record.status_code, record.kind, record.scope) == (
        "completed",
        "UNSET",
        "internal",
        "otel_tracker",
    )
    assert record.resource["service.name"] == "shop"


def test_what_is_a_field_of_its_own_is_no_attribute_as_well(spans: Spans) -> None:
    """Nothing is stored twice; what has no field stays an attribute."""
    record = spans.traced(total, [1])
    assert set(record.attributes) == {keys.CODE_FILE_PATH, keys.CODE_LINE_NUMBER}


def test_method_is_named_by_its_qualified_name_and_failure_has_its_traceback(spans: Spans) -> None:
    """Type, message and traceback stand in the record's error; the exception event stays an event."""
    record = spans.traced(Cart().pay, 5)
    assert (record.function, record.module) == ("Cart.pay", __name__)
    assert (record.status, record.status_code, record.args) == ("failed", "ERROR", {"amount": 5})
    assert (record.error["type"], record.error["message"]) == ("ValueError", "cannot pay 5")
    assert record.error["traceback"].rstrip().endswith("ValueError: cannot pay 5")
    assert [event["name"] for event in record.events] == ["exception"]


def test_ids_times_and_parent_are_those_of_the_span(spans: Spans, tracer: Tracer) -> None:
    """Ids are lower-case hexadecimal of full width; nanoseconds are exact."""
    parent = SpanContext(0xAB, 0xCD, is_remote=True, trace_flags=TraceFlags(1))
    within = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    span = tracer.start_span("child", context=within, kind=SpanKind.CONSUMER, start_time=1_234_567_890_123_456_789)
    span.end(end_time=1_234_567_890_123_456_790)
    record = spans.one()
    assert record.trace_id == "ab".rjust(32, "0")
    assert record.parent_span_id == "cd".rjust(16, "0")
    assert record.span_id == f"{span.get_span_context().span_id:016x}"
    assert (record.start_ns, record.end_ns) == (1_234_567_890_123_456_789, 1_234_567_890_123_456_790)
    assert record.kind == "consumer"


def test_span_that_is_still_open_is_started(tracer: Tracer) -> None:
    """It has no end, no duration and no verdict."""
    span = tracer.start_span("open")
    assert isinstance(span, ReadableSpan)
    record = checked(span)
    assert (record.status, record.end_ns, record.duration_ms) == ("started", None, None)
    assert record.parent_span_id == ""


def test_foreign_span_keeps_its_attributes_and_stands_for_no_function(spans: Spans, tracer: Tracer) -> None:
    """Maps, lists, bytes and None are legal attribute values since OpenTelemetry 1.45."""
    attributes: dict[str, Any] = {"a.b": 1, "list": [1, "x"], "map": {"k": [True]}, "bytes": b"ab", "none": None}
    tracer.start_span("work", attributes=attributes).end()
    record = spans.one()
    assert record.attributes == {"a.b": 1, "list": [1, "x"], "map": {"k": [True]}, "bytes": "YWI=", "none": None}
    assert (record.function, record.module, record.qualified_name) == ("", "", "work")
    assert (record.scope, record.has_result, record.args) == ("somebody.else", False, {})


def test_function_name_of_another_instrumentation_is_a_function_without_module(spans: Spans, tracer: Tracer) -> None:
    """Only the module says where a dotted name splits, and others do not give it."""
    tracer.start_span("s", attributes={keys.CODE_FUNCTION_NAME: "shop.cart.Cart.total"}).end()
    record = spans.one()
    assert (record.module, record.function) == ("", "shop.cart.Cart.total")
    assert record.attributes == {}


def test_module_that_does_not_fit_the_function_is_kept_as_an_attribute(spans: Spans, tracer: Tracer) -> None:
    """Nothing of a span is dropped because it is unusual."""
    tracer.start_span("s", attributes={keys.MODULE: "shop"}).end()
    assert spans.one().attributes == {keys.MODULE: "shop"}


@pytest.mark.parametrize("full_name", ["other.total", "shop.", "shopping.total"])
def test_module_beside_a_function_of_another_is_kept_as_an_attribute(
    full_name: str, spans: Spans, tracer: Tracer
) -> None:
    """Where the two contradict each other, both are stored as they came."""
    tracer.start_span("s", attributes={keys.MODULE: "shop", keys.CODE_FUNCTION_NAME: full_name}).end()
    record = spans.one()
    assert (record.module, record.function, record.attributes) == ("", full_name, {keys.MODULE: "shop"})


def test_fields_that_an_export_has_sent_along_are_applied(spans: Spans, tracer: Tracer) -> None:
    """A record that was replayed into another program is the same there."""
    tracer.start_span(
        "s", attributes={keys.RECORD: '{"status":"aborted","attributes":{"otel_tracker.result":1}}'}
    ).end()
    record = spans.one()
    assert (record.status, record.has_result, record.attributes) == ("aborted", False, {keys.RESULT: 1})


@pytest.mark.parametrize("text", ["x", "{", '{"span_id":"1"}', '{"status":5}', 7, None])
def test_attribute_of_that_name_that_is_none_of_ours_stays_one(text: Any, spans: Spans, tracer: Tracer) -> None:
    """It says nothing about the record then."""
    tracer.start_span("s", attributes={keys.RECORD: text}).end()
    record = spans.one()
    assert (record.status, record.attributes) == ("completed", {keys.RECORD: text})


def test_http_server_span_keeps_the_stable_names_and_fails_by_its_status(spans: Spans, tracer: Tracer) -> None:
    """An instrumentor sets the error type to the status code and gives no description."""
    attributes = {
        keys.HTTP_REQUEST_METHOD: "GET",
        keys.HTTP_ROUTE: "/cart/{id}",
        keys.URL_PATH: "/cart/5",
        keys.HTTP_RESPONSE_STATUS_CODE: 500,
        keys.ERROR_TYPE: "500",
    }
    span = tracer.start_span("GET /cart/{id}", kind=SpanKind.SERVER, attributes=attributes)
    span.set_status(Status(StatusCode.ERROR))
    span.end()
    record = spans.one()
    assert record.attributes == attributes
    assert (record.kind, record.status, record.qualified_name) == ("server", "failed", "GET /cart/{id}")
    assert record.error == {"type": "500", "message": ""}


def test_exception_that_the_sdk_records_is_the_error(spans: Spans, tracer: Tracer) -> None:
    """`start_as_current_span` of anybody's code gives the same error as ours."""
    with pytest.raises(KeyError), tracer.start_as_current_span("work"):
        raise KeyError("missing")
    record = spans.one()
    assert (record.error["type"], record.error["message"]) == ("KeyError", "'missing'")
    assert record.error["traceback"].startswith("Traceback (most recent call last)")
    assert record.status_message == "KeyError: 'missing'"


def test_the_last_of_several_exceptions_is_the_error(spans: Spans, tracer: Tracer) -> None:
    """The earlier ones were survived; all of them stay events."""
    span = tracer.start_span("work")
    for error in (ValueError("first"), TypeError("second")):
        span.record_exception(error)
    span.set_status(StatusCode.ERROR, "it failed")
    span.end()
    record = spans.one()
    assert (record.error["type"], record.error["message"]) == ("TypeError", "second")
    assert len(record.events) == 2


def test_recorded_exception_without_error_status_is_no_failure(spans: Spans, tracer: Tracer) -> None:
    """A failure is exactly an ERROR status."""
    span = tracer.start_span("work")
    span.record_exception(ValueError("handled"))
    span.end()
    assert (spans.one().status, spans.one().error) == ("completed", {})


def test_error_without_exception_takes_type_and_message_from_status_and_attribute(spans: Spans, tracer: Tracer) -> None:
    """The type in front of the message is not said twice."""
    span = tracer.start_span("outer", attributes={keys.ERROR_TYPE: "shop.errors.PaymentError"})
    span.set_status(StatusCode.ERROR, "PaymentError: declined")
    span.end()
    record = spans.one()
    assert record.error == {"type": "shop.errors.PaymentError", "message": "declined"}
    assert record.status_message == "PaymentError: declined"


def test_links_and_events_keep_ids_times_and_attributes(spans: Spans, tracer: Tracer) -> None:
    """An event or link without attributes has no empty object."""
    linked = SpanContext(1, 2, is_remote=False)
    span = tracer.start_span("work", links=[Link(linked, {"why": "retry"}), Link(linked)])
    span.add_event("cache.miss", {"key": "x"}, timestamp=1_000_000_001)
    span.add_event("bare", timestamp=2)
    span.end()
    record = spans.one()
    ids = {"trace_id": "1".rjust(32, "0"), "span_id": "2".rjust(16, "0")}
    assert list(record.links) == [{**ids, "attributes": {"why": "retry"}}, ids]
    assert list(record.events) == [
        {"name": "cache.miss", "time": "1970-01-01T00:00:01.000000001Z", "attributes": {"key": "x"}},
        {"name": "bare", "time": "1970-01-01T00:00:00.000000002Z"},
    ]


def test_secrets_in_text_that_capture_never_saw_are_redacted(tracer: Tracer, spans: Spans) -> None:
    """Names, urls, headers, messages, tracebacks, events and links of anybody's span."""
    link = Link(SpanContext(1, 2, is_remote=False), {"authorization": SECRET})
    with pytest.raises(RuntimeError), tracer.start_as_current_span(f"GET /?token={SECRET}", links=[link]) as span:
        span.set_attribute("url.full", f"https://shop.test/pay?page=2&api_key={SECRET}")
        span.set_attribute("http.request.header.authorization", ["Basic dXNlcjpwYXNz"])
        span.set_attribute("nested", {"password": "hunter2", "page": 2})
        span.add_event("call", {"secret": "hunter2", "url": f"/?token={SECRET}"})
        raise RuntimeError(f"refused: api_key={SECRET}")
    record = spans.one()
    text = json.dumps(record.to_dict())
    assert SECRET not in text
    assert "hunter2" not in text
    assert "dXNlcjpwYXNz" not in text
    assert record.attributes["nested"] == {"password": REDACTED, "page": 2}
    assert record.attributes["url.full"].startswith("https://shop.test/pay?page=2")
    assert REDACTED in record.error["message"]
    assert REDACTED in record.error["traceback"]


def test_redaction_that_is_switched_off_changes_nothing(
    tracer: Tracer, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who switches it off gets what was there."""
    monkeypatch.setenv("OTEL_TRACKER_REDACT_ENABLED", "false")
    lifecycle.forget_cached_settings()
    tracer.start_span("work", attributes={"password": "hunter2"}).end()
    assert spans.one().attributes == {"password": "hunter2"}


def test_secrets_of_the_resource_are_redacted() -> None:
    """Resource attributes come from the environment, where anything may stand."""
    spans = Spans(resource=Resource({"deployment.password": "hunter2", "service.name": "shop"}))
    spans.tracer.start_span("work").end()
    assert spans.one().resource == {"deployment.password": REDACTED, "service.name": "shop"}


def test_resource_is_one_object_for_all_spans_of_a_process(spans: Spans, tracer: Tracer) -> None:
    """Stores tell by identity that they have seen it."""
    for _ in range(2):
        tracer.start_span("work").end()
    first, second = (span_record(span) for span in spans.exporter.get_finished_spans())
    assert first.resource is second.resource


def test_json_that_a_limit_of_the_sdks_has_cut_stays_as_text() -> None:
    """What is left of the value is still worth showing."""
    spans = Spans(span_limits=SpanLimits(max_span_attribute_length=10))
    spans.tracer.start_span("work", attributes={f"{keys.ARGS_JSON_PREFIX}items": "[1,2,3,4,5,6,7]"}).end()
    assert spans.one().args == {"items": "[1,2,3,4,5"}


def test_limit_that_is_set_in_code_leaves_captured_values_readable() -> None:
    """Capture fits the value into the limit with a mark, instead of letting the SDK cut its JSON."""
    spans = Spans(span_limits=SpanLimits(max_span_attribute_length=30))
    record = spans.traced(total, list(range(100)))
    *kept, mark = record.args["items"]
    assert kept == list(range(len(kept)))
    assert mark == f"... {100 - len(kept)} more"


@pytest.mark.parametrize("text", ["[" * 100_000, "nonsense", "NaN", "1" * 5000])
def test_json_text_of_anybodys_is_survived(text: str, spans: Spans, tracer: Tracer) -> None:
    """The attribute's name is public, so anything may stand in it."""
    tracer.start_span("work", attributes={f"{keys.ARGS_JSON_PREFIX}x": text, keys.RESULT_JSON: text}).end()
    record = spans.one()
    assert "x" in record.args
    assert record.has_result
