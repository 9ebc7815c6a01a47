"""Plain trees as JSON text that fits a length and is valid all the same.

A text that is too long keeps fewer entries of its containers, with the same marks that capture leaves:
``"...": "<n> more"`` in an object, a last element ``"... <n> more"`` in an array, ``...`` at the end of a string.
"""

from __future__ import annotations

import json
import json.encoder
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORTEST_ENTRY = 24  # a container or text is not cut to less than this, but left out
_MARK = re.compile(r"(?:\.\.\. )?(\d+) more\Z")


class JsonText(str):
    """Text that holds JSON; capture marks so what is to be read as a value again."""

    __slots__ = ()


def fitted_json(tree: Any, room: int, *, is_finite: bool = False) -> str:
    """Compact JSON of at most ``room`` characters (two at least).

    NaN and the infinities, which JSON lacks, become ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; ``is_finite`` says
    that there are none.
    """
    if not is_finite:
        tree = _finite(tree)
    text = _encode(tree)
    return text if len(text) <= room else _fitted(tree, room)


def encoded(tree: Any) -> str:
    """Compact JSON of a finite tree, however long."""
    return _encode(tree)


def choose_encoder() -> None:
    """Choose the encoder now; else the first use does, because loading orjson takes a millisecond."""
    global _encode
    _encode = _encoder()


def _first_encode(tree: Any) -> str:
    choose_encoder()
    return _encode(tree)


_encode: Callable[[Any], str] = _first_encode


def _encoder() -> Callable[[Any], str]:
    with suppress(ImportError):  # the extra `fast`
        from orjson import dumps

        return lambda tree: dumps(tree).decode()
    # One C encoder kept for good: JSONEncoder.encode makes a new one for each call, half its cost on small values.
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
    escape = json.encoder.encode_basestring
    encode = make(None, None, escape, None, ":", ",", False, False, False)

    def encode_any(tree: Any) -> str:
        kind = type(tree)
        if kind is str:
            return escape(tree)
        return float.__repr__(tree) if kind is float else "".join(encode(tree, 0))  # as `encode` does, at less cost

    return encode_any


def _finite(tree: Any) -> Any:
    if type(tree) is float and not math.isfinite(tree):
        return "NaN" if math.isnan(tree) else "Infinity" if tree > 0 else "-Infinity"
    if type(tree) is dict:
        return {key: _finite(value) for key, value in tree.items()}
    return [_finite(value) for value in tree] if type(tree) is list else tree


def _fitted(tree: Any, room: int) -> str:
    text = _encode(tree)
    if len(text) <= room:
        return text
    if type(tree) is dict:
        total, entries = _without_mark(tree, tree.get("..."))
        pairs = ((_encode(key) + ":", value) for key, value in tree.items() if key != "..." or entries == len(tree))
        return _joined("{}", pairs, '"...":"%d more"', total, room)
    if type(tree) is list:
        total, entries = _without_mark(tree, tree[-1])
        return _joined("[]", (("", value) for value in tree[:entries]), '"... %d more"', total, room)
    return _cut_text(tree, room) if type(tree) is str else _cut_text("", room)


def _without_mark(tree: Any, last: Any) -> tuple[int, int]:
    """How many entries there were in all, and how many are here, when the last may be a mark of an earlier cut."""
    mark = _MARK.match(last) if type(last) is str else None
    return (len(tree) - 1 + int(mark[1]), len(tree) - 1) if mark else (len(tree), len(tree))


def _joined(brackets: str, entries: Iterable[tuple[str, Any]], mark: str, total: int, room: int) -> str:
    """As many entries as leave room for the mark, the last one cut if that helps."""
    reserve = len(mark % total) + 3
    pieces: list[str] = []
    left = room - reserve
    for name, value in entries:
        piece = name + _encode(value)
        if len(piece) >= left and left - len(name) >= _SHORTEST_ENTRY and type(value) in (str, dict, list):
            piece = name + _fitted(value, left - len(name) - 1)
        if len(piece) >= left:
            break
        pieces.append(piece)
        left -= len(piece) + 1
    if len(pieces) < total:
        pieces.append(mark % (total - len(pieces)))
    text = brackets[0] + ",".join(pieces) + brackets[1]
    return text if len(text) <= room else _cut_text("", room)


def _cut_text(text: str, room: int) -> str:
    """The text cut until its JSON fits; escapes can make six characters of one."""
    keep = min(len(text), room - 5)
    while keep > 0:
        piece = _encode(text[:keep] + "...")
        if len(piece) <= room:
            return piece
        keep = min(keep - 1, keep * room // len(piece))
    return '"..."' if room >= 5 else '""'
