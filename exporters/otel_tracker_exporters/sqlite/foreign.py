"""Makes records of rows, and passes over those that otel-tracker did not write.

The file is open to everybody's SQL, and SQLite holds any value in any column. One such row must not keep all others
from being read: it is counted, and said once by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from otel_tracker.diagnostics import say_once
from otel_tracker.records import INT64_MAX, METRIC_KINDS, EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker_exporters.sqlite.metric_rows import metric_of
from otel_tracker_exporters.sqlite.rows import event_of, in_int64, log_of, span_of

# What `json`, `bytes` and the conversions of rows raise for values of another kind.
FAULTS = (ValueError, TypeError, AttributeError, RecursionError)

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_ABSENT = type(None)
_ID, _TEXT, _NUMBER = (bytes,), (str,), (int,)
_ID_OR_NULL, _TEXT_OR_NULL, _NUMBER_OR_NULL = (bytes, _ABSENT), (str, _ABSENT), (int, _ABSENT)
_ANY_NUMBER = (float, int, _ABSENT)
_SPAN_TYPES = (
    *(_ID, _ID, _ID_OR_NULL, _TEXT_OR_NULL, _TEXT, _TEXT_OR_NULL, _TEXT_OR_NULL, _TEXT, _NUMBER, _NUMBER_OR_NULL),
    *(_TEXT_OR_NULL,) * 6,
    *(_TEXT, _TEXT, _TEXT, _TEXT_OR_NULL, _NUMBER),
)
_EVENT_TYPES = (_TEXT, _NUMBER, _TEXT, _ID_OR_NULL, _ID_OR_NULL, *(_TEXT_OR_NULL,) * 4, _NUMBER)

_METRIC_TYPES = (
    *(_TEXT, _NUMBER, _TEXT, _TEXT, _TEXT, _NUMBER_OR_NULL, _TEXT_OR_NULL),
    *(_ANY_NUMBER, _NUMBER_OR_NULL, _ANY_NUMBER, _ANY_NUMBER, _ANY_NUMBER),
    *(_TEXT_OR_NULL,) * 3,
    *(_TEXT, _TEXT_OR_NULL, _TEXT, _TEXT_OR_NULL, _NUMBER),
)

_Record = TypeVar("_Record", SpanRecord, EventRecord, LogRecord, MetricRecord)


class Rows:
    """Makes records of one store's rows, the columns of `rows` followed by the id; ``skipped`` counts the others."""

    def __init__(self, location: str) -> None:
        self.skipped = 0
        self._location = location

    def span(self, row: Sequence[Any]) -> SpanRecord | None:
        """The span in a row, or None when it holds none of ours."""
        return self._record(_checked_span, row, "stored_spans")

    def event(self, row: Sequence[Any]) -> EventRecord | None:
        """The event in a row, or None when it holds none of ours."""
        return self._record(_checked_event, row, "stored_events")

    def log(self, row: Sequence[Any]) -> LogRecord | None:
        """The log in a row, or None when it holds none of ours."""
        return self._record(_checked_log, row, "stored_logs")

    def metric(self, row: Sequence[Any]) -> MetricRecord | None:
        """The metric point in a row, or None when it holds none of ours."""
        return self._record(_checked_metric, row, "stored_metrics")

    def up_to(self, limit: int | None, read: Callable[[int], Iterable[_Record]]) -> Iterator[_Record]:
        """So many records, where there are, of those that ``read`` makes of so many rows; always of the same ones.

        Rows that are passed over do not count. They are few, so that reading begins again with more rows.
        """
        if limit is None:
            yield from read(INT64_MAX)
            return
        before, skipped, count = self.skipped, 0, 0
        while True:
            self.skipped = before
            for record in islice(read(in_int64(limit + 2 * skipped)), count, limit):
                count += 1
                yield record
            if count == limit or self.skipped - before == skipped:
                return
            skipped = self.skipped - before

    def spans(self, rows: Iterable[Sequence[Any]]) -> Iterator[SpanRecord]:
        """The spans in rows."""
        return (span for span in map(self.span, rows) if span is not None)

    def events(self, rows: Iterable[Sequence[Any]]) -> Iterator[EventRecord]:
        """The events in rows."""
        return (event for event in map(self.event, rows) if event is not None)

    def logs(self, rows: Iterable[Sequence[Any]]) -> Iterator[LogRecord]:
        """The logs in rows."""
        return (log for log in map(self.log, rows) if log is not None)

    def metrics(self, rows: Iterable[Sequence[Any]]) -> Iterator[MetricRecord]:
        """The metric points in rows."""
        return (metric for metric in map(self.metric, rows) if metric is not None)

    def _record(self, make: Callable[[Sequence[Any]], _Record], row: Sequence[Any], table: str) -> _Record | None:
        try:
            return make(row)
        except FAULTS as error:
            self.skipped += 1
            say_once(
                f"{self._location} holds rows that otel-tracker did not write, which are passed over: the first is the "
                f"one of {table} with id {row[-1]} ({str(error)[:100]}). Mend it or remove it.",
                key=f"foreign:{self._location}",
            )
            return None


def _checked_span(row: Sequence[Any]) -> SpanRecord:
    _check_span_types(tuple(map(type, row)))
    span = span_of(row)
    if len(row[0]) != 16 or len(row[1]) != 8 or len(row[2] or _NO_SPAN) != 8:
        raise ValueError("an id has another length than ours")
    _check_objects(span.args, span.error, span.attributes, span.resource, *span.events, *span.links)
    return span


def _checked_event(row: Sequence[Any]) -> EventRecord:
    _check_event_types(tuple(map(type, row)))
    event = event_of(row)
    if len(row[3] or _NO_TRACE) != 16 or len(row[4] or _NO_SPAN) != 8:
        raise ValueError("an id has another length than ours")
    _check_objects(event.properties, event.error, event.resource)
    return event


def _checked_log(row: Sequence[Any]) -> LogRecord:
    _check_event_types(tuple(map(type, row)))
    log = log_of(row)
    if len(row[3] or _NO_TRACE) != 16 or len(row[4] or _NO_SPAN) != 8:
        raise ValueError("an id has another length than ours")
    _check_objects(log.attributes, log.error, log.resource)
    return log


def _checked_metric(row: Sequence[Any]) -> MetricRecord:
    _check_types(tuple(map(type, row)), _METRIC_TYPES)
    metric = metric_of(row)
    if metric.kind not in METRIC_KINDS:
        raise ValueError(f"{metric.kind[:60]!r} is no kind of ours")
    _check_objects(metric.attributes, metric.exponential, metric.resource, *metric.exemplars)
    return metric


@lru_cache(maxsize=256)  # rows differ in few ways
def _check_span_types(types: tuple[type, ...]) -> None:
    _check_types(types, _SPAN_TYPES)


@lru_cache(maxsize=256)
def _check_event_types(types: tuple[type, ...]) -> None:
    _check_types(types, _EVENT_TYPES)


def _check_types(types: Sequence[type], allowed: Sequence[tuple[type, ...]]) -> None:
    for found, expected in zip(types, allowed, strict=True):
        if found not in expected:
            raise TypeError(f"{found.__name__} where {expected[0].__name__} belongs")


def _check_objects(*values: object) -> None:
    for value in values:
        if type(value) is not dict:
            raise TypeError(f"{type(value).__name__} where a JSON object belongs")
