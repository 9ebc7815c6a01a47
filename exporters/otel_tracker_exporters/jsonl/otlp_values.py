"""Values and attributes as OTLP JSON writes them, and back.

Every value is an object that names its type: ``{"intValue": "5"}``, ``{"kvlistValue": {"values": [...]}}``, and ``{}``
for None; integers are decimal text, because a JSON number may lose digits
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). Writing gives text at once, which takes half the
time of building the objects first; reading takes parsed JSON and is lenient.
"""

from __future__ import annotations

import base64
import json.encoder
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_tracker.records import INT64_MAX, INT64_MIN, plain

escaped = json.encoder.encode_basestring
"""The text as a JSON string; only what JSON must escape is escaped."""


def attributes_text(attributes: Mapping[str, Any]) -> str:
    """The attributes as a JSON array of ``{"key": ..., "value": ...}``."""
    pairs = [f'{{"key":{escaped(key)},"value":{value_text(value)}}}' for key, value in attributes.items()]
    return f"[{','.join(pairs)}]"


def value_text(value: Any) -> str:
    """A value as JSON text; raises TypeError for what is no plain value, RecursionError for one that is too deep."""
    if type(value) is str:
        return f'{{"stringValue":{escaped(value)}}}'
    encode = _ENCODERS.get(type(value))
    return encode(value) if encode is not None else _unusual_text(value)


def _integer_text(value: int) -> str:
    if INT64_MIN <= value <= INT64_MAX:
        return f'{{"intValue":"{value}"}}'
    return value_text(plain(value))  # a parser refuses the whole line for an integer beyond 64 bits


def _float_text(value: float) -> str:
    return f'{{"doubleValue":{value!r}}}' if math.isfinite(value) else f'{{"doubleValue":"{plain(value)}"}}'


def _mapping_text(value: Mapping[str, Any]) -> str:
    return f'{{"kvlistValue":{{"values":{attributes_text(value)}}}}}'


def _sequence_text(value: Sequence[Any]) -> str:
    return f'{{"arrayValue":{{"values":[{",".join(map(value_text, value))}]}}}}'


def _bytes_text(value: bytes) -> str:
    return f'{{"bytesValue":"{base64.b64encode(value).decode("ascii")}"}}'


def _unusual_text(value: Any) -> str:
    """Of a value of a derived type, or of another mapping or sequence."""
    for kind, encode in _KINDS:
        if isinstance(value, kind):
            return encode(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be encoded")


_ENCODERS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: '{"boolValue":true}' if value else '{"boolValue":false}',
    int: _integer_text,
    float: _float_text,
    type(None): lambda value: "{}",
    dict: _mapping_text,
    list: _sequence_text,
    tuple: _sequence_text,
    bytes: _bytes_text,
}
_KINDS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (str, lambda value: value_text(str.__str__(value))),
    (int, lambda value: _integer_text(int(value))),
    (float, lambda value: _float_text(float(value))),
    (Mapping, _mapping_text),
    (Sequence, _sequence_text),
)


def attributes_of(pairs: Any) -> dict[str, Any]:
    """The plain attributes in a parsed array of pairs; what is no pair is passed over, of equal keys the last holds."""
    attributes: dict[str, Any] = {}
    if isinstance(pairs, list):
        for pair in pairs:
            key = pair.get("key", "") if isinstance(pair, dict) else None
            if isinstance(key, str):
                value = _value_of(pair.get("value"))
                attributes[key] = plain(value, 1) if type(value) in (dict, list) else value
    return attributes


def value_of(fields: Any) -> Any:
    """The plain value that a parsed value object stands for; None for an empty one and for anything else."""
    return plain(_value_of(fields))


def integer_of(number: Any) -> int:
    """A 64-bit integer, which may be text or a number, also one written with a fraction; 0 for none.

    Raises ValueError, TypeError or OverflowError for what is no number.
    """
    if type(number) is int:
        return number
    if number is None or number == "":
        return 0
    if isinstance(number, str):
        return int(number) if number.lstrip("-").isdecimal() else int(float(number))
    return int(number)


def _value_of(fields: Any) -> Any:
    if not isinstance(fields, dict):
        return None
    text = fields.get("stringValue")
    if type(text) is str:  # three of four
        return text
    for name, value in fields.items():
        decode = _DECODERS.get(name)
        if decode is not None and value is not None:
            return decode(value)
    return None


def _integer(value: Any) -> Any:
    try:
        number = int(value) if type(value) is str else integer_of(value)
        return number if INT64_MIN <= number <= INT64_MAX else plain(number)
    except (ValueError, TypeError, OverflowError):
        return plain(value)


def _float(value: Any) -> Any:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return plain(number)
    return plain(float(value)) if isinstance(value, (int, float)) else plain(value)


def _text(value: Any) -> str:
    return value if type(value) is str else str(value)


def _boolean(value: Any) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _list(value: Any) -> list[Any]:
    values = value.get("values") if isinstance(value, dict) else None
    return [_value_of(item) for item in values] if isinstance(values, list) else []


def _dict(value: Any) -> dict[str, Any]:
    values = value.get("values") if isinstance(value, dict) else None
    pairs = values if isinstance(values, list) else []
    return {_text(pair.get("key", "")): _value_of(pair.get("value")) for pair in pairs if isinstance(pair, dict)}


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "stringValue": _text,
    "boolValue": _boolean,
    "intValue": _integer,
    "doubleValue": _float,
    "arrayValue": _list,
    "kvlistValue": _dict,
    "bytesValue": _text,  # base64, which is how a record holds bytes
}
