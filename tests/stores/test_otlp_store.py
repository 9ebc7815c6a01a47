"""Records that are sent to an OTLP endpoint arrive as they were stored, and what goes wrong is said in a sentence."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the otlp extra is not installed")

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span
from otlp_endpoint import endpoint
from support import wait_until

from otel_tracker import EventRecord, SpanRecord
from otel_tracker import attributes as keys
from otel_tracker.errors import MissingExtraError, OtelTrackerError, StoreUnreadableError, StoreUnwritableError
from otel_tracker.stores import Place, find_place
from otel_tracker_exporters.otlp import STORE
from otel_tracker_exporters.otlp.writer import MAX_BATCH, OtlpWriter

from .helpers import FULL_EXPONENTIAL, FULL_METRIC, FULL_SUMMARY, make_metric

NOON_NS = 1_795_348_800_000_000_000
RESOURCE = {"service.name": "shop", "process.pid": 7}
SPAN = SpanRecord(
    trace_id="a1" * 16,
    span_id="b2" * 8,
    parent_span_id="c3" * 8,
    name="shop.cart.Cart.total",
    kind="server",
    function="Cart.total",
    module="shop.cart",
    start_ns=NOON_NS,
    end_ns=NOON_NS + 1_500_000,
    args={"items": [1, {"a": None}], "factor": 1.5},
    result=True,
    has_result=True,
    status="failed",
    status_code="ERROR",
    status_message="ValueError: no",
    error={"type": "ValueError", "message": "no"},
    attributes={keys.ERROR_TYPE: "ValueError", "tags": ["x", 2], "map": {"k": False}},
    events=({"name": "retry", "time": "2026-11-22T12:00:00.000000001Z", "attributes": {"n": 1}},),
    links=({"trace_id": "d4" * 16, "span_id": "e5" * 8},),
    scope="otel_tracker",
    resource=RESOURCE,
)
EVENT = EventRecord(
    name="checkout.completed",
    time_ns=NOON_NS + 5,
    severity="WARN",
    trace_id="a1" * 16,
    span_id="b2" * 8,
    properties={"amount": 9.5, "items": ["a"]},
    body="text",
    error={"type": "KeyError", "message": "'x'"},
    resource=RESOURCE,
)


@pytest.fixture
def open_writer() -> Iterator[Callable[[str], OtlpWriter]]:
    """Opens writers, and closes them afterwards."""
    opened: list[OtlpWriter] = []

    def open_at(url: str) -> OtlpWriter:
        writer = find_place_of(url).open_writer()
        assert isinstance(writer, OtlpWriter)
        opened.append(writer)
        return writer

    yield open_at
    for writer in opened:
        writer.close()


def find_place_of(url: str) -> Place:
    return Place(STORE, url)


def made(count: int) -> list[SpanRecord]:
    return [SpanRecord("1".rjust(32, "0"), f"{n:016x}", "work", NOON_NS, NOON_NS + n) for n in range(1, count + 1)]


def attributes(message: Any) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in message.attributes}


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def test_span_arrives_with_everything_that_was_stored(open_writer: Callable[[str], OtlpWriter]) -> None:
    """Ids, times, kind, status, attributes, events, links, scope and resource, each where OTLP has it."""
    with endpoint() as server:
        open_writer(server.url).store([SPAN])
    ((got, scope, resource),) = server.spans
    assert (got.trace_id.hex(), got.span_id.hex(), got.parent_span_id.hex()) == ("a1" * 16, "b2" * 8, "c3" * 8)
    assert (got.name, got.kind, got.start_time_unix_nano, got.end_time_unix_nano) == (
        *("shop.cart.Cart.total", 2),
        *(NOON_NS, NOON_NS + 1_500_000),
    )
    assert attributes(got) == {
        keys.CODE_FUNCTION_NAME: "shop.cart.Cart.total",
        keys.MODULE: "shop.cart",
        f"{keys.ARGS_JSON_PREFIX}items": '[1,{"a":null}]',
        f"{keys.ARGS_PREFIX}factor": 1.5,
        keys.RESULT: True,
        **SPAN.attributes,
    }
    assert (got.status.code, got.status.message) == (2, "ValueError: no")
    ((event,), (link,)) = got.events, got.links
    assert (event.name, event.time_unix_nano, attributes(event)) == ("retry", NOON_NS + 1, {"n": 1})
    assert (link.trace_id.hex(), link.span_id.hex()) == ("d4" * 16, "e5" * 8)
    assert (scope.name, attributes(resource)) == ("otel_tracker", RESOURCE)


def test_event_arrives_as_a_log_record_that_bears_its_name(open_writer: Callable[[str], OtlpWriter]) -> None:
    """With its severity, ids, body and properties, and its error under the conventions' names."""
    with endpoint() as server:
        open_writer(server.url).store([EVENT])
    ((got, resource),) = server.logs
    assert (got.event_name, got.time_unix_nano, got.severity_text) == ("checkout.completed", NOON_NS + 5, "WARN")
    assert (got.severity_number, value_of(got.body)) == (13, "text")
    assert (got.trace_id.hex(), got.span_id.hex()) == ("a1" * 16, "b2" * 8)
    assert attributes(got) == {
        **EVENT.properties,
        keys.EXCEPTION_TYPE: "KeyError",
        keys.EXCEPTION_MESSAGE: "'x'",
    }
    assert attributes(resource) == RESOURCE


