"""The one walk over a captured value: bounds, redacts and simplifies in the same pass.

What comes out is plain: dict with text keys, list, str, 64-bit int, float, bool and None. What does not fit leaves a
mark (``...``), a cycle says so, and a value whose own code fails says which error that was. The work is bounded by
what comes out, not by what goes in: containers are read up to the limit, texts a little beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from otel_tracker.capture.facts import type_name
from otel_tracker.capture.fields import Items, Pairs
from otel_tracker.capture.harmless import INT64_MAX, INT64_MIN, SHORT, json_writers
from otel_tracker.capture.json_text import encoded, fitted_json
from otel_tracker.capture.kinds import digits, simplified
from otel_tracker.redaction.patterns import REDACTED

if TYPE_CHECKING:
    from otel_tracker.redaction import Redactor

CYCLE = "<cycle>"
UNREADABLE = "<unreadable>"
UNREADABLE_JSON = f'"{UNREADABLE}"'

_UNLIMITED = 1 << 62
_MAX_NODES = 20_000  # of a value without length limit; a shared list six levels deep has 50**6 of them
_MAX_KEY = 200
_MAX_KNOWN_TEXTS = 4_096
_MARGIN = 512  # read beyond the cut, so that a secret across it is still recognised


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one captured value; lengths in characters, 0 for none."""

    max_length: int
    max_json: int
    max_depth: int = 6
    max_items: int = 50


_Path = tuple[object, Any] | None
"""The containers around a value, innermost first, as linked pairs."""


