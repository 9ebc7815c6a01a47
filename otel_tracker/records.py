"""What a store holds: frozen records of spans, events, logs and metric points, and their one JSON form.

A record is made once, when a span or log record leaves the SDK (`otel_tracker.recording`), and is all that
exporters, stores, queries and faces ever see. Its values are *plain*: None, bool, 64-bit int, finite float,
str, list and dict with str keys, so that every format can hold every record without loss.

`to_dict()` gives the JSON object as it lies in a JSONL line: keys in a fixed order, absent when empty.
`span_from_dict`, `event_from_dict`, `log_from_dict` and `metric_from_dict` are its inverses. What is said
here of metric points stands in `otel_tracker.metric_records`, what all have in common in `otel_tracker.record_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from otel_tracker.metric_records import METRIC_KINDS, MetricRecord, metric_from_dict
from otel_tracker.record_parts import (
    INT64_MAX,
    INT64_MIN,
    MAX_DEPTH,
    SCHEMA,
    check_type,
    checked_mapping,
    checked_text,
    plain,
    without_absent,
)
from otel_tracker.timestamps import NS_PER_MS, format_time, parse_time, to_datetime

__all__ = [
    "ABORTED",
    "COMPLETED",
    "FAILED",
    "INT64_MAX",
    "INT64_MIN",
    "KINDS",
    "MAX_DEPTH",
    "METRIC_KINDS",
    "SCHEMA",
    "STARTED",
    "STATUSES",
    "EventRecord",
    "Labels",
    "LogRecord",
    "MetricRecord",
    "Record",
    "SpanRecord",
    "Texts",
    "UnfitRecordError",
    "event_from_dict",
    "log_from_dict",
    "metric_from_dict",
    "plain",
    "span_from_dict",
]

COMPLETED = "completed"
FAILED = "failed"
STARTED = "started"
ABORTED = "aborted"
STATUSES = (STARTED, COMPLETED, FAILED, ABORTED)
KINDS = ("internal", "server", "client", "producer", "consumer")

# Absent, the name is missing and the others are read as their defaults, none of which is empty.
_KEPT = ("name", "kind", "status", "status_code", "severity")


class UnfitRecordError(ValueError):
    """A record holds what a store or format has no room for, by a bound that is known; the text says which."""


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One execution: a span as it is stored.

    ``start_ns`` and ``end_ns`` are nanoseconds since the epoch; ``end_ns`` is None while ``status`` is
    ``started`` or ``aborted``. ``function`` is the qualified name inside ``module``; both are empty for a span
    that stands for no function (an HTTP request, a `span()` block). ``error`` holds ``type``, ``message`` and,
    where it is known, ``traceback``.
    """

    trace_id: str
    span_id: str
    name: str
    start_ns: int
    end_ns: int | None = None
    parent_span_id: str = ""
    kind: str = "internal"
    function: str = ""
    module: str = ""
    status: str = COMPLETED
    args: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    has_result: bool = False
    error: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    links: Sequence[Mapping[str, Any]] = ()
    status_code: str = "UNSET"
    status_message: str = ""
    scope: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end, or None while there is no end."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / NS_PER_MS

    @property
    def start(self) -> datetime:
        """The start as an aware UTC datetime (microseconds; ``start_ns`` is exact)."""
        return to_datetime(self.start_ns)

    @property
    def end(self) -> datetime | None:
        """The end as an aware UTC datetime, or None while there is none."""
        return None if self.end_ns is None else to_datetime(self.end_ns)

    @property
    def qualified_name(self) -> str:
        """What statistics group by: the dotted function (``shop.cart.Cart.total``), or else the span name."""
        if not self.function:
            return self.name
        return f"{self.module}.{self.function}" if self.module else self.function

    def to_dict(self) -> dict[str, Any]:
        """The record's JSON object."""
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "type": "span",
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id,
            "name": self.name,
            "kind": self.kind,
            "function": self.function,
            "module": self.module,
            "status": self.status,
            "start": format_time(self.start_ns),
            "end": None if self.end_ns is None else format_time(self.end_ns),
            "duration_ms": self.duration_ms,
            "args": dict(self.args),
            "result": self.result,
            "error": dict(self.error),
            "attributes": dict(self.attributes),
            "events": [dict(event) for event in self.events],
            "links": [dict(link) for link in self.links],
            "status_code": self.status_code,
            "status_message": self.status_message,
            "scope": self.scope,
            "resource": dict(self.resource),
        }
        return without_absent(fields, (*_KEPT, "result") if self.has_result else _KEPT)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event as it is stored: a log record that bears an event name.

    ``category`` is the name up to the first dot. ``trace_id`` and ``span_id`` are empty outside any sampled span.
    """

    name: str
    time_ns: int
    severity: str = "INFO"
    trace_id: str = ""
    span_id: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    error: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def category(self) -> str:
        """The name up to the first dot."""
        return self.name.partition(".")[0]

    @property
    def time(self) -> datetime:
        """When it happened, as an aware UTC datetime (microseconds; ``time_ns`` is exact)."""
        return to_datetime(self.time_ns)

    def to_dict(self) -> dict[str, Any]:
        """The record's JSON object."""
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "type": "event",
            "name": self.name,
            "category": self.category,
            "severity": self.severity,
            "time": format_time(self.time_ns),
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "properties": dict(self.properties),
            "body": self.body,
            "error": dict(self.error),
            "resource": dict(self.resource),
        }
        return without_absent(fields, _KEPT if self.body is None else (*_KEPT, "body"))


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A log record that is no event, as it is stored: what a program wrote through ``logging``, or any other log.

    ``logger`` is the name of the logger, which is the instrumentation scope's; ``severity`` is what the logging library
    calls it, empty where it has none. ``trace_id`` and ``span_id`` are empty outside any sampled span.
    """

    time_ns: int
    severity: str = ""
    body: Any = None
    logger: str = ""
    trace_id: str = ""
    span_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """When it was written, as an aware UTC datetime (microseconds; ``time_ns`` is exact)."""
        return to_datetime(self.time_ns)

    def to_dict(self) -> dict[str, Any]:
        """The record's JSON object."""
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "type": "log",
            "severity": self.severity,
            "body": self.body,
            "logger": self.logger,
            "time": format_time(self.time_ns),
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "attributes": dict(self.attributes),
            "error": dict(self.error),
            "resource": dict(self.resource),
        }
        return without_absent(fields, () if self.body is None else ("body",))


