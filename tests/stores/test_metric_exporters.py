"""The metric exporters of every store, behind the real SDK: what was counted arrives once, whatever happens between."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_tracker import metric_exporting, open_store
from otel_tracker.metric_exporting import RecordMetricExporter
from otel_tracker.records import MetricRecord

from .helpers import SUFFIXES, make_metric, make_span
from .test_exporters import exporter_class

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


class Metered:
    """A provider in front of one exporter, which exports when it is told to."""

    def __init__(self, exporter: RecordMetricExporter, **options: Any) -> None:
        self.exporter = exporter
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
        self.provider = MeterProvider(
            metric_readers=[reader], resource=Resource({"service.name": "shop"}), shutdown_on_exit=False, **options
        )
        self.meter = self.provider.get_meter("shop.lib")


@pytest.fixture
def path(kind: str, tmp_path: Path) -> Path:
    return tmp_path / f"store{SUFFIXES[kind]}"


@pytest.fixture
def metered(kind: str, path: Path) -> Iterator[Metered]:
    """The exporter of every kind of store in turn, as its entry point names it."""
    found = Metered(exporter_class("opentelemetry_metrics_exporter", kind)(path=path))
    yield found
    found.provider.shutdown()


def stored(path: Path, name: str | None = None) -> list[MetricRecord]:
    """The points in a store, oldest first."""
    with open_store(path) as reader:
        return list(reader.metrics(name, limit=None))[::-1]


def test_measurements_of_every_instrument_arrive_as_records(metered: Metered, path: Path) -> None:
    """With name, unit, labels, numbers, scope and resource; each kind in the temporality that adds up."""
    meter = metered.meter

    def observe(options: CallbackOptions) -> list[Observation]:
        return [Observation(7)]

    meter.create_counter("orders", "{order}", "Orders placed").add(3, {"region": "eu"})
    meter.create_up_down_counter("queue").add(-2)
    meter.create_gauge("load").set(0.5)
    meter.create_histogram("duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1]).record(0.5)
    meter.create_observable_counter("read", [observe])
    meter.create_observable_up_down_counter("open", [observe])
    meter.create_observable_gauge("heat", [observe])
    metered.provider.force_flush()
    found = {point.name: point for point in stored(path)}
    assert {name: (point.kind, point.temporality, point.value) for name, point in found.items()} == {
        "orders": ("counter", "delta", 3),
        "queue": ("up_down_counter", "cumulative", -2),
        "load": ("gauge", "", 0.5),
        "duration": ("histogram", "delta", None),
        "read": ("counter", "delta", 7),
        "open": ("up_down_counter", "cumulative", 7),
        "heat": ("gauge", "", 7),
    }
    orders, duration = found["orders"], found["duration"]
    assert (orders.unit, orders.description, orders.attributes) == ("{order}", "Orders placed", {"region": "eu"})
    assert (orders.scope, orders.resource) == ("shop.lib", {"service.name": "shop"})
    assert (duration.count, duration.sum, duration.min, duration.max) == (1, 0.5, 0.5, 0.5)
    assert duration.buckets == ((0.1, 0), (1.0, 1), (None, 0))
    assert duration.start_ns is not None
    assert duration.start_ns < duration.time_ns


def test_a_counter_adds_up_over_exports(metered: Metered, path: Path) -> None:
    """Each export tells what came since the last one, and one in which nothing came tells nothing."""
    counter = metered.meter.create_counter("orders")
    for value in (3, 4, 0):
        if value:
            counter.add(value)
        metered.provider.force_flush()
    points = stored(path)
    assert [point.value for point in points] == [3, 4]
    assert points[1].start_ns == points[0].time_ns


def test_an_exemplar_leads_to_the_trace(metered: Metered, path: Path) -> None:
    """A measurement inside of a sampled span says in which."""
    with TracerProvider(shutdown_on_exit=False).get_tracer("x").start_as_current_span("work") as span:
        metered.meter.create_histogram("duration").record(5)
    metered.provider.force_flush()
    (exemplar,) = stored(path)[0].exemplars
    context = span.get_span_context()
    assert exemplar["value"] == 5
    assert (exemplar["trace_id"], exemplar["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_exponential_histograms_arrive(kind: str, path: Path) -> None:
    """Where a view asks for them."""
    exporter = exporter_class("opentelemetry_metrics_exporter", kind)(path=path)
    metered = Metered(exporter, views=[View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())])
    histogram = metered.meter.create_histogram("size")
    for value in (0, 1, 2, 3):
        histogram.record(value)
    metered.provider.force_flush()
    metered.provider.shutdown()
    (point,) = stored(path)
    assert (point.kind, point.count, point.sum, point.exponential["zero_count"]) == ("exponential_histogram", 4, 6, 1)
    assert sum(point.exponential["positive"]["counts"]) == 3


def test_secrets_do_not_reach_the_store(metered: Metered, path: Path) -> None:
    """A label under a secret name, a token in a value: as everywhere."""
    metered.meter.create_counter("orders").add(1, {"password": "hunter2", "note": "Bearer abcdefghijklmnop123456"})
    metered.provider.force_flush()
    assert b"hunter2" not in path.read_bytes()
    assert stored(path)[0].attributes["password"] == "[redacted]"
    assert "abcdefghijklmnop123456" not in stored(path)[0].attributes["note"]


def test_numbers_that_no_store_holds_become_floats(metered: Metered, path: Path) -> None:
    """An integer beyond 64 bits is the nearest float."""
    metered.meter.create_counter("atoms").add(2**70)
    metered.provider.force_flush()
    assert stored(path)[0].value == float(2**70)


def break_store(path: Path) -> None:
    """Put a folder where the store belongs: nothing can be written."""
    path.mkdir()


def test_points_whose_writing_failed_are_stored_with_the_next(
    metered: Metered, path: Path, sentences: list[str]
) -> None:
    """A delta is told once: what was lost would be missing from every sum. Said once, with the way out."""
    break_store(path)
    counter = metered.meter.create_counter("orders")
    for value in (1, 2, 4):
        counter.add(value)
        metered.provider.force_flush()
    assert not metered.exporter.force_flush()
    assert len(sentences) == 1
    path.rmdir()
    counter.add(8)
    metered.provider.force_flush()
    assert [point.value for point in stored(path)] == [1, 2, 4, 8]
    assert metered.exporter.force_flush()
    assert metered.exporter.dropped == 0


def test_what_is_kept_is_written_at_shutdown(metered: Metered, path: Path) -> None:
    """The last chance."""
    break_store(path)
    metered.meter.create_counter("orders").add(5)
    metered.provider.force_flush()
    path.rmdir()
    metered.provider.shutdown()
    assert [point.value for point in stored(path)] == [5]


def test_beyond_the_bound_the_oldest_points_are_dropped_counted_and_said_once(
    metered: Metered, path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is away for days costs bounded memory."""
    monkeypatch.setattr(metric_exporting, "MAX_KEPT", 3)
    break_store(path)
    counter = metered.meter.create_counter("orders")
    for value in range(1, 6):
        counter.add(value)
        metered.provider.force_flush()
    assert metered.exporter.dropped == 2
    assert [sentence for sentence in sentences if "are lost" in sentence] == [
        f"Metric points could not be stored in {path} for so long that the oldest are lost (1 so far): sums of "
        "counters and histograms lack them. See to the store."
    ]
    path.rmdir()
    metered.provider.force_flush()
    counter.add(6)
    metered.provider.force_flush()
    assert [point.value for point in stored(path)] == [3, 4, 5, 6]


