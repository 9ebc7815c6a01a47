"""One flag that silences this package and nobody else: `disable()` and `enable()`."""

from __future__ import annotations

import os

_is_enabled = True


def enable() -> None:
    """Let spans, events and measurements of this package be made again."""
    global _is_enabled
    _is_enabled = True


def disable() -> None:
    """Make no more spans, events or measurements in this process; traced functions are plainly called."""
    global _is_enabled
    _is_enabled = False


def is_enabled() -> bool:
    """Whether this package makes spans and events."""
    return _is_enabled


def is_sdk_disabled() -> bool:
    """Whether ``OTEL_SDK_DISABLED`` is true (specification: "General SDK Configuration")."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
