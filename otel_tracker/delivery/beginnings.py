"""Tells an exporter that spans have begun, so that what a killed process was doing can be seen.

This is the one thing of delivery that is done on the caller's thread, and only where somebody asked for it
(``OTEL_TRACKER_DELIVERY_STARTED``). What fails here is reported once; the call goes on.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span

from otel_tracker.delivery.untraced import untraced
from otel_tracker.diagnostics import report_internal_error

_SAMPLED = 1


class Beginnings:
    """Gives beginnings to ``exporter``, and counts whether all of them have ended."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._begun, self._ended = itertools.count(), itertools.count()
        self._pid = os.getpid()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Give the exporter the span, unless it is not sampled."""
        context = span.get_span_context()
        if context is None or not context.trace_flags & _SAMPLED:
            return
        try:
            next(self._begun)
            with untraced():
                self._exporter.export_started((span,))
        except Exception as error:  # an exporter of anybody's
            report_internal_error("storing the beginning of a span", error)

    def end(self, span: ReadableSpan) -> None:
        """Count a span that has ended."""
        context = span.context
        if context is not None and context.trace_flags & _SAMPLED:
            next(self._ended)

    def close(self) -> None:
        """Tell the exporter when everything has ended, so that nobody will look for what has not."""
        all_ended = getattr(self._exporter, "all_ended", None)
        if all_ended is not None and self._pid == os.getpid() and repr(self._begun) == repr(self._ended):
            all_ended()
