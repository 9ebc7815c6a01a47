"""``from otel_tracker.compat.flowtrace.frameworks.fastapi import init_flowtrace``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from otel_tracker.compat.flowtrace.config import Config, configure
from otel_tracker.frameworks.fastapi import instrument


def init_flowtrace(app: FastAPI, config: Config | None = None) -> None:
    """Trace the requests of the application (`otel_tracker.frameworks.fastapi.instrument`)."""
    configure(config)
    instrument(app)


class FlowTraceMiddleware:
    """Passes everything on: ``app.add_middleware(FlowTraceMiddleware)`` traces the application from its first call."""

    def __init__(self, app: Any, config: Config | None = None) -> None:
        configure(config)
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve; the first time once more from the outside, where the instrumentor has its place."""
        application = scope.get("app")
        if isinstance(application, FastAPI) and not getattr(application, "_is_instrumented_by_opentelemetry", False):
            instrument(application)
            await application(scope, receive, send)
        else:
            await self.app(scope, receive, send)
