"""Ended spans with 8 attributes, made by `@traced` and by the SDK's own tracer, for ``exporters.py`` and ``memory.py``.

Of the attributes three texts and a number are the same in all spans; a text, a whole number, a float and a JSON text
are another in each. A span of the SDK carries exactly the keys and the kinds of values that one of `@traced` carries.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_tracker import span, traced

ATTRIBUTES = 8
ARGUMENTS = 4
SPANS_A_TRACE = 10
EVENT_EVERY = 10


class Keep(SpanProcessor):
    """Queues ended spans, as a `BatchSpanProcessor` does."""

    def __init__(self) -> None:
        self.ended: deque[ReadableSpan] = deque()

    def on_end(self, span: ReadableSpan) -> None:
        """One more."""
        self.ended.append(span)

    def taken(self) -> list[ReadableSpan]:
        """The spans that have ended since the last time."""
        spans = list(self.ended)
        self.ended.clear()
        return spans


class Sources:
    """Queues spans in ``keep``, which is the processor of the global provider; with events, every tenth has one."""

    def __init__(self, *, with_events: bool) -> None:
        self.keep = Keep()
        provider = TracerProvider(resource=Resource.create({"service.name": "shop", "service.version": "1.2.3"}))
        provider.add_span_processor(self.keep)
        trace.set_tracer_provider(provider)
        self._tracer = provider.get_tracer("shop")
        self._last = 0
        self._inside = _add_event if with_events else _do_nothing
        self._ship = _shipping(self._inside)
        self._keys, self._constants = self._attributes_of_ours()

    def queue_ours(self, count: int) -> None:
        """Spans of `@traced` with four captured arguments."""
        for number in self._numbers(count):
            self._ship(*_arguments(number))

    def queue_sdk(self, count: int) -> None:
        """Spans of the SDK with the same attributes."""
        for number in self._numbers(count):
            values = _recorded(number)
            with self._tracer.start_as_current_span("shop.ship") as opened:
                for key, value in zip(self._keys, values, strict=True):
                    opened.set_attribute(key, value)
                for key, value in self._constants.items():
                    opened.set_attribute(key, value)
                self._inside(number)

    def queue_blocks(self, count: int) -> None:
        """Spans of ``with span(...)`` with the same attributes."""
        for number in self._numbers(count):
            with span("shop.ship", **dict(zip(self._keys, _recorded(number), strict=True)), **self._constants):
                self._inside(number)

    def queue_bare(self, count: int) -> None:
        """Spans of `@traced` without capture: the four attributes that say which function it is."""
        for _ in self._numbers(count):
            _bare()

    def queue_sdk_bare(self, count: int) -> None:
        """Spans of the SDK with four constant attributes."""
        for _ in self._numbers(count):
            with self._tracer.start_as_current_span("shop.ship") as opened:
                for key, value in self._constants.items():
                    opened.set_attribute(key, value)

    def _attributes_of_ours(self) -> tuple[list[str], dict[str, Any]]:
        """The keys of the arguments, in their order, and the attributes that all spans have."""
        self.queue_ours(1)
        (ended,) = self.keep.taken()
        attributes = dict(ended.attributes or {})
        recorded = _recorded(self._last)
        keys = [key for key, value in attributes.items() if value in recorded]
        if len(attributes) != ATTRIBUTES or [attributes[key] for key in keys] != recorded:
            raise RuntimeError(f"A span has {attributes}; expected {recorded} among {ATTRIBUTES} attributes.")
        return keys, {key: value for key, value in attributes.items() if key not in keys}

    def _numbers(self, count: int) -> Iterator[int]:
        """Numbers never used before, ten each inside one remote parent."""
        for first in range(0, count, SPANS_A_TRACE):
            with _remote_parent():
                for _ in range(min(SPANS_A_TRACE, count - first)):
                    self._last += 1
                    yield self._last


def _shipping(inside: Callable[[int], None]) -> Callable[..., None]:
    @traced(capture_args=True, capture_result=False)
    def ship(order_id: int, customer: str, items: dict[str, Any], weight_kg: float) -> None:
        inside(order_id)

    return ship


@traced(capture_args=False, capture_result=False)
def _bare() -> None:
    pass


def _arguments(number: int) -> list[Any]:
    items = {"sku": f"sku-{number:08}", "counts": [1, 2, number]}
    return [10_000_000 + number, f"customer {number:09}", items, 0.125 + number]


def _recorded(number: int) -> list[Any]:
    """The arguments as attribute values."""
    items = f'{{"sku":"sku-{number:08}","counts":[1,2,{number}]}}'
    return [10_000_000 + number, f"customer {number:09}", items, 0.125 + number]


def _add_event(number: int) -> None:
    if number % EVENT_EVERY == 0:
        trace.get_current_span().add_event("order.shipped", {"order.id": number, "carrier": "pigeon"})


def _do_nothing(_: int) -> None:
    pass


@contextmanager
def _remote_parent() -> Iterator[None]:
    """A sampled parent span in another process, in a trace of its own."""
    trace_id, span_id = random.getrandbits(128) | 1, random.getrandbits(64) | 1
    context = SpanContext(trace_id, span_id, True, TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(context)):
        yield
