"""The functions that are traced in the benchmarks, and the loops that call them.

*add* is the trivial function, *keyword* takes a text by keyword only, *order* has something to serialise, *async*
never suspends, *big* is an order of 5,000 items (about 0.2 MB of JSON), *items* a generator of 1,000 items, *raises*
fails. A loop takes the function, the data for it and the number of calls, and gives the ns of the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from itertools import repeat
from time import thread_time_ns
from types import FunctionType
from typing import Any, cast

from _rounds import Case, Surroundings

ITEMS = 1_000
BIG = 5_000

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]
Loop = Callable[[Function, Any, int], Any]


@dataclass(frozen=True, eq=False)
class Workload:
    """A function with the loop that calls it."""

    name: str
    function: Function
    loop: Loop
    data: Any = None

    def case(self, name: str, decorator: Decorator | None = None, around: Surroundings = nullcontext) -> Case:
        """The function, decorated or plain, as something to be timed."""
        function = self.function if decorator is None else decorator(self.function)
        return Case(f"{name}, {self.name}", timed(self.loop, function, self.data), around)


def timed(loop: Loop, function: Function, data: Any = None) -> Callable[[int], int]:
    """The loop for one function alone: the interpreter specialises code for what it calls."""
    shared = cast(FunctionType, loop)
    own = FunctionType(shared.__code__.replace(), shared.__globals__)
    if iscoroutinefunction(loop):
        return lambda times: _driven(own(function, data, times))
    return partial(own, function, data)


def _driven(coroutine: Any) -> int:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return int(stop.value)
    raise RuntimeError("The coroutine suspended; it was written not to.")


def add(first: int, second: int) -> int:
    return first + second


def keyword(first: int, *, note: str) -> int:
    return first + len(note)


def place(order: dict[str, Any], user_id: int, note: str = "", dry_run: bool = False) -> dict[str, Any]:
    return {"order_id": order["id"], "status": "tested" if dry_run else "placed", "user": user_id, "total": 71.35}


async def add_later(first: int, second: int) -> int:
    return first + second


def count_up(items: int) -> Iterator[int]:
    for number in range(items):  # noqa: UP028 - a loop is what generators have
        yield number


def fail(number: int) -> None:
    raise ValueError(number)


def add_loop(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(1, 2)
    return thread_time_ns() - begin_ns


def keyword_loop(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(1, note="gift wrap, please")
    return thread_time_ns() - begin_ns


def order_loop(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        call(data, 42, note="gift wrap, please")
    return thread_time_ns() - begin_ns


async def async_loop(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        await call(1, 2)
    return thread_time_ns() - begin_ns


def items_loop(call: Function, data: int, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        for _ in call(data):
            pass
    return thread_time_ns() - begin_ns


def raises_loop(call: Function, data: Any, times: int) -> int:
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        try:  # noqa: SIM105 - suppress() would cost more than what is timed
            call(1)
        except ValueError:
            pass
    return thread_time_ns() - begin_ns


def block_loop(call: Function, data: Any, times: int) -> int:
    """`add` inside a ``with``; the data are what makes the context manager."""
    begin_ns = thread_time_ns()
    for _ in repeat(None, times):
        with data("x"):
            call(1, 2)
    return thread_time_ns() - begin_ns


def order(items: int) -> dict[str, Any]:
    """An order of five keys; every item is an object of its own."""
    return {
        "id": "A-10542",
        "customer": {"name": "Ada Lovelace", "city": "London", "since": 2019},
        "items": [{"sku": f"sku-{number:05}", "count": 2, "price": 9.95} for number in range(items)],
        "currency": "EUR",
        "express": True,
    }


ADD = Workload("add", add, add_loop)
KEYWORD = Workload("keyword", keyword, keyword_loop)
ORDER = Workload("order", place, order_loop, order(3))
ASYNC = Workload("async", add_later, async_loop)
GENERATOR = Workload("items", count_up, items_loop, ITEMS)
RAISES = Workload("raises", fail, raises_loop)


def big(items: int) -> Workload:
    """`place` with so many items in the order."""
    return Workload("big" if items == BIG else f"big, {items:,}", place, order_loop, order(items))
