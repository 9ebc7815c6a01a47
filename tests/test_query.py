"""A query means the same for every store, and one that makes no sense is a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker.errors import QueryError
from otel_tracker.query import (
    DEFAULT_LIMIT,
    EventFilter,
    SpanFilter,
    StoreReader,
    cursor_of,
    matches_function,
    names_function,
)
from otel_tracker.records import COMPLETED, FAILED, STARTED, EventRecord, SpanRecord
from otel_tracker.stats import Statistics, tally

S, MS = 1_000_000_000, 1_000_000
NOON_NS = 1_795_348_800 * S
TRACE, OTHER_TRACE = "a1" * 16, "a2" * 16


class ListReader(StoreReader):
    """The smallest store: two lists. It filters with the reference filters and does nothing else."""

    location = "a list"

    def __init__(self, spans: Iterable[SpanRecord] = (), events: Iterable[EventRecord] = ()) -> None:
        self.spans, self.recorded = list(spans), list(events)
        self.failure_lookups: list[Sequence[str]] = []

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        found = [span for span in self.spans if wanted.matches(span)]
        yield from sorted(found, key=lambda span: (span.start_ns, span.span_id), reverse=True)[:limit]

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        return [span for span in self.spans if span.trace_id.startswith(trace_id_prefix)]

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterable[SpanRecord]:
        self.failure_lookups.append(trace_ids)
        return [span for span in self.spans if span.trace_id in trace_ids and span.error.get("traceback")]

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        return tally(self._read_spans(wanted, None), group_as)

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        found = [event for event in self.recorded if wanted.matches(event)]
        yield from sorted(found, key=lambda event: event.time_ns, reverse=True)[:limit]


def span(number: int, **fields: Any) -> SpanRecord:
    """A span that starts `number` seconds after noon and takes as many milliseconds."""
    start_ns = NOON_NS + number * S
    standard: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "name": "shop.total",
        "start_ns": start_ns,
    }
    return SpanRecord(**{**standard, "end_ns": start_ns + number * MS, **fields})


def numbers(spans: Iterable[SpanRecord]) -> list[int]:
    return [int(record.span_id, 16) for record in spans]


@pytest.mark.parametrize(
    "pattern", ["Cart.total", "total", "shop.cart.Cart.total", "*.total", "Cart.*", "t?tal", "[st]otal"]
)
def test_function_is_found_by_bare_and_dotted_name_and_glob(pattern: str) -> None:
    """Users write the name as they think of it."""
    assert names_function(pattern, "shop.cart", "Cart.total", "any span name")


@pytest.mark.parametrize(
    "pattern", ["Total", "cart.Cart.total", "Cart", "shop.cart", "any span name", "tota", "otal", ""]
)
def test_other_names_do_not_mean_the_function(pattern: str) -> None:
    """Case counts, parts of names do not match, and a span that is a function goes by the function's name alone."""
    assert not names_function(pattern, "shop.cart", "Cart.total", "any span name")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("GET /cart", "GET /cart", True),
        ("GET *", "GET /cart", True),
        ("/cart", "GET /cart", False),
        ("GET /[id]", "GET /[id]", True),
        ("GET /[id]", "GET /i", True),
        ("loading*?", "loading*?", True),
    ],
)
def test_span_without_function_is_found_by_its_name(pattern: str, name: str, expected: bool) -> None:
    """A name that looks like a glob is found by itself too."""
    assert names_function(pattern, "", "", name) is expected


@given(st.text(min_size=1), st.text(), st.text(min_size=1))
def test_every_function_is_found_by_each_of_its_own_names(function: str, module: str, name: str) -> None:
    """Whatever signs a name contains."""
    record = SpanRecord(TRACE, "b" * 16, name, 0, function=function, module=module)
    assert matches_function(record.qualified_name, record)
    assert matches_function(function, record)
    assert matches_function("*", record)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1))
def test_page_begins_after_the_cursors_record(start_ns: int, span_id: int) -> None:
    """The cursor's text and the record itself name the same place: everything strictly older."""
    record = SpanRecord(TRACE, f"{span_id:016x}", "f", start_ns)
    reader = ListReader([record, replace(record, start_ns=start_ns - 1, span_id="f" * 16)])
    assert [each.start_ns for each in reader.query_executions(after=record)] == [start_ns - 1]
    assert [each.start_ns for each in reader.query_executions(after=cursor_of(record))] == [start_ns - 1]


