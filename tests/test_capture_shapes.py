"""Records that were often seen are written by functions made for them: the text must be what the walk makes of it."""

from __future__ import annotations

import threading
import time
from enum import Enum
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracker.capture import Limits, Rules, captured
from otel_tracker.capture.json_text import fitted_json
from otel_tracker.capture.shapes import SIGHTINGS
from otel_tracker.capture.walk import Walk
from otel_tracker.redaction import Redactor


class _Text(str):
    __slots__ = ()


class _Colour(str, Enum):
    RED = "sku"


class _Liar(str):
    """Says that it is a harmless name."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other == "sku"

    def __hash__(self) -> int:
        return hash("sku")


_KEYS = ("sku", "count", "%s%%", 'a"b\\', "{v0}", "it's", "line\n", "é", "", "password", "...")
_ODD_KEYS = (_Text("sku"), _Colour.RED, _Liar("password"), 1, None, True, ("a", 1))
_VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2**30 - 1, 2**30, -(2**30), 2**63 - 1, -(2**63), 2**63, 10**400, True, False, None),
    *(0.0, -0.0, 1.0, 9.95, 1e16, 1e-5, 1e300, float("nan"), float("inf"), float("-inf")),
    *("", "placed", "%s", 'q"\\', "{x}", "\x00\x1f", "é€", "\ud800", "x" * 64, "x" * 65, "y" * 9_000),
    *("password=hunter2", "sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", _Text("placed"), _Colour.RED),
    *(("password", "hunter2"), (), [], {}, [1.5, "a"], b"bytes", {1}, object),
)


def _walked(value: Any, rules: Rules) -> str:
    walk = Walk(rules)
    return fitted_json(walk.plain(value, 0, None), rules.room, is_finite=walk.is_finite)


def _value(random: Random, depth: int) -> Any:
    if depth and random.random() < 0.4:
        if random.random() < 0.5:
            one = _record(random, depth - 1)
            size = random.choice((1, 3, 60))
            return [one if random.random() < 0.7 else _value(random, depth - 1) for _ in range(size)]
        return _record(random, depth - 1)
    return random.choice(_VALUES)


def _record(random: Random, depth: int) -> dict[Any, Any]:
    keys: list[Any] = random.sample(_KEYS, random.randrange(5))
    if random.random() < 0.05:
        keys.append(random.choice(_ODD_KEYS))
    return {key: _value(random, depth) for key in keys}


def _often(value: Any, rules: Rules) -> None:
    for _ in range(SIGHTINGS + 2):
        captured(value, rules)


@pytest.mark.parametrize(
    "bounds", [Limits(1_000, 4_000), Limits(20, 60), pytest.param(Limits(0, 0), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("seed", range(4))
def test_random_records_are_written_as_the_walk_writes_them(seed: int, bounds: Limits) -> None:
    random = Random(seed)
    rules = Rules(bounds, Redactor())
    for keys in (("sku", "count"), ("sku", "%s%%", 'a"b\\'), ("{v0}", "it's", "line\n", "é"), ("", "..."), ("sku",)):
        for pattern in (("placed", 1, 9.95, True), (None, "q", {"sku": 1}, [{"sku": 2}])):
            _often(dict(zip(keys, pattern)), rules)  # noqa: B905 - as many as there are keys
        for _ in range(60):
            made = {key: _value(random, 2) for key in keys}
            for value in (made, [made, made], {"sku": made}, made):
                assert captured(value, rules)[1] == _walked(value, rules)
    for _ in range(60):
        value = _record(random, 3)
        assert captured(value, rules)[1] == _walked(value, rules)


@pytest.mark.parametrize("value", _VALUES)
def test_any_value_under_a_known_shape(value: Any) -> None:
    rules = Rules(Limits(1_000, 4_000), Redactor())
    for usual in ("placed", 1, 9.95, True, None, {"sku": "a"}, [{"sku": "a"}]):
        record = {"sku": usual, "count": 2}
        fresh = Rules(rules.bounds, Redactor())
        _often(record, fresh)
        assert captured({"sku": value, "count": 2}, fresh)[1] == _walked({"sku": value, "count": 2}, rules)


@pytest.mark.parametrize("key", _ODD_KEYS)
def test_a_key_that_only_equals_a_known_one(key: Any) -> None:
    rules = Rules(Limits(1_000, 4_000), Redactor())
    _often({"sku": "x"}, rules)
    assert captured({key: "x"}, rules)[1] == _walked({key: "x"}, Rules(rules.bounds, Redactor()))


def test_cycles_and_depth() -> None:
    rules = Rules(Limits(1_000, 4_000), Redactor())
    loop: dict[str, Any] = {"sku": None, "count": []}
    _often({"sku": {"sku": 1, "count": [{"sku": 1, "count": 2}]}, "count": [{"sku": 1, "count": 2}]}, rules)
    loop["sku"] = loop
    loop["count"].append(loop)
    deep: Any = 1
    for _ in range(9):
        deep = {"sku": deep, "count": [{"sku": 1, "count": 2}]}
        assert captured(deep, rules)[1] == _walked(deep, rules)
    assert captured(loop, rules)[1] == _walked(loop, rules)


_shape_keys = st.sampled_from(["sku", "count", "it's", "{v0}", "password"])
_shape_trees = st.recursive(
    st.sampled_from(_VALUES) | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.dictionaries(_shape_keys, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)
_shape_records = st.dictionaries(_shape_keys, _shape_trees, min_size=1, max_size=4)


def _with(value: Any, leaf: Any, random: Random) -> Any:
    """The value with another leaf somewhere."""
    if not value or type(value) not in (dict, list):
        return leaf
    place = random.choice(list(value) if type(value) is dict else range(len(value)))
    copy = value.copy()
    copy[place] = _with(value[place], leaf, random)
    return copy


@given(_shape_records, st.lists(_shape_records | _shape_trees, max_size=3), st.randoms(use_true_random=False))
@pytest.mark.parametrize(
    "bounds", [Limits(1_000, 4_000), Limits(64, 120), pytest.param(Limits(0, 0), marks=pytest.mark.slow)]
)
def test_any_shape_is_written_as_the_walk_writes_it(
    bounds: Limits, record: dict[str, Any], others: list[Any], random: Random
) -> None:
    rules = Rules(bounds, Redactor())
    _often(record, rules)
    for other in (*others, *[_with(record, leaf, random) for leaf in (*others, "placed", 1, None, 2.5)]):
        for value in ({"sku": other}, [other, record], [record, other], other, record):
            if type(value) in (dict, list):
                assert captured(value, rules)[1] == _walked(value, rules)


def test_more_entries_than_one_function_writes() -> None:
    rules = Rules(Limits(1_000, 40_000), Redactor())
    value = {f"k{number}": {f"i{inner}": [{"sku": inner}] for inner in range(20)} for number in range(20)}
    _often(value, rules)
    assert captured(value, rules)[1] == _walked(value, rules)
    value["k7"]["i3"].append({"sku": None, "password": "x"})
    assert captured(value, rules)[1] == _walked(value, rules)


@pytest.mark.parametrize("bounds", [Limits(1_000, 4_000), Limits(1_000, 120_000), Limits(0, 0)])
def test_what_is_shared_many_times_over_is_counted_each_time(bounds: Limits) -> None:
    rules = Rules(bounds, Redactor())
    value: Any = {"sku": 1}
    small: Any = {"sku": 1}
    for _ in range(2):
        small = {"sku": [small], "count": small}
        value = {"sku": [value] * 50, "count": value}
    _often(small, rules)
    for wide in (value, {"sku": value}, [value] * 50):
        begin_ns = time.thread_time_ns()
        text = captured(wide, rules)[1]
        assert time.thread_time_ns() - begin_ns < 2e9
        assert text == _walked(wide, rules)


def test_a_huge_text_is_not_read() -> None:
    rules = Rules(Limits(1_000, 4_000), Redactor())
    _often({"sku": "a", "count": 1}, rules)
    record = {"sku": "x" * 10_000_000, "count": 1}
    assert captured(record, rules)[1] == _walked(record, rules)


def test_a_secret_that_another_thread_puts_in_and_takes_out_never_shows() -> None:
    rules = Rules(Limits(1_000, 4_000), Redactor())
    shared: dict[str, Any] = {"sku": "placed", "count": 1, "inner": {"sku": "placed"}}
    captured({"note": "hunter2"}, rules)  # so that the text alone is harmless
    _often(shared, rules)
    stop = threading.Event()

    def toggle() -> None:
        while not stop.is_set():
            del shared["count"], shared["inner"]["sku"]
            shared["password"] = shared["inner"]["password"] = "hunter2"
            del shared["password"], shared["inner"]["password"]
            shared["count"], shared["inner"]["sku"] = 1, "placed"
            shared["sku"] = "password=hunter2"
            shared["sku"] = "placed"

    thread = threading.Thread(target=toggle)
    thread.start()
    try:
        for _ in range(20_000):
            assert "hunter2" not in (captured(shared, rules)[1] or "")
    finally:
        stop.set()
        thread.join()
