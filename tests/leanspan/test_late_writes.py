"""Several threads at one lean span, and forks in the middle of it: nothing raises, nothing is torn, nothing hangs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import Status, StatusCode
from support import run_script

from otel_tracker import span

from .helpers import REMOTE_SAMPLED, engine, provider
from .racing import THREADS, UNLIMITED, Snapshots, snapshot, threads

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("hurried_threads")


@pytest.mark.parametrize(
    "limits", [UNLIMITED, SpanLimits(max_span_attributes=50, max_events=10)], ids=["no limit", "limits"]
)
def test_writes_of_eight_threads_while_the_span_ends(limits: SpanLimits) -> None:
    """Each write is there whole or not at all, and nothing changes once a processor has been given the span."""
    snapshots = Snapshots()
    with engine("lean"), provider(span_limits=limits) as collected:
        collected.provider.add_span_processor(snapshots)
        for _ in range(10):
            barrier = threading.Barrier(THREADS + 1)

            def write(number: int, handed: Any, barrier: threading.Barrier = barrier) -> None:
                barrier.wait(20)
                for turn in range(60):
                    handed.set_attribute(f"{number}.{turn}", f"value {number}.{turn}")
                    handed.add_event(f"{number}.{turn}", {"number": number, "turn": turn})
                    handed.set_attributes({f"{number}.first": turn, f"{number}.second": turn})
                    handed.add_link(REMOTE_SAMPLED)
                    handed.update_name(f"{number}.{turn}")
                    handed.set_status(_error(number))

            with span("block") as handed:
                pending = threads(*(lambda n=n, handed=handed, write=write: write(n, handed) for n in range(THREADS)))
                errors = pending.__enter__()
                barrier.wait(20)
            pending.__exit__(None, None, None)
            assert errors == []
        late = [snapshot(found) for found in collected.finished]
    assert late == snapshots.taken
    assert len(late) == 10
    for _, written, events, _, _, _ in late:
        values = dict(written)
        assert all(value == repr(f"value {key}") for key, value in values.items() if key[-1].isdigit())
        assert all(name == ".".join(value for _, value in held) for name, held in events)
        if limits is UNLIMITED:
            assert all(values[f"{n}.first"] == values[f"{n}.second"] for n in range(THREADS) if f"{n}.first" in values)


def _error(number: int) -> Any:
    return Status(StatusCode.ERROR, f"by {number}")


def test_no_write_in_time_is_lost() -> None:
    """What eight threads wrote before the end is there, every piece of it."""
    with engine("lean"), provider(span_limits=UNLIMITED) as collected:
        with span("block") as handed:

            def write(number: int) -> None:
                for turn in range(200):
                    handed.set_attribute(f"{number}.{turn}", turn)
                    handed.add_event(f"{number}.{turn}")
                    handed.add_link(REMOTE_SAMPLED)

            with threads(*(lambda n=n: write(n) for n in range(THREADS))) as errors:
                pass
    assert errors == []
    found = collected.one()
    names = sorted(f"{number}.{turn}" for number in range(THREADS) for turn in range(200))
    assert sorted(found.attributes or {}) == names
    assert sorted(event.name for event in found.events) == names
    assert len(found.links) == THREADS * 200


def test_no_drop_is_miscounted() -> None:
    """Kept and dropped together are all that eight threads wrote, when the limits are passed."""
    limits = SpanLimits(max_span_attributes=10, max_events=10, max_links=10)
    with engine("lean"), provider(span_limits=limits) as collected:
        with span("block") as handed:

            def write(number: int) -> None:
                for turn in range(200):
                    handed.set_attribute(f"{number}.{turn}", turn)
                    handed.add_event(f"{number}.{turn}")
                    handed.add_link(REMOTE_SAMPLED)

            with threads(*(lambda n=n: write(n) for n in range(THREADS))) as errors:
                pass
    assert errors == []
    found = collected.one()
    assert (len(found.attributes or {}), len(found.events), len(found.links)) == (10, 10, 10)
    assert (found.dropped_attributes, found.dropped_events, found.dropped_links) == (THREADS * 200 - 10,) * 3


READS: dict[str, Callable[[Any], object]] = {
    "dict": lambda found: dict(found.attributes),
    "items": lambda found: list(found.attributes.items()),
    "values": lambda found: list(found.attributes.values()),
    "get": lambda found: [found.attributes.get(key) for key in found.attributes],
    "repr": lambda found: repr(found.attributes),
    "copy": lambda found: found.attributes.copy(),
    "equality": lambda found: found.attributes == {},
    "events": lambda found: [dict(event.attributes or {}) for event in found.events],
    "links": lambda found: list(found.links),
}


@pytest.mark.parametrize("limit", [SpanLimits.UNSET, 20], ids=["no limit", "limit"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_while_others_write_never_raises(read: Callable[[Any], object], limit: int) -> None:
    """A reader gets some moment's state of the span, also while old attributes are pushed out by new ones."""
    limits = SpanLimits(max_span_attributes=limit, max_events=20, max_links=20)
    with engine("lean"), provider(span_limits=limits), span("block") as handed:
        stop = threading.Event()

        def write(number: int) -> None:
            for turn in range(10**9):
                if stop.is_set():
                    return
                handed.set_attribute(f"{number}.{turn % 200}", turn)
                handed.set_attributes({"a": turn, f"{number}": [turn]})
                handed.add_event("event", {"turn": turn})
                handed.add_link(REMOTE_SAMPLED)

        with threads(*(lambda n=n: write(n) for n in range(2))) as errors:
            try:
                for _ in range(150):
                    read(handed)
            finally:
                stop.set()
    assert errors == []


