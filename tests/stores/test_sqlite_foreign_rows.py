"""Rows that another program changed in a sqlite store are passed over, said by their number, and keep nobody out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.convert import Conversion
from otel_tracker.errors import StoreUnreadableError
from otel_tracker.records import Record

from .helpers import StoreUnderTest, make_event, make_log, make_metric, make_span

SPAN_CHANGES = [
    "trace_id = 'text'",
    "trace_id = 5",
    "trace_id = x'0102'",
    "span_id = 'text'",
    "parent_span_id = 7",
    "start_ns = 'yesterday'",
    "start_ns = 0.5",
    "start_ns = x'01'",
    "end_ns = 'later'",
    "kind = x'01'",
    "status = x'01'",
    "scope = x'01'",
    "args = '{broken'",
    "args = '[1]'",
    "args = 5",
    "result = '{broken'",
    "error = 'null'",
    "attributes = x'ff'",
    "events = '5'",
    "events = '[5]'",
    "links = '{\"a\": 1}'",
    "args = replace(hex(zeroblob(50000)), '00', '[')",
]
EVENT_CHANGES = [
    "trace_id = 'text'",
    "span_id = 1",
    "time_ns = 'yesterday'",
    "name = x'01'",
    "severity = x'01'",
    "properties = '{broken'",
    "body = '{broken'",
    "error = '1'",
]


@pytest.fixture
def kind() -> str:
    return "sqlite"


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


def stored(reader: Any) -> list[Record]:
    return [entry.record for entry in reader.stored()]


@pytest.mark.parametrize("assignment", SPAN_CHANGES)
def test_all_other_spans_are_still_read(store: StoreUnderTest, sentences: list[str], assignment: str) -> None:
    """Whatever lies in one row: the newest first, of one function, of one trace, and in the order of storing."""
    spans = [make_span(number, args={"a": 1}) for number in range(3)]
    store.write(*spans)
    change(store.path, f"UPDATE stored_spans SET {assignment} WHERE id = 2")
    reader = store.reader()
    others = [spans[2], spans[0]]
    assert list(reader.query_executions(limit=None)) == others
    assert reader.skipped_rows == 1  # type: ignore[attr-defined]
    assert list(reader.query_executions(spans[0].name, limit=None)) == others
    assert stored(reader) == others[::-1]
    assert reader.skipped_rows == 1  # type: ignore[attr-defined]
    assert [span for span in reader.get_trace(spans[0].trace_id) if span in spans]
    assert reader.get_statistics(None).total >= 2
    assert [f"{store.path} holds rows" in sentence for sentence in sentences] == [True]
    assert "the one of stored_spans with id 2 (" in "".join(sentences)


@pytest.mark.parametrize("assignment", EVENT_CHANGES)
def test_all_other_events_are_still_read(store: StoreUnderTest, sentences: list[str], assignment: str) -> None:
    """As with spans."""
    events = [make_event(number) for number in range(3)]
    store.write(*events)
    change(store.path, f"UPDATE stored_events SET {assignment} WHERE id = 2")
    reader = store.reader()
    assert list(reader.events(limit=None)) == [events[2], events[0]]
    assert stored(reader) == [events[0], events[2]]
    assert reader.skipped_rows == 1  # type: ignore[attr-defined]
    assert ["the one of stored_events with id 2 (" in sentence for sentence in sentences] == [True]


@pytest.mark.parametrize("assignment", EVENT_CHANGES)
def test_all_other_logs_are_still_read(store: StoreUnderTest, sentences: list[str], assignment: str) -> None:
    """As with spans."""
    logs = [make_log(number) for number in range(3)]
    store.write(*logs)
    assignment = assignment.replace("name", "logger").replace("properties", "attributes")
    change(store.path, f"UPDATE stored_logs SET {assignment} WHERE id = 2")
    reader = store.reader()
    assert list(reader.logs(limit=None)) == [logs[2], logs[0]]
    assert stored(reader) == [logs[0], logs[2]]
    assert ["the one of stored_logs with id 2 (" in sentence for sentence in sentences] == [True]


@pytest.mark.parametrize(
    "assignment",
    [
        "time_ns = 'yesterday'",
        "name = x'01'",
        "kind = 'rate'",
        "kind = 5",
        "value = 'many'",
        "value = x'01'",
        "temporality = 'now'",
        "attributes = '[1]'",
        "exemplars = '[5]'",
        "kind = 'histogram', count = 1, buckets = '[[2, 1], [1, 1], [null, 0]]'",
        "kind = 'histogram', count = 1, buckets = '[[null, -1]]'",
        "kind = 'histogram', count = 1, buckets = '{\"a\": 1}'",
        "kind = 'histogram', count = -1",
        "kind = 'exponential_histogram', count = 1, exponential = '{\"scale\": 0.5}'",
    ],
)
def test_all_other_metric_points_are_still_read(store: StoreUnderTest, sentences: list[str], assignment: str) -> None:
    """As with spans."""
    points = [make_metric(number) for number in range(3)]
    store.write(*points)
    change(store.path, f"UPDATE stored_metrics SET {assignment} WHERE id = 2")
    reader = store.reader()
    assert list(reader.metrics(limit=None)) == [points[2], points[0]]
    assert stored(reader) == [points[0], points[2]]
    assert ["the one of stored_metrics with id 2 (" in sentence for sentence in sentences] == [True]


def test_a_whole_page_of_them_does_not_end_the_reading(store: StoreUnderTest) -> None:
    """What was stored behind many such rows is found, by who converts and by who follows."""
    spans = [make_span(number) for number in range(1_300)]
    store.write(*spans, make_event(2_000))
    change(store.path, "UPDATE stored_spans SET args = '{broken' WHERE id <= 1200")
    reader = store.reader()
    assert stored(reader) == [*spans[1_200:], make_event(2_000)]
    assert reader.skipped_rows == 1_200  # type: ignore[attr-defined]
    assert list(reader.tail(last=5, timeout_s=0)) == [*spans[1_296:], make_event(2_000)]


def test_a_limit_counts_what_is_shown(store: StoreUnderTest) -> None:
    """The newest record is the newest that can be read, however many newer rows cannot."""
    spans, events = [make_span(number) for number in range(40)], [make_event(number) for number in range(40)]
    store.write(*spans, *events)
    change(store.path, "UPDATE stored_spans SET args = '{broken' WHERE id > 20")
    change(store.path, "UPDATE stored_events SET body = '{broken' WHERE id % 2 = 0")
    reader = store.reader()
    for name in (None, spans[0].name):
        assert list(reader.query_executions(name, limit=1)) == [spans[19]]
        assert list(reader.query_executions(name, limit=30)) == spans[19::-1]
        assert reader.skipped_rows == 20  # type: ignore[attr-defined]
    assert list(reader.events(limit=7)) == events[38:24:-2]


def test_conversion_counts_them(store: StoreUnderTest, tmp_path: Path) -> None:
    """The rest arrives, and how many did not is said."""
    store.write(*(make_span(number) for number in range(5)))
    change(store.path, "UPDATE stored_spans SET trace_id = 'text' WHERE id = 3")
    converted = Conversion(str(store.path), str(tmp_path / "x.jsonl")).run()
    assert (converted.counts.spans, converted.counts.skipped_rows) == (4, 1)
    assert "; 1 row that cannot be read was passed over" in str(converted)


def test_text_that_is_none_is_said_in_a_sentence(store: StoreUnderTest) -> None:
    """SQLite gives no row at all that holds text in another encoding."""
    store.write(make_span(1, args={"a": 1}))
    change(store.path, "UPDATE stored_spans SET args = CAST(x'ff' AS TEXT)")
    with pytest.raises(StoreUnreadableError, match="holds text that is no UTF-8"):
        list(store.reader().query_executions())
