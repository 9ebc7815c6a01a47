"""Has Python compile a function that writes the JSON text of dictionaries like a sample, in one pass.

Dictionaries inside it, and those in its lists, are written on the spot: a call for each would cost as much as its
values. The source is made of numbers only; neither keys nor values of the program ever enter it. Labels (a key as
JSON, with what stands before it) take the places of their numbers among the constants of what was compiled.

Which bounds hold is decided while the source is made, as far as it can be: how many levels are needed, and how many
entries are written at least. Only what a list adds is counted at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from otel_tracker.capture.json_text import encoded
from otel_tracker.compiling import function_code, with_texts

Writer = Callable[[Any, list[int], int], "str | None"]
"""Takes a value, a list of the one number of entries that may still come, and how many levels may.

It gives None, and has counted nothing, where the value has other keys than it was made for.
"""

_MAX_ENTRIES = 64  # in one function; dictionaries beyond are left to functions of their own

# Numbers are compared with one digit of 30 bits: interpreters have a faster way for these. To format one takes longer
# than all the rest, and most numbers that recur (a count, a quantity) are small.
_FORMS = {
    str: "texts[{v}] if type({v}) is str and len({v}) <= 64 else {otherwise}",
    int: (
        "(small[{v}] if 0 <= {v} <= 255 else {v} if -1073741823 <= {v} <= 1073741823 else {otherwise})"
        " if type({v}) is int else {otherwise}"
    ),
    float: "floats[{v}] if type({v}) is float else {otherwise}",
    bool: '"true" if {v} is True else "false" if {v} is False else {otherwise}',
    type(None): '"null" if {v} is None else {otherwise}',
}


_NAMES: dict[str, Any] = {kind.__name__: kind for kind in (type, str, int, float, dict, list)}
_NAMES |= {"len": len, "join": ",".join, "small": tuple(map(str, range(256)))}
"""What every such function calls; among its globals, because the interpreter finds builtins one step later."""


def shape_writer(sample: dict[str, Any], max_items: int, names: Mapping[str, Any]) -> Writer:
    """The function for dictionaries with the keys of this one, and preferably with values of the same kinds.

    ``names`` are what it calls: ``write`` for any value that it does not expect, ``texts`` and ``floats`` for the JSON
    of those, ``Unknown`` to give up.
    """
    shape = _Shape(max_items)
    body = shape.dict_lines(0, sample, 0, found="return ", missed="return None")
    source = "\n    ".join(["def shape(v0, left, levels):", f"if levels < {shape.levels}: return None", *body])
    code = with_texts(function_code(source.replace("ENTRIES", str(shape.entries))), shape.labels)
    writer: Writer = FunctionType(code, {**names, **shape.keys, **_NAMES})
    return writer


class _Shape:
    """What is known of the function while its source grows.

    In the source ``v3`` is the value of entry 3, ``k3`` its key as found, ``K3`` as expected, ``L3`` its label, and
    ``t3`` the text of a container. ``depth`` counts the containers around a container.
    """

    def __init__(self, max_items: int) -> None:
        self.keys: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.levels = 0
        self.entries = 0  # of those that are there in any case
        self._last_number = 0
        self._max_items = max_items

    def dict_lines(self, number: int, sample: dict[str, Any], depth: int, *, found: str, missed: str) -> list[str]:
        """Statements that make text of ``v<number>``: they end in ``found`` with it, or in ``missed``."""
        self.levels = max(self.levels, depth + 1)
        numbers = self._numbers(sample)
        self.entries += len(numbers)
        inner, pieces = [], []
        for entry, value in zip(numbers, sample.values(), strict=True):
            lines, text = self._entry(entry, value, depth + 1)
            inner += lines
            pieces.append(f"L{entry}{{{text}}}")
        pairs = " ".join(f"(k{n}, v{n})," for n in numbers)
        # Most keys are the very objects that were seen; others are equal, and a subclass may lie about that.
        same = " and ".join(f"(k{n} is K{n} or type(k{n}) is str and k{n} == K{n})" for n in numbers)
        if depth == 0:
            inner = ["left[0] -= ENTRIES", "if left[0] < 0: raise Unknown", *inner]
        return [
            f"if type(v{number}) is dict and len(v{number}) == {len(numbers)}:",
            f"    {pairs} = v{number}.items()",
            f"    if {same}:",
            *(f"        {line}" for line in inner),
            f"        {found}f'{''.join(pieces)}}}}}'",
            f"    else: {missed}",
            f"else: {missed}",
        ]

    def _numbers(self, sample: dict[str, Any]) -> range:
        first = self._last_number + 1
        self._last_number += len(sample)
        for place, key in enumerate(sample):
            self.keys[f"K{first + place}"] = key
            self.labels[f"L{first + place}"] = ("," if place else "{") + encoded(key) + ":"
        return range(first, first + len(sample))

    def _entry(self, number: int, value: Any, depth: int) -> tuple[list[str], str]:
        """Statements to come first, and then the expression of the entry's text."""
        kind, otherwise = type(value), f"write(v{number}, left, levels - {depth})"
        child = value[0] if kind is list and value else value
        if type(child) is dict and child and self._last_number + len(child) < _MAX_ENTRIES:
            if kind is list:
                return self._list_lines(number, child, depth, otherwise), f"t{number}"
            name = f"t{number} = "
            return self.dict_lines(number, child, depth, found=name, missed=name + otherwise), f"t{number}"
        return [], _FORMS.get(kind, "{otherwise}").format(v=f"v{number}", otherwise=otherwise)

    def _list_lines(self, number: int, sample: dict[str, Any], depth: int, otherwise: str) -> list[str]:
        """Statements that make ``t<number>`` of a list whose items are likely to be like the sample."""
        self._last_number += 1
        item, entries = self._last_number, self.entries
        name = f"t{item} = "
        missed = f"{name}write(v{item}, left, levels - {depth + 1})"
        inner = self.dict_lines(item, sample, depth + 1, found=name, missed=missed)
        each, self.entries = 1 + self.entries - entries, entries
        return [
            f"if type(v{number}) is list and len(v{number}) <= {self._max_items}:",
            f"    items{number} = v{number}.copy()",
            f"    left[0] -= len(items{number}) * {each}",
            "    if left[0] < 0: raise Unknown",
            f"    texts{number} = []",
            f"    for v{item} in items{number}:",
            *(f"        {line}" for line in inner),
            f"        texts{number}.append(t{item})",
            f"    t{number} = f'[{{join(texts{number})}}]'",
            f"else: t{number} = {otherwise}",
        ]
