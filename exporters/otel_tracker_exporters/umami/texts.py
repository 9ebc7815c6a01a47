"""Texts as analytics servers store them: bounded in the server's own units, without what breaks its database.

Umami counts some texts in UTF-16 units (JavaScript's ``length``) and others in code points (PostgreSQL's columns), and
answers 500 for a NUL character. A text that is cut says so.
"""

from __future__ import annotations

from hashlib import sha256

_REPLACEMENT = "\ufffd"
_CUT_MARK = "..."
_HASH_DIGITS = 8


def clean(text: str) -> str:
    """The text with U+FFFD for each NUL and each lone surrogate: what is left is valid UTF-8 and harmless."""
    text = text.replace("\0", _REPLACEMENT)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cut(text: str, limit: int) -> str:
    """At most so many code points, a cut text ending in ``...``."""
    return text if len(text) <= limit else text[: limit - len(_CUT_MARK)] + _CUT_MARK


def cut_name(text: str, limit: int) -> str:
    """At most so many UTF-16 units; a long name ends in ``~`` and a hash of all of it, so that no two merge."""
    if utf16_length(text) <= limit:
        return text
    return f"{first_units(text, limit - _HASH_DIGITS - 1)}~{hash_of(text)[:_HASH_DIGITS]}"


def cut_key(text: str, limit: int) -> str:
    """As `cut_name`, in code points."""
    return text if len(text) <= limit else f"{text[: limit - _HASH_DIGITS - 1]}~{hash_of(text)[:_HASH_DIGITS]}"


def utf16_length(text: str) -> int:
    """How long JavaScript says the text is."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def first_units(text: str, limit: int) -> str:
    """The first UTF-16 units, without half a character."""
    if text.isascii():
        return text[:limit]
    return text.encode("utf-16-le", "surrogatepass")[: limit * 2].decode("utf-16-le", "ignore")


def hash_of(text: str) -> str:
    """64 hexadecimal digits."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
