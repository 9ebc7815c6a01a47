"""Whatever labels and amounts a program hands over: no call raises, waits or leaks; what can be counted is."""

from __future__ import annotations

import decimal
import fractions
import json
import math
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from odd_values import Colour, Hostile, Level, Loud, LyingDict, LyingList, with_repr
from opentelemetry import metrics as otel_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_tracker import counted, counter, disable, enable, gauge, histogram, timed, up_down_counter

from .helpers import Measured

pytestmark = pytest.mark.slow

np = pytest.importorskip("numpy")

OVERFLOW = "otel.metric.overflow"


def _blow_up() -> str:
    raise RuntimeError("no repr")


class Unhashable:
    """Equal to nothing, hashed by nobody."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")


class FailingHash:
    """As a proxy whose object is gone."""

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class HostileStr(str):
    """A text that answers nothing."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def encode(self, *args: Any) -> bytes:
        raise RuntimeError("no bytes")


class HostileInt(int):
    """A number that answers nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __lt__(self, other: object) -> bool:
        raise RuntimeError("no order")

    __gt__ = __le__ = __ge__ = __lt__

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __int__(self) -> int:
        raise RuntimeError("no int")

    __index__ = __int__

    def __add__(self, other: object) -> Any:
        raise RuntimeError("no sum")

    __radd__ = __add__


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


ODD_LABELS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "bytes": lambda: b"\xff\x00",
    "nan": lambda: math.nan,
    "inf": lambda: -math.inf,
    "huge int": lambda: 2**70,
    "huger int": lambda: 10**10_000,
    "list": lambda: [1, [2, {"a": 3}]],
    "dict": lambda: {"a": {"b": {"c": [None]}}},
    "set": lambda: {1, "a"},
    "unhashable": Unhashable,
    "failing hash": FailingHash,
    "failing repr": lambda: with_repr(_blow_up),
    "repr is no text": lambda: with_repr(7),
    "hostile metaclass": lambda: Hostile(),
    "hostile text": lambda: HostileStr("x"),
    "loud text": lambda: Loud("x"),
    "hostile int": lambda: HostileInt(7),
    "lying dict": lambda: LyingDict(a=1),
    "lying list": lambda: LyingList([1]),
    "loop": _loop,
    "deep": _deep,
    "enum": lambda: Level.LOW,
    "text enum": lambda: Colour.RED,
    "lone surrogate": lambda: "\ud800",
    "NUL": lambda: "a\0b",
    "10 MB": lambda: "x" * 10_000_000,
    "10 MB of list": lambda: ["x" * 1000] * 10_000,
    "class": lambda: Hostile,
    "generator": lambda: (n for n in range(3)),
    "decimal NaN": lambda: decimal.Decimal("sNaN"),
    "numpy": lambda: np.float64("nan"),
    "numpy array": lambda: np.zeros(1_000_000),
    "time": lambda: time.localtime(),
}


@pytest.mark.parametrize("make", ODD_LABELS.values(), ids=ODD_LABELS)
def test_odd_label_value_costs_nothing_but_itself(measured: Measured, make: Callable[[], Any]) -> None:
    """Every helper counts the measurement, with the other label right and this one a value that OTLP can say."""
    value = make()
    for _ in range(2):
        counter("c").add(1, odd=value, ok="yes")
        up_down_counter("u").add(1, odd=value, ok="yes")
        gauge("g").set(1, odd=value, ok="yes")
        histogram("h").record(1, odd=value, ok="yes")
        with timed("t", odd=value, ok="yes"):
            pass
        with counted("n", odd=value, ok="yes"):
            pass
    for name in "cughtn":
        point = measured.one(name)
        assert point.attributes["ok"] == "yes"
        odd = point.attributes["odd"]
        assert type(odd) in (str, bool, int, float)
        assert not isinstance(odd, str) or len(odd) <= 4_100
        assert not isinstance(odd, int) or abs(odd) < 2**63
        json.dumps(odd, allow_nan=False).encode()
        if type(odd) is str:
            odd.encode()
    assert [measured.one(name).value for name in "cun"] == [2, 2, 2]
    assert measured.one("h").count == measured.one("t").count == 2


@pytest.mark.parametrize(
    "name", ["self", "cls", "name", "value", "amount", "unit", "labels", "attributes", "context", "kwargs", "args", ""]
)
def test_label_may_be_called_anything(measured: Measured, name: str) -> None:
    """No name is a parameter of ours; an empty one, which is legal for Python, harms nothing either."""
    labels = {name: "x"}
    counter("c").add(1, **labels)
    up_down_counter("u").add(1, **labels)
    gauge("g").set(1, **labels)
    histogram("h").record(1, **labels)
    with timed("t", **labels), counted("n", **labels):
        pass

    @timed("t", **labels)
    @counted("n", **labels)
    def work(self: object, name: str = "") -> None: ...

    work(1)
    for metric in "cughtn":
        assert dict(measured.one(metric).attributes) == (labels if name else {}) or not name


@pytest.mark.parametrize("name", ["error.type", OVERFLOW, "exception.type", "le", "__name__", "otel.scope.name"])
def test_label_named_as_one_of_ours_does_not_break_the_sums(measured: Measured, name: str) -> None:
    """A caller's own error.type or overflow label is odd, and still every measurement is in the total."""
    for n in range(3):
        counter("c").add(1, **{name: f"v{n}"})
    with timed("t", **{name: "mine"}):
        pass
    with pytest.raises(KeyError), timed("t", **{name: "mine"}):
        raise KeyError
    assert sum(value for _, value in measured.values("c")) == 3
    assert sum(count for _, count in measured.values("t")) == 2
    if name == "error.type":
        assert any(labels.get("error.type") == "KeyError" for labels, _ in measured.values("t"))


