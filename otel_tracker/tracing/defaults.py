"""What a decorator that says nothing captures; read from the settings once, because every call asks."""

from __future__ import annotations

from functools import lru_cache

from otel_tracker import settings


@lru_cache(maxsize=1)
def captures_args() -> bool:
    """Whether arguments are recorded by default."""
    return settings.CAPTURE_ARGS.read()


@lru_cache(maxsize=1)
def captures_result() -> bool:
    """Whether results are recorded by default."""
    return settings.CAPTURE_RESULT.read()


def reset() -> None:
    """Read the settings again at the next call."""
    captures_args.cache_clear()
    captures_result.cache_clear()
