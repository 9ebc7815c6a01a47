"""The one contract: every store gives the same answers to the same records."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_tracker.errors import QueryError
from otel_tracker.query import SpanFilter, cursor_of
from otel_tracker.records import INT64_MAX, INT64_MIN, EventRecord, SpanRecord
from otel_tracker.timestamps import format_time

from .helpers import (
    BEGIN_NS,
    FULL_EVENT,
    FULL_SPAN,
    SECOND_NS,
    SUFFIXES,
    StoreUnderTest,
    ids,
    make_event,
    make_span,
)


def test_a_span_comes_back_as_it_was_written(store: StoreUnderTest) -> None:
    """Every field survives, to the nanosecond."""
    store.write(FULL_SPAN)
    assert list(store.reader().query_executions()) == [FULL_SPAN]


def test_a_minimal_span_comes_back_as_it_was_written(store: StoreUnderTest) -> None:
    """What is absent stays absent."""
    span = SpanRecord(trace_id="a" * 32, span_id="b" * 16, name="", start_ns=0, status="started")
    store.write(span)
    (found,) = store.reader().query_executions()
    assert found == span
    assert found.to_dict() == span.to_dict()


def test_an_event_comes_back_as_it_was_written(store: StoreUnderTest) -> None:
    """Every field of an event survives, with and without a span around it."""
    bare = EventRecord(name="tick", time_ns=BEGIN_NS)
    store.write(FULL_EVENT, bare)
    assert list(store.reader().events()) == [FULL_EVENT, bare]


def test_executions_come_newest_first(store: StoreUnderTest) -> None:
    """The order is by start, whatever the order of writing; equal starts are ordered by span id."""
    spans = [make_span(n) for n in (3, 1, 2)] + [make_span(9, start_ns=BEGIN_NS + SECOND_NS)]
    store.write(*spans)
    expected = sorted(spans, key=lambda span: (span.start_ns, span.span_id), reverse=True)
    assert ids(store.reader().query_executions()) == ids(expected)


def test_limit_bounds_the_answer_and_none_gives_everything(store: StoreUnderTest) -> None:
    """At most so many records come, and they are the newest."""
    size = 1_200
    store.write(*(make_span(n) for n in range(size)), *(make_event(n) for n in range(size)))
    reader = store.reader()
    newest = [BEGIN_NS + n * SECOND_NS for n in range(size - 1, -1, -1)]
    for limit in (0, 1, 100, 1_100, None):
        assert [span.start_ns for span in reader.query_executions(limit=limit)] == newest[:limit]
        assert [event.time_ns for event in reader.events(limit=limit)] == newest[:limit]
    assert len(list(reader.query_executions())) == len(list(reader.events())) == 100


@pytest.mark.parametrize("as_text", [False, True])
def test_pages_join_without_gap_or_repeat(store: StoreUnderTest, as_text: bool) -> None:
    """Paging with `after` gives each execution once, also among equal starts and while new ones are written."""
    store.write(*(make_span(n, start_ns=BEGIN_NS + n // 5) for n in range(50)))
    reader = store.reader()
    everything = ids(reader.query_executions(limit=None))
    found: list[str] = []
    page = list(reader.query_executions(limit=7))
    while page:
        found += ids(page)
        store.write(make_span(1_000 + len(found)))
        page = list(reader.query_executions(limit=7, after=cursor_of(page[-1]) if as_text else page[-1]))
    assert found == everything


@pytest.mark.parametrize("pattern", ["total", "Cart.total", "shop.cart.Cart.total", "*.Cart.*", "sho?.cart.*", "t*l"])
def test_a_function_is_found_by_bare_dotted_and_glob_name(store: StoreUnderTest, pattern: str) -> None:
    """Bare names, qualified names, dotted names and globs all mean the function."""
    wanted = make_span(1, module="shop.cart", function="Cart.total", name="custom name")
    store.write(wanted, make_span(2, module="shop", function="totally", name="shop.totally"))
    assert ids(store.reader().query_executions(pattern)) == [wanted.span_id]


@pytest.mark.parametrize("pattern", ["custom name", "Cart", "tota", "TOTAL", "shop.cart", "x.total"])
def test_other_names_do_not_find_a_function(store: StoreUnderTest, pattern: str) -> None:
    """Parts of names, another case, and the span name of a function do not match."""
    store.write(make_span(1, module="shop.cart", function="Cart.total", name="custom name"))
    assert list(store.reader().query_executions(pattern)) == []


@pytest.mark.parametrize("pattern", ["GET /items/{id}", "GET *", "GET /items/[{]id}"])
def test_a_span_without_function_is_found_by_its_name(store: StoreUnderTest, pattern: str) -> None:
    """HTTP spans and blocks are executions too."""
    store.write(make_span(1, function="", module="", name="GET /items/{id}"), make_span(2))
    assert len(list(store.reader().query_executions(pattern))) == 1


def test_a_name_full_of_glob_characters_finds_itself(store: StoreUnderTest) -> None:
    """Equal text matches whatever it contains."""
    store.write(make_span(1, function="", module="", name="list[int]*"))
    assert len(list(store.reader().query_executions("list[int]*"))) == 1


def test_a_glob_over_many_functions_keeps_the_order(store: StoreUnderTest) -> None:
    """However many functions a pattern means, the newest executions come first."""
    store.write(*(make_span(n, function=f"f{n % 200}", name=f"shop.f{n % 200}") for n in range(600)))
    found = list(store.reader().query_executions("f*", limit=150))
    assert [span.start_ns for span in found] == [BEGIN_NS + n * SECOND_NS for n in range(599, 449, -1)]
    found = list(store.reader().query_executions("f1?", limit=5))
    assert [span.function for span in found] == ["f19", "f18", "f17", "f16", "f15"]


def test_status_kind_duration_and_trace_filter(store: StoreUnderTest) -> None:
    """Each filter keeps what it names, and they combine."""
    spans = [
        make_span(1, status="failed", kind="server"),
        make_span(2, status="completed", kind="client", end_ns=BEGIN_NS + 3 * SECOND_NS),
        make_span(3, status="started", end_ns=None),
        make_span(4, status="aborted", end_ns=None),
    ]
    store.write(*spans)
    reader = store.reader()
    for span in spans:
        assert ids(reader.query_executions(status=span.status)) == [span.span_id]
        assert ids(reader.query_executions(trace_id=span.trace_id.upper())) == [span.span_id]
    assert ids(reader.query_executions(kind="SERVER")) == ids(spans[:1])
    assert ids(reader.query_executions(min_duration_ms=500)) == ids(spans[1:2])
    assert ids(reader.query_executions(min_duration_ms=10)) == ids([spans[1], spans[0]])
    assert list(reader.query_executions(status="failed", kind="client")) == []


def test_times_bound_the_start(store: StoreUnderTest) -> None:
    """`start_time` is inclusive and `end_time` exclusive, as datetime or text."""
    store.write(*(make_span(n) for n in range(5)), *(make_event(n) for n in range(5)))
    reader = store.reader()
    begin = datetime.fromtimestamp(BEGIN_NS // SECOND_NS, timezone.utc)
    for first, last in (
        (begin + timedelta(seconds=1), begin + timedelta(seconds=3)),
        (format_time(BEGIN_NS + SECOND_NS), format_time(BEGIN_NS + 3 * SECOND_NS)),
    ):
        found = reader.query_executions(start_time=first, end_time=last)
        assert [span.start_ns for span in found] == [BEGIN_NS + n * SECOND_NS for n in (2, 1)]
        events = reader.events(start_time=first, end_time=last)
        assert [event.time_ns for event in events] == [BEGIN_NS + n * SECOND_NS for n in (2, 1)]


def test_an_age_bounds_the_start(store: StoreUnderTest) -> None:
    """`"1h"` means the last hour."""
    now_ns = int(datetime.now(timezone.utc).timestamp() * SECOND_NS)
    recent, old = make_span(1, start_ns=now_ns - 60 * SECOND_NS), make_span(2, start_ns=now_ns - 7_200 * SECOND_NS)
    store.write(recent, old)
    assert ids(store.reader().query_executions(start_time="1h")) == [recent.span_id]
    assert ids(store.reader().query_executions(end_time="1h")) == [old.span_id]


def test_bounds_beyond_every_record_are_fine(store: StoreUnderTest) -> None:
    """The ends of the calendar are bounds like any other."""
    store.write(make_span(1))
    reader = store.reader()
    first, last = (moment.replace(tzinfo=timezone.utc) for moment in (datetime.min, datetime.max))
    assert len(list(reader.query_executions(start_time=first, end_time=last))) == 1
    assert list(reader.query_executions(start_time=last)) == []
    assert list(reader.query_executions(after=f"{INT64_MAX}-{'f' * 16}", limit=10**30)) != []
    assert list(reader.query_executions(after=f"{INT64_MIN}-{'0' * 16}")) == []


def test_events_are_found_by_name_glob_and_trace(store: StoreUnderTest) -> None:
    """An event name or a glob keeps the events that bear it."""
    names = ["checkout.started", "checkout.completed", "user.signed_up", "weird [*]"]
    trace_id = "c" * 32
    store.write(
        *(make_event(n, name=name) for n, name in enumerate(names)), make_event(9, trace_id=trace_id, span_id="d" * 16)
    )
    reader = store.reader()
    assert [event.time_ns for event in reader.events("checkout.completed")] == [
        BEGIN_NS + n * SECOND_NS for n in (9, 1)
    ]
    assert {event.name for event in reader.events("checkout.*")} == set(names[:2])
    assert [event.name for event in reader.events("weird*")] == [names[3]]
    assert [event.name for event in reader.events("[u]*")] == [names[2]]
    assert list(reader.events("CHECKOUT.*")) == []
    assert [event.trace_id for event in reader.events(trace_id=trace_id)] == [trace_id]


def test_equal_events_are_all_kept(store: StoreUnderTest) -> None:
    """Two events of the same moment and content are two events."""
    store.write(make_event(1), make_event(1))
    assert len(list(store.reader().events())) == 2


def test_a_span_that_arrives_twice_is_stored_once(store: StoreUnderTest) -> None:
    """A batch that is sent again after a crash changes no answer."""
    spans = [make_span(n) for n in range(3)]
    store.write(*spans)
    store.write(*spans, make_span(3))
    reader = store.reader()
    assert len(list(reader.query_executions(limit=2))) == 2
    assert len(list(reader.query_executions(limit=None))) == 4
    assert reader.get_statistics("total").total == 4
    assert len(reader.get_trace(spans[0].trace_id)) == 1


@pytest.mark.parametrize(
    "order", [("started", "completed"), ("completed", "started"), ("started", "aborted", "failed")]
)
def test_what_knows_more_of_a_span_supersedes_what_knows_less(store: StoreUnderTest, order: tuple[str, ...]) -> None:
    """An end replaces a start, and a start never takes an end back."""
    for status in order:
        open_ended = status in ("started", "aborted")
        store.write(make_span(1, status=status, **({"end_ns": None} if open_ended else {})))
    store.write(make_span(2, status="started", end_ns=None))
    reader = store.reader()
    final = next(status for status in order if status in ("completed", "failed"))
    assert [span.status for span in reader.query_executions()] == ["started", final]
    assert ids(reader.query_executions(status="started")) == [make_span(2).span_id]
    assert list(reader.query_executions(status="aborted")) == []
    statistics = reader.get_statistics("total")
    assert (statistics.total, statistics.running) == (1, 1)


def test_a_trace_comes_whole_and_oldest_first(store: StoreUnderTest) -> None:
    """A trace is found by its id, or by a prefix of any length that only it has."""
    spans = [make_span(n, trace_id="abc" + "0" * 29) for n in (3, 1, 2)]
    store.write(*spans, make_span(4, trace_id="abd" + "0" * 29), make_span(5, trace_id="f" * 32))
    reader = store.reader()
    for prefix in ("abc", "ABC0", "0xabc" + "0" * 29):
        assert ids(reader.get_trace(prefix)) == ids(sorted(spans, key=lambda span: span.start_ns))
    assert ids(reader.get_trace("f")) == ids([make_span(5)])
    assert reader.get_trace("e") == []
    with pytest.raises(QueryError, match="2 traces begin"):
        reader.get_trace("ab")


def test_outer_spans_get_the_traceback_of_the_exception_they_passed_on(store: StoreUnderTest) -> None:
    """The traceback stands on the deepest span, and readers fill it in above it, on any page."""
    error = {"type": "ValueError", "message": "bad"}
    inner = make_span(2, trace_id="a" * 32, status="failed", error={**error, "traceback": "the traceback"})
    outer = make_span(1, trace_id="a" * 32, status="failed", error=error)
    other = make_span(3, trace_id="b" * 32, status="failed", error=error)
    store.write(inner, outer, other)
    reader = store.reader()
    assert [span.error.get("traceback") for span in reader.get_trace("aaa")] == ["the traceback"] * 2
    found = reader.query_executions(limit=1, after=inner)
    assert [span.error.get("traceback") for span in found] == ["the traceback"]
    assert [span.error.get("traceback") for span in reader.query_executions(trace_id="b" * 32)] == [None]
    late = make_span(4, trace_id="b" * 32, status="failed", error={**error, "traceback": "late"})
    store.write(late)
    assert [span.error.get("traceback") for span in reader.query_executions(trace_id="b" * 32)] == ["late"] * 2


def test_statistics_of_nothing_are_zeros(store: StoreUnderTest) -> None:
    """A function that never ran has statistics, too."""
    store.write(make_event(1))
    statistics = store.reader().get_statistics("nobody")
    assert (statistics.function_name, statistics.total, statistics.p95_ms) == ("nobody", 0, None)
    assert store.reader().function_statistics() == []


def test_function_statistics_filter_order_and_limit(store: StoreUnderTest) -> None:
    """One entry a function, the largest first, within times, kind and name."""
    store.write(
        make_span(1, function="a", end_ns=BEGIN_NS + SECOND_NS + 1_000_000),
        make_span(2, function="b", end_ns=BEGIN_NS + 2 * SECOND_NS + 3_000_000, kind="server"),
        make_span(3, function="b", end_ns=BEGIN_NS + 3 * SECOND_NS + 4_000_000),
        make_span(4, function="", module="", name="block", end_ns=BEGIN_NS + 4 * SECOND_NS + 2_000_000),
        make_span(5, function="b", name="another name for b", end_ns=BEGIN_NS + 5 * SECOND_NS + 5_000_000),
    )
    reader = store.reader()
    everything = reader.function_statistics()
    assert [(entry.function_name, entry.total) for entry in everything] == [("shop.b", 3), ("block", 1), ("shop.a", 1)]
    assert [entry.function_name for entry in reader.function_statistics(limit=1)] == ["shop.b"]
    assert [entry.max_ms for entry in reader.function_statistics(kind="server")] == [3.0]
    assert [entry.function_name for entry in reader.function_statistics(function_name="shop.*")] == ["shop.b", "shop.a"]
    late = reader.function_statistics(start_time=format_time(BEGIN_NS + 3 * SECOND_NS), order_by="total")
    assert [(entry.function_name, entry.total) for entry in late] == [("shop.b", 2), ("block", 1)]
    assert reader.get_statistics("b").p50_ms == 4.0
    assert reader.get_statistics("*").total == 5


execution_lists = st.lists(
    st.tuples(
        st.sampled_from(["f", "g", "Cart.f", ""]),
        st.sampled_from(["shop", "", "shop.cart"]),
        st.sampled_from(["completed", "failed", "started", "aborted"]),
        st.integers(0, 40),
        st.integers(0, 10**15),
    ),
    max_size=60,
)


@pytest.mark.parametrize("kind", sorted(SUFFIXES))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(executions=execution_lists, pattern=st.sampled_from(["f", "shop.*", "*", "g", "shop.cart.Cart.f", "block"]))
def test_statistics_equal_a_plain_computation(kind: str, executions: list[Any], pattern: str) -> None:
    """Counts, averages and nearest-rank percentiles are exact, for one name and for each function."""
    spans = [
        make_span(
            n,
            function=function,
            module=module if function else "",
            name="block",
            status=status,
            start_ns=BEGIN_NS + second * SECOND_NS,
            end_ns=BEGIN_NS + second * SECOND_NS + duration_ns if status in ("completed", "failed") else None,
        )
        for n, (function, module, status, second, duration_ns) in enumerate(executions)
    ]
    start_ns, end_ns = BEGIN_NS + 5 * SECOND_NS, BEGIN_NS + 35 * SECOND_NS
    wanted = SpanFilter(function_name=pattern, start_ns=start_ns, end_ns=end_ns)
    groups: dict[str, list[SpanRecord]] = defaultdict(list)
    for span in filter(wanted.matches, spans):
        groups[span.qualified_name].append(span)
    with TemporaryDirectory() as folder:
        store = StoreUnderTest(kind, Path(folder, f"store{SUFFIXES[kind]}"))
        store.write(*spans, make_event(0))
        times = {"start_time": format_time(start_ns), "end_time": format_time(end_ns)}
        together = store.reader().get_statistics(pattern, **times)
        each = store.reader().function_statistics(function_name=pattern, limit=None, **times)
        store.close()
    assert together.to_dict() == _plain_statistics(pattern, [span for group in groups.values() for span in group])
    assert {entry.function_name: entry.to_dict() for entry in each} == {
        name: _plain_statistics(name, group) for name, group in groups.items()
    }


def _plain_statistics(name: str, spans: list[SpanRecord]) -> dict[str, Any]:
    """The definition in section 4 of the design, word by word."""
    counts = {status: sum(span.status == status for span in spans) for status in ("completed", "failed", "aborted")}
    total = sum(counts.values())
    durations = sorted(span.end_ns - span.start_ns for span in spans if span.end_ns is not None)

    def at(percent: int) -> float | None:
        return durations[max(math.ceil(percent / 100 * len(durations)), 1) - 1] / 1e6 if durations else None

    return {
        "function_name": name,
        "total": total,
        **counts,
        "running": len(spans) - total,
        "success_rate": 100 * counts["completed"] / total if total else None,
        "min_ms": durations[0] / 1e6 if durations else None,
        "avg_ms": sum(durations) / len(durations) / 1e6 if durations else None,
        "p50_ms": at(50),
        "p95_ms": at(95),
        "p99_ms": at(99),
        "max_ms": durations[-1] / 1e6 if durations else None,
    }


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(INT64_MIN, INT64_MAX) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
hostile_spans = st.builds(
    SpanRecord,
    trace_id=st.integers(1, 2**128 - 1).map("{:032x}".format),
    span_id=st.integers(1, 2**64 - 1).map("{:016x}".format),
    parent_span_id=st.sampled_from(["", "f" * 16]),
    name=st.text(),
    start_ns=st.integers(INT64_MIN, INT64_MAX),
    end_ns=st.none() | st.integers(INT64_MIN, INT64_MAX),
    kind=st.sampled_from(["internal", "server"]),
    function=st.text(),
    module=st.text(),
    status=st.sampled_from(["started", "completed", "failed", "aborted"]),
    args=st.dictionaries(st.text(), plain_values, max_size=2),
    attributes=st.dictionaries(st.text(), plain_values, max_size=2),
    result=plain_values,
    has_result=st.just(True),
    status_message=st.text(),
    scope=st.text(),
    resource=st.dictionaries(st.text(), plain_values, max_size=2),
)


@pytest.mark.parametrize("kind", sorted(SUFFIXES))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=st.lists(hostile_spans, max_size=12, unique_by=lambda span: (span.trace_id, span.span_id)),
    status=st.none() | st.sampled_from(["started", "completed", "failed", "aborted"]),
    min_duration_ms=st.none() | st.integers(0, 10**9),
    limit=st.none() | st.integers(0, 5),
)
def test_any_records_and_filters_give_the_plain_answer(
    kind: str, spans: list[SpanRecord], status: str | None, min_duration_ms: int | None, limit: int | None
) -> None:
    """Whatever text, number and nesting a record holds, it is found, ordered and given back unchanged."""
    name = spans[0].qualified_name if spans else None
    with TemporaryDirectory() as folder:
        store = StoreUnderTest(kind, Path(folder, f"store{SUFFIXES[kind]}"))
        store.write(*spans, make_event(0))
        reader = store.reader()
        filters = {"status": status, "min_duration_ms": min_duration_ms, "limit": limit}
        found = list(reader.query_executions(**filters))
        named = list(reader.query_executions(name, **filters))
        store.close()
    wanted = SpanFilter(status=status, min_duration_ns=min_duration_ms and min_duration_ms * 1_000_000)
    assert found == _plain_answer(spans, wanted, limit)
    assert named == _plain_answer(spans, dataclasses.replace(wanted, function_name=name), limit)


def _plain_answer(spans: list[SpanRecord], wanted: SpanFilter, limit: int | None) -> list[SpanRecord]:
    newest_first = sorted(spans, key=lambda span: (span.start_ns, span.span_id), reverse=True)
    answer = list(filter(wanted.matches, newest_first))[:limit]
    return [dataclasses.replace(span, events=(), links=()) for span in answer]


@pytest.mark.parametrize(
    "value",
    [
        "nul \x00 inside",
        "emoji \N{GRINNING FACE}",
        "line\nfeed\r\u2028\x85",
        "x" * 3_000_000,
        '"start":"x","trace_id":"',
    ],
    ids=["nul", "emoji", "line ends", "huge", "keys"],
)
def test_hostile_text_comes_back_unchanged(store: StoreUnderTest, value: str) -> None:
    """No character and no length that a text can have changes it or breaks its neighbours."""
    span = make_span(1, name=value, args={value: [value]}, result=value, has_result=True, status_message=value)
    event = make_event(1, name=value, properties={value: value}, body=value)
    store.write(make_span(0), span, event, make_span(2))
    reader = store.reader()
    assert list(reader.query_executions()) == [make_span(2), span, make_span(0)]
    assert list(reader.events()) == [event]


def test_lone_surrogates_cost_no_record(store: StoreUnderTest) -> None:
    """Half a character is kept in values, and in names kept or replaced by U+FFFD; the batch is stored whole."""
    span = make_span(1, name="a\ud800b", function="", module="", args={"k\udfff": "v\ud83d"}, status_message="\udc00")
    event = make_event(1, name="e\ud800", properties={"p": "\ud800"})
    assert store.write(make_span(0), span, make_span(2), event)
    reader = store.reader()
    found = list(reader.query_executions())
    assert len(found) == 3
    assert found[1].args == span.args
    assert found[1].name.replace("\ud800", "\ufffd") == "a\ufffdb"
    assert ids(reader.query_executions(span.name)) == [span.span_id]
    assert [event.properties for event in reader.events(event.name)] == [{"p": "\ud800"}]


@pytest.mark.parametrize(
    "bad",
    [
        make_span(1, args={"x": float("nan")}),
        make_span(1, args={"x": object()}),
        make_span(1, attributes={"deep": (lambda d: [d := [d] for _ in range(100_000)] and d)([])}),
        make_span(1, start_ns=10**30),
    ],
    ids=["nan", "object", "deep", "beyond the calendar"],
)
def test_a_record_that_cannot_be_stored_costs_no_neighbour(
    store: StoreUnderTest, bad: SpanRecord, sentences: list[str]
) -> None:
    """It is left out, counted and said once, and the batch counts as stored."""
    for number in (0, 10):
        assert store.write(make_span(number), bad, make_span(number + 2))
    assert len(list(store.reader().query_executions())) == 4
    assert store.writers[0].unwritable == 2
    assert len(sentences) == 1