def test_metric_points_arrive_by_metric(open_writer: Callable[[str], OtlpWriter]) -> None:
    """One metric with all of its points: kind, temporality, numbers, exemplars; scope and resource around it."""
    points = [
        replace(FULL_METRIC, time_ns=NOON_NS, resource=RESOURCE, scope="shop.lib"),
        make_metric(1, resource=RESOURCE, attributes={"region": "eu"}, value=3),
        make_metric(2, resource=RESOURCE, attributes={"region": "us"}, value=1.5),
        make_metric(3, resource=RESOURCE, name="load", kind="gauge", value=0.5),
        FULL_EXPONENTIAL,
    ]
    with endpoint() as server:
        open_writer(server.url).store(points)
    assert [(metric.name, scope.name) for metric, scope, _ in server.metrics] == [
        ("shop.duration", "shop.lib"),
        ("shop.orders", ""),
        ("load", ""),
        ("shop.size", ""),
    ]
    duration, orders, load, size = (metric for metric, _, _ in server.metrics)
    (point,) = duration.histogram.data_points
    assert (point.count, point.sum, list(point.bucket_counts)) == (3, 7.5, [1, 1, 1])
    assert (list(point.explicit_bounds), point.exemplars[0].as_double) == ([1.0, 5.0], 6.25)
    assert point.exemplars[0].trace_id.hex() == FULL_METRIC.exemplars[0]["trace_id"]
    assert (orders.sum.is_monotonic, orders.sum.aggregation_temporality) == (True, 1)
    assert [(point.as_int, point.as_double) for point in orders.sum.data_points] == [(3, 0.0), (0, 1.5)]
    assert [attributes(point) for point in orders.sum.data_points] == [{"region": "eu"}, {"region": "us"}]
    assert load.gauge.data_points[0].as_double == 0.5
    assert size.exponential_histogram.data_points[0].negative.offset == -7
    assert attributes(server.metrics[0][2]) == RESOURCE


def test_metric_points_that_cannot_be_sent_are_left_out_and_counted(
    open_writer: Callable[[str], OtlpWriter], caplog: pytest.LogCaptureFixture
) -> None:
    """Summaries and points without a number; the endpoint counts what it rejects itself."""
    rejecting = ExportMetricsServiceResponse(partial_success={"rejected_data_points": 2, "error_message": "old"})
    with endpoint((200, rejecting.SerializeToString())) as server:
        writer = open_writer(server.url)
        writer.store([FULL_SUMMARY, make_metric(1, value=None), make_metric(2), make_metric(3)])
    assert writer.unwritable == 4
    assert len(server.metrics[0][0].sum.data_points) == 2
    assert "send no summaries" in caplog.text


