"""Activates an upstream instrumentor, once, with the stable HTTP conventions and the id in the response."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from otel_tracker import request_context
from otel_tracker.frameworks.responses import give_ids_back

_CONVENTIONS = "OTEL_SEMCONV_STABILITY_OPT_IN"


@contextmanager
def active() -> Iterator[None]:
    """What every activation begins with; inside, upstream reads which conventions to write, and never again."""
    request_context.use()
    give_ids_back()
    is_unsaid = _CONVENTIONS not in os.environ
    if is_unsaid:
        os.environ[_CONVENTIONS] = "http"
    try:
        yield
    finally:
        if is_unsaid:
            del os.environ[_CONVENTIONS]


def is_active(instrumentor: Any) -> bool:
    """Whether somebody has activated the instrumentor for the whole process already."""
    return bool(getattr(instrumentor, "is_instrumented_by_opentelemetry", False))


def both(own: Callable[..., None], given: Callable[..., None] | None) -> Callable[..., None]:
    """Our hook, and after it the program's, if it gave one."""
    if given is None:
        return own

    def hook(*args: Any) -> None:
        own(*args)
        given(*args)

    return hook
