"""A plan captures with a function made for its parameters: it must say what the plan says of each value by itself."""

from __future__ import annotations

from typing import Any

import odd_values
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker.capture.shapes import SIGHTINGS
from otel_tracker.tracing.plan import CapturePlan
from otel_tracker.tracing.spec import SpanSpec

_STATIC = {"code.function.name": "shop.place", "code.line.number": 3}
_ODD: tuple[Any, ...] = (
    *(2**30 - 1, 2**30, -(2**30), 2**63, -(2**63) - 1, -0.0, float("nan"), float("inf"), True, None),
    *("x" * 64, "x" * 65, "x" * 5_000, "\ud800", "password=hunter2", {"password": "hunter2"}, [{}], (1, 2), b"b"),
    *(odd_values.Loud("loud"), odd_values.Flat("flat"), odd_values.LyingDict(a=1), odd_values.LyingList([1])),
    *(odd_values.Level.LOW, odd_values.Colour.RED, odd_values.Account("Ada", "key")),
    odd_values.with_repr(odd_values.fail),
    odd_values.Hostile(),
)
_odd_ones = st.integers(0, len(_ODD) - 2).map(_ODD.__getitem__)  # the last is too hostile for Hypothesis
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70) | _odd_ones
_records = st.dictionaries(st.sampled_from(["sku", "count", "token", "é"]), _scalars, max_size=3)
_values = _scalars | _records | st.lists(_records | _scalars, max_size=3) | st.lists(_scalars, max_size=3).map(tuple)


def _plan(**options: Any) -> CapturePlan:
    names = ("order", "note", "password", "rest")
    return CapturePlan(
        SpanSpec("x", static_attributes=_STATIC, parameters=names, variadic_keyword="rest", **options),
    )


_PLANS = [
    _plan(capture_args=True, capture_result=True),
    _plan(capture_args=True, capture_result=True, hide=frozenset({"note", "count"})),
    _plan(capture_args=frozenset({"order", "rest"}), capture_result=True),
]


def _same(plan: CapturePlan, values: tuple[Any, ...]) -> None:
    by_itself = plan.arguments_for(values) | _STATIC
    assert repr(list(plan.simple_attributes(values).items())) == repr(list(by_itself.items()))
    assert repr(plan.simple_result(values[0])) == repr(plan.result_attribute(values[0]))


@given(st.tuples(_values, _values, _values, _records))
@pytest.mark.parametrize("plan", _PLANS)
def test_any_values_at_once_are_what_each_is_alone(plan: CapturePlan, values: tuple[Any, ...]) -> None:
    _same(plan, values)
    _same(plan, values)  # what was new is known now


@pytest.mark.parametrize("number", range(len(_ODD)))
def test_an_odd_value_where_another_kind_was_usual(number: int) -> None:
    value = _ODD[number]
    plan = _plan(capture_args=True, capture_result=True)
    for usual in ({"sku": "a", "count": 1}, [{"sku": "a"}], "placed", 3):
        for _ in range(SIGHTINGS + 2):
            _same(plan, (usual, "gift", "p", {"k": usual}))
        _same(plan, (value, value, value, {"k": value}))
        _same(plan, ({"sku": value, "count": 1}, [{"sku": value}], value, {}))


def test_a_mutated_argument_stays_what_it_was() -> None:
    plan = _plan(capture_args=True)
    order = {"sku": "a", "lines": [{"count": 1}]}
    for _ in range(SIGHTINGS + 2):
        found = plan.simple_attributes((order, "n", "p", {}))
    order["lines"][0]["count"] = 2  # type: ignore[index]
    assert found["otel_tracker.args_json.order"] == '{"sku":"a","lines":[{"count":1}]}'