def test_event_outside_any_span_has_no_ids_whatever_span_is_current(open_writer: Callable[[str], OtlpWriter]) -> None:
    """Replay runs inside a program that may be traced itself."""
    current = NonRecordingSpan(SpanContext(1, 2, is_remote=False))
    with endpoint() as server, use_span(current):
        open_writer(server.url).store([EventRecord("tick", NOON_NS)])
    ((got, _),) = server.logs
    assert (got.trace_id, got.span_id) == (b"", b"")


def test_records_of_any_number_go_out_in_batches(open_writer: Callable[[str], OtlpWriter]) -> None:
    """A request is never larger than the SDK's own; each record arrives once."""
    records = made(2 * MAX_BATCH + 1)
    with endpoint() as server:
        open_writer(server.url).store(iter(records))
    assert [span_id.hex() for span_id in (got.span_id for got, *_ in server.spans)] == [r.span_id for r in records]
    assert len(server.requests) == 3


def test_span_without_an_end_is_left_out_and_counted(open_writer: Callable[[str], OtlpWriter]) -> None:
    """OTLP has no open spans; the others arrive."""
    started = SpanRecord("1".rjust(32, "0"), "f" * 16, "open", NOON_NS, status="started")
    with endpoint() as server:
        writer = open_writer(server.url)
        writer.store([started, *made(1)])
    assert (len(server.spans), writer.unfinished, writer.unwritable) == (1, 1, 0)


def test_record_that_no_span_can_be_is_left_out_and_its_neighbours_arrive(
    open_writer: Callable[[str], OtlpWriter], sentences: list[str]
) -> None:
    """An id that is none would cost the whole batch at the receiver."""
    with endpoint() as server:
        writer = open_writer(server.url)
        writer.store([SpanRecord("xyz", "1", "bad", 1, 2), *made(1)])
    assert (len(server.spans), writer.unwritable) == (1, 1)
    assert "left out" in " ".join(sentences)


def test_lone_surrogates_arrive_as_replacement_characters(open_writer: Callable[[str], OtlpWriter]) -> None:
    """Protobuf's text is UTF-8, and one bad character must not cost the batch."""
    odd = SpanRecord("1".rjust(32, "0"), "2".rjust(16, "0"), "a\ud800", 1, 2, attributes={"k\udfff": ["\ud800"]})
    with endpoint() as server:
        writer = open_writer(server.url)
        writer.store([odd, EventRecord("e\ud800", 5, body={"k": "\udc00"})])
    (((got, *_),), ((log, _),)) = server.spans, server.logs
    assert (got.name, attributes(got)) == ("a\ufffd", {"k\ufffd": ["\ufffd"]})
    assert (log.event_name, value_of(log.body)) == ("e\ufffd", {"k": "\ufffd"})
    assert writer.unwritable == 0