@needs_fork
def test_a_child_writes_nothing_of_what_its_parent_has_kept(metered: Metered, path: Path) -> None:
    """Both write what they count themselves, the parent what it kept, and nothing comes twice."""
    break_store(path)
    metered.meter.create_counter("parents").add(1)
    metered.provider.force_flush()
    path.rmdir()
    pid = os.fork()
    if pid == 0:
        try:
            own = MeterProvider(
                [PeriodicExportingMetricReader(metered.exporter, export_interval_millis=math.inf)],
                shutdown_on_exit=False,
            )
            own.get_meter("child").create_counter("childs").add(1)
            own.force_flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert [point.name for point in stored(path)] == ["childs"]
    metered.provider.force_flush()
    metered.meter.create_counter("parents").add(1)
    metered.provider.force_flush()
    assert sorted(point.name for point in stored(path)) == ["childs", "parents", "parents"]


def test_an_export_does_not_outlast_its_deadline(tmp_path: Path) -> None:
    """Another program holds the file: the export gives up in time, and its points come with the next."""
    path = tmp_path / "store.db"
    metered = Metered(exporter_class("opentelemetry_metrics_exporter", "sqlite")(path=path))
    counter = metered.meter.create_counter("orders")
    counter.add(1)
    metered.provider.force_flush()
    counter.add(2)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        begin_s = time.monotonic()
        metered.provider.force_flush(timeout_millis=200)
        assert time.monotonic() - begin_s < 2
        holder.execute("ROLLBACK")
    metered.provider.shutdown()
    assert [point.value for point in stored(path)] == [1, 2]


def test_a_writer_that_is_busy_is_waited_for_no_longer_than_the_deadline(metered: Metered) -> None:
    """Another thread may be in the middle of a slow batch."""
    writer, begun, ends = metered.exporter._writer, threading.Event(), threading.Event()

    def slow() -> Iterator[Any]:
        begun.set()
        ends.wait(10)
        yield make_metric(1)

    thread = threading.Thread(target=writer.write, args=(slow(),))
    thread.start()
    begun.wait(10)
    begin_s = time.monotonic()
    assert not writer.write([make_span(1)], timeout_s=0.05)
    assert time.monotonic() - begin_s < 5
    ends.set()
    thread.join()


def test_an_export_never_raises(metered: Metered, path: Path) -> None:
    """Not for data of nobody's shape, and not after the end."""
    assert metered.exporter.export(None) is MetricExportResult.FAILURE  # type: ignore[arg-type]
    assert metered.exporter.export(MetricsData([])) is MetricExportResult.SUCCESS
    metered.exporter.shutdown()
    metered.exporter.shutdown(timeout=1.0)
    metered.meter.create_counter("late").add(1)
    metered.provider.force_flush()
    assert not path.exists()
