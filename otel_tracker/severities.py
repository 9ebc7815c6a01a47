"""How severe a log record is: the names that OpenTelemetry gives to its numbers, and those of ``logging``.

A record keeps the text that its library said, ``WARNING`` or ``WARN`` or ``warn``; what is compared is the number.
"""

from __future__ import annotations

SEVERITIES = tuple(
    f"{level}{grade}" for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL") for grade in ("", 2, 3, 4)
)
"""The names of the severity numbers 1 to 24: https://opentelemetry.io/docs/specs/otel/logs/data-model/."""

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""What people call the first of each grade, least severe first."""

# What the standard library's ``logging`` calls them.
_ALIASES = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_NUMBERS = {name: number for number, name in enumerate(SEVERITIES, start=1)}
_NUMBERS.update((alias, _NUMBERS[name]) for alias, name in _ALIASES.items())


def severity_number(text: str) -> int:
    """The number of a severity, 1 to 24, whatever its case; 0 for a text of nobody's.

    >>> severity_number("WARNING"), severity_number("warn"), severity_number("loud")
    (13, 13, 0)
    """
    return _NUMBERS.get(text.upper(), 0)