@pytest.mark.parametrize("path", ["", "/", "/v1/traces", "/v1/logs/", "/collector", "/collector/"])
def test_signal_paths_are_appended_to_the_base_url(path: str, open_writer: Callable[[str], OtlpWriter]) -> None:
    """As for OTEL_EXPORTER_OTLP_ENDPOINT; who names a signal's own url means the same endpoint."""
    with endpoint() as server:
        open_writer(server.url + path).store([*made(1), EVENT])
    base = "/collector" if "collector" in path else ""
    assert [path for path, _ in server.requests] == [f"{base}/v1/traces", f"{base}/v1/logs"]


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_headers_and_compression_come_from_the_standard_variables(
    compression: str, open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever works for the program's own exporter works here."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    with endpoint() as server:
        open_writer(server.url).store(made(3))
    assert len(server.spans) == 3
    assert (server.headers[0]["x-api-key"], server.headers[0]["Content-Encoding"]) == ("secret", compression)


def test_endpoint_variable_does_not_divert_what_was_sent_to_a_named_url(
    open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The url on the command line is where it goes."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    with endpoint() as server:
        open_writer(server.url).store(made(1))
    assert len(server.spans) == 1


def failure(writer: OtlpWriter) -> str:
    with pytest.raises(StoreUnwritableError) as caught:
        writer.store([*made(1)])
    return str(caught.value)


def test_refusal_is_a_sentence_with_the_endpoint_and_its_answer(open_writer: Callable[[str], OtlpWriter]) -> None:
    """What was asked where, what came back, and what to look at."""
    with endpoint(400) as server:
        sentence = failure(open_writer(server.url))
        assert len(server.requests) == 1
    assert sentence.startswith(f"The endpoint {server.url}/v1/traces took nothing: it answered 400 Bad Request.")
    assert "collector" in sentence


def test_redirection_is_no_success(open_writer: Callable[[str], OtlpWriter]) -> None:
    """Upstream's exporter follows none and would count it as sent."""
    with endpoint(302) as server:
        assert "it answered 302 Found" in failure(open_writer(server.url))


def test_endpoint_that_is_busy_for_a_moment_gets_the_batch_in_the_end(
    open_writer: Callable[[str], OtlpWriter], caplog: pytest.LogCaptureFixture
) -> None:
    """A 503 is tried again; nobody is told about what went well."""
    caplog.set_level(logging.DEBUG)
    with endpoint(503, 200) as server:
        open_writer(server.url).store(made(1))
    assert len(server.requests) == 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_connection_that_is_closed_is_tried_again_and_then_said(
    open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted collector costs nothing; one that always hangs up is an error."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    with endpoint("close", 200) as server:
        open_writer(server.url).store(made(1))
        assert len(server.requests) == 2
    with endpoint("close") as server:
        assert "took nothing: " in failure(open_writer(server.url))


def test_endpoint_that_never_answers_ends_in_time(
    open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is the standard variable's."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    began_s = time.monotonic()
    with endpoint("hang") as server:
        assert "it did not answer in time" in failure(open_writer(server.url))
    assert time.monotonic() - began_s < 5


def test_port_where_nobody_listens_is_said(
    open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most common mistake of all."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets it
        assert "connection refused" in failure(open_writer(f"http://127.0.0.1:{taken.getsockname()[1]}"))


@pytest.mark.parametrize("host", ["a" * 70 + ".test", "*.test"])
def test_host_that_cannot_be_is_said_and_nothing_counts_as_left_out(
    host: str, open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the url is no fault of the records."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    writer = open_writer(f"http://{host}")
    assert "took nothing: " in failure(writer)
    assert writer.unwritable == 0


def test_secrets_of_the_url_are_in_no_sentence(
    open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, password and query go to the endpoint and nowhere else."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    with endpoint(401) as server:
        url = server.url.replace("http://", "http://ada:hunter2@") + "/x?key=s3cret"
        writer = open_writer(url)
        sentence = failure(writer)
        assert [path for path, _ in server.requests] == ["/x/v1/traces?key=s3cret"]
    assert "401" in sentence
    assert not any(secret in sentence + writer.location for secret in ("ada", "hunter2", "s3cret"))


def test_batch_that_is_too_large_goes_in_halves_and_one_giant_is_left_out(
    open_writer: Callable[[str], OtlpWriter],
) -> None:
    """What one receiver takes at once is less than another's."""

    def small_only(request: Any) -> int:
        spans = [got for of_resource in request.resource_spans for got in of_resource.scope_spans[0].spans]
        return 200 if len(spans) <= 2 and all(len(got.name) < 100 for got in spans) else 413

    giant = SpanRecord("1".rjust(32, "0"), "f" * 16, "x" * 1000, NOON_NS, NOON_NS)
    with endpoint(small_only) as server:
        writer = open_writer(server.url)
        writer.store([*made(7), giant])
    accepted = [request for _, request in server.requests if small_only(request) == 200]
    assert sum(len(request.resource_spans[0].scope_spans[0].spans) for request in accepted) == 7
    assert writer.unwritable == 1


def test_what_an_endpoint_rejects_of_a_batch_is_counted_and_said(
    open_writer: Callable[[str], OtlpWriter], sentences: list[str]
) -> None:
    """A partial success is no failure; control characters of the other side never reach a terminal."""
    spans = ExportTraceServiceResponse()
    spans.partial_success.rejected_spans, spans.partial_success.error_message = 2, "\x1b[31mquota"
    logs = ExportLogsServiceResponse()
    logs.partial_success.rejected_log_records = 1
    with endpoint((200, spans.SerializeToString()), (200, logs.SerializeToString())) as server:
        writer = open_writer(server.url)
        writer.store([*made(5), EVENT])
    assert writer.unwritable == 3
    assert "([31mquota)" in " ".join(sentences)


def test_answer_that_is_no_protobuf_is_a_success_all_the_same(open_writer: Callable[[str], OtlpWriter]) -> None:
    """Some back-ends answer ``OK``, or JSON."""
    with endpoint((200, b'{"partialSuccess":{}}')) as server:
        writer = open_writer(server.url)
        writer.store(made(1))
    assert (len(server.spans), writer.unwritable) == (1, 0)


def test_write_never_raises_and_the_next_batch_may_succeed(
    open_writer: Callable[[str], OtlpWriter], sentences: list[str]
) -> None:
    """As every store's writer; a closed one answers False."""
    with endpoint(400, 200) as server:
        writer = open_writer(server.url)
        assert not writer.write(made(1))
        assert writer.write(made(1))
        writer.close()
        assert not writer.write(made(1))
    assert len(sentences) == 1


def test_sending_makes_no_spans_of_its_own(open_writer: Callable[[str], OtlpWriter]) -> None:
    """With an HTTP client instrumentor active, replay would otherwise trace itself."""
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    seen: list[bool] = []
    with endpoint() as server:
        writer = open_writer(server.url)
        session = writer._endpoint("/v1/traces")._session
        session.hooks["response"].append(lambda *args, **kwargs: seen.append(is_instrumentation_enabled()))
        writer.store(made(1))
    assert seen == [False]
    assert is_instrumentation_enabled()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there are no signals to threads here")
def test_interrupt_ends_sending_at_once(open_writer: Callable[[str], OtlpWriter]) -> None:
    """Ctrl-C does not wait for an endpoint that hangs."""
    main = threading.get_ident()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with endpoint("hang") as server:
        writer = open_writer(server.url)

        def interrupt() -> None:
            wait_until(lambda: server.requests)
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        began_s = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                writer.store(made(1))
            assert time.monotonic() - began_s < 5
        finally:
            thread.join(15)
            signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http:///x", "http://[::1", "http://host:port", "nonsense"])
def test_url_that_is_no_endpoint_is_refused(url: str) -> None:
    """Before anything is sent, in a sentence with an example."""
    with pytest.raises(OtelTrackerError, match="http://localhost:4318"):
        OtlpWriter(url)


def test_endpoint_is_a_store_that_cannot_be_read() -> None:
    """A query of it says so."""
    with pytest.raises(StoreUnreadableError, match="can only be written"):
        find_place_of("http://localhost:4318").open_reader()


def test_store_is_found_by_the_scheme_of_a_url() -> None:
    """Its location is the url itself."""
    for url in ("http://localhost:4318", "https://collector.test/x"):
        place = find_place(url)
        assert (place.store.name, place.location) == ("otlp", url)


def test_default_is_the_standard_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program's own exporter would use."""
    assert STORE.default_location() == "http://localhost:4318"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:1")
    assert STORE.default_location() == "http://collector:1"


def test_missing_package_is_a_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core install does not bring it."""
    for name in [*sys.modules]:
        if name.startswith(("opentelemetry.exporter.otlp.proto.http", "otel_tracker_exporters.otlp.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(MissingExtraError, match=r'pip install "otel-tracker\[otlp\]"'):
        find_place_of("http://localhost:4318").open_writer()


def test_https_endpoint_that_speaks_no_tls_is_said(
    open_writer: Callable[[str], OtlpWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong scheme is a frequent mistake."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    with endpoint() as server:
        assert "TLS" in failure(open_writer(server.url.replace("http:", "https:")))