@pytest.mark.parametrize("name", ["password", "api_key", "Authorization", "user_token", "client.secret"])
def test_secret_is_in_no_point_and_no_sentence(measured: Measured, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Under a secret's name nothing shows, whatever its kind; nor does it come out by way of a complaint."""
    secret = "hunter2-hunter2"
    for value in (secret, [secret], {"a": secret}, secret.encode(), with_repr(secret), 271_828_182_845):
        counter("c").add(1, **{name: value})
        counter("bad").add(-1, **{name: value})
        counter("bad").add(secret, **{name: value})  # type: ignore[arg-type]
        with timed("t", **{name: value}):
            pass
    texts = repr(measured.metrics()) + caplog.text
    assert secret not in texts
    assert "271828182845" not in texts
    assert sum(value for _, value in measured.values("c")) == 6


def test_secret_inside_a_label_of_another_name_is_redacted(measured: Measured) -> None:
    """By its shape, and by its key inside a container."""
    token = "ghp_" + "a1B2" * 9
    counter("c").add(1, note=f"use {token} please")
    counter("c").add(1, config={"password": "hunter2-hunter2"})
    counter("c").add(1, url="https://ada:hunter2-hunter2@example.org/x")
    text = repr(measured.values("c"))
    assert token not in text
    assert "hunter2" not in text


ODD_AMOUNTS: dict[str, Callable[[], Any]] = {
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "minus inf": lambda: -math.inf,
    "none": lambda: None,
    "text": lambda: "1",
    "bytes": lambda: b"1",
    "list": lambda: [1],
    "object": object,
    "unhashable": Unhashable,
    "failing hash": FailingHash,
    "hostile text": lambda: HostileStr("1"),
    "complex": lambda: 1j,
    "decimal nan": lambda: decimal.Decimal("NaN"),
    "decimal snan": lambda: decimal.Decimal("sNaN"),
    "failing repr": lambda: with_repr(_blow_up),
    "class": lambda: int,
    "numpy nan": lambda: np.float32("nan"),
    "array": lambda: np.array([1, 2]),
    "empty array": lambda: np.array([]),
}


@pytest.mark.parametrize("make", ODD_AMOUNTS.values(), ids=ODD_AMOUNTS)
def test_amount_that_is_no_number_leaves_the_totals_alone(
    measured: Measured, caplog: pytest.LogCaptureFixture, make: Callable[[], Any]
) -> None:
    """It is said once for each name however often it comes, without a traceback, and what is right goes on counting."""
    amount = make()
    for _ in range(3):
        counter("c").add(amount)
        up_down_counter("u").add(amount)
        gauge("g").set(amount)
        histogram("h").record(amount)
    counter("c").add(2)
    up_down_counter("u").add(-2)
    gauge("g").set(2)
    histogram("h").record(2)
    assert [measured.one(name).value for name in "cug"] == [2, -2, 2]
    assert (measured.one("h").count, measured.one("h").sum) == (1, 2)
    said = [record for record in caplog.records if record.name == "otel_tracker"]
    assert len(said) == 4
    assert not any(record.exc_info for record in said)
    assert len([record for record in caplog.records if record.name != "otel_tracker"]) == 0


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        *((True, 1), (HostileInt(3), 3), (Level.LOW, 1), (decimal.Decimal("1.5"), 1.5)),
        *(
            (fractions.Fraction(1, 4), 0.25),
            (np.int64(5), 5),
            (np.float32(0.5), 0.5),
            (np.bool_(True), 1),
            (5e-324, 5e-324),
        ),
        *((2**70, 2.0**70), (2**53, 2**53)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_amount_of_any_kind_of_number_is_that_number(measured: Measured, amount: Any, expected: float) -> None:
    """In plain Python numbers, so that no exporter meets a type of somebody else's."""
    counter("c").add(amount)
    counter("c").add(amount)
    gauge("g").set(amount)
    histogram("h").record(amount)
    assert measured.one("c").value == pytest.approx(2 * expected)
    assert measured.one("g").value == expected
    assert measured.one("h").sum == expected
    assert {type(measured.one(name).value) for name in "cg"} <= {int, float}
    assert {type(getattr(measured.one("h"), field)) for field in ("sum", "min", "max")} <= {int, float}


def test_amounts_whose_sum_is_beyond_all_numbers_stay_valid(measured: Measured) -> None:
    """Each is a number; their sum would be none. Whatever it becomes, nothing raises and collecting works."""
    for _ in range(5):
        counter("c").add(1.7e308)
        histogram("h").record(1.7e308)
        counter("i").add(2**62)
        up_down_counter("u").add(-(2**62))
    counter("after").add(1)
    assert measured.one("after").value == 1
    assert measured.one("h").count == 5
    assert measured.one("i").value == 5 * 2**62
    assert measured.one("u").value == -5 * 2**62


def test_cap_is_exact_under_eight_threads(measured: Measured, caplog: pytest.LogCaptureFixture) -> None:
    """1,000 sets and one overflow point, whoever comes first; the total is exact and the log says it once."""
    shared = counter("c")
    gate = threading.Barrier(8)

    def add(offset: int) -> None:
        gate.wait()
        for n in range(1_500):
            shared.add(1, key=(n + offset * 190) % 1_500)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    values = measured.values("c")
    overflow = [value for labels, value in values if OVERFLOW in labels]
    assert len(values) == 1_001
    assert len(overflow) == 1
    assert sum(value for _, value in values) == 12_000
    kept = [labels["key"] for labels, _ in values if OVERFLOW not in labels]
    assert len(set(kept)) == 1_000
    assert [dict(labels) for labels, _ in values if OVERFLOW in labels] == [{OVERFLOW: True}]
    assert len([record for record in caplog.records if record.name == "otel_tracker"]) == 1


def test_overflow_that_the_caller_names_is_no_way_around_the_cap(measured: Measured) -> None:
    """A label of that very name is a label like any other."""
    for n in range(1_200):
        counter("c").add(1, **{OVERFLOW: n})
    values = measured.values("c")
    assert len(values) <= 1_001
    assert sum(value for _, value in values) == 1_200


@pytest.mark.slow
def test_labels_beyond_the_cap_cost_no_memory(measured: Measured) -> None:
    """Only the thousand sets that are kept are, and of those what was cut."""
    tracemalloc.start()
    try:
        for n in range(1_001):
            counter("c").add(1, big=f"{n:04}" + "x" * 20_000)
        before = tracemalloc.get_traced_memory()[0]
        for n in range(500):
            counter("c").add(1, big=f"{n + 5_000:04}" + "x" * 20_000, other=[n] * 50)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert before < 10_000_000
    assert grown < 500_000
    assert sum(value for _, value in measured.values("c")) == 1_501


def test_a_label_whose_repr_takes_long_is_asked_once_a_call_at_most(measured: Measured) -> None:
    """What a caller's own code costs is paid once, not once by each of our steps."""
    asked: list[int] = []

    def answer() -> str:
        asked.append(1)
        return "slow"

    counter("c").add(1, odd=with_repr(answer))
    assert len(asked) <= 1


def test_measuring_inside_a_labels_repr_does_not_hang(measured: Measured) -> None:
    """A lock held around a caller's code would be found here."""

    def measure() -> str:
        counter("c").add(1, inner="x")
        histogram("h").record(1)
        return "outer"

    done = threading.Thread(target=lambda: counter("c").add(1, odd=with_repr(measure)), daemon=True)
    done.start()
    done.join(5)
    assert not done.is_alive()
    assert sum(value for _, value in measured.values("c")) == 2


def test_one_name_from_many_threads_is_one_instrument(measured: Measured) -> None:
    """As modules that are imported in parallel ask for it; no measurement goes into an instrument that is lost."""
    gate = threading.Barrier(8)

    def ask(n: int) -> object:
        gate.wait()
        got = counter("shared", "1", f"description {n}")
        got.add(1, thread=n)
        return got

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(ask, range(8)))
    assert len(set(map(id, got))) == 1
    assert sum(value for _, value in measured.values("shared")) == 8


def test_other_kinds_under_one_name_raise_nothing_and_are_said(
    measured: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can say which is meant; the first goes on counting what it should."""
    counter("x").add(1)
    for n in range(3):
        histogram("x").record(n)
        gauge("x").set(n)
        up_down_counter("x").add(-1)
        with timed("x"), counted("x"):
            pass
    counter("x").add(1)
    said = [record.getMessage() for record in caplog.records if record.name == "otel_tracker"]
    assert said
    assert len(said) <= 4, said
    assert [record for record in caplog.records if record.name != "otel_tracker"] == []


@pytest.mark.parametrize("name", ["", None, 7, b"x", [], HostileStr("")], ids=range(6))
@pytest.mark.parametrize("helper", [counter, up_down_counter, gauge, histogram, timed, counted])
def test_name_that_is_none_is_a_sentence(helper: Callable[..., Any], name: Any) -> None:
    """The one mistake that raises: it stands in the source, and is found at the first run."""
    with pytest.raises(ValueError, match="name"):
        helper(name)


ODD_NAMES = ["a b", "1x", "ü", "x" * 5_000, "a\nb", "\x1b[31m", "a" * 256, "\ud800", "\0"]
ODD_BUCKETS: list[Any] = [(), [], (1,), (2, 1), (1, 1), ("a",), (math.nan,), (math.inf,), 7, "12", None, {1}, [None]]


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_name_that_opentelemetry_refuses_counts_all_the_same(measured: Measured, name: str) -> None:
    """Under a name that it takes; two of them do not run into one another in silence."""
    counter(name).add(2)
    (metric,) = measured.metrics().values()
    assert metric.data.data_points[0].value == 2  # type: ignore[union-attr]
    assert len(metric.name) <= 255
    assert metric.name.isascii()


@pytest.mark.parametrize("unit", [None, 7, "", "x" * 100, "\ud800", "µs", "a\nb", [], HostileStr("s")], ids=range(9))
def test_odd_unit_and_description_never_raise(measured: Measured, unit: Any) -> None:
    """They are decoration; the numbers are what counts."""
    for helper in (counter, up_down_counter, gauge, histogram):
        helper(f"m.{helper.__name__}", unit, unit)
    counter("m.counter").add(1)
    assert measured.one("m.counter").value == 1


def test_name_of_somebodys_class_of_text_is_its_text(measured: Measured) -> None:
    """An enum's member, say, whose `str()` is another on every Python, or one that answers nothing."""
    counter(HostileStr("orders")).add(1)
    counter("orders").add(1)
    assert measured.one("orders").value == 2


@pytest.mark.parametrize("buckets", ODD_BUCKETS, ids=repr)
def test_odd_buckets_never_lose_a_measurement(measured: Measured, buckets: Any) -> None:
    """Boundaries that make no sense are said; the sum is right with any."""
    made = histogram("h", buckets=buckets)
    for value in (0, 0.5, 1.5, 1e9):
        made.record(value)
    point = measured.one("h")
    assert (point.count, sum(point.bucket_counts)) == (4, 4)


def test_helper_made_and_used_before_a_provider_measures_after_it(provide: Callable[[], Measured]) -> None:
    """Every kind, with labels seen before; and nothing of what was measured before turns up."""
    made = (counter("c"), up_down_counter("u"), gauge("g"), histogram("h"), timed("t", a=1), counted("n", a=1))

    @made[4]
    @made[5]
    def work() -> None: ...

    def use() -> None:
        made[0].add(1, a=1)
        made[1].add(1, a=1)
        made[2].set(1, a=1)
        made[3].record(1, a=1)
        work()

    for _ in range(10):
        use()
    measured = provide()
    use()
    use()
    assert [measured.one(name).value for name in "cun"] == [2, 2, 2]
    assert [measured.one(name).count for name in "ht"] == [2, 2]


def test_provider_that_is_replaced_gets_what_comes_after(provide: Callable[[], Measured]) -> None:
    """As tests of users do it: each provider has its own numbers."""
    first = provide()
    counter("c").add(1)
    histogram("h").record(1)
    second = provide()
    counter("c").add(10)
    histogram("h").record(1)
    assert first.one("c").value == 1
    assert second.one("c").value == 10
    assert first.one("h").count == second.one("h").count == 1


def test_provider_that_was_shut_down_reaches_nobody(provide: Callable[[], Measured]) -> None:
    """A program goes on after the telemetry has ended."""
    provide()
    counter("c").add(1)
    otel_metrics.get_meter_provider().shutdown()  # type: ignore[attr-defined]
    counter("c").add(1)
    counter("late").add(1)
    with timed("late.t"):
        pass


def test_disable_and_enable_in_the_middle_of_a_block(measured: Measured) -> None:
    """A block that was entered before and left after, or the other way round, harms nothing later."""
    block, outer = timed("t"), timed("t")
    with block:
        disable()
    enable()
    disable()
    with outer:
        enable()
    with block, outer:
        pass
    assert 2 <= measured.one("t").count <= 4
    assert measured.one("t").sum < 1.0


def test_a_view_that_drops_or_renames_is_obeyed() -> None:
    """Providers of somebody else have views; labels that a view leaves out are summed up."""
    from opentelemetry.sdk.metrics.view import DropAggregation, View

    reader = InMemoryMetricReader()
    views = [
        View(instrument_name="dropped", aggregation=DropAggregation()),
        View(instrument_name="less", attribute_keys={"kept"}),
        View(instrument_name="old", name="new"),
    ]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    otel_metrics.set_meter_provider(provider)
    try:
        for n in range(5):
            counter("dropped").add(1)
            counter("less").add(1, kept="x", other=n)
            counter("old").add(1)
        measured = Measured(reader)
        found = measured.metrics()
        assert set(found) == {"less", "new"}
        assert measured.values("less") == [({"kept": "x"}, 5)]
    finally:
        provider.shutdown()
        otel_metrics._internal._METER_PROVIDER = None
