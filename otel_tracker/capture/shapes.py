"""JSON text of dictionaries whose keys were often seen, by a function made for just these keys.

Most arguments are records: the same keys each time, with values of the same kinds. Of a shape (the keys in their order)
that was seen `SIGHTINGS` times, `Shapes` has `otel_tracker.capture.shape_source` make a function that reads each value
once, checks it and puts it into a format string. It answers None for what has other keys.

Such a function knows what `harmless_copy` knows, and where it does not know either, `Unknown` is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otel_tracker.capture.json_text import encoded
from otel_tracker.capture.shape_source import Writer, shape_writer

if TYPE_CHECKING:
    from otel_tracker.capture.walk import Rules

__all__ = ["SIGHTINGS", "Shapes", "Unknown", "no_text"]

SIGHTINGS = 32
"""Compiling takes about as long as capturing a record the general way a hundred times."""

_MAX_SHAPES = 256  # which stay: a program with more of them is one whose keys are data
_MAX_SEEN = 1_024
_MAX_REMEMBERED = 4_096


class Unknown(Exception):  # noqa: N818 - not an error, but the way back to the walk
    """Something that the walk has to look at."""


class _FloatTexts(dict[float, str]):
    """The JSON texts of finite numbers: to find the shortest is half the work on a record, and prices recur."""

    __slots__ = ()

    def __missing__(self, number: float) -> str:
        if number - number != 0.0:  # NaN and the infinities
            raise Unknown
        text = encoded(number)
        return _remembered(self, number, text) if number else text  # 0.0 and -0.0 are the same key


def _remembered(texts: dict[Any, str], value: object, text: str) -> str:
    if len(texts) >= _MAX_REMEMBERED:
        texts.clear()
    texts[value] = text
    return text


class Shapes:
    """The functions made for one set of rules; ``write`` is what they call for anything that they do not expect."""

    __slots__ = ("_max_items", "_names", "_seen", "floats", "records", "writers")

    def __init__(self, rules: Rules, write: Callable[[Any, list[int], int], str]) -> None:
        self.floats = _FloatTexts()
        self.writers: dict[tuple[str, ...], Writer] = {}
        self.records = _list_writer(rules.max_items, write)
        self._seen: dict[tuple[str, ...], int] = {}
        self._max_items = rules.max_items
        self._names = {"texts": rules.known_texts, "floats": self.floats, "write": write, "Unknown": Unknown}

    def saw(self, copy: dict[str, Any]) -> None:
        """Count a dictionary that was found harmless, and make a writer if it is time."""
        keys = tuple(copy)
        count = self._seen.get(keys, 0) + 1
        if count < SIGHTINGS:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen[keys] = count
        elif len(self.writers) < _MAX_SHAPES and keys and keys not in self.writers:
            self._seen.pop(keys, None)
            self.writers[keys] = shape_writer(copy, self._max_items, self._names)


def no_text(value: Any, left: list[int], levels: int) -> None:
    """A writer for no dictionary at all."""


def _list_writer(
    max_items: int, write: Callable[[Any, list[int], int], str]
) -> Callable[[Any, Writer, list[int], int], str | None]:
    """What writes lists whose items are likely to suit one writer; None for what is too long, or too deep."""

    def records(value: list[Any], writer: Writer, left: list[int], levels: int) -> str | None:
        if len(value) > max_items or levels <= 0:
            return None
        items = value.copy()
        left[0] -= len(items)
        if left[0] < 0:
            raise Unknown
        levels -= 1
        return f"[{','.join([writer(item, left, levels) or write(item, left, levels) for item in items])}]"

    return records
