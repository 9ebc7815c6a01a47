"""What a decorator that says nothing captures; read from the settings once, because every call asks."""

from __future__ import annotations

from dataclasses import dataclass

from otel_tracker import settings


@dataclass(frozen=True, slots=True, eq=False)
class Defaults:
    """Whether arguments and results are recorded by default. A new object says that the settings were read again."""

    captures_args: bool
    captures_result: bool


current: Defaults | None = None
"""What is in force; None until somebody asks."""


def in_force() -> Defaults:
    """The defaults, read from the settings when that was not done since the last `reset`."""
    global current
    found = current
    if found is None:
        found = current = Defaults(settings.CAPTURE_ARGS.read(), settings.CAPTURE_RESULT.read())
    return found


def reset() -> None:
    """Read the settings again at the next call."""
    global current
    current = None