def test_pages_together_are_everything_once() -> None:
    """Equal starts included, where the span's id decides."""
    spans = [span(number, start_ns=NOON_NS + number // 3) for number in range(10)]
    reader, seen, last = ListReader(spans), [], None
    while page := list(reader.query_executions(limit=3, after=last)):
        seen += page
        last = page[-1]
    assert numbers(seen) == list(range(9, -1, -1))


def test_executions_come_newest_first_a_hundred_at_most() -> None:
    """`limit=None` gives all."""
    reader = ListReader(span(number) for number in range(150))
    assert numbers(reader.query_executions()) == list(range(149, 49, -1))
    assert len(list(reader.query_executions(limit=None))) == 150
    assert list(reader.query_executions(limit=0)) == []
    assert DEFAULT_LIMIT == 100


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"function_name": "total"}, [4]),
        ({"status": FAILED}, [3]),
        ({"status": STARTED}, [5]),
        ({"kind": "SERVER"}, [2]),
        ({"trace_id": OTHER_TRACE.upper()}, [1]),
        ({"trace_id": f" 0x{OTHER_TRACE} "}, [1]),
        ({"min_duration_ms": 3}, [4, 3]),
        ({"min_duration_ms": 3.5}, [4]),
        ({"start_time": "2026-11-22T12:00:03Z"}, [5, 4, 3]),
        ({"end_time": datetime(2026, 11, 22, 12, 0, 3, tzinfo=timezone.utc)}, [2, 1]),
        ({"start_time": "2026-11-22T12:00:02Z", "end_time": "2026-11-22T12:00:04Z", "limit": 1}, [3]),
        ({"start_time": "0001-01-01", "end_time": "9999-12-31"}, [5, 4, 3, 2, 1]),
        ({"function_name": "nobody"}, []),
    ],
    ids=str,
)
def test_each_filter_keeps_what_it_names(wanted: dict[str, Any], expected: list[int]) -> None:
    """The start is inclusive, the end exclusive, and a minimum of time includes itself."""
    reader = ListReader(
        [
            span(1, trace_id=OTHER_TRACE),
            span(2, kind="server"),
            span(3, status=FAILED),
            span(4, function="total", module="shop"),
            span(5, status=STARTED, end_ns=None),
        ]
    )
    assert numbers(reader.query_executions(**wanted)) == expected


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"status": "complete"}, "status is 'complete'; expected one of started, completed, failed, aborted."),
        ({"limit": -1}, "limit is -1; expected a whole number from 0, or None for all."),
        ({"limit": True}, "limit is True; expected a whole number from 0, or None for all."),
        ({"limit": 1.5}, "limit is 1.5; expected a whole number from 0, or None for all."),
        ({"limit": "5"}, "limit is '5'; expected a whole number from 0, or None for all."),
        ({"trace_id": "xyz"}, "trace_id is 'xyz'; expected up to 32 hexadecimal digits."),
        ({"trace_id": "ab"}, "trace_id is 'ab'; expected 32 hexadecimal digits."),
        ({"after": "xyz"}, "after is 'xyz'; expected the cursor that the previous page ended with."),
        ({"after": "9" * 400}, "after is '" + "9" * 60 + "'; expected the cursor that the previous page ended with."),
        ({"after": f"{2**63}-{'a' * 16}"}, "after is '9223372036854775808-aaaaaaaaaaaaaaaa'; expected the cursor that"),
        ({"after": 5}, "after is '5'; expected the cursor that the previous page ended with."),
        ({"min_duration_ms": float("nan")}, "min_duration_ms is nan; expected a number of milliseconds from 0."),
        ({"min_duration_ms": float("inf")}, "min_duration_ms is inf; expected a number of milliseconds from 0."),
        ({"min_duration_ms": "5"}, "min_duration_ms is '5'; expected a number of milliseconds from 0."),
        ({"min_duration_ms": -1}, "min_duration_ms is -1; expected a number of milliseconds from 0."),
        ({"kind": "servr"}, "kind is 'servr'; expected one of internal, server, client, producer, consumer."),
        ({"kind": 5}, "kind is 5; expected one of internal, server, client, producer, consumer."),
        ({"function_name": 5}, "function_name is 5; expected a name or a glob such as 'shop.*'."),
        (
            {"start_time": "soon"},
            "start_time is 'soon'; expected an age such as '90s', '15m', '1h', '7d' or a time such",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_filter_that_makes_no_sense_is_one_sentence(wanted: dict[str, Any], sentence: str) -> None:
    """It is raised by the call itself, not by the first step of the iterator, and names parameter and value."""
    with pytest.raises(QueryError) as caught:
        ListReader().query_executions(**wanted)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda reader: reader.get_statistics(5),
        lambda reader: reader.get_statistics("f", start_time="soon"),
        lambda reader: reader.function_statistics(order_by="speed"),
        lambda reader: reader.function_statistics(limit=-1),
        lambda reader: reader.function_statistics(kind="servr"),
        lambda reader: reader.events(trace_id="zz"),
        lambda reader: reader.events(limit=-1),
        lambda reader: reader.events(5),
        lambda reader: reader.get_trace(""),
        lambda reader: reader.get_trace("g1"),
        lambda reader: reader.get_trace("a" * 33),
    ],
)
def test_every_method_refuses_in_the_same_way(call: Callable[[StoreReader], object]) -> None:
    """A mistake is a QueryError, which is also a ValueError."""
    with pytest.raises(QueryError) as caught:
        call(ListReader())
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("wanted", [{"min_duration_ms": 1e307}, {"limit": 10**30}], ids=str)
def test_huge_numbers_reach_a_store_within_64_bits(wanted: dict[str, Any]) -> None:
    """A database's driver refuses any other."""
    seen: list[Any] = []

    class Watching(ListReader):
        def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
            seen.extend([wanted.min_duration_ns, limit])
            return iter(())

    list(Watching().query_executions(**wanted))
    assert all(-(2**63) <= value < 2**63 for value in seen if isinstance(value, int))


