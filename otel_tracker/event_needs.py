"""What destinations need to know of the HTTP request in which an event happens, or a span.

A destination asks for it while it is open, under the keys of `otel_tracker.attributes`; what nobody asks for is not
looked at. Both halves stand on this module, which knows neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

of_events: frozenset[str] = frozenset()
"""What goes on the events of a request."""

of_requests: frozenset[str] = frozenset()
"""What goes on the span of a request although its instrumentor leaves it out."""

of_spans: frozenset[str] = frozenset()
"""What goes on the spans below it, which are a destination's as events are; of what goes on events, too."""

_asked: WeakKeyDictionary[object, tuple[frozenset[str], ...]] = WeakKeyDictionary()


def ask_for(
    who: object, *, on_events: Iterable[str] = (), on_requests: Iterable[str] = (), on_spans: Iterable[str] = ()
) -> None:
    """Let requests that begin from now on tell ``who`` this."""
    spans = frozenset(on_spans)
    _asked[who] = frozenset(on_events) | spans, frozenset(on_requests), spans
    _sum_up()


def release(who: object) -> None:
    """Forget what ``who`` has asked for."""
    if _asked.pop(who, None) is not None:
        _sum_up()


def _sum_up() -> None:
    global of_events, of_requests, of_spans
    asked = list(_asked.values())
    of_events, of_requests, of_spans = (frozenset().union(*(each[which] for each in asked)) for which in range(3))
