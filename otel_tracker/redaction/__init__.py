"""Replaces secrets by ``[redacted]``: by the name they stand under, and by their shape inside a text.

The bottom layer of capture, and of the records made from spans of others. The tables are in
`otel_tracker.redaction.patterns`; the settings add to them. Every expression runs in time that grows with the text
and no faster, a text without any trigger costs about a microsecond, and one beyond `MAX_TEXT` is cut: what was not
read must not be shown. Nothing here knows OpenTelemetry, nothing mutates what it is given.
"""

from __future__ import annotations

import fnmatch
import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from otel_tracker import settings
from otel_tracker.attributes import ARGS_JSON_PREFIX, RESULT_JSON
from otel_tracker.diagnostics import say_once
from otel_tracker.redaction.patterns import (
    ASSIGNED_NAME,
    ASSIGNED_VALUE,
    CARD_NUMBER,
    HEADER_VALUE,
    KEY_PATTERNS,
    KEY_STEM,
    REDACTED,
    VALUE_PATTERNS,
    ValuePattern,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["KEY_PATTERNS", "MAX_TEXT", "REDACTED", "VALUE_PATTERNS", "Redactor", "ValuePattern", "redactor", "reset"]

MAX_TEXT = 1_000_000
"""Characters of one text that are read; a longer one is cut there and ends in ``...``."""

_MAX_KEY = 256
_MAX_KNOWN_KEYS = 4_096
_MAX_DEPTH = 64  # `records.plain` stops at 32
_SHORTEST_SECRET = 5  # "pin=1"
_SHORTEST_WORD = 13  # a secret of letters and digits alone: the shortest card number

_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
_DIGIT_GROUPS = re.compile(r"[0-9]{4}[ -]?[0-9]{4}")
_JSON_NAME = re.compile(r'"((?:[^"\\]|\\.){1,128})"\s{0,3}:')

# Names after which prose goes on as often as a secret does: "Invalid token: unexpected end".
_PROSE_NAME = re.compile(r"(?i)(?:token|tokens|auth|cookies?|pin|credentials?)\Z")

_GATED: dict[str, list[ValuePattern]] = {}
for _pattern in VALUE_PATTERNS:
    _GATED.setdefault(_pattern.gate, []).append(_pattern)
_GATES = tuple((gate, tuple(patterns)) for gate, patterns in _GATED.items())


@dataclass(frozen=True, slots=True)
class Redactor:
    """Redacts names, texts and plain trees; ``keys`` are more globs, ``values`` more regular expressions.

    >>> Redactor().text("GET /?page=2&token=abc")
    'GET /?page=2&token=[redacted]'
    >>> Redactor(keys=("iban",)).value({"apiKey": "s3cr3t", "iban": "DE02", "author": "Ada"})
    {'apiKey': '[redacted]', 'iban': '[redacted]', 'author': 'Ada'}
    """

    enabled: bool = True
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    known_keys: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Answers of `is_secret_key` for names that hold no secret themselves; capture looks here first."""
    harmless_keys: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """Those of them that are not secret."""
    _key_regex: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _stem: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _extra: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        extra = [_normalised_glob(glob) for glob in self.keys]
        object.__setattr__(self, "_key_regex", re.compile("|".join(map(fnmatch.translate, [*KEY_PATTERNS, *extra]))))
        object.__setattr__(self, "_stem", _stem_of(extra))
        object.__setattr__(self, "_extra", tuple(_compiled(self.values)))

    def is_secret_key(self, name: str) -> bool:
        """Whether what stands under this name is a secret; of a dotted name also by its last part."""
        known = self.known_keys.get(name)
        if known is not None:
            return known
        answer = self.enabled and self._matches_key(name[:_MAX_KEY])
        if len(name) <= _MAX_KEY and self.text(name) is name:
            if len(self.known_keys) >= _MAX_KNOWN_KEYS:
                self.known_keys.clear()
                self.harmless_keys.clear()
            self.known_keys[name] = answer
            if not answer:
                self.harmless_keys.add(name)
        return answer

    def text(self, text: str) -> str:
        """The text with what looks like a secret replaced; the same object when nothing does."""
        size = len(text)
        if size < _SHORTEST_WORD and not self._extra and (size < _SHORTEST_SECRET or text.isalnum()):
            return text
        if not self.enabled:
            return text
        redacted = text if size <= MAX_TEXT else text[:MAX_TEXT]
        if "=" in redacted or ":" in redacted:
            redacted = self._without_assigned(redacted)
        redacted = self._without_shapes(redacted)
        for regex in self._extra:
            redacted = _substituted(regex, redacted)
        if size > MAX_TEXT or len(redacted) > MAX_TEXT:
            redacted = redacted[: MAX_TEXT - 3] + "..."
        return text if redacted == text else redacted

    def value(self, tree: Any) -> Any:
        """The plain tree without secrets; the same object when there are none."""
        return self._value(tree, 0) if self.enabled else tree

    def mapping(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The attributes without secrets, JSON texts still valid; the same object when there are none."""
        if not self.enabled:
            return attributes
        changed = {}
        for key, value in attributes.items():
            redacted = self._attribute(key, value)
            if redacted is not value:
                changed[key] = redacted
        return {**attributes, **changed} if changed else attributes

    def _attribute(self, key: str, value: Any) -> Any:
        if self.is_secret_key(key):
            return REDACTED
        if isinstance(value, str) and key.startswith((ARGS_JSON_PREFIX, RESULT_JSON)):
            return self._json_text(value)
        return self._value(value, 0)

    def _json_text(self, text: str) -> str:
        named = any(self.is_secret_key(match[1]) for match in _JSON_NAME.finditer(text))
        if not named and self.text(text) is text:
            return text
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):  # a limit of the SDK's has cut it
            return self.text(text)
        redacted = self._value(tree, 0)
        return text if redacted is tree else json.dumps(redacted, ensure_ascii=False, separators=(",", ":"))

    def _value(self, tree: Any, depth: int) -> Any:
        if isinstance(tree, str):
            return self.text(tree)
        if depth > _MAX_DEPTH:
            return REDACTED
        if isinstance(tree, dict):
            changed = {key: new for key, item in tree.items() if (new := self._item(key, item, depth)) is not item}
            return {**tree, **changed} if changed else tree
        if isinstance(tree, (list, tuple)):
            items = [self._value(item, depth + 1) for item in tree]
            same = all(new is old for new, old in zip(items, tree, strict=True))
            return tree if same else items if isinstance(tree, list) else tuple(items)
        return tree

    def _item(self, key: Any, item: Any, depth: int) -> Any:
        if isinstance(key, str) and self.is_secret_key(key):
            return item if item == REDACTED else REDACTED
        return self._value(item, depth + 1)

    def _matches_key(self, name: str) -> bool:
        normalised = _normalised(name)
        if self._key_regex.match(normalised):
            return True
        last = name.rpartition(".")[2]
        return last != name and self._key_regex.match(_normalised(last)) is not None

    def _without_shapes(self, text: str) -> str:
        for gate, patterns in _GATES:
            if gate in text:
                for pattern in patterns:
                    for hint in pattern.hints:
                        if hint in text:
                            text = pattern.regex.sub(pattern.replacement, text)
                            break
        if len(text) >= _SHORTEST_WORD and _DIGIT_GROUPS.search(text):
            text = CARD_NUMBER.sub(_card_or_not, text)
        return text

    def _without_assigned(self, text: str) -> str:
        """The text without the values of ``name=value`` and ``"name": value`` whose name is secret."""
        if not self._stem.search(text.lower()):
            return text
        pieces: list[str] = []
        end = 0
        for match in ASSIGNED_NAME.finditer(text):
            if match.start() < end or not self._is_secret_name(match["name"]):
                continue
            value = self._assigned_value(match, text)
            if value is not None:
                pieces += [text[end : value[0]], REDACTED]
                end = value[1]
        return "".join([*pieces, text[end:]]) if pieces else text

    def _is_secret_name(self, name: str) -> bool:
        known = self.known_keys.get(name)  # not through `is_secret_key`: that asks `text` about unknown names
        return self._matches_key(name) if known is None else known

    def _assigned_value(self, name: re.Match[str], text: str) -> tuple[int, int] | None:
        """Where the value after this name starts and ends; None when there is none, or prose."""
        is_header = name["sign"] == ":" and name["quote"] is None and name["name"].lower().endswith("cookie")
        value = (HEADER_VALUE if is_header else ASSIGNED_VALUE).match(text, name.end())
        if value is None:
            return None
        if is_header:
            return value.span()
        is_prose = name["sign"] == ":" and name["gap"] and name["quote"] is None and value[0].isalpha()
        if is_prose and _PROSE_NAME.search(name["name"]):
            return None
        start = max(value.end("opening"), value.end("start"), value.start())
        return (start, value.end()) if value.end() > start else None


