"""The fields of OTLP JSON messages that are no attribute values: ids, times, enumerations, texts and lists of messages.

Lenient, as the specification wants receivers to be; see `otlp_decoding`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_tracker.otel_rest import is_id
from otel_tracker.records import Record
from otel_tracker.to_otel import MAX_TIME_NS
from otel_tracker_exporters.jsonl.otlp_values import attributes_of, integer_of

FAULTS = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What the functions here, and those of `otlp_values`, raise for what is broken."""


@dataclass(slots=True)
class Decoded:
    """What was found: records in their order, and how much is broken."""

    records: list[Record] = field(default_factory=list)
    broken: int = 0

    def add(self, make: Callable[..., Record], *arguments: Any) -> None:
        """Add the record that is made of these, or count that it is broken."""
        try:
            self.records.append(make(*arguments))
        except FAULTS:
            self.broken += 1


def entries(fields: Mapping[str, Any], key: str, found: Decoded) -> Iterator[Mapping[str, Any]]:
    """The objects in a list; null is an empty list, and anything else is broken."""
    listed = fields.get(key)
    if not isinstance(listed, list):
        found.broken += listed is not None
        return
    for entry in listed:
        if isinstance(entry, dict):
            yield entry
        else:
            found.broken += 1


def mappings(items: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; what else is in it is passed over."""
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def scope_of(of_scope: Mapping[str, Any]) -> str:
    """The name of the scope that the entries of a list have in common."""
    scope = of_scope.get("scope")
    return text_of(scope.get("name")) if isinstance(scope, dict) else ""


def resource_of(fields: Any) -> Mapping[str, Any]:
    """The resource's attributes: the same object as for the line before where they are equal, which most are."""
    global _last_resource
    pairs = fields.get("attributes") if isinstance(fields, dict) else None
    if not pairs:
        return _NO_RESOURCE
    known, resource = _last_resource
    if known != pairs:
        resource = attributes_of(pairs)
        _last_resource = pairs, resource
    return resource


def id_of(identifier: Any, size: int) -> str:
    """The id in lower-case hexadecimal, or empty where there is none."""
    if not isinstance(identifier, str):
        return ""
    if is_id(identifier, 2 * size):
        return identifier
    if len(identifier) == 2 * size:
        lower = identifier.lower()
        return lower if is_id(lower, 2 * size) else ""
    try:
        binary = base64.b64decode(identifier, validate=True)
    except ValueError:
        return ""
    return binary.hex() if len(binary) == size and any(binary) else ""


def number_of(number: Any, names: Mapping[str, int]) -> int:
    """An enumeration's number, which may be written as its name; 0 for one that is unknown."""
    if isinstance(number, str) and not number.isdecimal():
        return names.get(number, 0)
    return integer_of(number)


def named(names: Sequence[str], index: int) -> str:
    """The name at an index, or the first one."""
    return names[index] if 0 <= index < len(names) else names[0]


def time_of(number: Any) -> int:
    """Nanoseconds, 0 for none; raises ValueError for what is no unsigned 64-bit integer."""
    time_ns = integer_of(number)
    if not 0 <= time_ns <= MAX_TIME_NS:
        raise ValueError("a time beyond 64 bits")
    return time_ns


def text_of(text: Any) -> str:
    """The text; empty where there is none."""
    return text if isinstance(text, str) else "" if text is None else str(text)


_NO_RESOURCE: Mapping[str, Any] = {}
_last_resource: tuple[Any, Mapping[str, Any]] = (None, _NO_RESOURCE)
