"""The rest of a record: the fields that OpenTelemetry's terms cannot say, as the JSON text of one attribute.

`otel_tracker.to_otel` decides what belongs there; here it is written and read back. Anybody may set an attribute of
that name, so whatever does not fit is no rest of ours and stays what it is: an attribute.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from otel_tracker.records import (
    INT64_MAX,
    INT64_MIN,
    EventRecord,
    LogRecord,
    MetricRecord,
    Record,
    SpanRecord,
    UnfitRecordError,
)

_MAX_DEPTH = 24
"""Containers inside each other that an attribute may have; a parser of protobuf's stops at 100 messages, 3 for each."""

_MAX_REST_DEPTH = 64
"""The same for a rest: 60 for a value, and what lies around one in the attributes of a span's event."""

_EARLIEST_NS, _LATEST_NS = -62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1
_HEX = "0123456789abcdef"
_CONTAINERS = frozenset({dict, list, tuple})

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def json_text(value: Any) -> str:
    """Compact JSON text without lone surrogates; raises ValueError, TypeError or RecursionError where there is none."""
    text = _encode(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can say in ASCII what UTF-8 cannot
        return _encode_ascii(value)
    return text


def rest_text(rest: Mapping[str, Any]) -> str:
    """The text that `said_again` takes; raises `UnfitRecordError` for fields that are too deep, else as `json_text`."""
    if is_deep(rest, _MAX_REST_DEPTH):
        raise UnfitRecordError(
            "it holds more than 60 containers inside each other, which is as deep as OTLP JSON is read here "
            "(SQLite and the format record hold it)"
        )
    return json_text(rest)


def said_again(text: Any, record_type: type[Record]) -> dict[str, Any] | None:
    """The fields that a text of `rest_text` holds, or None when it is no rest of a record of this type."""
    kinds = _FIELDS[record_type]
    try:
        fields = _decode(text)
        if not isinstance(fields, dict) or is_deep(fields, _MAX_REST_DEPTH):
            return None
        return {field: kinds[field](value) for field, value in fields.items()}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def is_deep(value: Any, room: int = _MAX_DEPTH, *, empty_keys: bool = False) -> bool:
    """Whether more than ``room`` containers lie inside each other, or with ``empty_keys`` a map has an empty key."""
    if room == 0:
        return True
    if isinstance(value, dict):
        if empty_keys and "" in value:
            return True
        value = value.values()
    for item in value:  # noqa: SIM110 - half the time of any()
        if type(item) in _CONTAINERS and is_deep(item, room - 1, empty_keys=empty_keys):
            return True
    return False


def checked_time(time_ns: int) -> int:
    """The time itself; raises `UnfitRecordError` for one that no date can say, before the year 1 or after 9999."""
    if not _EARLIEST_NS <= time_ns <= _LATEST_NS:
        raise UnfitRecordError(f"{str(time_ns)[:40]} ns is no time of the years 1 to 9999")
    return time_ns


def is_id(identifier: object, length: int) -> bool:
    """Whether it is an id as records and OTLP have it: hexadecimal in lower case, and not all zero."""
    return (
        isinstance(identifier, str)
        and len(identifier) == length
        and not identifier.strip(_HEX)
        and identifier.strip("0") != ""
    )


def _integer(digits: str) -> int | str:
    if len(digits) > 40:  # int() refuses more than 4300 digits, and takes its time for fewer
        return digits
    return int(digits)


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


_decode = json.JSONDecoder(parse_int=_integer, parse_float=_finite, parse_constant=str).decode


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _time(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return checked_time(value)


def _time_or_none(value: Any) -> int | None:
    return None if value is None else _time(value)


def _value(value: Any) -> Any:
    """A plain value; an integer beyond 64 bits becomes text, as everywhere in a record."""
    if type(value) is int:
        return value if INT64_MIN <= value <= INT64_MAX else str(value)
    if type(value) is dict:
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value] if type(value) is list else value


def _mapping(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError
    return {key: _value(item) for key, item in value.items()}


def _mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    if type(value) is not list:
        raise TypeError
    return tuple(_mapping(item) for item in value)


_SPAN_FIELDS = {
    "module": _text,
    "kind": _text,
    "status": _text,
    "start_ns": _time,
    "end_ns": _time_or_none,
    "args": _mapping,
    "result": _value,
    "error": _mapping,
    "attributes": _mapping,
    "events": _mappings,
    "links": _mappings,
    "status_code": _text,
    "status_message": _text,
    "resource": _mapping,
}

_EVENT_FIELDS = {
    "name": _text,
    "time_ns": _time,
    "severity": _text,
    "properties": _mapping,
    "body": _value,
    "error": _mapping,
    "resource": _mapping,
}

_LOG_FIELDS = {
    "time_ns": _time,
    "body": _value,
    "attributes": _mapping,
    "error": _mapping,
    "resource": _mapping,
}

_METRIC_FIELDS = {
    "time_ns": _time,
    "start_ns": _time_or_none,
    "attributes": _mapping,
    "exemplars": _mappings,
    "resource": _mapping,
}

_FIELDS: Mapping[type[Record], Mapping[str, Callable[[Any], Any]]] = {
    SpanRecord: _SPAN_FIELDS,
    EventRecord: _EVENT_FIELDS,
    LogRecord: _LOG_FIELDS,
    MetricRecord: _METRIC_FIELDS,
}
