"""The short cut for what most arguments are: small dictionaries and lists with nothing in them to hide or to cut.

It looks at everything once, and gives up at the first thing that it does not know: a key or a text that was not seen
before, a secret, something long, large, deep, circular or of another type. Then `otel_tracker.capture.walk` does the
work, and remembers what it found harmless. Dictionaries with keys that were often seen are written down at once, by
the functions of `otel_tracker.capture.shapes`; everything else is copied, and an encoder makes text of the copy.

Another thread may be changing what is captured: every container is read in one step of the interpreter, and what was
read is what is looked at and what is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_tracker.capture.json_text import encoded, fitted_json
from otel_tracker.capture.shapes import Shapes, Unknown, no_text

if TYPE_CHECKING:
    from otel_tracker.capture.shape_source import Writer
    from otel_tracker.capture.walk import Rules

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
SHORT = 64
"""Texts up to here are not counted, and remembered when they hold no secret."""

_CONSTANTS = {True: "true", False: "false", None: "null"}

JsonWriter = Callable[[Any], str]
"""Writes the JSON of a dictionary or a list; never raises but what ends a program."""


def json_writers(rules: Rules, walked: JsonWriter) -> Callable[[], JsonWriter]:
    """What makes functions that take the short cut where there is one, and else leave the value to ``walked``.

    They share all that they learn, and each tries first what it has needed last: so every place where values of one
    kind come by (a parameter, a result) does well to have its own.
    """
    max_items, known_texts = rules.max_items, rules.known_texts

    def write(value: Any, left: list[int], levels: int) -> str:
        kind = type(value)
        if kind is dict:
            if len(value) > max_items:
                raise Unknown
            writer = shapes.writers.get(tuple(value))
            text = writer(value, left, levels) if writer is not None else None
            return copied(value, left, levels) if text is None else text
        if kind is list:
            is_records = value and type(value[0]) is dict and len(value[0]) <= max_items
            writer = shapes.writers.get(tuple(value[0])) if is_records else None
            text = shapes.records(value, writer, left, levels) if writer is not None else None
            return copied(value, left, levels) if text is None else text
        return _scalar(value, known_texts, shapes.floats)

    def copied(value: Any, left: list[int], levels: int) -> str:
        copy = harmless_copy(value, rules, left, levels)
        if copy is None:
            raise Unknown
        sample = copy[0] if type(copy) is list and copy else copy
        if type(sample) is dict:
            shapes.saw(sample)
        return encoded(copy)

    shapes = Shapes(rules, write)
    return partial(_new_writer, rules, shapes, write, walked)


def _new_writer(
    rules: Rules, shapes: Shapes, write: Callable[[Any, list[int], int], str], walked: JsonWriter
) -> JsonWriter:
    """A writer for one place: it does not look up the shape that came there last."""
    max_depth, nodes, room = rules.max_depth, rules.nodes, rules.room
    last: Writer = no_text

    def json_text(value: Any) -> str:
        nonlocal last
        try:
            text = last(value, [nodes], max_depth)
            if text is None:
                text = write(value, [nodes], max_depth)
                if type(value) is dict:
                    last = shapes.writers.get(tuple(value), no_text)
            if len(text) <= room:
                return text
            copy = harmless_copy(value, rules, [nodes], max_depth)
            if copy is not None:
                return fitted_json(copy, room, is_finite=True)
        except Exception:  # noqa: S110 - ours, or of what another thread does, or of a key that is not text
            pass
        return walked(value)

    return json_text


def _scalar(value: Any, known_texts: dict[str, str], floats: dict[float, str]) -> str:
    kind = type(value)
    if kind is str and len(value) <= SHORT:
        return known_texts[value]
    if kind is int and INT64_MIN <= value <= INT64_MAX:
        return int.__repr__(value)
    if kind is float:
        return floats[value]
    if kind is bool or value is None:
        return _CONSTANTS[value]
    raise Unknown


def harmless_copy(  # noqa: C901, PLR0912 - one loop, because a call for each value would cost more than all it does
    value: dict[Any, Any] | list[Any], rules: Rules, left: list[int], levels: int
) -> dict[str, Any] | list[Any] | None:
    """A deep copy of plain values, exactly as the walk would make it; None where that has to be asked.

    ``left[0]`` is how many entries it may have, and then how many more may come; it has so many levels at most.
    """
    harmless_keys, known_texts, max_items, nodes = rules.harmless_keys, rules.known_texts, rules.max_items, left[0]
    if len(value) > max_items:
        return None
    copies: list[Any] = [value.copy()]
    level_end = 1
    for number, copy in enumerate(copies):  # which grows meanwhile: level by level, so that a cycle comes to its end
        if number == level_end:
            level_end, levels = len(copies), levels - 1
        nodes -= len(copy)
        if nodes < 0 or levels <= 0:
            return None
        if type(copy) is dict:
            # A key of a subclass may be equal to one that is known, and be something else.
            if not (_TEXT.issuperset(map(type, copy)) and harmless_keys.issuperset(copy)):
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
    left[0] = nodes
    return copies[0]  # type: ignore[no-any-return]


_TEXT = frozenset((str,))
