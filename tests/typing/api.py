"""Pins the types of the public names; type-checked by mypy and pyright (strict), never run."""

# pyright: strict

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from opentelemetry.trace import Link, Span, SpanContext, SpanKind
from typing_extensions import assert_type

from otel_tracker import (
    ProcessTracker,
    Sensitive,
    child_environment,
    configure,
    counted,
    counter,
    disable,
    emf,
    enable,
    flush,
    gauge,
    histogram,
    logging_output,
    open_store,
    propagate,
    shutdown,
    span,
    timed,
    traced,
    track,
    up_down_counter,
)
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker.stats import Statistics

# Functions: the decorated one takes the same parameters and gives the same result.


@traced
def bare(x: int, *rest: str, flag: bool = False) -> float:
    return x / 2


@traced()
def empty(x: int) -> str:
    return str(x)


@traced("name")
def named(x: int) -> str:
    return str(x)


@traced(
    name="other",
    capture_args=["x"],
    capture_result=True,
    hide=("y",),
    attributes={"tier": "gold"},
    kind="client",
    links=(),
    new_trace=True,
    ignore=(KeyError,),
    expected=(ValueError, OSError),
    await_result=False,
)
def with_options(x: int, y: Annotated[str, Sensitive] = "") -> dict[str, int]:
    return {y: x}


@traced(
    capture_args=False,
    kind=SpanKind.SERVER,
    attributes=lambda arguments: {"order.id": str(arguments["context"])},
    links=lambda arguments: [Link(arguments["context"])],
)
def with_callables(context: SpanContext) -> None: ...


assert_type(bare(1, "a", flag=True), float)
assert_type(empty(1), str)
assert_type(named(x=1), str)
assert_type(with_options(1, y="z"), dict[str, int])
assert_type(traced(len)([1]), int)
assert_type(traced("upper")(str.upper)("x"), str)

reference: Callable[[int], str] = empty


# Coroutine functions, generators, async generators.


@traced
async def fetch(url: str) -> bytes:
    return url.encode()


@traced(capture_result=True)
async def fetch_with_options(url: str) -> bytes:
    return await fetch(url)


@traced
def counting(limit: int) -> Generator[int, str, bool]:
    sent = yield limit
    return sent == "x"


@traced
def lines() -> Iterator[str]:
    yield "line"


@traced("rows")
async def rows(limit: int) -> AsyncIterator[int]:
    yield limit


async def use() -> None:
    assert_type(await fetch("u"), bytes)
    assert_type(await fetch_with_options(url="u"), bytes)
    async for row in rows(3):
        assert_type(row, int)
    async with span("block", rows=1) as current:
        assert_type(current, Span)


assert_type(counting(1), Generator[int, str, bool])
assert_type(next(lines()), str)


@traced
@contextmanager
def outside() -> Generator[int, None, None]:
    yield 1


@contextmanager
@traced
def inside() -> Generator[int, None, None]:
    yield 1


with outside() as outside_value, inside() as inside_value:
    assert_type(outside_value, int)
    assert_type(inside_value, int)


# Classes stay classes, methods stay methods.


@traced
class Cart:
    def __init__(self, owner: str) -> None:
        self.owner = owner

    @traced
    def total(self, tax: int) -> int:
        return tax

    @traced("named", hide=("pin",))
    async def pay(self, pin: str) -> bool:
        return bool(pin)

    @classmethod
    @traced
    def make(cls, owner: str) -> "Cart":
        return cls(owner)

    @staticmethod
    @traced
    def double(x: int) -> int:
        return 2 * x

    @property
    @traced
    def name(self) -> str:
        return self.owner


@traced(include=("area",), exclude=("_*",), capture_result=True)
@dataclass(frozen=True)
class Square:
    side: int

    def area(self) -> int:
        return self.side**2


class Orders:
    @traced
    @classmethod
    def load(cls, number: int) -> "Orders":
        return cls()

    @traced
    @staticmethod
    def parse(text: str) -> int:
        return int(text)


