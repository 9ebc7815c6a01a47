"""A span as a line of the journal, and back.

What comes back is a genuine `ReadableSpan` with all that exporters ask for. One that capture alone has written says so
(`parts`), as it did before, so that local stores write it as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_tracker.delivery.codec import Codec, Numbers, attribute_values, bounded
from otel_tracker.span_texts import parts_of as _parts_of

_KINDS = tuple(SpanKind)
_STATUS_CODES = tuple(StatusCode)
_UNSET = Status(StatusCode.UNSET)
_FLAGS = {flags: TraceFlags(flags) for flags in (0, 1)}
_NONE_DROPPED = (0, 0, 0)


class JournaledSpan(ReadableSpan):
    """An ended span that has lain in a journal."""

    def __init__(self, dropped: Sequence[int], static: Mapping[str, Any] | None, *fields: Any) -> None:
        super().__init__(*fields)
        self._dropped = dropped
        self._static = static

    @property
    def dropped_attributes(self) -> int:
        """How many attributes the limits have taken."""
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        """How many events the limits have taken."""
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        """How many links the limits have taken."""
        return self._dropped[2]

    def parts(self) -> tuple[Any, ...]:
        """See `otel_tracker.span_texts.Parts`."""
        return (*_parts_of(self)[:-1], self._static)


def _span_parts(span: ReadableSpan, numbers: Numbers) -> list[Any]:
    own_parts = getattr(span, "parts", None)
    context, parent, name, kind, attributes, start, end, status, events, links, scope, resource, static = (
        _parts_of(span) if own_parts is None else own_parts()
    )
    code = status.status_code._value_
    is_plain = type(attributes) is dict
    return [
        numbers.of(resource),
        numbers.of(scope),
        _context_parts(context),
        parent if parent is None else _context_parts(parent),
        name,
        kind._value_,
        start,
        end,
        code,
        status.description if code else None,
        _without(static, attributes) if static else attributes if is_plain else dict(attributes or ()),
        [_event_parts(event) for event in events] if events else 0,
        [_link_parts(link) for link in links] if links else 0,
        0 if is_plain and not (events or links) else _dropped(span),
        numbers.of(static),
    ]


def _span_from(parts: list[Any], known: dict[int, Any]) -> ReadableSpan:
    resource, scope, context, parent, name, kind, start, end, code, said, attributes, events, links, dropped, own = (
        parts
    )
    static = known[own] if own else None
    values = attribute_values(attributes)
    if static:
        values.update(static)
    return JournaledSpan(
        dropped or _NONE_DROPPED,
        static,
        name,
        _context_from(context),
        parent if parent is None else _context_from(parent),
        known[resource] if resource else Resource.get_empty(),
        values,
        [_event_from(event) for event in events] if events else (),
        [_link_from(link) for link in links] if links else (),
        _KINDS[kind],
        None,
        Status(_STATUS_CODES[code], said) if code else _UNSET,
        start,
        end,
        known[scope] if scope else None,
    )


def _without(static: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that not all spans of the function have."""
    return {key: value for key, value in attributes.items() if key not in static}


def _dropped(span: ReadableSpan) -> list[int] | int:
    dropped = [span.dropped_attributes, span.dropped_events, span.dropped_links]
    return dropped if any(dropped) else 0


def _context_parts(context: SpanContext) -> list[Any]:
    trace_id, span_id, is_remote, flags, state, _ = context
    return [trace_id, span_id, int(is_remote), flags, state.to_header() if state else 0]


def _context_from(parts: list[Any]) -> SpanContext:
    trace_id, span_id, is_remote, flags, state = parts
    trace_state = TraceState.from_header([state]) if state else None
    return SpanContext(trace_id, span_id, is_remote == 1, _FLAGS.get(flags) or TraceFlags(flags), trace_state)


def _event_parts(event: Event) -> list[Any]:
    return [event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes]


def _event_from(parts: list[Any]) -> Event:
    name, timestamp, attributes, dropped = parts
    return Event(name, bounded(attributes, dropped), timestamp)


def _link_parts(link: Link) -> list[Any]:
    return [_context_parts(link.context), dict(link.attributes or {}), link.dropped_attributes]


def _link_from(parts: list[Any]) -> Link:
    context, attributes, dropped = parts
    return Link(_context_from(context), bounded(attributes, dropped))


SPAN_CODEC: Codec[ReadableSpan] = Codec(_span_parts, _span_from)
