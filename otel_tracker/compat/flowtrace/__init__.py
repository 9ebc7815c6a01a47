"""The names of FlowTrace's Python agent: ``from otel_tracker.compat.flowtrace import Config``."""

from __future__ import annotations

from otel_tracker.compat.flowtrace.config import Config

__all__ = ["Config"]
