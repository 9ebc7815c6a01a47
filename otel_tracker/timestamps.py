"""Times as records carry them: integer nanoseconds since the epoch inside, UTC text with nine decimals outside.

`datetime` holds microseconds only, so nanoseconds never pass through it on the way to a store and back.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from time import time_ns

from otel_tracker.errors import QueryError

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NINE_DIGITS = 100_000_000
"""The smallest number of so many."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?)?\s*([Zz]|[+-]\d\d:?\d\d)?"
)
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
# What a store's 64-bit column holds; a bound beyond it bounds nothing.
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1
_AGE_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def format_time(time_unix_ns: int) -> str:
    """RFC 3339 text in UTC with nanoseconds, e.g. ``2026-11-22T10:15:30.123456789Z``."""
    seconds, nanoseconds = divmod(time_unix_ns, NS_PER_S)
    # Nine times of ten there are nine digits; to fill them up takes three times as long.
    return f"{_text_of_seconds(seconds)}.{nanoseconds if nanoseconds >= NINE_DIGITS else f'{nanoseconds:09d}'}Z"


def milliseconds_text(duration_ns: int) -> str:
    """A duration as JSON says it in milliseconds, as a float: ``0.5``, ``21.767``.

    It is ``repr(duration_ns / 1_000_000)`` at half the cost. No two decimal numbers of up to 15 digits are the same
    float, so the shortest text of one is the number itself; from 100 ns on ``repr`` writes it without an exponent.
    """
    if not 100 <= duration_ns < 10**15:
        return repr(duration_ns / NS_PER_MS)
    digits = str(duration_ns)
    if duration_ns < NS_PER_MS:
        return _BEFORE_NS[len(digits)] + digits.rstrip("0")
    return f"{digits[:-6]}.{digits[-6:].rstrip('0') or '0'}"


_BEFORE_NS = ("", "", "", "0.000", "0.00", "0.0", "0.")
"""What stands before so many digits of nanoseconds to make milliseconds of them."""


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 text; without an offset it is taken as UTC.

    Raises ValueError when the text is no such time.
    """
    if _is_our_form(text):
        return _ns_of_seconds(text[:19]) + int(text[20:29])
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:60]!r} is no ISO 8601 time")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    moment = datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=timezone.utc
    )
    seconds = (moment - _EPOCH) // timedelta(seconds=1) - _offset_s(offset)
    return seconds * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def _is_our_form(text: str) -> bool:
    """Whether the text ends as `format_time` ends it; the rest of it may still be no time."""
    return len(text) == 30 and text[19] == "." and text[29] == "Z" and text[20:29].isdecimal()


# Spans lie close together in time: of a thousand seconds each is named many times, and converted once.
@lru_cache(maxsize=1024)
def _text_of_seconds(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]  # strftime pads no year before 1000


@lru_cache(maxsize=1024)
def _ns_of_seconds(text: str) -> int:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ISO 8601 time")
    year, month, day, hour, minute, second = map(int, match.groups())
    moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    return (moment - _EPOCH) // timedelta(seconds=1) * NS_PER_S


def to_datetime(time_unix_ns: int) -> datetime:
    """An aware UTC datetime, rounded down to the microsecond."""
    return _EPOCH + timedelta(microseconds=time_unix_ns // 1000)


def time_bound(value: datetime | str | None, parameter: str) -> int | None:
    """The nanoseconds that a query's ``start_time`` or ``end_time`` stands for, or None for no bound.

    Takes an aware datetime, ISO 8601 text (UTC unless it has an offset) or an age such as ``"90s"``,
    ``"15m"``, ``"1h"`` or ``"7d"``. Raises QueryError, naming the parameter, for anything else.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise QueryError(
                f"{parameter} is a datetime without a time zone; expected an aware one. "
                "Use datetime.now(timezone.utc) or .astimezone()."
            )
        return _within_64_bits((value - _EPOCH) // timedelta(microseconds=1) * 1000)
    if isinstance(value, str):
        return _within_64_bits(_text_bound(value, parameter))
    raise QueryError(f"{parameter} is {value!r}; expected an aware datetime, ISO 8601 text or an age such as '1h'.")


def _text_bound(text: str, parameter: str) -> int:
    age = _AGE.fullmatch(text.strip())
    if age is not None:
        return time_ns() - int(min(float(age[1]) * _AGE_UNIT_S[age[2]] * NS_PER_S, _LATEST_NS))
    try:
        return parse_time(text)
    except ValueError:
        raise QueryError(
            f"{parameter} is {text[:60]!r}; expected an age such as '90s', '15m', '1h', '7d' "
            "or a time such as '2026-11-22T10:15:30Z'."
        ) from None


def _within_64_bits(bound_ns: int) -> int:
    return max(_EARLIEST_NS, min(bound_ns, _LATEST_NS))


def _offset_s(offset: str | None) -> int:
    if offset is None or offset in "Zz":
        return 0
    digits = offset[1:].replace(":", "")
    magnitude_s = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -magnitude_s if offset[0] == "-" else magnitude_s
