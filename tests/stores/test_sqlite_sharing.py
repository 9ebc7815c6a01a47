"""Spans that an exporter hands over as texts: rows that share with others what all spans of their function have."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_tracker.records import Labels, SpanRecord, Texts
from otel_tracker.stores import open_store
from otel_tracker_exporters.sqlite.rows import (
    EVENT_LENGTH,
    SHARED_LENGTH,
    SPAN_LENGTH,
    Above,
    event_row,
    shared_row,
    span_row,
)
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .helpers import StoreUnderTest, ids, make_event, make_span

RESOURCE = {"service.name": "shop"}


@pytest.fixture
def kind() -> str:
    return "sqlite"


def shared_span(number: int, **fields: Any) -> SpanRecord:
    values = {"args": {"n": number}, "attributes": {"code.line.number": 7}, "scope": "shop", "resource": RESOURCE}
    return make_span(number, **{**values, **fields})


def members(mapping: Any) -> str:
    return json.dumps(dict(mapping), ensure_ascii=False, separators=(",", ":"))[1:-1]


def texts_of(span: SpanRecord, *, is_shared: bool = True) -> Texts:
    """What `SpanTexts` makes of a span of ours, or with attributes of its own of somebody else's."""
    attributes = members(span.attributes)
    labels = Labels(span.name, span.kind, span.function, span.module, attributes if is_shared else "")
    ids_of = (int(span.trace_id, 16), int(span.span_id, 16), int(span.parent_span_id or "0", 16))
    result = json.dumps(span.result) if span.has_result else None
    events = json.dumps(list(map(dict, span.events)), separators=(",", ":"))[1:-1]
    of_its_own = "" if is_shared else attributes
    end_ns = span.end_ns or 0
    told = (members(span.args), result, of_its_own, events, span.status_code, span.scope, span.resource)
    return (*ids_of, labels, span.start_ns, end_ns, *told)


def stored(store: StoreUnderTest) -> list[SpanRecord]:
    """In the order of storing."""
    with open_store(store.path) as reader:
        return [record for record, _ in reader.stored() if isinstance(record, SpanRecord)]


def write(store: StoreUnderTest, *items: Any) -> SqliteWriter:
    writer = store.new_writer()
    assert isinstance(writer, SqliteWriter)
    assert writer.write(items)
    return writer


