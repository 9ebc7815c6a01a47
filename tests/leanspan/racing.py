"""Several threads at one span: how they are run, and what a span held at a moment."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor

from .helpers import items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 8
UNLIMITED = SpanLimits(max_span_attributes=SpanLimits.UNSET, max_events=SpanLimits.UNSET, max_links=SpanLimits.UNSET)


@contextmanager
def threads(*works: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Run things at once beside the block; afterwards all have ended, and what they raised is in the list."""
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in started:
        thread.start()
    try:
        yield errors
    finally:
        for thread in started:
            thread.join(60)
    assert not any(thread.is_alive() for thread in started)


class Snapshots(SpanProcessor):
    """Keeps what a span held at the moment of its end."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.taken.append(snapshot(span))


def snapshot(found: ReadableSpan) -> Any:
    events = [(event.name, items(event.attributes)) for event in found.events]
    counts = (found.dropped_attributes, found.dropped_events, found.dropped_links)
    return (found.name, items(found.attributes), events, len(found.links), found.status.description, counts)
