"""The lines of a journal: what spans and log records have in common there.

A line is a JSON array; its first element says what it is: ``i`` a few items (`span_codec`, `log_codec`), ``r`` a
resource, ``c`` a scope and ``f`` the attributes that all spans of a function have, which stand in a file before the
first line that refers to them by number. Nothing but JSON is read, so that a file can do no more than be wrong.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

if TYPE_CHECKING:
    from otel_tracker.delivery.segment import Segment

Item = TypeVar("Item")

MAX_LINE_BYTES = 16 * 2**20
ITEMS_A_LINE = 16
"""An encoder's call costs as much as two spans in it."""

_ITEMS = "i"
_BYTES_KEY = "\0bytes"
_UNFIT = (ValueError, TypeError, AttributeError, RecursionError, OverflowError, LookupError)


class Codec(Generic[Item]):
    """Writes and reads lines of one kind; ``encode`` and ``decode`` are for one item and may raise.

    ``decode`` gets what the numbers stand for, too.
    """

    def __init__(
        self, encode: Callable[[Item, Numbers], list[Any]], decode: Callable[[list[Any], dict[int, Any]], Item]
    ) -> None:
        self._encode = encode
        self._decode = decode

    def lines(
        self, items: Sequence[Item], segment: Segment, items_a_line: int = ITEMS_A_LINE
    ) -> tuple[list[bytes], int]:
        """The lines of the items, with what they refer to, and how many items could not be said."""
        numbers = Numbers(segment.written)
        lines: list[bytes] = []
        unfit = 0
        for start in range(0, len(items), items_a_line):
            some = items[start : start + items_a_line]
            try:
                lines.append(self._line(some, numbers))
            except _UNFIT:
                found, missed = self._single_lines(some, numbers)
                lines += found
                unfit += missed
        return numbers.definitions + lines, unfit

    def items(self, lines: Iterable[bytes], segment: Segment) -> tuple[list[Item], int]:
        """The items of the lines, and how many were damaged; a line that cannot be read at all counts as one."""
        items: list[Item] = []
        damaged = 0
        for line in lines:
            try:
                kind, *parts = _loaded(line)
                if kind != _ITEMS:
                    segment.read[parts[0]] = _DEFINITIONS[kind](*parts[1:])
                    continue
            except _UNFIT:
                damaged += 1
                continue
            for part in parts:
                try:
                    items.append(self._item(part, segment))
                except _UNFIT:
                    damaged += 1
        return items, damaged

    def _line(self, items: Sequence[Item], numbers: Numbers) -> bytes:
        encode = self._encode
        line = _dumped([_ITEMS, *[encode(item, numbers) for item in items]])
        if len(line) > MAX_LINE_BYTES:
            raise ValueError("too long")
        return line

    def _single_lines(self, items: Sequence[Item], numbers: Numbers) -> tuple[list[bytes], int]:
        lines: list[bytes] = []
        for item in items:
            try:
                lines.append(self._line([item], numbers))
            except _UNFIT:
                continue
        return lines, len(items) - len(lines)

    def _item(self, parts: list[Any], segment: Segment) -> Item:
        try:
            return self._decode(parts, segment.read)
        except KeyError:
            _read_definitions(segment)
            return self._decode(parts, segment.read)


class Numbers:
    """Numbers for what recurs, by identity: a process has one resource, few scopes and so many functions."""

    def __init__(self, known: dict[int, tuple[int, Any]]) -> None:
        self._known = known
        self.definitions: list[bytes] = []

    def of(self, thing: Resource | InstrumentationScope | Mapping[str, Any] | None) -> int:
        """The number of a resource, a scope or a function's attributes; 0 for none."""
        if thing is None:
            return 0
        known = self._known.get(id(thing))
        return self._new(thing) if known is None else known[0]

    def _new(self, thing: Resource | InstrumentationScope | Mapping[str, Any]) -> int:
        number = len(self._known) + 1
        if isinstance(thing, Resource):
            parts = ["r", number, dict(thing.attributes), thing.schema_url]
        elif isinstance(thing, Mapping):
            parts = ["f", number, dict(thing)]
        else:
            parts = ["c", number, thing.name, thing.version, thing.schema_url, dict(thing.attributes or {})]
        self.definitions.append(_dumped(parts))
        self._known[id(thing)] = number, thing  # the thing itself too, so that its id is nobody else's
        return number


def _read_definitions(segment: Segment) -> None:
    for line in segment.earlier_lines():
        if line.startswith((b'["r"', b'["c"', b'["f"')):
            kind, number, *parts = _loaded(line)
            segment.read[number] = _DEFINITIONS[kind](*parts)


def attribute_values(value: Any) -> Any:
    """JSON as attribute values: the SDK keeps sequences as tuples."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(item) in _CONTAINERS:
                value[key] = attribute_values(item)
        return value
    return tuple(attribute_values(item) for item in value) if kind is list else value


_CONTAINERS = (dict, list)


_DEFINITIONS: dict[str, Callable[..., Any]] = {
    "f": attribute_values,
    "r": lambda attributes, schema_url: Resource(attribute_values(attributes), schema_url),
    "c": lambda name, version, schema_url, attributes: InstrumentationScope(
        name, version, schema_url, attribute_values(attributes)
    ),
}


def bounded(attributes: dict[str, Any], dropped: int) -> Mapping[str, Any]:
    """Attributes that know how many of them the limits have taken."""
    values: dict[str, Any] = attribute_values(attributes)
    if not dropped:
        return values
    kept = BoundedAttributes(attributes=values, immutable=False)
    kept.dropped = dropped
    return kept


class _Encoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        if isinstance(o, (bytes, bytearray)):
            return {_BYTES_KEY: base64.b64encode(o).decode()}
        if isinstance(o, Mapping):
            return dict(o)
        if isinstance(o, Sequence):
            return list(o)
        return str(o)[:1_000]


_encode = _Encoder(check_circular=False, separators=(",", ":")).encode


def _dumped(parts: list[Any]) -> bytes:
    return _encode(parts).encode("ascii") + b"\n"


def _loaded(line: bytes) -> list[Any]:
    parts = json.loads(line, object_hook=_with_bytes) if b'{"\\u0000bytes"' in line else json.loads(line)
    if type(parts) is not list or not parts:
        raise ValueError("no line of a journal")
    return parts


def _with_bytes(found: dict[str, Any]) -> Any:
    return base64.b64decode(found[_BYTES_KEY]) if found.keys() == {_BYTES_KEY} else found