def select(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


VARIOUS = [
    shared_span(1),
    shared_span(2, parent_span_id="00000000000000aa", has_result=True, result={"a": [1]}),
    shared_span(3, has_result=True, result=None, events=({"name": "e", "time": "2026-01-01T00:00:00.000000000Z"},)),
    shared_span(4, args={}, attributes={}, scope="", resource={}),
    shared_span(5, kind="server", status_code="OK", function="", module="", name="GET /"),
    shared_span(6, args={"note": "é\udcff"}),
]


@pytest.mark.parametrize("is_shared", [True, False])
def test_spans_come_back_as_their_records(store: StoreUnderTest, is_shared: bool) -> None:
    """Whether a span shares or not, reader and view say of it what its record says."""
    write(store, *(texts_of(span, is_shared=is_shared) for span in VARIOUS))
    assert stored(store) == VARIOUS
    columns = "kind, status_code, scope, attributes, args, result"
    expected = [
        (
            span.kind,
            span.status_code,
            span.scope or None,
            f"{{{members(span.attributes)}}}" if span.attributes else None,
        )
        for span in VARIOUS
    ]
    assert [row[:4] for row in select(store.path, f"SELECT {columns} FROM executions ORDER BY start")] == expected


def test_what_spans_share_is_stored_once(store: StoreUnderTest) -> None:
    """A hundred spans of a function have one row of names, one more where they differ."""
    write(store, *(texts_of(shared_span(n)) for n in range(100)), texts_of(shared_span(100, scope="other")))
    found = select(store.path, "SELECT name, scope, attributes FROM functions ORDER BY id")
    assert found == [("shop.total", scope, '{"code.line.number":7}') for scope in ("shop", "other")]
    reader = store.reader()
    assert [span.scope for span in reader.query_executions("total", limit=2)] == ["other", "shop"]
    assert reader.get_statistics("total").total == 101


def test_order_of_storing_is_that_of_the_batch(store: StoreUnderTest) -> None:
    """Records among the texts, of failures, stay where they were; ids have no gap and no repetition."""
    spans = [shared_span(n, status="failed" if n % 45 == 44 else "completed") for n in range(150)]
    write(store, *(span if span.status == "failed" else texts_of(span) for span in spans), make_event(1))
    assert ids(stored(store)) == ids(spans)
    assert select(store.path, "SELECT min(id), max(id), count(*) FROM stored_spans") == [(1, 150, 150)]


def test_a_batch_that_arrives_again_changes_nothing_but_the_order(store: StoreUnderTest) -> None:
    """As a whole, in part and beside new ones; and then go on as before."""
    spans = [shared_span(n) for n in range(80)]
    for first, last in ((0, 50), (0, 50), (20, 70), (70, 80)):
        write(store, *map(texts_of, spans[first:last]), *map(texts_of, spans[first : first + 1]))
    assert sorted(ids(stored(store))) == ids(spans)
    assert sorted(stored(store), key=lambda span: span.start_ns) == spans


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("is_started_first", [True, False])
def test_an_end_supersedes_a_start(store: StoreUnderTest, together: bool, is_started_first: bool) -> None:
    """Whichever comes first, in one batch or in two, by the long way or the short one."""
    span = shared_span(1)
    started = shared_span(1, status="started", end_ns=None, attributes={"only": "started"}, scope="")
    items = [started, texts_of(span)] if is_started_first else [texts_of(span), started]
    for batch in [items] if together else [[item] for item in items]:
        write(store, *batch)
    assert stored(store) == [span]


def test_a_span_that_fits_no_table_leaves_its_neighbours(store: StoreUnderTest) -> None:
    """Left out once and counted once, also when its batch is inserted twice."""
    writer = write(store, *(texts_of(shared_span(n)) for n in range(40)))
    unfit = texts_of(shared_span(41, start_ns=2**63))
    assert writer.write([texts_of(shared_span(39)), unfit, texts_of(shared_span(42))])
    assert writer.unwritable == 1
    assert len(stored(store)) == 41


def test_ids_are_not_given_again_when_the_last_are_gone(store: StoreUnderTest) -> None:
    """Who follows the store misses nothing after retention has removed the newest rows."""
    writer = write(store, *(texts_of(shared_span(n)) for n in range(10)))
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE marks SET value = 10 WHERE name = 'span_floor'")
        connection.execute("DELETE FROM stored_spans WHERE id > 5")
        connection.commit()
    for first in (10, 50):
        assert writer.write([texts_of(shared_span(n)) for n in range(first, first + 40)])
    assert select(store.path, "SELECT min(id), max(id) FROM stored_spans WHERE id > 5") == [(11, 90)]


def test_kind_is_asked_for_whoever_holds_it(store: StoreUnderTest) -> None:
    """Queries and statistics find spans by kind in their own row and in that of their function."""
    write(store, texts_of(shared_span(1)), texts_of(shared_span(2, kind="server")), shared_span(3, kind="server"))
    reader = store.reader()
    assert ids(reader.query_executions(kind="server")) == [shared_span(3).span_id, shared_span(2).span_id]
    assert ids(reader.query_executions("total", kind="internal")) == [shared_span(1).span_id]


def test_spans_of_several_traces_parents_functions_and_resources_keep_apart(store: StoreUnderTest) -> None:
    """What is remembered of the span before is that of the next one only where it is the same."""
    resources = (RESOURCE, {"service.name": "bank"}, {})
    spans = [
        shared_span(
            n,
            trace_id=f"{n // 4 + 1:032x}",
            parent_span_id=f"{n % 3 + 7:016x}" if n % 3 else "",
            name=f"shop.{n % 5}",
            scope=f"scope {n % 2}",
            start_ns=n if n % 7 else 10**18,
            end_ns=10**18 + n,
            resource=resources[n // 5 % 3],
        )
        for n in range(1, 100)
    ]
    write(store, *map(texts_of, spans))
    assert stored(store) == spans
    found = dict(select(store.path, "SELECT attributes, last_ns FROM resources"))
    newest = {
        json.dumps(r, separators=(",", ":")): max(s.start_ns for s in spans if s.resource == r) for r in resources
    }
    assert found == {text: time_ns for text, time_ns in newest.items() if text != "{}"}


def test_the_length_of_a_row_says_of_which_kind_it_is() -> None:
    """The three kinds of rows are told apart by it."""
    rows = (
        shared_row(texts_of(shared_span(1)), Above.of(1, 0), 1, None),
        span_row(shared_span(1), 1, None),
        event_row(make_event(1), 1),
    )
    assert tuple(map(len, rows)) == (SHARED_LENGTH, SPAN_LENGTH, EVENT_LENGTH)
