"""Capture: what a value becomes on a span, how it is bounded, and that nothing it does can break the program."""

from __future__ import annotations

import collections
import datetime
import json
import math
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_values import (
    Account,
    Colour,
    Hostile,
    Level,
    Loud,
    Plain,
    fail,
    shown,
    with_repr,
)

from otel_tracker import capture, redaction, settings
from otel_tracker.capture import JsonText, Limits, capture_tree, capture_value
from otel_tracker.redaction import REDACTED

np = pytest.importorskip("numpy")
pydantic = pytest.importorskip("pydantic")


@pytest.fixture(autouse=True)
def _settings_by_default(monkeypatch):
    for variable in (settings.CAPTURE_MAX_LENGTH.variable, *capture._SDK_LIMITS):
        monkeypatch.delenv(variable, raising=False)
    capture.reset()
    redaction.reset()
    yield
    monkeypatch.undo()
    capture.reset()
    redaction.reset()


@pytest.fixture
def limited(monkeypatch):
    """Sets the length limit for one test."""

    def set_limit(length: int, variable: str = settings.CAPTURE_MAX_LENGTH.variable) -> None:
        monkeypatch.setenv(variable, str(length))
        capture.reset()

    return set_limit


# Scalars


@pytest.mark.parametrize("value", [True, False, 0, -1, 2**63 - 1, -(2**63), 1.5, math.inf, "", "gift wrap", "é"])
def test_scalars_stay_what_they_are(value):
    """OpenTelemetry takes these natively, so that a back-end can compare and add them."""
    captured = capture_value(value)
    assert captured == value
    assert type(captured) is type(value)


def test_nan_stays_a_number():
    """The record decides how to write what JSON lacks."""
    assert math.isnan(capture_value(math.nan))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Level.LOW, 1),
        (Colour.RED, "red"),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (type("Whole", (int,), {"__index__": None, "__int__": None})(7), 7),
        (type("Real", (float,), {"__float__": None})(0.5), 0.5),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (2**100_000, "<int 100001 bits>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scalar_subclasses_become_plain(value, plain):
    """No exporter meets a type it does not know, and no overridden method runs."""
    captured = capture_value(value)
    assert captured == plain
    assert type(captured) is type(plain)


def test_a_text_that_overrides_everything_runs_nothing():
    """The characters are read below the class."""
    for captured in (capture_value(Loud("text")), capture_tree([Loud("text")])[0]):
        assert type(captured) is str
        assert captured == "text"


def test_a_long_text_is_cut_with_a_mark():
    """A text ends in three dots where it was cut, and is no longer than the limit."""
    captured = capture_value("x" * 2_000)
    assert captured == "x" * 997 + "..."


def test_a_secret_across_the_cut_is_not_half_shown():
    """Redaction comes before the cut."""
    captured = capture_value("x " * 490 + "Bearer abcdefgh12345678abcdefgh12345678")
    assert "abcdefgh" not in captured
    assert len(captured) <= 1_000


def test_lone_surrogates_do_not_reach_an_exporter():
    """What UTF-8 cannot write would cost a whole batch."""
    for captured in (capture_value("a\ud800"), capture_value({"\udfff": ["\ud800é"]})):
        assert captured.encode("utf-8")


# Secrets


def test_a_secret_key_hides_the_value_whatever_it_is():
    """The name of the parameter counts, also for scalars."""
    assert [capture_value(value, "api_key") for value in ("k", 1, None, {"a": 1})] == [REDACTED] * 4
    assert capture_tree({"a": 1}, "password") == REDACTED


def test_nested_secrets_are_hidden():
    """Names count at any depth, and texts are searched for what looks like a secret."""
    value = {"user": [{"password": "hunter2", "note": "token=abc"}], "Bearer abc123def456": 1}
    assert shown(value) == {"user": [{"password": REDACTED, "note": "token=[redacted]"}], "Bearer [redacted]": 1}


def test_the_redaction_switch_does_not_unmask_secret_types(monkeypatch):
    """`SecretStr` and `Sensitive` are masked always; they say so themselves."""
    monkeypatch.setenv(settings.REDACT_ENABLED.variable, "false")
    redaction.reset()
    assert shown({"password": "x", "s": pydantic.SecretStr("x")}) == {"password": "x", "s": REDACTED}
    assert shown(Account("Ada", "k"))["mother"] == REDACTED


# Bounds


def test_long_containers_say_how_much_is_missing():
    """Fifty entries and a mark."""
    assert shown(list(range(120)))[49:] == [49, "... 70 more"]
    mapping = shown({f"k{number}": number for number in range(120)})
    assert len(mapping) == 51
    assert mapping["..."] == "70 more"


def test_deep_containers_end_in_a_mark():
    """Six levels, then how many entries the next would have had."""
    deep: Any = "bottom"
    for _ in range(10):
        deep = [deep]
    assert shown(deep) == [[[[[[["... 1 more"]]]]]]]
    assert shown({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}})["a"]["b"]["c"]["d"]["e"]["f"] == {"...": "1 more"}


