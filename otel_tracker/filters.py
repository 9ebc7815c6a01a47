"""What a query wants, in a store's own terms: the filters that `otel_tracker.query` makes of what the user gave.

Each says by ``matches`` whether it wants a record; that is the reference for stores that filter by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker.severities import severity_number


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """Which executions a query wants, in a store's own terms.

    ``start_ns`` is inclusive and ``end_ns`` exclusive; both bound the execution's start. ``after`` is the
    ``(start_ns, span_id)`` of the last record of the previous page: results are strictly older than it.
    """

    function_name: str | None = None
    status: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    trace_id: str | None = None
    kind: str | None = None
    min_duration_ns: int | None = None
    after: tuple[int, str] | None = None

    def matches(self, record: SpanRecord) -> bool:
        """Whether the record is wanted; the reference for stores that filter by themselves."""
        return (
            (self.status is None or record.status == self.status)
            and (self.start_ns is None or record.start_ns >= self.start_ns)
            and (self.end_ns is None or record.start_ns < self.end_ns)
            and (self.trace_id is None or record.trace_id == self.trace_id)
            and (self.kind is None or record.kind == self.kind)
            and (self.min_duration_ns is None or _lasted(record, self.min_duration_ns))
            and (self.after is None or (record.start_ns, record.span_id) < self.after)
            and (self.function_name is None or matches_function(self.function_name, record))
        )


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a query wants; ``name`` is an event name or a glob, times as in `SpanFilter`."""

    name: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    trace_id: str | None = None

    def matches(self, record: EventRecord) -> bool:
        """Whether the record is wanted; the reference for stores that filter by themselves."""
        return (
            (self.name is None or fnmatchcase(record.name, self.name))
            and (self.start_ns is None or record.time_ns >= self.start_ns)
            and (self.end_ns is None or record.time_ns < self.end_ns)
            and (self.trace_id is None or record.trace_id == self.trace_id)
        )


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which log records a query wants: the logger's name or a glob, the least severity's number, and as `EventFilter`.

    A log record whose severity is none of the known ones is less severe than any.
    """

    logger: str | None = None
    min_severity: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    trace_id: str | None = None

    def matches(self, record: LogRecord) -> bool:
        """Whether the record is wanted; the reference for stores that filter by themselves."""
        return (
            (self.logger is None or fnmatchcase(record.logger, self.logger))
            and (self.min_severity is None or severity_number(record.severity) >= self.min_severity)
            and (self.start_ns is None or record.time_ns >= self.start_ns)
            and (self.end_ns is None or record.time_ns < self.end_ns)
            and (self.trace_id is None or record.trace_id == self.trace_id)
        )


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """Which metric points a query wants: the metric's name or a glob, the point's kind and some of its attributes.

    Times bound the end of the time that a point tells of, or its moment; otherwise as `EventFilter`.
    """

    name: str | None = None
    kind: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    start_ns: int | None = None
    end_ns: int | None = None

    def matches(self, record: MetricRecord) -> bool:
        """Whether the record is wanted; the reference for stores that filter by themselves."""
        return (
            (self.name is None or fnmatchcase(record.name, self.name))
            and (self.kind is None or record.kind == self.kind)
            and (self.start_ns is None or record.time_ns >= self.start_ns)
            and (self.end_ns is None or record.time_ns < self.end_ns)
            and self.has_attributes(record.attributes)
        )

    def has_attributes(self, attributes: Mapping[str, Any]) -> bool:
        """Whether all that are wanted are among these, with equal values."""
        return all(key in attributes and attributes[key] == value for key, value in self.attributes.items())


def matches_function(pattern: str, record: SpanRecord) -> bool:
    """Whether a function name as users give it means this execution; see `names_function`."""
    return names_function(pattern, record.module, record.function, record.name)


def names_function(pattern: str, module: str, function: str, name: str) -> bool:
    """Whether ``pattern`` is the bare (``total``, ``Cart.total``) or dotted (``shop.cart.Cart.total``) function name.

    A span that stands for no function is matched by its span name. Globs (``*``, ``?``, ``[...]``) are
    case-sensitive and match any of these; a name that is equal as plain text matches too, whatever it contains.
    """
    if not function:
        return name == pattern or fnmatchcase(name, pattern)
    dotted = f"{module}.{function}" if module else function
    return any(
        candidate == pattern or fnmatchcase(candidate, pattern)
        for candidate in (function, function.rpartition(".")[2], dotted)
    )


def _lasted(record: SpanRecord, min_duration_ns: int) -> bool:
    return record.end_ns is not None and record.end_ns - record.start_ns >= min_duration_ns
