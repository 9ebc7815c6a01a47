"""One record as one line of JSON, and back.

`encode_line` writes what `SpanRecord.to_dict` says, compact and in UTF-8. `parse_line` takes whatever may lie in such
a file: records of ours, OTLP JSON with any number of them, lines of other kinds and lines that are no records. Nothing
here touches a file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_tracker.records import (
    SCHEMA,
    Record,
    SpanRecord,
    event_from_dict,
    log_from_dict,
    metric_from_dict,
    plain,
    span_from_dict,
)
from otel_tracker_exporters.jsonl.otlp_decoding import decode_otlp, is_otlp

SPAN_HEAD = f'{{"schema":{SCHEMA},"type":"span",'.encode()
EVENT_HEAD = f'{{"schema":{SCHEMA},"type":"event",'.encode()
LOG_HEAD = f'{{"schema":{SCHEMA},"type":"log",'.encode()
METRIC_HEAD = f'{{"schema":{SCHEMA},"type":"metric",'.encode()
"""How each line of ours begins. A line that begins so was encoded here, and may be filtered as bytes."""

OUR_HEADS = (SPAN_HEAD, EVENT_HEAD, LOG_HEAD, METRIC_HEAD)
_BYTE_ORDER_MARK = "\ufeff"
_IDS = re.compile("[0-9a-f]{32} [0-9a-f]{16}")


def _finite_or_text(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else str(plain(number))


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode
# NaN and the infinities, which others write as bare words, become the text that a record holds for them.
_decode = json.JSONDecoder(parse_constant=str).decode
# So do numbers beyond what a float holds, which the parser would make infinite. Few lines have such an exponent.
_LARGE_EXPONENT = re.compile(r"[0-9][eE]\+?[0-9]{3}")
_decode_all = json.JSONDecoder(parse_constant=str, parse_float=_finite_or_text).decode


def encode_line(record: Record) -> bytes:
    """The record's line with its newline; raises ValueError, TypeError or RecursionError when there is none."""
    fields = record.to_dict()
    try:
        return f"{_encode(fields)}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return f"{_encode_ascii(fields)}\n".encode()


class Parsed(NamedTuple):
    """What a line holds: records in order, and how many that cannot be read."""

    records: Sequence[Record] = ()
    broken: int = 0


_NOTHING = Parsed()
_BROKEN = Parsed(broken=1)


def parse_line(line: bytes) -> Parsed:
    """The records in a line, ours or OTLP JSON; none in a blank one.

    Invalid UTF-8 is read as U+FFFD. Never raises: what is torn, garbage, somebody else's or a newer
    version's is broken.
    """
    text = line.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return _NOTHING
    try:
        fields = (_decode_all if _LARGE_EXPONENT.search(text) else _decode)(text)
        return _parsed(fields) if isinstance(fields, dict) else _BROKEN
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return _BROKEN


def _parsed(fields: dict[str, Any]) -> Parsed:
    kind = fields.get("type")
    if kind == "span":
        record = span_from_dict(fields)
        return Parsed((record,)) if _has_ids(record) else _BROKEN
    if kind == "event":
        return Parsed((event_from_dict(fields),))
    if kind == "log":
        return Parsed((log_from_dict(fields),))
    if kind == "metric":
        return Parsed((metric_from_dict(fields),))
    if is_otlp(fields):
        decoded = decode_otlp(fields)
        return Parsed(decoded.records, decoded.broken)
    return _BROKEN


def _has_ids(record: SpanRecord) -> bool:
    """Whether the ids are as we write them; nothing else finds its place in a selection."""
    return _IDS.fullmatch(f"{record.trace_id} {record.span_id}") is not None
