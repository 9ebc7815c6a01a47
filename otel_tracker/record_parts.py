"""What the JSON of all records has in common: plain values, and the checks with which it is read back.

A value is *plain* when every format can hold it without loss: None, bool, 64-bit int, finite float, str, and list and
dict with str keys of those.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

SCHEMA = 1
"""The version of the JSON form of records; a reader refuses a newer one."""

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

MAX_DEPTH = 32
"""How many containers inside each other `plain` keeps: more than capture produces. What lies deeper becomes text."""


def plain(value: Any, depth: int = 0) -> Any:
    """A value that every store and format can hold, from anything that OTel accepts as an attribute.

    NaN and the infinities become ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` (as OTLP JSON writes them), an
    integer beyond 64 bits its decimal digits, bytes their base64 text, any other type its ``str()``.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)  # an enum's member has a type and a str() of its own
    if isinstance(value, int):
        return int(value) if INT64_MIN <= value <= INT64_MAX else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _non_finite(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if depth >= MAX_DEPTH:
        return _str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item, depth + 1) for item in value]
    return _str(value)


def without_absent(fields: dict[str, Any], keep: Sequence[str]) -> dict[str, Any]:
    """The fields without those that are None or empty, except for those to be kept."""
    return {key: value for key, value in fields.items() if key in keep or not (value is None or value in ("", {}, []))}


def check_type(fields: Mapping[str, Any], kind: str) -> None:
    """Raise ValueError unless these are the fields of a record of this type, in a version that is known."""
    if fields.get("type") != kind:
        raise ValueError(f"expected a record of type {kind!r}, found {fields.get('type')!r}")
    schema = fields.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ValueError(f"the record has schema {schema!r}; this version reads up to {SCHEMA}")


def checked_text(value: Any) -> str:
    """The text itself; raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def checked_mapping(value: Any) -> Mapping[str, Any]:
    """The mapping itself; raises TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def _str(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _digits(value: int) -> str:
    # str() refuses integers of more than 4300 digits (CVE-2020-10735); hexadecimal has no such limit.
    return str(value) if value.bit_length() < 8192 else hex(value)


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
