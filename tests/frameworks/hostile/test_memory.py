"""Thousands of requests leave no more in memory than hundreds."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

import pytest

from ..conftest import Stored
from .apps import SITES

pytestmark = pytest.mark.slow

PAGES = ["/ok/1", "/raises", "/stream", "/health", "/nowhere", "/broken-page", "/middleware-raises", "/stream-raises"]
ROUNDS = 200


@pytest.mark.slow
@pytest.mark.parametrize("site", SITES)
def test_thousands_of_requests_leave_nothing(stored: Stored, site: Any) -> None:
    """Of all kinds, each with its own id, sampled and not, from callers with traces of their own."""
    with site() as ask:
        _ask_all(ask, 50, stored)
        before = _objects()
        _ask_all(ask, ROUNDS, stored)
        grown = _objects() - before
    assert {name: count for name, count in grown.items() if count > 100} == {}


def _ask_all(ask: Any, rounds: int, stored: Stored) -> None:
    for number in range(rounds):
        parent = f"00-{number + 1:032x}-{8:016x}-{number % 2:02x}".encode()
        for page in PAGES:
            ask(
                page,
                [("traceparent", parent), ("X-Request-ID", f"r{number}".encode())],
                take=1 if number % 7 == 0 else 99,
            )
        stored.exported_spans.clear()
        stored.exported_logs.clear()


def _objects() -> Counter[str]:
    gc.collect()
    name_of = type.__dict__["__qualname__"].__get__  # a metaclass that another test has left may answer anything
    return Counter(name_of(type(each)) for each in gc.get_objects())
