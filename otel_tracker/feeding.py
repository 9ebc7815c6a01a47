"""Which destination is being fed by the running code, so that what that code tracks does not go there again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_fed: ContextVar[str] = ContextVar("otel_tracker_fed_destination", default="")


def fed_destination() -> str:
    """The destination to which the running code hands events; empty for none."""
    return _fed.get()


@contextmanager
def feeding(destination: str) -> Iterator[None]:
    """For the block, events that its code tracks go everywhere but to this destination."""
    token = _fed.set(destination)
    try:
        yield
    finally:
        _fed.reset(token)
