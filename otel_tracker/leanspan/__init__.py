"""Lean spans: genuine SDK spans at a fifth of the SDK's cost, for decorators and blocks.

``sdk`` has the span and all that is known of the SDK's private parts, ``engine`` starts and ends spans for the slot of
`otel_tracker.tracing.engine`, ``check`` proves at the start that a lean span still is what an SDK span is. Nothing
imports this package by name except that slot, which loads it when the SDK is there: without it everything works and
costs more. The design is told in ``docs/performance.md``.
"""

from __future__ import annotations

from otel_tracker.diagnostics import logger
from otel_tracker.leanspan.check import self_check
from otel_tracker.leanspan.engine import LeanEngine
from otel_tracker.leanspan.sdk import LeanSpan
from otel_tracker.tracing.engine import Engine

__all__ = ["LeanSpan", "new_engine", "self_check"]


def new_engine(portable: Engine) -> LeanEngine | None:
    """The engine, or None (said once at debug level) when the self-check finds a difference."""
    differences = self_check()
    if differences:
        logger.debug("lean spans are not used with this SDK: %s; spans are the SDK's own", "; ".join(differences))
        return None
    return LeanEngine(portable)