def test_cycles_are_marked():
    """A container inside itself is said, not followed; one that occurs twice is shown twice."""
    ring: dict[str, Any] = {"n": [1]}
    ring["self"], ring["twice"] = ring, ring["n"]
    assert shown(ring) == {"n": [1], "self": "<cycle>", "twice": [1]}


def test_json_that_is_too_long_keeps_fewer_entries_and_stays_valid():
    """The whole has four times the length of a text, marks included."""
    value = {"first": 1, "rows": [{"text": "y" * 200, "n": number} for number in range(40)], "last": 2}
    captured = capture_value(value)
    tree = json.loads(captured)
    assert 3_000 < len(captured) <= 4_000
    assert tree["first"] == 1
    kept = [row for row in tree["rows"] if isinstance(row, dict) and row.get("n") is not None]
    assert tree["rows"][-1] == f"... {40 - len(tree['rows']) + 1} more"
    assert kept[0] == {"text": "y" * 200, "n": 0}


@pytest.mark.parametrize("length", [2, 5, 10, 30, 100])
@pytest.mark.parametrize(
    "value", [list(range(100)), {"a": {"b": ["\n" * 50, {}]}, "c": 1}, ["x" * 500], b"abc", {"k" * 300: 1}, 2**300]
)
def test_small_limits_hold_and_the_text_stays_valid(limited, length, value):
    """Whatever the limit is, what comes out fits and parses."""
    limited(length)
    captured = capture_value(value)
    assert len(captured) <= length * 4
    if type(captured) is JsonText:
        json.loads(captured)


@pytest.mark.parametrize("variable", capture._SDK_LIMITS)
def test_the_limit_of_the_sdk_applies_when_it_is_smaller(limited, variable):
    """The SDK would cut the JSON text in the middle; so we cut it first."""
    limited(120, variable)
    assert capture.limits() == Limits(120, 120)
    captured = capture_value(list(range(100)))
    assert len(captured) <= 120
    assert json.loads(captured)[-1].endswith(" more")
    assert len(capture_value("x" * 500)) == 120


@pytest.mark.parametrize("limit", [10, 60, 300])
def test_the_limit_of_one_span_applies_when_it_is_smaller(limit):
    """A provider whose limits were set in code hands them in."""
    captured = capture_value([f"item {number}" for number in range(40)], limit=limit)
    assert len(captured) <= limit
    json.loads(captured)
    assert len(capture_value("a" * 500, limit=limit)) == limit
    assert len(capture_value("a" * 5_000, limit=100_000)) == 1_000


def test_a_limit_of_zero_is_no_limit(limited):
    """Then only depth and number of entries bound a value."""
    limited(0)
    assert capture.limits() == Limits(0, 0)
    assert capture_value("x" * 50_000) == "x" * 50_000
    assert shown(["y" * 50_000]) == ["y" * 50_000]
    shared: Any = [1] * 50
    for _ in range(5):
        shared = [shared] * 50
    assert len(capture_value(shared)) < 1_000_000


