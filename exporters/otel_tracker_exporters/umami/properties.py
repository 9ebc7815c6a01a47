"""Properties of an event as Umami stores them: flat, typed, within what its columns hold.

Measured on a server: a number from 1e15, a text of 501 characters, a NUL or a date that does not exist is answered
with 500 after the event has been stored without its properties. So everything is bounded here, and nothing is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from otel_tracker import attributes as keys
from otel_tracker_exporters.umami.texts import clean, cut, cut_key

MAX_TEXT = 500
"""Code points of a key or a text."""

_MAX_NUMBER = 1e15
_MAX_CURRENCY = 10
_FIRST_YEAR = 1000
_MORE = "..."
_REVENUE, _CURRENCY, _NO_REVENUE = "revenue", "currency", "revenue_value"
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,20})?")


def flat(properties: Mapping[str, Any], *, may_have_revenue: bool = False) -> dict[str, str | float | bool]:
    """Texts, numbers and booleans by dotted key; of two with the same key the later one stays, None is left out.

    ``revenue`` is kept only where it makes a revenue (on a named event, a number with a currency), else it is renamed.
    Where texts had to be cut, their number is under `keys.CUT_TEXTS`.
    """
    found: dict[str, str | float | bool] = {}
    cut_texts = 0
    for key, value in _leaves("", properties):
        fitting, was_cut = _fitting(value)
        cut_texts += was_cut
        found[cut_key(clean(key), MAX_TEXT)] = fitting
    if cut_texts:
        found[keys.CUT_TEXTS] = cut_texts
    return _with_safe_revenue(found, may_have_revenue) if _REVENUE in found else found


def moment_text(time_ns: int) -> str:
    """The form of a time that Umami stores as a date, with milliseconds."""
    milliseconds = time_ns // 1_000_000
    seconds = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def _leaves(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _leaves(path, value)
        elif value is not None:
            yield path, value


def _fitting(value: Any) -> tuple[str | float | bool, bool]:
    """The value as it can be stored, and whether something was cut off."""
    if isinstance(value, bool):
        return value, False
    if isinstance(value, int):
        return (value if abs(value) < _MAX_NUMBER else str(value)), False
    if isinstance(value, float):
        return (value if math.isfinite(value) and abs(value) < _MAX_NUMBER else repr(value)), False
    if isinstance(value, (list, tuple)):
        return _list_text(value)
    text = clean(str(value))
    return cut(_with_real_date(text), MAX_TEXT), len(text) > MAX_TEXT


def _list_text(items: Sequence[Any]) -> tuple[str, bool]:
    """A list as JSON text; one that is too long loses elements at its end, so that it stays valid JSON."""
    text = _json(items)
    if len(text) <= MAX_TEXT:
        return text, False
    kept: list[str] = []
    length = len(_json([_MORE]))
    for item in items:
        encoded = _json(item)
        length += len(encoded) + 1
        if length > MAX_TEXT:
            break
        kept.append(encoded)
    return f"[{','.join([*kept, _json(_MORE)])}]", True


def _json(value: Any) -> str:
    return json.dumps(_cleaned(value), ensure_ascii=False, separators=(",", ":"))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, (list, tuple)) else value


def _with_real_date(text: str) -> str:
    """A text that looks like a date to Umami, in a form in which it is one, or with a blank instead of the ``T``."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return text
    day, clock, fraction, offset = match.groups()
    milliseconds = f".{(fraction or '.')[1:4]:0<3}"  # Umami reads three digits, and an offset only after those
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{_offset(offset)}")
        if offset:
            moment = moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return text.replace("T", " ")
    if moment.year < _FIRST_YEAR:
        return text.replace("T", " ")
    if not offset:  # of a place that is not said: Umami takes it as its own
        return f"{day}T{clock}{milliseconds}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{milliseconds}Z"


def _offset(given: str | None) -> str:
    """An offset as Python 3.10 reads it."""
    if not given:
        return ""
    return "+00:00" if given == "Z" else f"{given[:3]}:{given[-2:]}"


def _with_safe_revenue(found: dict[str, str | float | bool], may_have_revenue: bool) -> dict[str, str | float | bool]:
    revenue, currency = found[_REVENUE], found.get(_CURRENCY)
    if isinstance(revenue, str) and _DECIMAL.fullmatch(revenue):
        revenue = float(revenue)
    is_number = isinstance(revenue, (int, float)) and not isinstance(revenue, bool) and abs(revenue) < _MAX_NUMBER
    has_currency = isinstance(currency, str) and 0 < len(currency) <= _MAX_CURRENCY
    if may_have_revenue and is_number and has_currency:
        return {**found, _REVENUE: revenue}
    return {(_NO_REVENUE if key == _REVENUE else key): value for key, value in found.items()}
