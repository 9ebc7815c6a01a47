"""Ids come from the provider's generator, are valid and unlike, and the flags say whether they are random."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_tracker import span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import Collected, CountingIds, context_of, engine, provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

RANDOM = 2


class StampedIds(RandomIdGenerator):
    """A vendor's generator: the SDK's own with a stamp in front of the trace id, which is random no more."""

    def generate_trace_id(self) -> int:
        return 0xABCD << 112 | super().generate_trace_id() & (1 << 112) - 1

    def is_trace_id_random(self) -> bool:
        return False


def test_ids_come_from_the_generator_of_the_provider() -> None:
    """A generator of one's own gives every id: one trace id a root, one span id a span."""
    generator = CountingIds(100)
    with engine("lean"), provider(id_generator=generator) as collected:
        for _ in range(2):
            with span("outer"), span("inner"):
                pass
    ids = [(context_of(found).trace_id, context_of(found).span_id) for found in collected.finished]
    assert ids == [(100, 101), (100, 100), (101, 103), (101, 102)]
    assert all(isinstance(found, LeanSpan) for found in collected.started)


def test_generator_that_extends_the_sdks_own_is_asked() -> None:
    """A subclass of the random generator is not mistaken for it."""
    with engine("lean"), provider(id_generator=StampedIds()) as collected:
        traced(lambda: None)()
    assert context_of(collected.one()).trace_id >> 112 == 0xABCD
    assert not context_of(collected.one()).trace_flags & RANDOM


@pytest.mark.parametrize(
    ("generator", "expected"),
    [(RandomIdGenerator(), RANDOM), (StampedIds(), 0), (CountingIds(), 0)],
    ids=["random", "says it is not", "says nothing"],
)
def test_root_says_whether_its_trace_id_is_random(generator: IdGenerator, expected: int) -> None:
    """The W3C flag for random trace ids is what the generator says, for the root and for what is below it."""
    with engine("lean"), provider(id_generator=generator) as collected, span("outer"), span("inner"):
        pass
    assert [context_of(found).trace_flags & RANDOM for found in collected.finished] == [expected] * 2
    assert all(context_of(found).trace_flags.sampled for found in collected.finished)


@pytest.mark.parametrize("flags", [0x01, 0x03], ids=["not random", "random"])
def test_child_takes_the_random_flag_of_its_parent(lean: Collected, flags: int) -> None:
    """Under a caller the flag is the caller's, whatever the own generator would say."""
    with trace.use_span(NonRecordingSpan(SpanContext(5, 6, True, TraceFlags(flags)))), span("block"):
        pass
    assert context_of(lean.one()).trace_flags == flags


def test_ids_are_valid_and_unlike_in_all_threads(lean: Collected) -> None:
    """Thousands of spans of several threads have ids that are not zero, fit their width and never repeat."""

    def run() -> None:
        for _ in range(1000):
            with span("block"):
                pass

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contexts = [context_of(found) for found in lean.finished]
    assert all(found.is_valid for found in contexts)
    assert len({found.span_id for found in contexts}) == len({found.trace_id for found in contexts}) == 4000
    assert any(found.span_id >> 63 for found in contexts)
    assert any(found.trace_id >> 127 for found in contexts)


def test_generator_that_gives_an_invalid_id_is_treated_as_the_sdk_does() -> None:
    """A generator that is at fault gives the same span with either engine, and the program goes on."""

    class Zero(CountingIds):
        def generate_span_id(self) -> int:
            return 0

    for name in ("lean", "sdk"):
        with engine(name), provider(id_generator=Zero()) as collected:
            assert traced(lambda: 3)() == 3
        assert not context_of(collected.one()).is_valid


def test_generator_that_fails_does_not_reach_the_program(lean: Collected) -> None:
    """When no id can be had, the call goes on without a span."""

    class Fails(CountingIds):
        def generate_span_id(self) -> int:
            raise RuntimeError("no id")

    with provider(id_generator=Fails()) as collected:
        assert traced(lambda: 3)() == 3
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert collected.finished == []
