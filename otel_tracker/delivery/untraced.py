"""A block whose own work is not traced: what exporters do must not make spans, which would be exported in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# What `opentelemetry.instrumentation.utils.suppress_instrumentation` sets; the SDK's own processors read it from here.
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
    attach,
    detach,
)

_SUPPRESSED = Context({_SUPPRESS_INSTRUMENTATION_KEY: True, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True})


@contextmanager
def untraced() -> Iterator[None]:
    """A context that has nothing of the caller's, in which instrumentors stay silent."""
    token = attach(_SUPPRESSED)
    try:
        yield
    finally:
        detach(token)
