"""What the destinations of events need to know of the HTTP request in which an event happens.

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

_asked: WeakKeyDictionary[object, tuple[frozenset[str], frozenset[str]]] = WeakKeyDictionary()


def ask_for(who: object, *, on_events: Iterable[str] = (), on_requests: Iterable[str] = ()) -> None:
    """Let requests that begin from now on tell ``who`` this."""
    _asked[who] = frozenset(on_events), frozenset(on_requests)
    _sum_up()


def release(who: object) -> None:
    """Forget what ``who`` has asked for."""
    if _asked.pop(who, None) is not None:
        _sum_up()


def _sum_up() -> None:
    global of_events, of_requests
    asked = list(_asked.values())
    of_events = frozenset().union(*(each for each, _ in asked))
    of_requests = frozenset().union(*(each for _, each in asked))
