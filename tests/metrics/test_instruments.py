"""`counter`, `up_down_counter`, `gauge`, `histogram`: what arrives at a reader, and what never reaches the caller."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from otel_tracker import counter, disable, enable, gauge, histogram, span, traced, up_down_counter

from .helpers import Measured


def test_counter_adds_up_by_labels(measured: Measured) -> None:
    """Each set of labels is a point of its own, and one is the default amount."""
    placed = counter("orders.placed", unit="{order}", description="Orders.")
    placed.add(2, country="NL")
    placed.add(country="NL")
    placed.add(1.5, country="DE")
    placed.add()
    assert measured.values("orders.placed") == [({"country": "NL"}, 3), ({"country": "DE"}, 1.5), ({}, 1)]
    metric = measured.metrics()["orders.placed"]
    assert (metric.unit, metric.description) == ("{order}", "Orders.")


def test_up_down_counter_goes_down_as_well(measured: Measured) -> None:
    jobs = up_down_counter("jobs")
    jobs.add(3)
    jobs.add(-5)
    assert measured.one("jobs").value == -2


def test_gauge_has_its_last_value(measured: Measured) -> None:
    size = gauge("size", "By")
    size.set(7)
    size.set(-(2**63))
    assert measured.one("size").value == -(2**63)


def test_histogram_counts_by_its_buckets(measured: Measured) -> None:
    """Boundaries may come in any order and as any numbers."""
    sizes = histogram("sizes", "By", buckets=[100, Decimal(10)])
    for value in (5, 50, 500, 50):
        sizes.record(value)
    point = measured.one("sizes")
    assert (point.explicit_bounds, point.bucket_counts) == ((10.0, 100.0), (1, 2, 1))
    assert (point.count, point.sum, point.min, point.max) == (4, 605, 5, 500)


def test_any_name_is_a_label(measured: Measured) -> None:
    """Those of the parameters included."""
    labels: dict[str, Any] = {"name": "n", "value": "v", "unit": "u", "amount": 1, "self": True, "labels": 0.5}
    counter("free").add(1, **labels)
    histogram("free.too").record(1, **labels)
    gauge("free.also").set(1, **labels)
    for name in ("free", "free.too", "free.also"):
        assert dict(measured.one(name).attributes) == labels


def test_nothing_is_measured_until_there_is_a_provider(provide: Callable[[], Measured]) -> None:
    """Made at import, used at once; measured from the moment when somebody sets a provider, and by the newest one."""
    early = counter("early")
    early.add(100)
    first = provide()
    early.add(1)
    assert first.one("early").value == 1
    second = provide()
    early.add(5)
    assert (first.one("early").value, second.one("early").value) == (1, 5)


def test_same_name_is_the_same_object() -> None:
    """In any case of letters, and also when asked for with less."""
    first = counter("Orders", unit="{order}", description="Orders.")
    assert counter("Orders") is first
    assert counter("orders", "{order}", "Orders.") is first
    assert histogram("orders") is not first
    assert repr(first) == "<counter Orders>"


def test_another_unit_for_a_known_name_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first one holds."""
    first = histogram("latency", "s")
    for _ in range(3):
        assert histogram("latency", "ms") is first
    (record,) = caplog.records
    assert "has the unit 's'" in record.message
    assert "'ms'" in record.message


def test_another_kind_for_a_known_name_is_said_once(measured: Measured, caplog: pytest.LogCaptureFixture) -> None:
    counter("both").add(1)
    gauge("both")
    gauge("both")
    (record,) = caplog.records
    assert record.message.startswith("The metric both is both a counter and a gauge;")


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_empty_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="expected a text such as"):
        counter(name)


@pytest.mark.parametrize(
    ("given", "used"),
    [("orders placed!", "orders_placed_"), ("2nd", "metric_2nd"), ("é", "metric__"), ("x" * 300, "x" * 255)],
)
def test_name_that_opentelemetry_refuses_is_mended_and_said(
    measured: Measured, caplog: pytest.LogCaptureFixture, given: str, used: str
) -> None:
    """The measurements are not lost."""
    counter(given).add(1)
    counter(given).add(1)
    assert measured.one(used).value == 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize("unit", ["µs", "x" * 64, 7])
def test_unit_that_opentelemetry_refuses_is_left_out_and_said(
    measured: Measured, caplog: pytest.LogCaptureFixture, unit: Any
) -> None:
    histogram("odd.unit", unit).record(1)
    assert measured.metrics()["odd.unit"].unit == ""
    assert "expected ASCII text" in caplog.records[0].message


@pytest.mark.parametrize("buckets", [["a", 1], [float("nan")], 7, [1, 1]])
def test_buckets_that_make_no_sense_are_said(
    measured: Measured, caplog: pytest.LogCaptureFixture, buckets: Any
) -> None:
    histogram("odd.buckets", buckets=buckets).record(1)
    assert measured.one("odd.buckets").count == 1
    assert "expected different finite numbers" in caplog.records[0].message


class Raises:
    """Says that it is a number, and fails."""

    def __index__(self) -> int:
        raise RuntimeError("no")


HOSTILE = [float("nan"), float("inf"), -float("inf"), "3", None, [], object(), Raises(), 1j, 10**400, b"1"]