class Rules:
    """The redactor and the limits in force, in the form in which a walk needs them."""

    __slots__ = (
        *("bounds", "harmless_keys", "json_text", "known_keys", "known_texts", "max_depth", "max_items"),
        *("max_text", "new_json_writer", "nodes", "redact", "room"),
    )

    def __init__(self, bounds: Limits, redact: Redactor) -> None:
        self.bounds = bounds
        self.redact = redact
        self.known_keys = redact.known_keys
        self.harmless_keys = redact.harmless_keys
        # Short texts that hold no secret, and their JSON: most values recur (a status, a currency), and a look-up is
        # ten times faster.
        self.known_texts: dict[str, str] = {}
        self.max_text = bounds.max_length or _UNLIMITED
        self.max_depth = bounds.max_depth
        self.max_items = bounds.max_items
        self.room = bounds.max_json or _UNLIMITED
        self.nodes = min(bounds.max_json // 2, _MAX_NODES) if bounds.max_json else _MAX_NODES
        self.new_json_writer = json_writers(self, partial(walked_json, self))
        self.json_text = self.new_json_writer()


def walked_json(rules: Rules, value: dict[Any, Any] | list[Any]) -> str:
    """The JSON text of a container, as a walk and the encoder make it."""
    try:
        walk = Walk(rules)
        tree = walk.plain(value, 0, None)
        return fitted_json(tree, rules.room, is_finite=walk.is_finite)
    except Exception:
        return UNREADABLE_JSON


class Walk:
    """One bounded, redacting walk over one value; ``room`` and ``nodes`` are what it may still spend.

    ``is_finite`` is False once a float was met that JSON cannot hold.
    """

    __slots__ = ("is_finite", "nodes", "room", "rules")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.room = rules.room
        self.nodes = rules.nodes
        self.is_finite = True

    def plain(self, value: Any, depth: int, path: _Path) -> Any:
        """The plain tree of a value that lies ``depth`` containers deep, inside those of ``path``."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int:
            return value if INT64_MIN <= value <= INT64_MAX else self.text(digits(value))
        if kind is float:
            return self._float(value)
        if value is None or kind is bool:
            return value
        if kind is dict:
            return self._dict(value, depth, path)
        if kind is list or kind is tuple:
            return self._list(value, depth, path)
        return CYCLE if _is_inside(value, path) else self._other(value, depth, path)

    def text(self, text: str) -> str:
        """The text redacted, then cut; without lone surrogates, which no UTF-8 exporter could write."""
        size, rules = len(text), self.rules
        if size <= SHORT <= rules.max_text:
            known_texts = rules.known_texts
            if text in known_texts:
                return text
            shown = _writable(rules.redact.text(text))
            if shown is text:
                if len(known_texts) >= _MAX_KNOWN_TEXTS:
                    known_texts.clear()
                known_texts[text] = encoded(text)
            return shown
        self.room -= min(size, rules.max_text)
        shown = rules.redact.text(text[: rules.max_text + _MARGIN])
        # Marks can be longer than what they replaced, and shorter: then the text must still say that it was cut.
        return _writable(_cut(shown, rules.max_text) if max(size, len(shown)) > rules.max_text else shown)

    def _dict(self, value: dict[Any, Any], depth: int, path: _Path) -> Any:
        if _is_inside(value, path):
            return CYCLE
        total = len(value)
        count = self._affordable(total, depth)
        pairs = value.items() if count == total else islice(value.items(), count)
        # A snapshot in one step of the interpreter: another thread may be changing the dictionary.
        return self._pairs(tuple(pairs), total, depth + 1, (value, path))

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int, path: _Path) -> Any:
        if _is_inside(value, path):
            return CYCLE
        total = len(value)
        return self._items(value[: self._affordable(total, depth)], total, depth + 1, (value, path))

    def _float(self, number: float) -> float:
        if number - number != 0.0:  # so of NaN and the infinities only
            self.is_finite = False
        return number

    def _pairs(self, pairs: tuple[tuple[Any, Any], ...], total: int, depth: int, path: _Path) -> dict[str, Any]:
        """Any pairs of key and value; ``depth`` counts the container that they make up."""
        tree: dict[str, Any] = {}
        known_keys = self.rules.known_keys
        done = 0
        for key, value in pairs:
            if self.room <= 0:
                break
            done += 1
            is_secret = known_keys.get(key) if type(key) is str else None
            if is_secret is None:
                key, is_secret = self._key(key)  # noqa: PLW2901 - the key as it is shown
            tree[key] = REDACTED if is_secret else self.plain(value, depth, path)
        if done < total:
            tree["..."] = f"{total - done} more"
        return tree

    def _items(self, items: Any, total: int, depth: int, path: _Path) -> list[Any]:
        """Any items of a sequence, likewise."""
        tree: list[Any] = []
        done = 0
        for value in items:
            if self.room <= 0:
                break
            done += 1
            if type(value) is tuple and len(value) == 2 and self._is_secret_name(value[0]):
                tree.append([value[0], REDACTED])  # a header, an item of a mapping
            else:
                tree.append(self.plain(value, depth, path))
        if done < total:
            tree.append(f"... {total - done} more")
        return tree

    def _is_secret_name(self, name: object) -> bool:
        return type(name) is str and len(name) <= _MAX_KEY and self.rules.redact.is_secret_key(name)

    def _affordable(self, total: int, depth: int) -> int:
        rules = self.rules
        if depth >= rules.max_depth:
            return 0
        count = total if total <= rules.max_items else rules.max_items
        count = min(count, self.nodes)
        self.nodes -= count
        return count

    def _other(self, value: object, depth: int, path: _Path) -> Any:
        try:
            found = simplified(value, self.rules.max_text + _MARGIN)
        except Exception as error:
            return self.text(f"<{type_name(type(value))}: capture failed: {type_name(type(error))}>")
        if type(found) is Pairs:
            count = self._affordable(found.total, depth)
            return self._pairs(found.pairs[:count], found.total, depth + 1, (value, path))
        if type(found) is Items:
            count = self._affordable(found.total, depth)
            return self._items(found.items[:count], found.total, depth + 1, (value, path))
        return self.plain(found, depth, path)

    def _key(self, key: object) -> tuple[str, bool]:
        """The key as text, and whether it is secret."""
        if type(key) is not str:
            key = self._key_text(key)
        redact = self.rules.redact
        shown = redact.text(key[: _MAX_KEY + _MARGIN])
        return _writable(shown if len(shown) <= _MAX_KEY else _cut(shown, _MAX_KEY)), redact.is_secret_key(key)

    def _key_text(self, key: object) -> str:
        kind = type(key)
        if key is None or kind is bool or kind is float:
            return str(key)
        if kind is int:
            return digits(key)  # type: ignore[arg-type]
        if kind is tuple:
            return f"({', '.join(self._key_text(part) if type(part) is not tuple else '(...)' for part in key[:8])})"  # type: ignore[index]
        found = simplified(key, _MAX_KEY + _MARGIN) if kind is not str else key
        return found if type(found) is str else f"<{type_name(kind)}>"


def _is_inside(value: object, path: _Path) -> bool:
    """Whether the value is one of the containers around itself."""
    while path is not None:
        if path[0] is value:
            return True
        path = path[1]
    return False


def _cut(text: str, size: int) -> str:
    if len(text) <= size - 3:
        return f"{text}..."
    return f"{text[: size - 3]}..." if size >= 3 else "..."[:size]


def _writable(text: str) -> str:
    if text.isascii():
        return text
    written = text.encode("utf-8", "replace").decode("utf-8")
    return text if written == text else written
