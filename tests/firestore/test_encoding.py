"""Documents as bytes: what they hold, what Firestore would refuse, and that both ways to them lead to the same."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stores.helpers import BEGIN_NS, FULL_EVENT, FULL_LOG, FULL_SPAN, make_span

from otel_tracker.attributes import CUSTOM_FIELDS_JSON_PREFIX, CUSTOM_FIELDS_PREFIX, SUBCOLLECTION
from otel_tracker.recording import span_record
from otel_tracker.records import INT64_MAX, INT64_MIN, SpanRecord
from otel_tracker.span_texts import SpanTexts
from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.decoding import event_of, log_of, span_of
from otel_tracker_exporters.firestore.options import Options, options_at
from otel_tracker_exporters.firestore.pacing import Pacer
from otel_tracker_exporters.firestore.rollups import Histogram, Rollups
from otel_tracker_exporters.firestore.tailoring import Tracebacks, reduced
from otel_tracker_exporters.firestore.writes import Write, WriteMaker

ROOT = "projects/p/databases/(default)/documents"


@pytest.fixture(scope="module")
def google() -> Any:
    """Google's own message classes; their packages warn of Pythons that they will not support for long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("google.cloud.firestore")
        from google.cloud.firestore_v1 import _helpers, types

    class Google:
        helpers, messages = _helpers, types

        @staticmethod
        def document(write: Write) -> tuple[str, dict[str, Any]]:
            """Id and fields of a document, decoded as the client decodes them."""
            message = types.Write.deserialize(write.message)
            return message.update.name.rpartition("/")[2], _helpers.decode_dict(message.update.fields, None)

    return Google


def maker(**options: Any) -> WriteMaker:
    return WriteMaker(Options(project="p", **options), ROOT)


native = st.recursive(
    st.none() | st.booleans() | st.integers(INT64_MIN, INT64_MAX) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner.filter(lambda value: not isinstance(value, list)), max_size=3)
    | st.dictionaries(st.text(min_size=1).filter(lambda key: not key.startswith("__")), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(fields=st.dictionaries(st.text(min_size=1).filter(lambda key: not key.startswith("__")), native, max_size=4))
def test_bytes_mean_what_the_client_would_have_written(google: Any, fields: dict[str, Any]) -> None:
    """Field for field, for any value that Firestore takes."""
    name = f"{ROOT}/c/d"
    written = wire.write(name, [wire.field(key, wire.value(value)) for key, value in fields.items()], if_new=True)
    message = google.messages.Write.deserialize(written)
    assert message.update.name == name
    assert message.current_document.exists is False
    assert dict(message.update.fields) == google.helpers.encode_dict(fields)


@pytest.mark.parametrize("at_ns", [0, 1, BEGIN_NS, BEGIN_NS + 1_999, -1, INT64_MIN, INT64_MAX])
def test_time_is_kept_to_the_microsecond(google: Any, at_ns: int) -> None:
    """Rounded down, before 1970 too."""
    written = wire.write(f"{ROOT}/c/d", [wire.field("t", wire.time(at_ns))])
    raw = google.messages.Write.pb(google.messages.Write.deserialize(written)).update.fields["t"].timestamp_value
    assert raw.seconds * 10**9 + raw.nanos == at_ns // 1_000 * 1_000


@pytest.mark.parametrize(
    "value",
    [[[1]], {"": 1}, {"__x__": 1}, {"k" * 1_501: 1}, "\ud800", {"\udc00": 1}, math.nan, 2**63, [0] * 2_001,
     {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}}}}],
    ids=["list in list", "empty key", "reserved", "long key", "half", "half key", "nan", "large", "many", "deep"],
)  # fmt: skip
def test_value_that_the_server_would_refuse_is_found_before(value: Any) -> None:
    """One of them and a whole request would be refused."""
    with pytest.raises(wire.NotNativeError):
        wire.value(value)


@pytest.mark.parametrize(
    "args",
    [
        {"a": [[1], [2]], "b": {"": {"__x__": "\ud800"}}, "c": 1},
        {"args": [1, [2], {"x": [[3]]}], "kwargs": {"k": [[1]]}},
        {"args": [1, 2], "x": 5},
        {"args": [], "x": 5},
        {"args": "text"},
        {"": 1, "__y__": [[2]]},
        {},
    ],
)
def test_payload_comes_back_whatever_form_it_lies_in(google: Any, args: dict[str, Any]) -> None:
    """What Firestore has no value for is JSON text, and only that."""
    record = make_span(1, args=args, result=[args], has_result=True, attributes={"x": [[1]], "\ud800": 1})
    assert span_of(*google.document(maker().write(record))) == record


def test_every_field_of_a_record_is_in_its_document(google: Any) -> None:
    """Spans, events and logs are decoded to what they were, also with a TTL and shards."""
    make = maker(ttl_ns=10**15, shards=4)
    assert span_of(*google.document(make.write(FULL_SPAN))) == FULL_SPAN
    assert event_of(google.document(make.write(FULL_EVENT))[1]) == FULL_EVENT
    assert log_of(google.document(make.write(FULL_LOG))[1]) == FULL_LOG
    document_id, fields = google.document(make.write(FULL_SPAN))
    assert document_id == FULL_SPAN.span_id + FULL_SPAN.trace_id
    assert fields["shard"] in range(4)
    assert (fields["expire_at"] - fields["timestamp"]).total_seconds() == 10**6