assert_type(Cart("ann"), Cart)
assert_type(Cart("ann").total(1), int)
assert_type(Cart.make("ann"), Cart)
assert_type(Cart.double(1), int)
assert_type(Cart("ann").name, str)
assert_type(Square(2).area(), int)
assert_type(Orders.load(1), Orders)
assert_type(Orders.parse("1"), int)
class_object: type[Cart] = Cart


# Blocks.

with span("block", rows=5, name="free", self="free") as handed:
    assert_type(handed, Span)
    handed.set_attribute("more", 1)


@span("decorated", source="db")
def decorated(x: int) -> str:
    return str(x)


@span("decorated")
async def decorated_async(x: int) -> str:
    return str(x)


@span("decorated")
def decorated_generator() -> Iterator[int]:
    yield 1


assert_type(decorated(1), str)
assert_type(next(decorated_generator()), int)


async def use_decorated() -> None:
    assert_type(await decorated_async(x=1), str)


# Events and switches.

track("checkout.completed")
track("checkout.completed", name="free", event_name="free", category="free", amount=9.99, items=[1])
configure()
disable()
enable()
flush()
flush(timeout_s=1.5)
shutdown()

# Context for elsewhere: the bound function takes the same parameters and gives the same result.

assert_type(propagate(empty)(1), str)
assert_type(propagate(max)(1, 2), int)
assert_type(child_environment(), dict[str, str])


async def use_propagated() -> None:
    assert_type(await propagate(fetch)(url="u"), bytes)


# The reader.

store = open_store("executions.db")
for execution in store.query_executions(function_name="total", start_time="1h", limit=10):
    assert_type(execution, SpanRecord)
    assert_type(execution.duration_ms, float | None)
for step in store.get_trace("0" * 32):
    assert_type(step, SpanRecord)
assert_type(store.get_statistics("total"), Statistics)
assert_type(store.get_statistics("total").total, int)
for statistics in store.function_statistics(limit=5):
    assert_type(statistics, Statistics)
for event in store.events():
    assert_type(event, EventRecord)
for log in store.logs("shop.*", min_severity="WARNING"):
    assert_type(log, LogRecord)
for metric in store.metrics("shop.*", since="1h", until=None, kind="counter", attributes={"region": "eu"}):
    assert_type(metric, MetricRecord)
    assert_type(metric.value, int | float | None)


# Process trackers: what is decorated keeps its type; a timer yields the OpenTelemetry span.

process = ProcessTracker(print, name="job")
ProcessTracker(emf("shop", dimensions=["region"]))
ProcessTracker(logging_output("shop", 20))


@process
def entry(x: int) -> str:
    return str(x)


@process()
async def async_entry(x: int) -> str:
    return str(x)


@process("name")
def named_entry(x: int) -> str:
    return str(x)


@process.track
def part(x: int) -> Iterator[int]:
    yield x


@process.track("name")
def named_part(x: int) -> float:
    return float(x)


async def use_process_tracker() -> None:
    assert_type(entry(1), str)
    assert_type(await async_entry(1), str)
    assert_type(named_entry(1), str)
    assert_type(part(1), Iterator[int])
    assert_type(named_part(1), float)
    with process.timer("a") as timed:
        assert_type(timed, Span)
    async with process.timer("b") as awaited:
        assert_type(awaited, Span)
    process.set_metric("rows", 1.5)
    process.set_identifier("order", "o-1")


counter("orders", unit="{order}", description="Orders.").add(1, name="free", unit="free", express=True)
counter("orders").add()
up_down_counter("jobs").add(-1, queue="a")
gauge("size", "By").set(4.5, cache="a")
histogram("sizes", "By", buckets=(1, 10)).record(812, value="free")


@timed("price", currency="EUR")
def priced(sku: str) -> float:
    return float(sku)


@counted("later")
async def counted_later(x: int) -> str:
    return str(x)


@traced(metrics=True)
def measured(x: int) -> str:
    return str(x)


async def use_metrics() -> None:
    assert_type(priced("1"), float)
    assert_type(await counted_later(1), str)
    assert_type(measured(1), str)
    with timed("block", name="free"), counted("block.count"):
        pass
    async with timed("block"):
        pass
