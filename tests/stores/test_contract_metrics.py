"""The one contract, continued: metric points, in every store."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import metric_records

from otel_tracker.errors import QueryError
from otel_tracker.query import MetricFilter
from otel_tracker.records import MetricRecord
from otel_tracker.stores import open_store
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.jsonl.names import put_aside_files
from otel_tracker_exporters.jsonl.writer import JsonlWriter

from .helpers import (
    BEGIN_NS,
    FULL_EXPONENTIAL,
    FULL_LOG,
    FULL_METRIC,
    FULL_SUMMARY,
    SECOND_NS,
    SUFFIXES,
    StoreUnderTest,
    make_event,
    make_log,
    make_metric,
    make_span,
)


def seconds_of(points: Iterable[MetricRecord]) -> list[int]:
    """How many seconds after `BEGIN_NS` each of them was."""
    return [(point.time_ns - BEGIN_NS) // SECOND_NS for point in points]


def test_a_metric_point_comes_back_as_it_was_written(store: StoreUnderTest) -> None:
    """Every kind and field survives, integers stay integers and floats floats, and what is absent stays absent."""
    numbers = [make_metric(n, kind="gauge", value=value) for n, value in enumerate((None, 0, 1, 1.0, -(2**63)), 4)]
    written = [MetricRecord("bare", BEGIN_NS), FULL_METRIC, FULL_EXPONENTIAL, FULL_SUMMARY, *numbers]
    store.write(*written, FULL_LOG)
    reader = store.reader()
    found = list(reader.metrics())
    assert found == written[::-1]
    assert [repr(point.value) for point in found[:5]] == ["-9223372036854775808", "1.0", "1", "0", "None"]
    assert [point.to_dict() for point in found] == [point.to_dict() for point in written[::-1]]
    assert list(reader.logs()) == [FULL_LOG]


def test_metric_points_come_newest_first_within_limit_and_times(store: StoreUnderTest) -> None:
    """Whatever the order of writing; `since` is inclusive and `until` exclusive."""
    store.write(*(make_metric(n) for n in (3, 0, 4, 1, 2)), make_event(9), make_span(9))
    reader = store.reader()
    for limit in (0, 1, 3, None):
        assert seconds_of(reader.metrics(limit=limit)) == [4, 3, 2, 1, 0][:limit]
    first, last = format_time(BEGIN_NS + SECOND_NS), format_time(BEGIN_NS + 3 * SECOND_NS)
    assert seconds_of(reader.metrics(since=first, until=last)) == [2, 1]


def test_metric_points_are_found_by_name_kind_and_attributes(store: StoreUnderTest) -> None:
    """A name or a glob, a kind, and attributes that a point has among others."""
    labels: list[dict[str, Any]] = [{}, {"region": "eu"}, {"region": "eu", "n": 1}, {"region": "us"}, {"n": 1}]
    store.write(*(make_metric(n, attributes=attributes) for n, attributes in enumerate(labels)))
    store.write(make_metric(5, name="shop.load", kind="gauge", value=0.5), make_metric(6, name="other"))
    reader = store.reader()
    assert seconds_of(reader.metrics("shop.orders")) == [4, 3, 2, 1, 0]
    assert seconds_of(reader.metrics("shop.*", limit=2)) == [5, 4]
    assert seconds_of(reader.metrics("SHOP.orders")) == []
    assert seconds_of(reader.metrics(kind="gauge")) == [5]
    assert seconds_of(reader.metrics(attributes={"region": "eu"})) == [2, 1]
    assert seconds_of(reader.metrics("shop.orders", attributes={"region": "eu", "n": 1})) == [2]
    assert seconds_of(reader.metrics(attributes={"region": None})) == []


def test_a_filter_that_makes_no_sense_is_a_sentence(store: StoreUnderTest) -> None:
    """It names what was given and what was expected."""
    store.write(make_metric(0))
    reader = store.reader()
    with pytest.raises(QueryError, match="kind is 'rate'; expected one of counter, up_down_counter, gauge, histogram"):
        reader.metrics(kind="rate")
    with pytest.raises(QueryError, match="since is 'yesterday'; expected an age"):
        reader.metrics(since="yesterday")
    with pytest.raises(QueryError, match="attributes is 'eu'; expected a mapping"):
        reader.metrics(attributes="eu")  # type: ignore[arg-type]


def test_equal_metric_points_are_all_kept(store: StoreUnderTest) -> None:
    """Two processes may count the same in the same moment."""
    store.write(make_metric(1), make_metric(1))
    assert len(list(store.reader().metrics())) == 2


def test_metric_points_stand_among_what_was_stored(store: StoreUnderTest) -> None:
    """Whoever follows a store or converts it meets them, and goes on behind any; statistics do not count them."""
    store.write(make_span(1), make_event(2), make_log(3), make_metric(4), make_metric(5))
    reader = store.reader()
    stored = list(reader.stored())
    expected = [make_span(1), make_event(2), make_log(3), make_metric(4), make_metric(5)]
    assert [entry.record for entry in stored] == expected
    for number, entry in enumerate(stored, 1):
        assert [later.record for later in reader.stored(entry.position)] == expected[number:]
    assert list(reader.tail(last=2, timeout_s=0)) == [make_metric(4), make_metric(5)]
    assert reader.get_statistics("total").total == 1
    assert [entry.function_name for entry in reader.function_statistics()] == ["shop.total"]


def test_a_metric_point_that_cannot_be_stored_costs_no_neighbour(store: StoreUnderTest, sentences: list[str]) -> None:
    """It is left out, counted and said once; lone surrogates cost nothing."""
    lone = make_metric(2, attributes={"k": "\ud83d"})
    assert store.write(make_metric(0), make_metric(1, attributes={"a": float("nan")}), lone, make_span(3))
    assert list(store.reader().metrics()) == [lone, make_metric(0)]
    assert store.writers[0].unwritable == 1
    assert len(sentences) == 1


@pytest.mark.parametrize("format_name", ["record", "otlp"])
def test_points_are_found_in_all_files_of_both_formats(tmp_path: Path, format_name: str) -> None:
    """Those that were put aside and compressed as well; a signal has files of its own in `otlp`."""
    path = tmp_path / "shop.jsonl"
    written = tmp_path / ("shop.jsonl" if format_name == "record" else "shop.metrics.jsonl")
    points = [FULL_METRIC, FULL_EXPONENTIAL, FULL_SUMMARY, *(make_metric(n) for n in range(1, 30))]
    with closing(JsonlWriter(str(path), format=format_name, max_bytes=1_500, backups=99)) as writer:
        for point in points:
            assert writer.write([point, make_span(1)])
    aside = put_aside_files(written)
    assert len(aside) > 3
    oldest = aside[0].path
    if not oldest.name.endswith(".gz"):
        oldest.with_name(f"{oldest.name}.gz").write_bytes(gzip.compress(oldest.read_bytes()))
        oldest.unlink()
    with open_store(path) as reader:
        assert list(reader.metrics(limit=None)) == sorted(points, key=lambda point: -point.time_ns)
        assert list(reader.metrics("shop.orders", limit=1)) == [make_metric(29)]
        assert list(reader.metrics(kind="histogram")) == [FULL_METRIC]
        since = format_time(BEGIN_NS + 20 * SECOND_NS)
        assert seconds_of(reader.metrics(since=since)) == list(range(29, 19, -1))
        assert [entry.record for entry in reader.stored() if isinstance(entry.record, MetricRecord)] == points


@pytest.mark.parametrize("kind", sorted(SUFFIXES))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(points=st.lists(metric_records(), min_size=1, max_size=6), by_kind=st.booleans(), limit=st.none() | st.just(2))
def test_any_metric_points_give_the_plain_answer(
    kind: str, points: list[MetricRecord], by_kind: bool, limit: int | None
) -> None:
    """Whatever a metric point holds, it is found, ordered and given back unchanged."""
    first = points[0]
    filters: dict[str, Any] = {"kind": first.kind if by_kind else None, "attributes": first.attributes}
    with TemporaryDirectory() as folder:
        store = StoreUnderTest(kind, Path(folder, f"store{SUFFIXES[kind]}"))
        store.write(*points)
        found = list(store.reader().metrics(first.name, since=format_time(first.time_ns), limit=limit, **filters))
        everything = list(store.reader().metrics(limit=None))
        store.close()
    wanted = MetricFilter(first.name, **filters, start_ns=first.time_ns)
    newest_first = sorted(points, key=lambda point: point.time_ns)[::-1]
    assert everything == newest_first
    assert found == list(filter(wanted.matches, newest_first))[:limit]
