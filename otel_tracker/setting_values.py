"""How the value of a setting is read: each function takes what an argument, a variable or a file gave.

They raise ValueError or TypeError for what cannot be used; `otel_tracker.settings` makes the sentence of it.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

JSONL_FORMATS = ("record", "otlp")
SPAN_ENGINES = LEAN, SDK = ("lean", "sdk")
UMAMI_DIALECTS = ("umami", "posthog")

_BYTE_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


def parse_bool(value: object) -> bool:
    """True or False, as text in any of the usual spellings."""
    text = str(value).strip().lower()
    if text in ("true", "1", "yes", "on"):
        return True
    if text in ("false", "0", "no", "off"):
        return False
    raise ValueError(text)


def parse_whole(value: object) -> int:
    """A whole number from 0."""
    number = int(str(value).strip())
    if number < 0 or isinstance(value, bool):
        raise ValueError(value)
    return number


def parse_days(value: object) -> float:
    """A number of days from 0, fractions allowed."""
    days = float(str(value).strip())
    if not 0 <= days < float("inf"):
        raise ValueError(value)
    return days


def parse_seconds(value: object) -> float:
    """A number of seconds above 0, at most an hour."""
    seconds = float(str(value).strip())
    if not 0 < seconds <= 3_600:
        raise ValueError(value)
    return seconds


def parse_ratio(value: object) -> float:
    """A number from 0 to 1."""
    ratio = float(str(value).strip())
    if not 0 <= ratio <= 1:
        raise ValueError(value)
    return ratio


def parse_bytes(value: object) -> int:
    """A number of bytes: plain, or with a unit such as ``256MiB`` or ``1.5 GB``."""
    match = _BYTES.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(value)
    unit = _BYTE_UNITS.get(match[2].lower())
    if unit is None:
        raise ValueError(value)
    return int(float(match[1]) * unit)


def parse_names(value: object) -> tuple[str, ...]:
    """Comma-separated text, or a list of texts."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple, set, frozenset)):
        raise TypeError(value)
    return tuple(str(part).strip() for part in parts if str(part).strip())


def parse_text(value: object) -> str:
    """Any text but the empty one."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text.strip():
        raise ValueError(value)
    return text.strip()


def parse_level(value: object) -> str:
    """A log level's name in lower case."""
    return _one_of(("debug", "info", "warning", "error", "critical"), value)


def parse_collection(value: object) -> str:
    """A name that a Firestore collection may have, short enough for those that are named after it."""
    text = parse_text(value)
    if "/" in text or text in (".", "..") or text.startswith("__") or len(text) > 200:
        raise ValueError(text)
    return text


def parse_shards(value: object) -> int:
    """A whole number from 0 to 100."""
    number = parse_whole(value)
    if number > 100:
        raise ValueError(value)
    return number


def parse_jsonl_format(value: object) -> str:
    """One of the formats of a JSONL line, in lower case."""
    return _one_of(JSONL_FORMATS, value)


def parse_span_engine(value: object) -> str:
    """One of the engines that make spans, in lower case."""
    return _one_of(SPAN_ENGINES, value)


def parse_umami_dialect(value: object) -> str:
    """One of the languages of analytics servers, in lower case."""
    return _one_of(UMAMI_DIALECTS, value)


def parse_endpoint(value: object) -> str:
    """An ``http://`` or ``https://`` URL with a host."""
    text = parse_text(value)
    parts = urlsplit(text)  # ValueError for half an IPv6 address, and with `port` for one that is no number
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


def parse_header(value: object) -> str:
    """Text that can be the value of an HTTP header: printable ASCII."""
    text = parse_text(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(text)
    return text


def parse_header_name(value: object) -> str:
    """The name of an HTTP header; letters, digits and hyphens, because WSGI cannot tell others apart."""
    text = parse_text(value)
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(text)
    return text


def _one_of(words: tuple[str, ...], value: object) -> str:
    text = str(value).strip().lower()
    if text not in words:
        raise ValueError(text)
    return text
