"""Follows a store: what it holds in the order in which it was stored, and then what is added, live.

A position is an opaque text that a store's reader gives with each record and takes back later, also in another
process: `otel-tracker convert` resumes at one, `tail` goes on from one. Following is polling, because no file system
tells reliably of another process's writes; a poll that finds nothing costs one look at the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import NamedTuple

from otel_tracker.errors import QueryError
from otel_tracker.records import Record


class Stored(NamedTuple):
    """A record, and where to go on after it; None in a store that cannot say."""

    record: Record
    position: str | None


def follow(
    read_stored: Callable[[str | None], Iterable[Stored]],
    position: str | None,
    *,
    poll_s: float,
    timeout_s: float | None,
    closed: Event,
) -> Iterator[Record]:
    """Records after a position as they come, until ``closed`` is set or ``timeout_s`` seconds have passed."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while not closed.is_set():
        for stored in read_stored(position):
            position = stored.position
            yield stored.record
            if closed.is_set():
                return
        left_s = poll_s if deadline_s is None else min(poll_s, deadline_s - time.monotonic())
        if left_s <= 0 or closed.wait(left_s):
            return


def checked_seconds(value: float | None, parameter: str, *, minimum_s: float = 0.0) -> float | None:
    """The number of seconds, or None; raises `QueryError` when it is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum_s <= value < float("inf"):
        raise QueryError(f"{parameter} is {value!r}; expected a number of seconds from {minimum_s:g}.")
    return float(value)
