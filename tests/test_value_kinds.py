"""What each kind of value becomes when it is captured, and that nothing it does gets out."""

from __future__ import annotations

import array
import asyncio
import collections
import datetime
import decimal
import fractions
import functools
import io
import itertools
import json
import math
import pathlib
import socket
import sys
import threading
import types
import unittest.mock
import uuid

import pytest
from odd_values import (
    Account,
    BadMapping,
    Crate,
    Flat,
    Flavour,
    Hostile,
    Loud,
    LyingDict,
    LyingList,
    Model,
    Plain,
    Point,
    Slotted,
    a_function,
    fail,
    numbers,
    recurse,
    shown,
    with_repr,
)

from otel_tracker.capture import capture_tree, capture_value
from otel_tracker.redaction import REDACTED

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pydantic = pytest.importorskip("pydantic")

MODULE = Account.__module__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ([1, "a", None, 2.5], [1, "a", None, 2.5]),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("ba"), ["a", "b"]),
        (collections.deque([1]), [1]),
        (range(3), [0, 1, 2]),
        ({"a": 1, "b": {"c": []}}, {"a": 1, "b": {"c": []}}),
        ({1: 2, None: 3, (1, "x"): 4, b"k": 5, 1.5: 6}, {"1": 2, "None": 3, "(1, x)": 4, "<bytes 1>": 5, "1.5": 6}),
        (collections.defaultdict(list, a=1), {"a": 1}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.ChainMap({"a": 1}), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (types.SimpleNamespace(a=1, password="x"), {"a": 1, "password": REDACTED}),
        ({"a": 1}.items(), [["a", 1]]),
        ({"a": 1}.keys(), ["a"]),
        ([math.nan, -math.inf, 2**64], ["NaN", "-Infinity", "18446744073709551616"]),
        (Account("Ada", "k"), {"name": "Ada", "api_key": REDACTED, "mother": REDACTED}),
        (Slotted(), {"a": 1}),
        (Crate(2), {"size": 2, "token": REDACTED}),
        (Model(name="Ada", pin_hash="x"), {"name": "Ada", "pin_hash": REDACTED, "mother": REDACTED}),
        (Point(1, "p"), {"x": 1, "password": REDACTED}),
        ([("Authorization", "abc"), ("Accept", "*")], [["Authorization", REDACTED], ["Accept", "*"]]),
        (Flavour.SWEET, f"{MODULE}.Flavour.SWEET"),
        (datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.timezone.utc), "2026-11-22T10:00:00+00:00"),
        (datetime.date(2026, 11, 22), "2026-11-22"),
        (datetime.time(1), "01:00:00"),
        (datetime.timedelta(days=1), "1 day, 0:00:00"),
        (decimal.Decimal("1.50"), "1.50"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (1j, "1j"),
        (b"abc", "<bytes 3>"),
        (bytearray(3), "<bytearray 3>"),
        (memoryview(b"ab"), "<memoryview 2>"),
        (array.array("i", [1, 2]), "<array.array 2>"),
        (pydantic.SecretStr("x"), REDACTED),
        (pydantic.SecretBytes(b"x"), REDACTED),
        (int, "int"),
        (Account, f"{MODULE}.Account"),
        (a_function, f"{MODULE}.a_function"),
        (len, "len"),
        (threading, "threading"),
        (functools.partial(a_function, "s3cret"), f"functools.partial({MODULE}.a_function)"),
        (ValueError("password=abc"), "ValueError: password=[redacted]"),
        (ValueError([1] * 1_000), "ValueError: <list>"),
        (np.zeros((3, 4)), "<numpy.ndarray shape=(3, 4) dtype=float64>"),
        (Plain(), f"<{MODULE}.Plain object>"),
        (threading.Lock(), "<_thread.lock object>"),
        (io.StringIO("text"), "<_io.StringIO object>"),
        (unittest.mock.MagicMock(spec=dict), "<unittest.mock.MagicMock object>"),
        (itertools.repeat([1] * 1_000), "<itertools.repeat object>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_value_has_its_form(value, expected):
    """Fields and containers as they are, heavy and lazy values by name, secrets masked."""
    assert shown(value) == expected


@pytest.mark.parametrize("value", [pd.DataFrame({"a": [1]}), pd.Series([1, 2]), pd.Index([1])])
def test_frames_are_summarised(value):
    """Type, shape and element type, never the content."""
    assert shown(value).startswith(f"<pandas.{'core.' if 'core' in type(value).__module__ else ''}")
    assert f"shape={value.shape}" in shown(value)


def test_a_socket_is_named_only():
    """Its own text would show addresses."""
    with socket.socket() as connection:
        assert shown(connection) == "<socket.socket object>"


def test_iterators_are_never_consumed():
    """A traced function finds its generator, coroutine or file as it was given."""
    generator, file, iterator = numbers(), io.StringIO("text"), iter([1])
    for value in (generator, file, iterator, [generator], map(str, iterator)):
        capture_value(value)
    assert next(generator) == 1
    assert next(iterator) == 1
    assert file.read() == "text"
    coroutine = asyncio.sleep(0)
    assert shown(coroutine) == "<coroutine object>"
    coroutine.close()


def test_database_objects_are_named_by_class_and_key():
    """No lazy field is touched: that would run a query."""

    class Row:
        _sa_class_manager = object()

        def __getattr__(self, name):
            raise AssertionError(name)

    row = Row()
    row.__dict__["_sa_instance_state"] = types.SimpleNamespace(key=(Row, (3, "x"), None))
    assert shown(row).endswith("Row pk=3, x>")
    assert shown([Row()])[0].endswith("Row pk=None>")


def test_django_models_are_named_by_class_and_key():
    """The key comes from the instance's dictionary, deferred fields stay deferred."""
    base = type("Model", (), {"__module__": "django.db.models.base", "_meta": types.SimpleNamespace()})
    base._meta.pk = types.SimpleNamespace(attname="id")
    order = type("Order", (base,), {"__module__": "shop.models", "title": property(lambda self: 1 / 0)})()
    order.__dict__["id"] = 7
    assert shown(order) == "<shop.models.Order pk=7>"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Hostile(), f"<{MODULE}.Hostile object>"),
        (Hostile, f"{MODULE}.Hostile"),
        (LyingDict(a=1), {"a": 1}),
        (LyingList([1]), [1]),
        (BadMapping(), f"<{MODULE}.BadMapping: capture failed: KeyError>"),
        (with_repr(fail), f"<{MODULE}.Odd: repr failed: ValueError>"),
        (with_repr(3), f"<{MODULE}.Odd: repr failed: TypeError>"),
        (with_repr(recurse), f"<{MODULE}.Odd: repr failed: RecursionError>"),
        (with_repr("<x at 0x7f00aa, password='p'>"), "<x, password='[redacted]'>"),
        (with_repr("z" * 100_000), "z" * 997 + "..."),
    ],
    ids=["hostile", "class", "dict", "list", "mapping", "raises", "number", "recurses", "secret", "huge"],
)
def test_what_a_value_does_stays_contained(value, expected):
    """A class that lies or fails is named, and the program goes on."""
    assert shown(value) == expected
    assert shown([value]) == [expected]
    assert capture_tree(value) == expected


