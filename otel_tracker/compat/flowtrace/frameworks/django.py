"""``otel_tracker.compat.flowtrace.frameworks.django.FlowTraceMiddleware``, for the setting ``MIDDLEWARE``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_tracker.compat.flowtrace.config import Config, configure
from otel_tracker.frameworks.django import instrument, joined


def init_flowtrace(app: object = None, config: Config | None = None) -> None:
    """Trace the project's requests (`otel_tracker.frameworks.django.instrument`); ``app`` has no use in Django."""
    configure(config)
    instrument()


def FlowTraceMiddleware(get_response: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 - FlowTrace's name
    """Passes everything on; traces the project, the handler that is being made included."""
    configure(None)
    return joined(get_response)


FlowTraceMiddleware.sync_capable = True  # type: ignore[attr-defined]
FlowTraceMiddleware.async_capable = False  # type: ignore[attr-defined] # as upstream's own
