"""JSON text of dictionaries whose keys were often seen, by a function made for just these keys.

Most arguments are records: the same keys each time, with values of the same kinds. Of a shape (the keys in their order)
that was seen `SIGHTINGS` times, `Shapes` has Python compile a function that reads each value once, checks it and puts
it into a format string, all in one pass and without a loop. Its source is made of numbers only: neither keys nor values
of the program ever enter it. It answers None for what has other keys.

Such a function knows what `harmless_copy` knows, and where it does not know either, `Unknown` is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otel_tracker.capture.json_text import encoded

if TYPE_CHECKING:
    from otel_tracker.capture.walk import Rules

__all__ = ["SIGHTINGS", "Shapes", "Unknown"]

SIGHTINGS = 32
"""Compiling takes about as long as capturing a record a hundred times."""

_MAX_SHAPES = 256  # which stay: a program with more of them is one whose keys are data
_MAX_SEEN = 1_024
_MAX_REMEMBERED = 4_096

Writer = Callable[[Any, list[int], int], "str | None"]
"""Takes a value, a list of the one number of entries that may still come, and how many levels may."""


class Unknown(Exception):  # noqa: N818 - not an error, but the way back to the walk
    """Something that the walk has to look at."""


class _JsonTexts(dict[str, str]):
    """The JSON texts of texts that hold no secret."""

    __slots__ = ("_known_texts",)

    def __init__(self, known_texts: set[str]) -> None:
        self._known_texts = known_texts

    def __missing__(self, text: str) -> str:
        if text not in self._known_texts:
            raise Unknown
        return _remembered(self, text, encoded(text))


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

    __slots__ = ("_seen", "_shared", "floats", "records", "texts", "writers")

    def __init__(self, rules: Rules, write: Callable[[Any, list[int], int], str]) -> None:
        self.texts = _JsonTexts(rules.known_texts)
        self.floats = _FloatTexts()
        self.writers: dict[tuple[str, ...], Writer] = {}
        self._seen: dict[tuple[str, ...], int] = {}
        self.records = _list_writer(rules.max_items, write)
        self._shared: dict[str, Any] = {"texts": self.texts, "floats": self.floats, "Unknown": Unknown}
        self._shared.update(write=write, records=self.records)

    def saw(self, copy: dict[str, Any]) -> None:
        """Count a dictionary that was found harmless, and make a writer if it is time."""
        keys = tuple(copy)
        count = self._seen.get(keys, 0) + 1
        if count < SIGHTINGS:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen[keys] = count
        elif len(self.writers) < _MAX_SHAPES:
            self._seen.pop(keys, None)
            self._writer_for(copy)

    def _writer_for(self, sample: dict[str, Any]) -> Writer | None:
        """The writer for dictionaries like this one, and first those for what is in it; None if there are too many."""
        keys = tuple(sample)
        if keys in self.writers or not keys:
            return self.writers.get(keys)
        names = dict(self._shared)
        pieces = [self._piece(number, key, sample[key], names) for number, key in enumerate(keys)]
        if len(self.writers) >= _MAX_SHAPES:
            return None
        numbers = range(len(keys))
        names.update((f"K{number}", key) for number, key in enumerate(keys))
        source = _SOURCE.format(
            size=len(keys),
            pairs=" ".join(f"(k{number}, v{number})," for number in numbers),
            # Most keys are the very objects that were seen; others are equal, and a subclass may lie about that.
            same=" and ".join(f"(k{n} is K{n} or type(k{n}) is str and k{n} == K{n})" for n in numbers),
            pieces="\n        ".join(pieces),
        )
        exec(compile(source, "<otel_tracker shape>", "exec"), names)  # noqa: S102 - see above for what is in it
        writer: Writer = names["shape"]
        self.writers[keys] = writer
        return writer

    def _piece(self, number: int, key: str, value: Any, names: dict[str, Any]) -> str:
        """Source of the text of one entry: its label and its value in a format string."""
        kind, name = type(value), f"v{number}"
        form = _FORMS.get(kind, "{otherwise}")
        child = value[0] if kind is list and value else value
        if type(child) is dict:
            names[f"W{number}"] = self._writer_for(child) or _no_text
            form = _LIST_FORM if kind is list else _DICT_FORM
        expression = form.format(v=name, number=number, otherwise=f"write({name}, left, levels)")
        names[f"L{number}"] = ("," if number else "{") + encoded(key) + ":"
        return f"f'{{L{number}}}{{{expression}}}'"


def _no_text(value: Any, left: list[int], levels: int) -> None:
    """A writer for no dictionary at all."""


def _list_writer(
    max_items: int, write: Callable[[Any, list[int], int], str]
) -> Callable[[Any, Writer, list[int], int], str | None]:
    """What writes lists whose items are likely to suit one writer; None for what is no list, or too long."""

    def records(value: Any, writer: Writer, left: list[int], levels: int) -> str | None:
        if type(value) is not list or len(value) > max_items or levels <= 0:
            return None
        items = value.copy()
        left[0] -= len(items)
        if left[0] < 0:
            raise Unknown
        levels -= 1
        return f"[{','.join([writer(item, left, levels) or write(item, left, levels) for item in items])}]"

    return records


# Numbers are compared with one digit of 30 bits: interpreters have a faster way for these.
_FORMS = {
    str: "texts[{v}] if type({v}) is str and len({v}) <= 64 else {otherwise}",
    int: "{v} if type({v}) is int and -1073741823 <= {v} <= 1073741823 else {otherwise}",
    float: "floats[{v}] if type({v}) is float else {otherwise}",
    bool: '"true" if {v} is True else "false" if {v} is False else {otherwise}',
    type(None): '"null" if {v} is None else {otherwise}',
}
_DICT_FORM = "W{number}({v}, left, levels) or {otherwise}"
_LIST_FORM = "records({v}, W{number}, left, levels) or {otherwise}"

_SOURCE = """\
def shape(value, left, levels):
    if type(value) is not dict or len(value) != {size} or levels <= 0:
        return None
    {pairs} = value.items()
    if not ({same}):
        return None
    left[0] -= {size}
    if left[0] < 0:
        raise Unknown
    levels -= 1
    return (
        {pieces}
        '}}'
    )
"""
