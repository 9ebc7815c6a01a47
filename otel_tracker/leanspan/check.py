"""The self-check: does a lean span say of itself what an SDK span says, field by field?

The lean span relies on private parts of the SDK (`otel_tracker.leanspan.sdk` lists them), which a release may change.
So one span of each kind goes through the same life before the engine is used, and every public field is compared.
It takes about a millisecond, once a process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel_tracker.attributes import SERVICE_NAME
from otel_tracker.leanspan import sdk
from otel_tracker.leanspan.engine import started
from otel_tracker.tracing.spec import SpanSpec

_PARENT = SpanContext(1, 2, False, TraceFlags(TraceFlags.SAMPLED), TraceState([("vendor", "state")]))
_NAME, _KIND, _START_NS, _END_NS = "self-check", SpanKind.CLIENT, 3, 5
_ATTRIBUTES: dict[str, Any] = {"text": "x", "number": 1, "ratio": 0.5, "flag": True}


class _Ended(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def self_check() -> list[str]:
    """What a lean span has other than an SDK span, a sentence each; empty when all is well. Never raises."""
    try:
        return list(_differences())
    except Exception as error:
        return [f"the self-check failed ({type(error).__name__}: {error})"]


def _differences() -> list[str]:
    ended = _Ended()
    provider = TracerProvider(
        ALWAYS_ON, Resource({SERVICE_NAME: "check"}), False, span_limits=SpanLimits(max_span_attributes=6)
    )
    provider.add_span_processor(ended)
    tracer = provider.get_tracer("otel_tracker.leanspan")
    if type(tracer) is not Tracer:
        return []  # the SDK is disabled: there is nothing to be lean about
    theirs, ours = _sdk_span(tracer), _lean_span(tracer)
    found = [f"an SDK span has the field {name}" for name in vars(theirs) if not hasattr(ours, name)]
    for span in (theirs, ours):
        found += [f"is_recording() is wrong for an open {type(span).__name__}"] * (not span.is_recording())
        _live(span)
    if [type(span) for span in ended.spans] != [ReadableSpan, sdk.LeanSpan]:
        return [*found, "processors did not get each span once"]
    return [*found, *(f"{name} differs" for name, field in _FIELDS.items() if field(theirs) != field(ours))]


def _sdk_span(tracer: Tracer) -> Any:
    context = set_span_in_context(NonRecordingSpan(_PARENT))
    return tracer.start_span(_NAME, context, _KIND, attributes=_ATTRIBUTES, start_time=_START_NS)


def _lean_span(tracer: Tracer) -> Any:
    context = set_span_in_context(NonRecordingSpan(_PARENT))
    span: Any = started(sdk.TracerFacts(tracer), SpanSpec(_NAME, _KIND, _ATTRIBUTES), (), context)
    span._start_time = _START_NS
    return span


def _live(span: Span) -> None:
    """What can be done to a span, once each; two attributes more than the limit allows would be one too many."""
    span.set_attribute("text", "again")
    span.set_attribute("list", [1, 2])
    span.set_attributes({"more": "y"})
    span.add_event("happened", {"why": "check"}, timestamp=4)
    span.add_link(_PARENT, {"linked": 1})
    try:
        raise ValueError("recorded")
    except ValueError as error:
        span.record_exception(error, timestamp=4)
    span.update_name("renamed")
    span.set_status(StatusCode.ERROR, "why")
    span.end(_END_NS)


def _events(span: ReadableSpan) -> list[Any]:
    return [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events]


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": lambda span: span.name,
    "kind": lambda span: span.kind,
    "parent": lambda span: span.parent,
    "trace id": lambda span: span.context.trace_id,
    "trace flags": lambda span: span.context.trace_flags,
    "trace state": lambda span: span.context.trace_state,
    "validity of the context": lambda span: (span.context.is_valid, span.context.is_remote),
    "start and end": lambda span: (span.start_time, span.end_time),
    "is_recording()": lambda span: span.is_recording(),
    "attributes": lambda span: list((span.attributes or {}).items()),
    "events": _events,
    "links": lambda span: [(link.context, dict(link.attributes or {})) for link in span.links],
    "status": lambda span: (span.status.status_code, span.status.description),
    "resource": lambda span: span.resource,
    "instrumentation scope": lambda span: span.instrumentation_scope,
    "dropped counts": lambda span: (span.dropped_attributes, span.dropped_events, span.dropped_links),
    "JSON text": lambda span: span.to_json().replace(f"{span.context.span_id:016x}", "id"),
}