@pytest.mark.parametrize("make", [counter, up_down_counter])
def test_amount_that_is_no_number_is_left_out_and_said_once(
    measured: Measured, caplog: pytest.LogCaptureFixture, make: Any
) -> None:
    """It never raises, and does not disturb what else is counted."""
    made = make("hostile")
    for amount in HOSTILE * 2:
        made.add(amount)
    made.add(1)
    assert measured.one("hostile").value == 1
    assert len(caplog.records) == 1
    assert "expected a finite number" in caplog.records[0].message


def test_negative_amounts_are_left_out_where_they_make_no_sense(
    measured: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    counter("only.up").add(-1)
    histogram("positive").record(-0.5)
    assert measured.metrics() == {}
    assert ["from 0" in record.message for record in caplog.records] == [True, True]


def test_whatever_is_a_number_is_counted(measured: Measured) -> None:
    """As Python's own number, so that every exporter can encode it; what 64 bits do not hold as a float."""
    numpy = pytest.importorskip("numpy")
    amounts = [True, Decimal("0.5"), Fraction(1, 2), numpy.int8(3), numpy.float32(0.5), numpy.array(2)]
    total = counter("numbers")
    for amount in amounts:
        total.add(amount)
    value = measured.one("numbers").value
    assert (type(value), value) == (float, 7.5)
    counter("large").add(2**70)
    counter("large").add(2**63 - 1)
    assert measured.one("large").value == float(2**70) + float(2**63)
    gauge("large.gauge").set(numpy.int64(2**62))
    assert type(measured.one("large.gauge").value) is int


def test_disable_measures_nothing(measured: Measured) -> None:
    """Until `enable`."""
    switched = counter("switched")
    disable()
    switched.add(1)
    enable()
    switched.add(2)
    assert measured.one("switched").value == 2


def test_sdk_disabled_measures_nothing(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    counter("off").add(1)
    assert measured.metrics() == {}


def test_provider_that_fails_does_not_reach_the_caller(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once."""
    import opentelemetry.metrics._internal as metrics_internal

    class Broken:
        def get_meter(self, *arguments: object) -> object:
            raise RuntimeError("no meter")

    monkeypatch.setattr(metrics_internal, "_METER_PROVIDER", Broken())
    for _ in range(3):
        counter("broken").add(1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_any_provider_of_the_api_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not the SDK's gets amounts and attributes as the API hands them over."""
    import opentelemetry.metrics._internal as metrics_internal
    from opentelemetry.metrics import NoOpCounter, NoOpMeter, NoOpMeterProvider

    got: list[tuple[float, Any]] = []

    class Own(NoOpCounter):
        def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
            got.append((amount, attributes))

    class OwnMeter(NoOpMeter):
        def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
            return Own(name)

    class OwnProvider(NoOpMeterProvider):
        def get_meter(self, name: str, *arguments: Any, **options: Any) -> Any:
            return OwnMeter(name)

    monkeypatch.setattr(metrics_internal, "_METER_PROVIDER", OwnProvider())
    counter("foreign").add(1)
    counter("foreign").add(2, a="x")
    assert got == [(1, None), (2, {"a": "x"})]


def test_instrument_travels_to_another_process_by_its_name() -> None:
    made = histogram("pickled", "s", "Text.", buckets=(1, 2))
    assert pickle.loads(pickle.dumps(made)) is made


@pytest.mark.parametrize("engine", ["lean", "sdk"])
def test_exemplar_names_the_span_that_the_measurement_was_made_in(
    measured: Measured, trace_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Inside our spans as inside the SDK's; and there is none where no span is sampled."""
    monkeypatch.setenv("OTEL_TRACKER_SPAN_ENGINE", engine)
    exporter = trace_with()

    @traced
    def work() -> None:
        histogram("inside").record(1)
        with span("block"):
            counter("in.block").add(1, kind="x")

    work()
    counter("outside").add(1)
    block, outer = (finished.get_span_context() for finished in exporter.get_finished_spans())
    assert block is not None
    assert outer is not None
    found = {name: metric.data.data_points[0].exemplars for name, metric in measured.metrics().items()}  # each once
    assert [(one.trace_id, one.span_id) for one in found["inside"]] == [(outer.trace_id, outer.span_id)]
    assert [(one.trace_id, one.span_id) for one in found["in.block"]] == [(block.trace_id, block.span_id)]
    assert list(found["outside"]) == []


def test_lean_measurements_are_those_of_the_sdk(
    provide: Callable[[], Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Point by point, whichever way they were made."""

    def points(engine: str) -> dict[str, Any]:
        monkeypatch.setenv("OTEL_TRACKER_SPAN_ENGINE", engine)
        measured = provide()
        for labels in ({}, {"a": "x", "n": 1, "b": True, "f": 0.5}):
            counter("c").add(2, **labels)
            up_down_counter("u").add(-2, **labels)
            gauge("g").set(1.5, **labels)
            histogram("h", buckets=(1, 2)).record(1.5, **labels)
        return {
            name: [
                {key: value for key, value in vars(point).items() if "time" not in key}
                for point in measured.points(name)
            ]
            for name in measured.metrics()
        }

    assert points("lean") == points("sdk")
    assert len(points("lean")) == 4
