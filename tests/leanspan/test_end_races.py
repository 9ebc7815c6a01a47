"""The first writes of other threads beside the end of a span: in time and complete, or late and without effect."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanContext, Status, StatusCode

from otel_tracker import span

from .helpers import engine, provider
from .racing import UNLIMITED, Snapshots, snapshot, threads

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("hurried_threads")

SPANS = 250
WRITERS = 3
WRITES: dict[str, Callable[[Any, int], object]] = {
    "set_attribute": lambda found, turn: found.set_attribute(f"a.{turn}", 1),
    "set_attributes": lambda found, turn: found.set_attributes({f"a.{turn}": 1, f"b.{turn}": 1}),
    "add_event": lambda found, turn: found.add_event(f"{turn}"),
    "add_link": lambda found, turn: found.add_link(SpanContext(1, turn + 1, True)),
    "update_name": lambda found, turn: found.update_name(f"{turn}"),
    "set_status": lambda found, turn: found.set_status(Status(StatusCode.ERROR, f"{turn}")),
    "record_exception": lambda found, turn: found.record_exception(ValueError("x")),
    "end": lambda found, turn: found.end(turn),
}


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_write_beside_the_end_is_in_time_or_late(write: Callable[[Any, int], object]) -> None:
    """No write raises in its thread, and none changes a span that processors were already given."""
    snapshots = Snapshots()
    raised: list[BaseException] = []
    with engine("lean"), provider(span_limits=UNLIMITED) as collected:
        collected.provider.add_span_processor(snapshots)
        for _ in range(SPANS):
            raised += _race(write)
        late = [snapshot(found) for found in collected.finished]
    assert raised == []
    assert len(late) == SPANS
    assert late == snapshots.taken


def _race(write: Callable[[Any, int], object]) -> list[BaseException]:
    """One span that ends while others make their first writes on it; gives what those raised."""
    barrier = threading.Barrier(WRITERS + 1)

    def run() -> None:
        barrier.wait(20)
        for turn in range(20):
            write(handed, turn)

    block = span("block")
    handed = block.__enter__()
    with threads(*[run] * WRITERS) as raised:
        barrier.wait(20)
        block.__exit__(None, None, None)
    return raised