def test_trace_is_found_by_a_prefix_and_comes_oldest_first() -> None:
    """A prefix that fits several traces asks for more of it."""
    reader = ListReader([span(2), span(1), span(3, trace_id=OTHER_TRACE)])
    assert numbers(reader.get_trace("A1")) == [1, 2]
    assert reader.get_trace("ff") == []
    with pytest.raises(QueryError, match="2 traces begin with 'a'; give more of the trace id"):
        reader.get_trace("a")


FAILURE = {"type": "ValueError", "message": "bad"}


def test_outer_failed_spans_get_the_traceback_of_the_span_that_recorded_it() -> None:
    """By trace, type and message; a failure of another trace or with another message gets none."""
    reader = ListReader(
        [
            span(1, status=FAILED, error=FAILURE),
            span(2, status=FAILED, error={**FAILURE, "traceback": "Traceback ..."}),
            span(3, status=FAILED, error={**FAILURE, "message": "else"}),
            span(4, status=FAILED, error=FAILURE, trace_id=OTHER_TRACE),
        ]
    )
    filled = {number: "traceback" in record.error for number, record in enumerated(reader.query_executions())}
    assert filled == {1: True, 2: True, 3: False, 4: False}
    assert [record.error.get("traceback") for record in reader.get_trace(TRACE)] == [
        "Traceback ...",
        "Traceback ...",
        None,
    ]


def enumerated(spans: Iterable[SpanRecord]) -> Iterator[tuple[int, SpanRecord]]:
    return ((int(record.span_id, 16), record) for record in spans)


def test_tracebacks_are_looked_up_a_page_at_a_time_and_only_if_any_lacks() -> None:
    """A long answer does not hold every trace id at once, and a store without failures is never asked."""
    failed = [span(number, status=FAILED, error=FAILURE, trace_id=f"{number:032x}") for number in range(250)]
    reader = ListReader(failed)
    assert len(list(reader.query_executions(limit=None))) == 250
    assert [len(ids) for ids in reader.failure_lookups] == [100, 100, 50]
    healthy = ListReader(span(number) for number in range(5))
    list(healthy.query_executions())
    assert healthy.failure_lookups == []


def test_statistics_are_over_everything_that_the_name_means() -> None:
    """A glob sums up; a name that nobody bears gives zeros."""
    reader = ListReader([span(1, function="a", module="m"), span(2, function="b", module="m", status=FAILED)])
    statistics = reader.get_statistics("m.*")
    assert (statistics.function_name, statistics.total, statistics.failed) == ("m.*", 2, 1)
    assert reader.get_statistics("a", start_time="2026-11-22T12:00:02Z") == Statistics("a")
    assert reader.get_statistics("nobody") == Statistics("nobody")


def test_function_statistics_are_sorted_by_any_number() -> None:
    """Largest first; functions without that number last; equal ones by name."""
    reader = ListReader(
        [
            span(1, name="slow", end_ns=NOON_NS + 9 * S),
            *(span(number, name="often") for number in (2, 3, 4)),
            span(5, name="running", status=STARTED, end_ns=None),
            span(6, name="b", status=COMPLETED),
            span(7, name="a", end_ns=span(7).start_ns + 6 * MS),
        ]
    )
    by_time = [statistics.function_name for statistics in reader.function_statistics()]
    assert by_time == ["slow", "a", "b", "often", "running"]
    by_total = reader.function_statistics(order_by="total", limit=2)
    assert [(statistics.function_name, statistics.total) for statistics in by_total] == [("often", 3), ("a", 1)]


def test_events_are_filtered_by_name_time_and_trace() -> None:
    """Newest first, as executions."""
    reader = ListReader(
        events=[
            EventRecord("user.came", NOON_NS, trace_id=TRACE),
            EventRecord("user.left", NOON_NS + S),
            EventRecord("order.paid", NOON_NS + 2 * S),
        ]
    )
    assert [event.name for event in reader.events()] == ["order.paid", "user.left", "user.came"]
    assert [event.name for event in reader.events("user.*", limit=1)] == ["user.left"]
    assert [event.name for event in reader.events(trace_id=TRACE)] == ["user.came"]
    assert [event.name for event in reader.events(end_time="2026-11-22T12:00:01Z")] == ["user.came"]


def test_reader_is_a_context_manager() -> None:
    """Leaving it closes it."""
    closed = []

    class Closing(ListReader):
        def close(self) -> None:
            closed.append(True)

    with Closing() as reader:
        assert isinstance(reader, StoreReader)
    assert closed == [True]