Record = SpanRecord | EventRecord | LogRecord | MetricRecord
"""Whatever a store holds."""


class Labels(NamedTuple):
    """What all spans of a function have in common; ``attributes`` are JSON members, as in `Texts`."""

    name: str
    kind: str
    function: str
    module: str
    attributes: str = ""


Texts = tuple[int, int, int, Labels, int, int, str, "str | None", str, str, str, str, "Mapping[str, Any]"]
"""Trace id, span id, parent span id (0: none), labels, start and end in nanoseconds, then JSON text: the members of
``args`` without braces, the result (None: none), the members of ``attributes`` unless they are those of the labels, the
items of ``events``; then status code, scope and resource. The status is `completed`."""


def span_from_dict(fields: Mapping[str, Any]) -> SpanRecord:
    """The record whose `to_dict()` this is; unknown keys are ignored.

    Raises ValueError, KeyError or TypeError when it is none.
    """
    check_type(fields, "span")
    end = fields.get("end")
    return SpanRecord(
        trace_id=checked_text(fields["trace_id"]),
        span_id=checked_text(fields["span_id"]),
        parent_span_id=checked_text(fields.get("parent_span_id", "")),
        name=checked_text(fields["name"]),
        kind=checked_text(fields.get("kind", "internal")),
        function=checked_text(fields.get("function", "")),
        module=checked_text(fields.get("module", "")),
        status=checked_text(fields.get("status", COMPLETED)),
        start_ns=parse_time(fields["start"]),
        end_ns=None if end is None else parse_time(end),
        args=checked_mapping(fields.get("args", {})),
        result=fields.get("result"),
        has_result="result" in fields,
        error=checked_mapping(fields.get("error", {})),
        attributes=checked_mapping(fields.get("attributes", {})),
        events=tuple(checked_mapping(event) for event in fields.get("events", ())),
        links=tuple(checked_mapping(link) for link in fields.get("links", ())),
        status_code=checked_text(fields.get("status_code", "UNSET")),
        status_message=checked_text(fields.get("status_message", "")),
        scope=checked_text(fields.get("scope", "")),
        resource=checked_mapping(fields.get("resource", {})),
    )


def event_from_dict(fields: Mapping[str, Any]) -> EventRecord:
    """The record whose `to_dict()` this is; unknown keys are ignored.

    Raises ValueError, KeyError or TypeError when it is none.
    """
    check_type(fields, "event")
    return EventRecord(
        name=checked_text(fields["name"]),
        time_ns=parse_time(fields["time"]),
        severity=checked_text(fields.get("severity", "INFO")),
        trace_id=checked_text(fields.get("trace_id", "")),
        span_id=checked_text(fields.get("span_id", "")),
        properties=checked_mapping(fields.get("properties", {})),
        body=fields.get("body"),
        error=checked_mapping(fields.get("error", {})),
        resource=checked_mapping(fields.get("resource", {})),
    )


def log_from_dict(fields: Mapping[str, Any]) -> LogRecord:
    """The record whose `to_dict()` this is; unknown keys are ignored.

    Raises ValueError, KeyError or TypeError when it is none.
    """
    check_type(fields, "log")
    return LogRecord(
        time_ns=parse_time(fields["time"]),
        severity=checked_text(fields.get("severity", "")),
        body=fields.get("body"),
        logger=checked_text(fields.get("logger", "")),
        trace_id=checked_text(fields.get("trace_id", "")),
        span_id=checked_text(fields.get("span_id", "")),
        attributes=checked_mapping(fields.get("attributes", {})),
        error=checked_mapping(fields.get("error", {})),
        resource=checked_mapping(fields.get("resource", {})),
    )
