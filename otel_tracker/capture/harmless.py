"""The short cut for what most arguments are: small dictionaries and lists with nothing in them to hide or to cut.

`harmless_copy` looks at everything once, by C code where it can, and gives up at the first thing that it does not know:
a key or a text that was not seen before, a secret, something long, large, deep, circular or of another type. Then
`otel_tracker.capture.walk` does the work, and remembers what it found harmless. What comes back is a snapshot: every
container is copied in one step of the interpreter before it is looked at, because another thread may be changing it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_tracker.capture.walk import Rules

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
SHORT = 64
"""Texts up to here are not counted, and remembered when they hold no secret."""


def harmless_copy(  # noqa: C901, PLR0912 - one loop, because a call for each value would cost more than all it does
    value: dict[Any, Any] | list[Any], rules: Rules
) -> dict[str, Any] | list[Any] | None:
    """A deep copy of plain values, exactly as the walk would make it; None where that has to be asked."""
    harmless_keys, known_texts, max_items, nodes = rules.harmless_keys, rules.known_texts, rules.max_items, rules.nodes
    if len(value) > max_items:
        return None
    copies: list[Any] = [value.copy()]
    level_end, levels_left = 1, rules.max_depth
    for number, copy in enumerate(copies):  # which grows meanwhile: level by level, so that a cycle comes to its end
        if number == level_end:
            level_end, levels_left = len(copies), levels_left - 1
        nodes -= len(copy)
        if nodes < 0 or levels_left <= 0:
            return None
        if type(copy) is dict:
            if not harmless_keys.issuperset(copy):
                return None
            entries: Any = copy.items()
        else:
            entries = enumerate(copy)
        for place, item in entries:
            kind = type(item)
            if kind is str:
                if len(item) > SHORT or item not in known_texts:  # hashing reads all of a text
                    return None
            elif kind is int:
                if not INT64_MIN <= item <= INT64_MAX:
                    return None
            elif kind is dict or kind is list:
                if len(item) > max_items:
                    return None
                copy[place] = inner = item.copy()
                copies.append(inner)
            elif kind is float:
                if item - item != 0.0:  # NaN and the infinities
                    return None
            elif not (kind is bool or item is None):
                return None
    return copies[0]  # type: ignore[no-any-return]
