"""Stamps spans with what `otel_tracker.request_context` knows, whoever makes them: a processor of the SDK's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
from opentelemetry.trace import SpanKind

from otel_tracker.diagnostics import report_internal_error
from otel_tracker.request_context import attributes_of, begun, span_attributes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span


class ContextSpanProcessor(SpanProcessor):
    """Gives every span that begins its request's context as attributes.

    What it has already stays: the host and the path of a client's span are those of the service that it calls. Nor is
    more stamped than there is room for: the SDK would drop the oldest attributes, which say what function it is.
    """

    def __init__(self) -> None:
        self._max_attributes = SpanLimits().max_span_attributes

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp the span; never raises."""
        try:
            parent = get_current() if parent_context is None else parent_context
            begun(span, parent)
            is_own = span.kind is SpanKind.INTERNAL  # another's path and host are those of the service that it calls
            stamped = (span_attributes_of if is_own else attributes_of)(parent)
            if stamped:
                self._stamp(span, stamped)
        except Exception as error:
            report_internal_error("stamping a span", error)

    def _stamp(self, span: Span, stamped: Mapping[str, Any]) -> None:
        own = span.attributes or {}
        new = [(key, value) for key, value in stamped.items() if key not in own]
        room = None if self._max_attributes is None else max(0, self._max_attributes - len(own))
        for key, value in new[:room]:
            span.set_attribute(key, value)


def stamp_spans_of(provider: Any) -> None:
    """Let a provider's spans be stamped from now on, if it takes processors; once a provider."""
    add = getattr(provider, "add_span_processor", None)
    if add is not None:
        add(ContextSpanProcessor())
