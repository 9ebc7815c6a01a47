"""One record as one line of JSON, and back.

`encode_line` writes what `SpanRecord.to_dict` says, compact and in UTF-8. `parse_line` takes whatever else may lie
in such a file: it tells records from lines of other kinds and from lines that are no records. Nothing here touches
a file.
"""

from __future__ import annotations

import json
from typing import Any

from otel_tracker.records import SCHEMA, EventRecord, SpanRecord, event_from_dict, span_from_dict

SPAN_HEAD = f'{{"schema":{SCHEMA},"type":"span",'.encode()
EVENT_HEAD = f'{{"schema":{SCHEMA},"type":"event",'.encode()
"""How each line of ours begins. A line that begins so was encoded here, and may be filtered as bytes."""

_OTHER_TYPES = ("log", "metric")  # records as well, which no reader here is asked for
_BYTE_ORDER_MARK = "\ufeff"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode
# NaN and the infinities, which others write as bare words, become the text that a record holds for them.
_decode = json.JSONDecoder(parse_constant=str).decode


class UnreadableLineError(ValueError):
    """The line is torn, garbage, somebody else's, or a newer version's."""


def encode_line(record: SpanRecord | EventRecord) -> bytes:
    """The record's line with its newline; raises ValueError, TypeError or RecursionError when there is none."""
    fields = record.to_dict()
    try:
        return f"{_encode(fields)}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return f"{_encode_ascii(fields)}\n".encode()


def parse_line(line: bytes) -> SpanRecord | EventRecord | None:
    """The record in a line, None for a blank line or a record of another type.

    Invalid UTF-8 is read as U+FFFD. Raises `UnreadableLineError` for everything that is no record.
    """
    text = line.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return None
    try:
        fields = _decode(text)
        if not isinstance(fields, dict):
            raise UnreadableLineError("no JSON object")
        return _record_of(fields)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UnreadableLineError(str(error)) from None


def _record_of(fields: dict[str, Any]) -> SpanRecord | EventRecord | None:
    kind = fields.get("type")
    if kind in _OTHER_TYPES:
        return None
    if kind == "event":
        return event_from_dict(fields)
    record = span_from_dict(fields)
    if not (_is_hex(record.trace_id, 32) and _is_hex(record.span_id, 16)):
        raise UnreadableLineError("no ids")
    return record


def _is_hex(identifier: str, length: int) -> bool:
    return len(identifier) == length and not identifier.strip("0123456789abcdef")
