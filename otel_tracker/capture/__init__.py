"""Turns any Python value into what a span or an event can carry: bounded, redacted, and never raising.

`capture_value` gives scalars as they are and everything else as JSON text; `capture_tree` gives the same as plain
dictionaries and lists. One walk bounds and redacts together: six levels, fifty entries a container, a length for
each text and one for the whole, so that a list of ten million costs what a list of fifty does. What the value's own
code does (a `repr` that raises, a `__len__` that lies) stays here; only what ends a program passes through.

Knows neither OpenTelemetry nor any third-party type; `otel_tracker.capture.kinds` does the latter.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from otel_tracker import settings
from otel_tracker.capture.harmless import INT64_MAX, INT64_MIN, SHORT
from otel_tracker.capture.json_text import JsonText, choose_encoder, fitted_json
from otel_tracker.capture.sensitive import Sensitive, sensitive_names, sensitive_parameters
from otel_tracker.capture.walk import UNREADABLE, UNREADABLE_JSON, Limits, Rules, Walk
from otel_tracker.redaction import REDACTED, redactor

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "SHORT",
    "JsonText",
    "Limits",
    "Rules",
    "Sensitive",
    "capture_tree",
    "capture_value",
    "captured",
    "limits",
    "prepare",
    "reset",
    "rules_in_force",
    "sensitive_names",
    "sensitive_parameters",
]

_SDK_LIMITS = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_JSON_FACTOR = 4


def capture_value(value: object, key: str = "", *, limit: int = 0) -> bool | int | float | str | JsonText:
    """The value as an attribute: bool, 64-bit int, float and str as they are, everything else as JSON text.

    Under a secret ``key`` it is ``"[redacted]"``. ``limit`` (0 for none) is what the span at hand keeps of a text,
    for a provider whose limits were set in code; those in the environment are known here.
    Raises nothing but what ends a program (`KeyboardInterrupt`).

    >>> capture_value({"sku": "A1", "password": "x"})
    '{"sku":"A1","password":"[redacted]"}'
    """
    rules = rules_in_force()
    if key and rules.redact.is_secret_key(key):
        return REDACTED
    scalar, text = captured(value, rules, limit)
    return scalar if text is None else JsonText(text)


def captured(value: object, rules: Rules, limit: int = 0) -> tuple[Any, str | None]:
    """`capture_value` for a caller that has looked at the key and keeps the rules: a scalar, or else JSON text."""
    if limit:
        rules = _limited(rules, limit)
    kind = type(value)
    if kind is str and len(value) <= SHORT and value in rules.known_texts:  # type: ignore[arg-type]
        return value, None
    if kind is bool or kind is float or (kind is int and INT64_MIN <= value <= INT64_MAX):  # type: ignore[operator]
        return value, None
    if kind is dict or kind is list:
        return None, rules.json_text(value)
    try:
        walk = Walk(rules)
        tree = walk.plain(value, 0, None)
        kind_of_tree = type(tree)
        if kind_of_tree is dict or kind_of_tree is list:
            return None, fitted_json(tree, rules.room, is_finite=walk.is_finite)
        if tree is None or (kind_of_tree is str and not issubclass(kind, (str, int))):
            return None, fitted_json(tree, rules.room, is_finite=True)
        return tree, None
    except Exception:
        return None, UNREADABLE_JSON


def capture_tree(value: object, key: str = "") -> Any:
    """The value as a plain tree of dict, list and scalars, bounded and redacted like `capture_value`."""
    rules = rules_in_force()
    if key and rules.redact.is_secret_key(key):
        return REDACTED
    try:
        return Walk(rules).plain(value, 0, None)
    except Exception:
        return UNREADABLE


def prepare() -> None:
    """Load now what the first capture would: a fork while another thread is about to would hang its child."""
    choose_encoder()
    rules_in_force()


def limits() -> Limits:
    """The limits in force: the smaller of our setting and the SDK's, read at first use."""
    return _in_force()


def reset() -> None:
    """Read the limits again at next use; `configure()` calls this."""
    _in_force.cache_clear()


@lru_cache(maxsize=1)
def _in_force() -> Limits:
    ours, theirs = settings.CAPTURE_MAX_LENGTH.read(), _sdk_limit()
    # The SDK cuts every text of an attribute, JSON or not: what is longer would arrive as broken JSON.
    return Limits(_smaller(ours, theirs), _smaller(ours * _JSON_FACTOR, theirs))


def _sdk_limit() -> int:
    for variable in _SDK_LIMITS:
        text = os.environ.get(variable, "").strip()
        if text:
            return int(text) if text.isdecimal() else 0  # the SDK itself complains about anything else
    return 0


def _smaller(first: int, second: int) -> int:
    return min(first, second) if first and second else first or second


_rules: Rules | None = None


def rules_in_force() -> Rules:
    """The limits and the redactor in force; another object after either was read again."""
    global _rules
    redact, bounds, rules = redactor(), limits(), _rules
    if rules is None or rules.redact is not redact or rules.bounds is not bounds:
        rules = _rules = Rules(bounds, redact)
    return rules


@lru_cache(maxsize=16)
def _limited(rules: Rules, limit: int) -> Rules:
    bounds = rules.bounds
    return Rules(Limits(_smaller(bounds.max_length, limit), _smaller(bounds.max_json, limit)), rules.redact)
