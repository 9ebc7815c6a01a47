"""Texts and JSON that Firestore takes: it has no half of a surrogate pair."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def json_text(value: Any) -> str:
    """JSON in which half a surrogate pair is an escape. Raises what encoding JSON raises."""
    text = _encode(value)
    return text if is_utf8(text) else _encode_ascii(value)


def is_utf8(text: str) -> bool:
    """Whether a text can be encoded."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def clean(text: str) -> str:
    """The text, with U+FFFD for halves of surrogate pairs."""
    return text if is_utf8(text) else "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
