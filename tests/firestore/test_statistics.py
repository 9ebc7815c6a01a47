"""Statistics of more executions than are read one by one: counted by the server, percentiles 2 % off at most."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from stores.helpers import BEGIN_NS, SECOND_NS, make_span
from stores.test_contract import _plain_statistics

from otel_tracker import open_store
from otel_tracker.errors import QueryError
from otel_tracker.records import SpanRecord
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.firestore import STORE, statistics
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.options import options_of
from otel_tracker_exporters.firestore.reader import FirestoreReader
from otel_tracker_exporters.firestore.rollups import Rollups

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("firestore")]

FUNCTIONS = ("f", "g", "Cart.f")


@pytest.fixture
def stored(firestore_project: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[SpanRecord]]:
    """Six hundred executions of three functions, in a store that reads ten of them one by one at most."""
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_MAX_WRITES_PER_S", "0")
    monkeypatch.setattr(statistics, "SCANNED", 10)
    source = random.Random(3)
    spans = []
    for number in range(600):
        start_ns = BEGIN_NS + number * 20 * SECOND_NS
        status = source.choices(("completed", "failed", "started"), (80, 15, 5))[0]
        duration_ns = round(math.exp(source.uniform(5, 22)))
        spans.append(
            make_span(
                number,
                function=source.choice(FUNCTIONS),
                module="shop",
                status=status,
                start_ns=start_ns,
                end_ns=None if status == "started" else start_ns + duration_ns,
            )
        )
    location = f"firestore://{firestore_project}/function_tracking"
    assert STORE.open_writer is not None
    writer = STORE.open_writer(location, None)
    assert writer.write(spans)
    writer.close()
    return location, spans


def count_all(location: str, spans: list[SpanRecord]) -> None:
    """Write what a process would have counted of these spans."""
    connection = Connection(options_of({"project": location.split("/")[2]}))
    rollups = Rollups(connection.options)
    for span in spans:
        rollups.count(span)
    connection.batch_write(rollups.writes(connection.document_root()))
    connection.batch_write(rollups.writes(connection.document_root()))  # twice is once
    connection.close()


def assert_close(found: dict[str, Any], spans: list[SpanRecord]) -> None:
    """Everything is exact but the percentiles, which are 2 % off at most."""
    exact = _plain_statistics(found["function_name"], spans)
    for name, value in exact.items():
        expected = pytest.approx(value, rel=0.02 if name.startswith("p") else 1e-12) if type(value) is float else value
        assert found[name] == expected, name


@pytest.mark.parametrize("rolled", ["nothing", "everything", "a part"])
def test_statistics_of_many_are_exact_but_for_percentiles(stored: tuple[str, list[SpanRecord]], rolled: str) -> None:
    """With rollups, with some of them missing, and without any; by name, glob, time, and for each function."""
    location, spans = stored
    if rolled != "nothing":
        count_all(location, spans if rolled == "everything" else spans[:200])
    first, last = BEGIN_NS + 50 * 20 * SECOND_NS, BEGIN_NS + 500 * 20 * SECOND_NS
    times = {"start_time": format_time(first), "end_time": format_time(last)}
    with open_store(location) as reader:
        assert isinstance(reader, FirestoreReader)
        wanted: list[tuple[str, Callable[[SpanRecord], bool]]] = [
            ("shop.g", lambda span: span.function == "g"),
            ("f", lambda span: span.function in ("f", "Cart.f")),
            ("shop.Cart*", lambda span: span.function == "Cart.f"),
            ("*", lambda span: True),
        ]
        for name, matches in wanted:
            reads = reader.document_reads
            assert_close(reader.get_statistics(name).to_dict(), list(filter(matches, spans)))
            assert reader.document_reads - reads < 60
        within = [span for span in spans if first <= span.start_ns < last and span.function == "g"]
        assert_close(reader.get_statistics("shop.g", **times).to_dict(), within)
        each = {entry.function_name: entry.to_dict() for entry in reader.function_statistics()}
    assert set(each) == {f"shop.{function}" for function in FUNCTIONS}
    for name, found in each.items():
        assert_close(found, [span for span in spans if span.qualified_name == name])


def test_more_functions_than_are_looked_for_are_refused(
    stored: tuple[str, list[SpanRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost of a question is bounded, and the sentence says how to ask for less."""
    monkeypatch.setattr(statistics, "MAX_FUNCTIONS", 2)
    with open_store(stored[0]) as reader, pytest.raises(QueryError, match="name one"):
        reader.function_statistics()


def test_reader_says_what_a_page_has_cost(stored: tuple[str, list[SpanRecord]]) -> None:
    """A page of an exact query costs one document more than it gives."""
    with open_store(stored[0]) as reader:
        assert isinstance(reader, FirestoreReader)
        assert len(list(reader.query_executions("shop.g", limit=25))) == 25
        assert reader.document_reads == 26


def test_shards_are_asked_and_merged(firestore_project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a shard field the newest come first all the same, whichever shard they are in."""
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_SHARDS", "3")
    location = f"firestore://{firestore_project}/function_tracking"
    assert STORE.open_writer is not None
    writer = STORE.open_writer(location, None)
    spans = [make_span(number, span_id=f"{number * 7919:08x}{number:08x}") for number in range(60)]
    assert writer.write(spans)
    writer.close()
    with open_store(location) as reader:
        found = list(reader.query_executions(limit=40))
        assert [span.span_id for span in found] == [span.span_id for span in spans[:19:-1]]
        assert reader.get_statistics("total").total == 60
