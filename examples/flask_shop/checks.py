"""Reads what customers send: a value of the right kind within its bounds, or `InvalidInputError`."""

from __future__ import annotations

from typing import Any

from flask_shop.errors import InvalidInputError

LARGEST = 1_000_000_000


def mapping(body: Any, *, of: str) -> dict[str, Any]:
    """The body, when it is a JSON object."""
    if not isinstance(body, dict):
        raise InvalidInputError(f"Send {of} as a JSON object, with Content-Type: application/json.")
    return body


def text(body: dict[str, Any], name: str, *, max_length: int = 100) -> str:
    """A text that is not empty."""
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= max_length:
        raise InvalidInputError(f"{name} has to be a text of 1 to {max_length} characters.")
    return value.strip()


def whole_number(body: dict[str, Any], name: str, *, minimum: int) -> int:
    """A whole number from the minimum on; no truth value, which is a whole number in Python."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= LARGEST:
        raise InvalidInputError(f"{name} has to be a whole number from {minimum} to {LARGEST}.")
    return value
