"""Labels of a measurement: any value becomes a bounded one, secrets are hidden, and their number has an end."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any

import pytest

from otel_tracker import counter, gauge, lifecycle
from otel_tracker.labels import MAX_LABEL_SETS

from .helpers import Measured

OVERFLOW = {"otel.metric.overflow": True}


class Colour(Enum):
    RED = "red"


class Plain:
    def __repr__(self) -> str:
        return "Plain()"


class Fails:
    """Nothing of it works."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")


@pytest.mark.parametrize("value", ["text", "", True, False, 7, -(2**63), 0.5])
def test_text_number_and_truth_value_stay_what_they_are(measured: Measured, value: Any) -> None:
    counter("kept").add(1, label=value)
    kept = measured.one("kept").attributes["label"]
    assert (type(kept), kept) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ([1, 2], "[1,2]"),
        ({"a": 1}, '{"a":1}'),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"ab", "<bytes 2>"),
        (2**70, str(2**70)),
    ],
)
def test_everything_else_is_text(measured: Measured, value: Any, text: str) -> None:
    """One point, however often it is measured."""
    for _ in range(3):
        counter("texts").add(1, label=value)
    point = measured.one("texts")
    assert point.value == 3
    assert isinstance(point.attributes["label"], str)
    assert text in point.attributes["label"]


@pytest.mark.parametrize("value", [Colour.RED, Plain(), Fails(), object, len, "x" * 10**6, ["x" * 10**5] * 99])
def test_value_of_any_kind_is_bounded_and_never_raises(measured: Measured, value: Any) -> None:
    counter("bounded").add(1, label=value)
    label = measured.one("bounded").attributes["label"]
    assert type(label) is str
    assert len(label) <= 4_000


def test_names_and_number_of_labels_are_bounded(measured: Measured) -> None:
    """An empty name, which OpenTelemetry refuses, is left out."""
    counter("wide").add(1, **{"": 1, "n" * 1_000: 2, **{f"label{number}": number for number in range(100)}})
    attributes = measured.one("wide").attributes
    assert len(attributes) == 63
    assert max(map(len, attributes)) == 256
    assert "" not in attributes


def test_secrets_are_redacted_by_name_and_by_shape(measured: Measured) -> None:
    """Nothing of them is in what a reader collects, and all of them are one point."""
    for number in range(3):
        counter("secrets").add(1, password=f"hunter{number}", note=f"token=abc{number}", url="/?page=2")
    point = measured.one("secrets")
    assert point.value == 3
    assert dict(point.attributes) == {"password": "[redacted]", "note": "token=[redacted]", "url": "/?page=2"}


def test_another_redaction_holds_from_the_next_measurement(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    counter("iban").add(1, iban="DE02", sku="A1")
    monkeypatch.setenv("OTEL_TRACKER_REDACT_KEYS", "iban")
    lifecycle.forget_cached_settings()
    counter("iban").add(1, iban="DE02", sku="A1")
    assert measured.values("iban") == [({"iban": "DE02", "sku": "A1"}, 1), ({"iban": "[redacted]", "sku": "A1"}, 1)]


def test_equal_values_of_different_kinds_are_kept_apart(measured: Measured) -> None:
    """As the SDK does; the order of labels makes no difference."""
    kinds = counter("kinds")
    for value in (1, True, 1.0, "1"):
        kinds.add(1, a=value, b="x")
        kinds.add(1, b="x", a=value)
    assert [(type(labels["a"]), value) for labels, value in measured.values("kinds")] == [
        (int, 2),
        (bool, 2),
        (float, 2),
        (str, 2),
    ]


def test_sets_of_labels_beyond_the_cap_are_one_point(measured: Measured, caplog: pytest.LogCaptureFixture) -> None:
    """Said once; known sets, and measurements without labels, go on as before."""
    users = counter("users")
    for number in range(MAX_LABEL_SETS + 500):
        users.add(1, user=f"u{number}")
    users.add(1, user="u0")
    users.add(1)
    users.add(1, user="one more")
    found = measured.values("users")
    assert len(found) == MAX_LABEL_SETS + 2
    assert ({"user": "u0"}, 2) in found
    assert ({}, 1) in found
    assert (OVERFLOW, 501) in found
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "The metric users has more than 1,000 sets of labels"
    ]


def test_cap_holds_under_threads_and_every_measurement_is_counted(measured: Measured) -> None:
    """Eight threads with the same labels and with ones of their own."""
    shared = counter("shared")

    def work(thread: int) -> None:
        for number in range(300):
            shared.add(1, user=f"{thread}-{number}")
            shared.add(1, user="same")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = measured.values("shared")
    assert sum(value for _, value in found) == 8 * 600
    assert len(found) <= MAX_LABEL_SETS + 8
    assert ({"user": "same"}, 2_400) in found


def test_each_instrument_has_a_cap_of_its_own(measured: Measured) -> None:
    for number in range(MAX_LABEL_SETS + 1):
        gauge("full").set(1, n=number)
    gauge("free").set(1, n="x")
    assert measured.values("free") == [({"n": "x"}, 1)]


def test_labels_stay_what_they_were_when_the_caller_changes_its_own(measured: Measured) -> None:
    labels = {"a": ["x"]}
    counter("own").add(1, **labels)
    labels["a"].append("y")
    assert measured.values("own") == [({"a": '["x"]'}, 1)]