@pytest.mark.parametrize(
    "show",
    [lambda found: found.to_json(), lambda found: found._readable_span().to_json(), repr],
    ids=["to_json", "snapshot", "repr"],
)
def test_open_span_can_be_shown_while_others_add_to_it(show: Callable[[Any], object]) -> None:
    """A span can be turned into text while attributes, events and links are being added."""
    with engine("lean"), provider(span_limits=UNLIMITED), span("block") as handed:

        def write(number: int) -> None:
            for turn in range(400):
                handed.set_attribute(f"{number}.{turn}", turn)
                handed.add_event("event", {"turn": turn})
                handed.add_link(REMOTE_SAMPLED)

        with threads(*(lambda n=n: write(n) for n in range(2))) as errors:
            for _ in range(25):
                show(handed)
    assert errors == []


FORK = """
    import logging, os, signal, sys, threading, warnings
    logging.disable()  # of the writes that come too late
    warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tried here
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from otel_tracker import span, traced
    from otel_tracker.leanspan import LeanSpan

    sys.setswitchinterval(1e-6)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    held = []

    def hammer():
        while not stop.is_set():
            for found in held[-1:]:
                found.set_attribute("a", 1)
                found.add_event("e")
                found.add_link(trace.SpanContext(1, 2, True))
                found.set_status(trace.StatusCode.ERROR, "x")

    stop = threading.Event()
    hammers = [threading.Thread(target=hammer, daemon=True) for _ in range(THREADS)]
    for thread in hammers: thread.start()
    for attempt in range(40):
        block = span("open")
        with block as handed:
            assert isinstance(handed, LeanSpan)
            held.append(handed)
            for _ in range(200): pass
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                handed.set_attribute("in child", 1)
                handed.add_event("in child")
                traced(lambda: None, name="inside")()
                dict(handed.attributes)
                block.__exit__(None, None, None)
                found = {one.name: one for one in exporter.get_finished_spans()[-2:]}
                good = found["open"].attributes["in child"] == 1 and not handed.is_recording()
                good = good and found["inside"].parent.span_id == found["open"].context.span_id
                good = good and found["inside"].resource == provider.resource
                os._exit(0 if good else 3)
            assert handed.is_recording()
            _, status = os.waitpid(child, 0)
            assert status == 0, f"attempt {attempt}: the child ended with {status}"
        assert "in child" not in handed.attributes
    stop.set()
    for thread in hammers: thread.join()
    print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork does not exist on this platform")
@pytest.mark.parametrize("number", [0, 2], ids=["alone", "while others write"])
def test_span_that_was_open_at_a_fork_ends_in_the_child(number: int) -> None:
    """In the child it can be written on and ended; no lock that another thread held is waited for."""
    ended = run_script(FORK.replace("THREADS", str(number)))
    assert ended.stdout == "done\n", ended.stderr
    assert ended.status == 0
