"""One flag that silences this package and nobody else: `disable()` and `enable()`."""

from __future__ import annotations

import os

is_on = True
"""Whether spans, events and measurements are made; generated wrappers look here first, at every call."""


def enable() -> None:
    """Let spans, events and measurements of this package be made again."""
    global is_on
    is_on = True


def disable() -> None:
    """Make no more spans, events or measurements in this process; traced functions are plainly called."""
    global is_on
    is_on = False


def is_enabled() -> bool:
    """Whether this package makes spans and events."""
    return is_on


def is_sdk_disabled() -> bool:
    """Whether ``OTEL_SDK_DISABLED`` is true (specification: "General SDK Configuration")."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
