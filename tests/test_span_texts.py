"""What local stores write of a span is the same, whether it goes by texts or by a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.util._once import Once

from otel_tracker import lifecycle, open_store, span, traced
from otel_tracker.recording import span_record
from otel_tracker.span_texts import SpanTexts
from otel_tracker_exporters.jsonl import JsonlSpanExporter
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.span_lines import SpanLines
from otel_tracker_exporters.sqlite import SqliteSpanExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SECRET = "hunter2hunter2"


class Keep(SpanProcessor):
    """The ended spans."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


@pytest.fixture
def keep() -> Iterator[Keep]:
    """What a global provider has received."""
    kept = Keep()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(kept)
    trace.set_tracer_provider(provider)
    yield kept
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()


def line_by_texts(span: ReadableSpan, texts: SpanTexts, lines: SpanLines) -> Any:
    """The line's object where the span goes by texts, else None."""
    found = texts.of(span)
    return None if found is None else json.loads(lines.encode(found), parse_constant=pytest.fail)


def line_by_record(span: ReadableSpan) -> Any:
    return json.loads(encode_line(span_record(span)))


def assert_equal(spans: Sequence[ReadableSpan], *, all_by_texts: bool = False) -> None:
    """Every span says the same either way, key by key and in the same order; also by what is compiled for its keys."""
    assert_equal_by(SpanTexts(), spans, all_by_texts=all_by_texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("otel_tracker.span_texts._SIGHTINGS", 1)
        assert_equal_by(SpanTexts(), spans, all_by_texts=all_by_texts)
        assert_equal_by(COMPILED, spans, all_by_texts=all_by_texts)  # for values of other kinds, mostly


COMPILED = SpanTexts()


def assert_equal_by(texts: SpanTexts, spans: Sequence[ReadableSpan], *, all_by_texts: bool) -> None:
    texts.renew()
    lines = SpanLines()
    for ended in [*spans, *spans]:  # the second time from what is remembered
        found = line_by_texts(ended, texts, lines)
        if found is None:
            assert not all_by_texts, ended.to_json()
            continue
        expected = line_by_record(ended)
        assert found == expected
        assert list(found) == list(expected)


@traced(capture_result=True)
def work(first: Any, *more: Any, password: Any = None, **named: Any) -> Any:
    return first


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=200)
    | st.sampled_from(["", "%s", '"', "\\", "é\u2028", "\ud800", f"password={SECRET}", "x" * 2000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
NAMED = st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True) | st.sampled_from(["token", "api_key"]), VALUES)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=VALUES, more=st.lists(VALUES, max_size=2), password=VALUES, named=NAMED)
def test_captured_arguments_and_results_are_the_same(
    keep: Keep, first: Any, more: list[Any], password: Any, named: dict[str, Any]
) -> None:
    """Whatever a function is called with, its line holds what its record holds."""
    keep.ended.clear()
    named.pop("first", None)
    work(first, *more, password=password, **named)
    assert_equal(keep.ended)


def test_arguments_whose_kinds_change_are_the_same(keep: Keep) -> None:
    """A function that is called with numbers, texts, records and nothing by turns, often enough to be compiled."""
    odd = (1, 2**62, -(2**63), 2**63, 0.5, float("nan"), True, None, "é", "\ud800", [1], {"a": 1}, b"x", "{v0}%s{{")
    for number in range(10 * len(odd)):
        work(odd[number % len(odd)], *odd[: number % 3], password=SECRET, user=number % 7 and odd[number % 11])
    assert_equal(keep.ended)


