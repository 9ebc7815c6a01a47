"""What the handlers of all three sites call."""

from __future__ import annotations

from collections.abc import Iterator

from otel_tracker import get_context, set_context, traced, track


@traced
def work(number: int) -> None:
    track("worked", number=number)


@traced
def fail() -> None:
    raise LookupError("below")


def lines() -> Iterator[str]:
    """A body that is sent line by line."""
    yield "a"
    work(1)
    yield "b"


def serve_user(number: int) -> dict[str, object]:
    """Says who it serves and never clears that; gives what was known before."""
    known = get_context()
    set_context(user_id=f"u{number}")
    work(number)
    return known