def redactor() -> Redactor:
    """The redactor in force, built from the settings at first use."""
    return _in_force()


def reset() -> None:
    """Read the settings again at next use; `configure()` calls this."""
    _in_force.cache_clear()


@lru_cache(maxsize=1)
def _in_force() -> Redactor:
    return Redactor(settings.REDACT_ENABLED.read(), settings.REDACT_KEYS.read(), settings.REDACT_VALUES.read())


def _normalised(name: str) -> str:
    return _WORD_BREAK.sub("_", name).lower().strip("_").rstrip("0123456789_")


def _normalised_glob(glob: str) -> str:
    """A user's glob in the form of normalised names; its signs ``*``, ``?`` and ``[...]`` stay."""
    return re.sub(r"[^\w*?\[\]!]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", glob)).lower()


def _stem_of(globs: Iterable[str]) -> re.Pattern[str]:
    """What finds a name that may match a glob, in a text in lower case: the stems, and each glob's longest word."""
    words = {max(re.findall(r"[a-z0-9]+", re.sub(r"\[.*?\]", " ", glob)), key=len, default="") for glob in globs}
    return re.compile("|".join([KEY_STEM.pattern, *sorted(words)])) if words else KEY_STEM


def _compiled(expressions: Iterable[str]) -> Iterable[re.Pattern[str]]:
    for expression in expressions:
        try:
            regex = re.compile(expression)
        except (re.error, RecursionError, OverflowError) as error:
            say_once(
                f"{settings.REDACT_VALUES.variable} holds {expression[:100]!r}, which is no regular expression "
                f"({error}); it is ignored, the others work. {settings.REDACT_VALUES.fix}"
            )
            continue
        yield regex


def _substituted(regex: re.Pattern[str], text: str) -> str:
    """The text without the non-empty matches; what is redacted already is left alone."""
    pieces = text.split(REDACTED)
    return REDACTED.join(regex.sub(lambda match: REDACTED if match[0] else "", piece) for piece in pieces)


def _card_or_not(match: re.Match[str]) -> str:
    digits = [int(character) for character in reversed(match[0]) if character.isdecimal()]
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2])
    return match[0] if (sum(digits[::2]) + sum(doubled)) % 10 else REDACTED
