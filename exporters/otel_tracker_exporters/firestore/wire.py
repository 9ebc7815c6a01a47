"""Documents as the bytes of their protobuf messages, and which values Firestore takes.

Written by hand because that takes a third of the time of the message classes, which parse the result once more before
it is sent; that the bytes mean what the client's own encoding means is a test.
https://protobuf.dev/programming-guides/encoding, https://github.com/googleapis/googleapis/tree/master/google/firestore/v1

A list directly inside a list, a key that is empty or ``__like_this__``, nesting beyond 20 maps, half a surrogate pair:
for one such value the server refuses the whole request. `value` raises `NotNativeError` for them.
https://firebase.google.com/docs/firestore/quotas
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from otel_tracker.records import INT64_MAX, INT64_MIN
from otel_tracker.timestamps import NS_PER_S

MAX_DEPTH = 12
"""How many containers inside each other are stored as such; Firestore takes 20 maps, counted from the document."""

MAX_ITEMS = 2_000
"""How many items one container may have: production refuses more than 40,000 in a document that are indexed."""

_MAX_KEY_BYTES = 1_500
_UINT64 = 2**64
# Two groups of seven bits at a time, with which a number goes on, or ends.
_TWO_GROUPS = 1 << 14
_MORE = [bytes((low | 128, high | 128)) for high in range(128) for low in range(128)]
_LAST = [bytes((low,)) for low in range(128)] + [
    bytes((low | 128, high)) for high in range(1, 128) for low in range(128)
]
_double = struct.Struct("<d").pack

NULL = b"\x58\x00"
TRUE, FALSE = b"\x08\x01", b"\x08\x00"
NOT_EXISTING = b"\x22\x02\x08\x00"
"""Of a ``Write``: the condition that there is no such document."""


class NotNativeError(ValueError):
    """Firestore has no such value."""


def value(of: Any, depth: int = MAX_DEPTH, *, is_in_list: bool = False) -> bytes:
    """A plain value as a ``Value`` message; raises `NotNativeError`."""
    kind = type(of)
    if kind is str:
        return text(of)
    if kind is bool:
        return TRUE if of else FALSE
    if kind is int:
        return integer(of)
    if kind is float:
        if not math.isfinite(of):  # no plain value, and no JSON either
            raise NotNativeError
        return b"\x19" + _double(of)
    if of is None:
        return NULL
    if not depth or len(of) > MAX_ITEMS:
        raise NotNativeError
    if isinstance(of, Mapping):
        return map_of((key(name), value(item, depth - 1)) for name, item in of.items())
    if is_in_list:
        raise NotNativeError
    return array([value(item, depth - 1, is_in_list=True) for item in of])


def text(of: str) -> bytes:
    """A text as a ``Value`` message; raises `NotNativeError` for half a surrogate pair."""
    try:
        encoded = of.encode()
    except UnicodeEncodeError:
        raise NotNativeError from None
    size = len(encoded)
    return b"\x8a\x01" + (_LAST[size] if size < _TWO_GROUPS else varint(size)) + encoded


def integer(of: int) -> bytes:
    """An integer as a ``Value`` message; raises `NotNativeError` beyond 64 bits."""
    if 0 <= of < _TWO_GROUPS:
        return b"\x10" + _LAST[of]
    if not INT64_MIN <= of <= INT64_MAX:
        raise NotNativeError
    return b"\x10" + varint(of)


def time(at_ns: int) -> bytes:
    """A time as a ``Value`` message; Firestore keeps microseconds and rounds down."""
    if not INT64_MIN <= at_ns <= INT64_MAX:
        raise NotNativeError
    seconds, rest_ns = divmod(at_ns, NS_PER_S)
    moment = b"\x08" + varint(seconds) + b"\x10" + varint(rest_ns - rest_ns % 1_000)
    return b"\x52" + _size(moment) + moment


def map_of(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encoded keys and values as a ``Value`` message."""
    inside = b"".join([_entry(b"\x0a", name, item) for name, item in entries])
    return b"\x32" + _size(inside) + inside


def array(items: Iterable[bytes]) -> bytes:
    """Encoded values as a ``Value`` message."""
    inside = b"".join([b"\x0a" + _size(item) + item for item in items])
    return b"\x4a" + _size(inside) + inside


@lru_cache(maxsize=4_096)
def key(name: str) -> bytes:
    """The key of an entry of a map, up to its value; raises `NotNativeError` for one that Firestore refuses."""
    if type(name) is not str or not name or (name.startswith("__") and name.endswith("__")):
        raise NotNativeError
    encoded = utf8(name)
    if len(encoded) > _MAX_KEY_BYTES:
        raise NotNativeError
    return b"\x0a" + _size(encoded) + encoded + b"\x12"  # of the value that follows


def field(name: str, encoded: bytes) -> bytes:
    """A field of a document."""
    return _entry(b"\x12", key(name), encoded)


def text_field_head(name: str, size: int) -> bytes:
    """All of a field but its text, of a text that always has this size."""
    whole = field(name, text("x" * size))
    return whole[:-size]


def write(name: str, fields: Iterable[bytes], *, if_new: bool = False) -> bytes:
    """A ``Write`` message: the document ``name`` with these fields, where ``if_new`` only if there is none."""
    shown = name.encode("utf-8")
    document = b"".join([b"\x0a", _size(shown), shown, *fields])
    whole = b"\x0a" + _size(document) + document
    return whole + NOT_EXISTING if if_new else whole


def unchanged_since(update_time: Any) -> bytes:
    """Of a ``Write``: the condition that the document was last written then (the client's own kind of datetime)."""
    moment: bytes = update_time.timestamp_pb().SerializeToString()
    condition = b"\x12" + _size(moment) + moment
    return b"\x22" + _size(condition) + condition


def request(database: str, writes: Iterable[bytes]) -> bytes:
    """A ``BatchWriteRequest`` message."""
    shown = database.encode("utf-8")
    parts = [b"\x0a", _size(shown), shown]
    for one in writes:
        parts += (b"\x12", _size(one), one)
    return b"".join(parts)


def utf8(of: str) -> bytes:
    """The text encoded; raises `NotNativeError` for half a surrogate pair."""
    try:
        return of.encode("utf-8")
    except UnicodeEncodeError:
        raise NotNativeError from None


def varint(number: int) -> bytes:
    """A number in groups of seven bits, a negative one as its two's complement."""
    if number < 0:
        number += _UINT64
    parts = b""
    while number >= _TWO_GROUPS:
        parts += _MORE[number & 16_383]
        number >>= 14
    return parts + _LAST[number]


def _size(encoded: bytes) -> bytes:
    """The length that stands before a message."""
    size = len(encoded)
    return _LAST[size] if size < _TWO_GROUPS else varint(size)


def _entry(tag: bytes, name: bytes, encoded: bytes) -> bytes:
    try:  # of whatever is no larger than 16 KiB, which spares a call each
        inside = name + _LAST[len(encoded)] + encoded
        return tag + _LAST[len(inside)] + inside
    except IndexError:
        inside = name + _size(encoded) + encoded
        return tag + _size(inside) + inside