def test_own_fields_and_subcollection_lie_where_they_are_asked_for(google: Any) -> None:
    """Custom fields are values of their own; a subcollection is part of the path, whatever its name holds."""
    own = {f"{CUSTOM_FIELDS_PREFIX}team": "ml", f"{CUSTOM_FIELDS_JSON_PREFIX}tree": '{"a":{"b":[1]}}', "other": 1}
    record = make_span(1, attributes={**own, SUBCOLLECTION: "a/b"})
    write = maker().write(record)
    assert write.path == f"function_tracking/_sub.a_b/function_tracking/{record.span_id}{record.trace_id}"
    _, fields = google.document(write)
    assert fields["custom_fields"] == {"team": "ml", "tree": {"a": {"b": [1]}}}
    assert span_of("", fields) == record


def test_short_way_leads_to_the_same_document(google: Any) -> None:
    """From texts and from a record: the same fields, for arguments, results, own attributes, parents and events."""
    from otel_tracker import span, traced

    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("test")

    @traced(capture_result=True)
    def work(number: int, items: Any, *args: int, **named: Any) -> Any:
        with span("block", inside=number) as inner:
            inner.add_event("seen", {"n": number})
        return [items]

    with _provider(provider), tracer.start_as_current_span("root", attributes={SUBCOLLECTION: "s"}):
        work(1, {"a": [1.5, None, True]}, 7, 8, k="v")
        work(2, "text")
    texts = SpanTexts()
    make = maker(ttl_ns=10**15, shards=3)
    found = [(span_record(one), texts.of(one)) for one in memory.get_finished_spans()]
    assert [short is None for _, short in found] == [False] * 5
    for record, short in found:
        assert short is not None
        long_write, short_write = make.write(record), make.write(short)
        assert short_write.path == long_write.path
        assert google.document(short_write) == google.document(long_write)
    provider.shutdown()


def test_equal_spans_have_equal_ids_and_equal_events_digests() -> None:
    """Whatever is written again is written to the same place."""
    make = maker()
    assert make.write(FULL_SPAN).path == make.write(make_span(0, **_identity(FULL_SPAN))).path
    assert make.write(FULL_EVENT).path == make.write(FULL_EVENT).path != make.write(FULL_LOG).path
    assert not make.write(FULL_SPAN).is_if_new
    assert make.write(make_span(1, status="started", end_ns=None)).is_if_new


def test_percentile_of_a_histogram_is_at_most_two_percent_off() -> None:
    """Whatever the durations are, from nanoseconds to hours."""
    source = random.Random(7)
    durations = sorted(round(math.exp(source.uniform(0, 30))) for _ in range(5_000))
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    for rank in (0, 17, 2_499, 4_750, 4_999):
        assert histogram.at(rank) == pytest.approx(durations[rank], rel=0.02)
    histogram.add(0)
    assert histogram.at(0) == 0


def test_late_spans_of_an_hour_that_was_written_replace_nothing() -> None:
    """What a journal brings hours later is counted in a document of its own, which is the same when written again."""
    rollups = Rollups(Options(project="p"))
    rollups.count(make_span(1))
    first = rollups.writes(ROOT)
    assert rollups.writes(ROOT)[0].partition(b"_rollups/")[2][:60] == first[0].partition(b"_rollups/")[2][:60]
    rollups.written()
    rollups.count(make_span(2))
    (second,) = rollups.writes(ROOT)
    ids = [one.partition(b"_rollups/")[2].partition(b"\x12")[0] for one in (*first, second)]
    assert ids[0] != ids[1]


def test_pacer_lets_one_seconds_worth_through_and_then_so_many_a_second() -> None:
    """On average no more; 0 is no bound."""
    now_s = [0.0]
    pacer = Pacer(100, lambda: now_s[0])
    assert pacer.take(100) == 0
    assert pacer.take(50) == pytest.approx(0.5)
    now_s[0] = 1.0
    assert pacer.take(50) == 0
    assert pacer.take(10) == pytest.approx(0.1)
    assert Pacer(0).take(10**9) == 0


def test_failed_spans_get_the_traceback_of_the_deepest() -> None:
    """Of the same exception in the same trace; without errors nothing of it is left but the status."""
    error = {"type": "ValueError", "message": "bad"}
    inner = make_span(2, trace_id="a" * 32, status="failed", error={**error, "traceback": "deep"}, status_message="bad")
    outer, other = (make_span(n, trace_id=f"{n}" * 32, status="failed", error=error) for n in (1, 3))
    tracebacks = Tracebacks()
    assert tracebacks.filled(inner) == inner
    assert tracebacks.filled(make_span(1, trace_id="a" * 32, error=error)).error["traceback"] == "deep"
    assert tracebacks.filled(other) == other
    bare = reduced(inner, has_error=False, has_duration=False)
    assert (bare.status, bare.error, bare.status_message, bare.end_ns) == ("failed", {}, "", None)
    assert outer.error == error


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("firestore://p/c", ("p", "(default)", "c")),
        ("firestore://p/c?database=d", ("p", "d", "c")),
        ("firestore://p", ("p", "(default)", "function_tracking")),
        ("firestore:///c", (None, "(default)", "c")),
    ],
)
def test_url_names_project_collection_and_database(url: str, expected: tuple[str, str, str]) -> None:
    """What it leaves out the settings say; the place's own url leads there again."""
    options = options_at(url)
    assert (options.project, options.database, options.collection) == expected
    assert options_at(options.location) == options


def _identity(record: SpanRecord) -> dict[str, str]:
    return {"trace_id": record.trace_id, "span_id": record.span_id}


class _provider:
    """The global provider, for a block."""

    def __init__(self, provider: TracerProvider) -> None:
        self._given = provider

    def __enter__(self) -> None:
        from opentelemetry import trace

        trace.set_tracer_provider(self._given)

    def __exit__(self, *_: object) -> None:
        from opentelemetry import trace
        from opentelemetry.util._once import Once

        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
