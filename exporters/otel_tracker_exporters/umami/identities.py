"""Who was introduced already: Umami gets an `identify` once for an id and its traits, not at each request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from otel_tracker_exporters.umami.analytics import AnalyticsEvent, Kind, Message
from otel_tracker_exporters.umami.texts import hash_of

if TYPE_CHECKING:
    from otel_tracker.delivery.outcomes import Outcome

Item = TypeVar("Item")

_MAX_REMEMBERED = 10_000


class Identities:
    """The traits that each visitor had last; of the oldest ones it knows nothing after 10,000 others."""

    def __init__(self) -> None:
        self._traits: dict[str, str] = {}

    def unknown_of(self, messages: Sequence[Message[Item]], outcome: Outcome[Item]) -> list[Message[Item]]:
        """The messages without the identities that the server has; those count as exported.

        One that repeats another of these messages shares that one's fate.
        """
        found: list[Message[Item]] = []
        newest: dict[str, tuple[str, Message[Item]]] = {}
        for message in messages:
            if message.event.kind is not Kind.IDENTIFY:
                found.append(message)
                continue
            visitor, traits = message.event.visitor, _traits_of(message.event)
            before = newest.get(visitor)
            if before is not None and before[0] == traits:
                before[1].items += message.items
            elif before is None and self._traits.get(visitor) == traits:
                outcome.exported += len(message.items)
            else:
                found.append(message)
                newest[visitor] = traits, message
        return found

    def remember(self, event: AnalyticsEvent) -> None:
        """The server has this identity."""
        self._traits.pop(event.visitor, None)
        self._traits[event.visitor] = _traits_of(event)
        if len(self._traits) > _MAX_REMEMBERED:
            del self._traits[next(iter(self._traits))]


def _traits_of(event: AnalyticsEvent) -> str:
    return hash_of(json.dumps(event.properties, sort_keys=True, default=_text))


def _text(value: Any) -> str:
    return repr(value)
