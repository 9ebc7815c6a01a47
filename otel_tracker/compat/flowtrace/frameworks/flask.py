"""``from otel_tracker.compat.flowtrace.frameworks.flask import init_flowtrace``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from otel_tracker.compat.flowtrace.config import Config, configure
from otel_tracker.frameworks.flask import instrument


def init_flowtrace(app: Flask, config: Config | None = None) -> None:
    """Trace the requests of the application (`otel_tracker.frameworks.flask.instrument`)."""
    configure(config)
    instrument(app)


class FlowTraceMiddleware:
    """Passes everything on; traces the application, given as it is or as its ``wsgi_app``."""

    def __init__(self, app: Any, config: Config | None = None) -> None:
        flask = app if isinstance(app, Flask) else getattr(app, "__self__", None)
        if isinstance(flask, Flask):
            init_flowtrace(flask, config)
        self.app: Callable[..., Any] = flask.wsgi_app if isinstance(flask, Flask) else app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve."""
        return self.app(environ, start_response)