class CountingMapping(collections.abc.Mapping):
    def __init__(self):
        self.read = 0

    def __len__(self):
        return 10_000_000

    def __iter__(self):
        return iter(range(10_000_000))

    def __getitem__(self, key):
        self.read += 1
        return "y" * 200


def test_only_what_is_shown_is_read():
    """Ten million entries cost what fifty do."""
    mapping = CountingMapping()
    assert shown(mapping)["..."].endswith(" more")
    assert mapping.read <= 50
    assert len(capture_value([range(10**9)] * 1_000)) <= 4_000


def test_a_huge_text_is_not_searched_to_its_end(monkeypatch):
    """The redactor gets little more than what is shown of 100 million characters."""
    sizes = []
    real = redaction.Redactor.text
    monkeypatch.setattr(redaction.Redactor, "text", lambda self, text: sizes.append(len(text)) or real(self, text))
    huge = "x" * 100_000_000
    for value in (huge, [huge], {"k": huge}, Loud(huge), ValueError(huge), {huge: 1}):
        capture_value(value)
    assert sizes
    assert max(sizes) < 2_000


def test_many_long_texts_are_not_all_searched(monkeypatch):
    """A value stops being read when what was read fills its JSON text."""
    total = []
    real = redaction.Redactor.text
    monkeypatch.setattr(redaction.Redactor, "text", lambda self, text: total.append(len(text)) or real(self, text))
    capture_value([["x" * 5_000] * 50 for _ in range(50)])
    assert sum(total) < 12_000


# Trees for events


def test_a_tree_is_plain_bounded_and_redacted():
    """Events take maps and lists as they are."""
    assert capture_tree({"a": (1, {2}), "password": "x", "when": datetime.date(2026, 1, 1), "f": math.inf}) == {
        "a": [1, [2]],
        "password": REDACTED,
        "when": "2026-01-01",
        "f": math.inf,
    }
    assert capture_tree(5) == 5
    assert capture_tree(list(range(60)))[-1] == "... 10 more"


# Properties

odd_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.uuids()
    | st.complex_numbers()
    | st.builds(Plain)
    | st.builds(lambda: {"hostile": Hostile()})
    | st.builds(Account, st.text(), st.text())
    | st.builds(with_repr, st.text() | st.just(fail))
    | st.builds(lambda text: text * 2_000, st.text(max_size=3)),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(collections.deque)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
    ),
    max_leaves=60,
)


@given(odd_values)
def test_any_value_gives_bounded_valid_output(value):
    """Nothing raises, JSON parses strictly, lengths hold, and UTF-8 can write it."""
    captured = capture_value(value)
    if type(captured) is JsonText:
        json.loads(captured, parse_constant=pytest.fail)
        assert len(captured) <= 4_000
        captured.encode("utf-8")
    elif type(captured) is str:
        assert len(captured) <= 1_000
        captured.encode("utf-8")
    else:
        assert type(captured) in (bool, int, float)


@given(
    odd_values,
    st.sampled_from(["password", "apiKey", "X-Auth-Token", "client_secret"]),
    st.lists(st.sampled_from(["dict", "list", "tuple", "dataclass", "namespace"]), max_size=8),
)
def test_no_secret_survives_under_a_secret_name(noise, name, wrappers):
    """However it is wrapped, what lies under the name of a secret is not in the output."""
    planted = "c0rrect-h0rse-battery"
    value: Any = {"noise": noise, name: planted}
    for wrapper in wrappers:
        if wrapper == "dataclass":
            value = Account(value, planted)
        elif wrapper == "namespace":
            value = types.SimpleNamespace(inner=value, password=planted)
        else:
            value = {"dict": {"in": value}, "list": [value, noise], "tuple": (noise, value)}[wrapper]
    assert planted not in capture_value(value)
    assert planted not in repr(capture_tree(value))