def test_functions_with_many_kinds_of_arguments_are_not_compiled_for_ever(keep: Keep) -> None:
    """Each argument that is now and then nothing doubles what there is to compile; some are left out, and right."""

    @traced
    def place(a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
        pass

    for number in range(64):
        place(*((number if number >> bit & 1 else None) for bit in range(5)))
    texts, lines = SpanTexts(), SpanLines()
    for _ in range(3):
        assert [line_by_texts(ended, texts, lines) for ended in keep.ended] == list(map(line_by_record, keep.ended))
    (known,) = texts._functions.values()
    assert len(known.readers) == 16


def test_settings_that_were_read_again_hold_from_the_next_batch(
    keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was remembered as harmless is searched again when something else has become a secret."""
    tracer = trace.get_tracer("somebody.else")
    exporter = JsonlSpanExporter(path=tmp_path / "x.jsonl")
    for _ in range(2):
        keep.ended.clear()
        tracer.start_span("x", attributes={"note": "walrus"}).end()
        exporter.export(keep.ended)
        monkeypatch.setenv("OTEL_TRACKER_REDACT_VALUES", "wal.us")
        lifecycle.forget_cached_settings()
    exporter.shutdown()
    with open_store(exporter.path) as reader:
        found = [stored.attributes["note"] for stored in reader.query_executions(limit=None)]
    assert sorted(found) == ["[redacted]", "walrus"]


@pytest.mark.parametrize("engine", ["lean", "sdk"])
def test_ordinary_calls_go_by_texts(keep: Keep, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions, blocks, generators and events of either engine take the short way."""
    monkeypatch.setenv("OTEL_TRACKER_SPAN_ENGINE", engine)
    lifecycle.forget_cached_settings()

    @traced
    def numbers(count: int) -> Iterator[int]:
        yield from range(count)

    with span("block", rows=3, why="test"):
        trace.get_current_span().add_event("seen", {"count": 3, "who": "Ada"})
        trace.get_current_span().set_attribute("added", 1.5)
        work({"sku": "A1", "counts": [1, 2]}, user="Ada")
        assert list(numbers(3)) == [0, 1, 2]
    assert len(keep.ended) == 3
    if engine == "lean":
        assert_equal(keep.ended, all_by_texts=True)
    else:  # `password` is a secret name, which only capture of ours is trusted with
        assert_equal(keep.ended)


ATTRIBUTES = st.dictionaries(
    st.text(min_size=1, max_size=12)
    | st.sampled_from(
        [
            *("code.function.name", "otel_tracker.module", "otel_tracker.result", "otel_tracker.result_json"),
            *("otel_tracker.args.x", "otel_tracker.args_json.x", "otel_tracker.args_json.y", "otel_tracker.record"),
            *("http.request.header.authorization", "db.password", "url.full", "code.line.number"),
        ]
    ),
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=80)
    | st.binary(max_size=4)
    | st.lists(st.text(max_size=5), max_size=3)
    | st.sampled_from(
        [
            *(
                "shop",
                "shop.cart.total",
                '{"a":[1,{"b":null}]}',
                '{"password":"' + SECRET + '"}',
                "[1, 2",
                "NaN",
                "1e400",
            ),
            *(f"https://me:{SECRET}@example/?token={SECRET}", f"Bearer {SECRET}A1", "\ud800"),
        ]
    ),
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(max_size=12) | st.just(f"GET /?password={SECRET}"),
    kind=st.sampled_from(SpanKind),
    attributes=ATTRIBUTES,
    event=ATTRIBUTES,
    status=st.sampled_from([None, StatusCode.OK, StatusCode.ERROR]),
    start_ns=st.integers(1, 4_000_000_000_000_000_000),
    duration_ns=st.integers(0, 10**15),
    is_linked=st.booleans(),
)
def test_spans_of_others_are_the_same(
    keep: Keep,
    name: str,
    kind: SpanKind,
    attributes: dict[str, Any],
    event: dict[str, Any],
    status: StatusCode | None,
    start_ns: int,
    duration_ns: int,
    is_linked: bool,
) -> None:
    """Whatever another instrumentor writes, its line holds what its record holds, without secrets."""
    keep.ended.clear()
    links = [Link(SpanContext(1, 2, True, TraceFlags(1)))] if is_linked else []
    tracer = trace.get_tracer("somebody.else")
    made = tracer.start_span(name, kind=kind, attributes=attributes, links=links, start_time=start_ns)
    if event:
        made.add_event("seen", event, timestamp=start_ns)
    if status is not None:
        made.set_status(status)
    made.end(start_ns + duration_ns)
    assert_equal(keep.ended)


def test_secret_of_somebody_elses_is_shown_under_no_key(keep: Keep) -> None:
    """A value that is harmless under one key is redacted under a secret one, also when it is remembered."""
    tracer = trace.get_tracer("somebody.else")
    for key in ("note", "password", "note", "api_key"):
        tracer.start_span("x", attributes={key: SECRET}).end()
    assert_equal(keep.ended)
    texts, lines = SpanTexts(), SpanLines()
    found = [line_by_texts(ended, texts, lines) for ended in keep.ended]
    assert [line is None for line in found] == [False, True, False, True]


def test_attribute_that_a_user_sets_on_our_span_is_redacted(keep: Keep) -> None:
    """What capture has not written is not trusted, on a span of ours either."""

    @traced
    def handle(note: str) -> None:
        trace.get_current_span().set_attribute("url.full", f"https://me:{SECRET}@example/")
        trace.get_current_span().set_attribute("otel_tracker.args_json.note", '{"password":"' + SECRET + '"')

    handle("x")
    with span("block", url=f"https://me:{SECRET}@example/"):
        pass
    assert_equal(keep.ended)
    texts, lines = SpanTexts(), SpanLines()
    assert SECRET not in "".join(lines.encode(found).decode() for ended in keep.ended if (found := texts.of(ended)))


def sqlite_exporter(path: Path) -> SqliteSpanExporter:
    """One that keeps spans of 1970."""
    return SqliteSpanExporter(path=path, max_age_days=0)


def test_what_somebody_wrote_past_the_methods_of_a_span_is_redacted(keep: Keep) -> None:
    """A processor that reaches into a span of ours gets no secret past the stores either."""
    work("x")
    (ended,) = keep.ended
    ended._attributes["url.full"] = f"https://me:{SECRET}@example/"  # type: ignore[index]
    assert SpanTexts().of(ended) is None
    assert SECRET not in json.dumps(line_by_record(ended))


def test_what_replaces_an_attribute_of_a_compiled_span_is_redacted(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes are as many as those it was compiled for, and others."""
    monkeypatch.setattr("otel_tracker.span_texts._SIGHTINGS", 1)
    texts = SpanTexts()
    for replaced in ("", "code.line.number", "otel_tracker.args.first"):
        keep.ended.clear()
        work("x")
        (ended,) = keep.ended
        if replaced:
            ended._attributes["url.full"] = ended._attributes.pop(replaced) and f"password={SECRET}"  # type: ignore[index,union-attr]
        assert (texts.of(ended) is None) is bool(replaced)
    assert_equal(keep.ended)


@pytest.mark.parametrize(("make", "ending"), [(JsonlSpanExporter, "jsonl"), (sqlite_exporter, "db")])
def test_stores_hold_what_records_say(keep: Keep, tmp_path: Path, make: Callable[..., Any], ending: str) -> None:
    """Spans of every kind come back from a store as the records that are made of them."""

    @traced
    def fail(number: int) -> None:
        raise ValueError(number)

    work({"a": [1, None, 2.5, "é", "\ud800"]}, 3, password=SECRET, user="Ada")
    with span("block", rows=[1, 2], why="x"):
        trace.get_current_span().add_event("seen", {"list": [1, 2]})
    with pytest.raises(ValueError, match="3"):
        fail(3)
    trace.get_tracer("else").start_span("GET /", kind=SpanKind.SERVER, attributes={"a": 1}, start_time=5).end(9)
    exporter = make(path=tmp_path / f"store.{ending}")
    exporter.export(keep.ended)
    exporter.shutdown()
    with open_store(exporter.path) as reader:
        found = {stored.span_id: stored.to_dict() for stored in reader.query_executions(limit=None)}
    expected = [span_record(ended).to_dict() for ended in keep.ended]
    assert found == {record["span_id"]: json.loads(json.dumps(record)) for record in expected}


def test_span_with_a_time_beyond_64_bits_takes_no_neighbour_along(keep: Keep, tmp_path: Path) -> None:
    """A span that SQLite cannot hold is left out alone."""
    tracer = trace.get_tracer("else")
    for start_ns in (5, 2**64, 7):
        tracer.start_span("x", start_time=start_ns).end(start_ns + 1)
    exporter = sqlite_exporter(path=tmp_path / "x.db")
    exporter.export(keep.ended)
    exporter.shutdown()
    with open_store(tmp_path / "x.db") as reader:
        assert sorted(stored.start_ns for stored in reader.query_executions(limit=None)) == [5, 7]