def test_hostile_keys_are_contained():
    """Keys are user code too."""
    assert shown({Hostile(): 1, with_repr("k"): 2, Loud.__new__(Flat, "api_key"): 3}) == {
        f"<{MODULE}.Hostile object>": 1,
        "k": 2,
        "api_key": REDACTED,
    }


def test_what_ends_a_program_passes_through():
    """Ctrl-C inside a `repr` is the user's."""

    def interrupt() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture_value([with_repr(interrupt)])


def test_capture_survives_an_almost_full_stack():
    """Wherever it is called, it returns."""
    results = []

    def nest(left: int) -> None:
        if left:
            nest(left - 1)
        else:
            results.append(capture_value([[[{"a": Plain()}]]]))

    limit = sys.getrecursionlimit()
    for left in range(limit - 120, limit):
        try:
            nest(left)
        except RecursionError:
            break
    assert results
    for captured in results:
        json.loads(captured)


def test_a_dictionary_that_another_thread_changes_is_captured():
    """A snapshot is taken in one step."""
    shared, stop = {"k0": 0}, threading.Event()

    def change() -> None:
        for number in itertools.cycle(range(40)):
            shared[f"k{number}"] = shared.pop(f"k{number - 1}", number)
            if stop.is_set():
                return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        assert all(isinstance(shown(shared), dict) for _ in range(500))
    finally:
        stop.set()
        thread.join()
