"""One query language for every store: the reader that each store completes.

`StoreReader` is what `open_store` returns. Its public methods check and translate what the user gave, once and
for all stores; a store supplies the five ``_read_*`` methods, and the contract suite in ``tests/stores`` holds
it to the same answers as every other.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from itertools import chain
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any

from otel_tracker.errors import QueryError
from otel_tracker.filters import EventFilter, LogFilter, MetricFilter, SpanFilter, matches_function, names_function
from otel_tracker.following import Stored, checked_seconds, follow
from otel_tracker.records import (
    INT64_MAX,
    INT64_MIN,
    KINDS,
    METRIC_KINDS,
    STATUSES,
    EventRecord,
    LogRecord,
    MetricRecord,
    Record,
    SpanRecord,
)
from otel_tracker.severities import LEVELS, severity_number
from otel_tracker.stats import Statistics
from otel_tracker.timestamps import NS_PER_MS, time_bound

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "DEFAULT_LIMIT",
    "EventFilter",
    "LogFilter",
    "MetricFilter",
    "SpanFilter",
    "StoreReader",
    "cursor_of",
    "matches_function",
    "names_function",
]

DEFAULT_LIMIT = 100
_CURSOR = re.compile(r"(-?\d{1,19})-([0-9a-f]{16})")
_STATISTICS_ORDERS = tuple(name for name in Statistics.__dataclass_fields__ if name != "function_name")


def cursor_of(record: SpanRecord) -> str:
    """Where the page after this record begins: the text that ``query --after`` takes."""
    return f"{record.start_ns}-{record.span_id}"


class StoreReader(ABC):
    """Answers questions about what a store holds; safe beside any number of writers.

    Close it, or use it as a context manager. Iterators stay valid until then. Every method raises
    `StoreUnreadableError` when the store cannot be read, and `QueryError` for a filter that makes no sense.
    """

    location: str
    """Where the store lies, as the commands print it."""

    def query_executions(
        self,
        function_name: str | None = None,
        *,
        status: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        limit: int | None = DEFAULT_LIMIT,
        trace_id: str | None = None,
        kind: str | None = None,
        min_duration_ms: float | None = None,
        after: SpanRecord | str | None = None,
    ) -> Iterator[SpanRecord]:
        """Executions, newest start first.

        ``function_name`` is a bare or dotted name or a glob (`names_function`). ``start_time`` (inclusive) and
        ``end_time`` (exclusive) bound the start: aware datetime, ISO text or an age such as ``"1h"``.
        ``limit=None`` yields everything, in bounded memory. For the next page pass the last record of this one,
        or its `cursor_of`, as ``after``.
        """
        wanted = SpanFilter(
            function_name=_name(function_name, "function_name"),
            status=_known_status(status),
            start_ns=time_bound(start_time, "start_time"),
            end_ns=time_bound(end_time, "end_time"),
            trace_id=_hex_id(trace_id),
            kind=_known_kind(kind),
            min_duration_ns=_duration_ns(min_duration_ms),
            after=_position(after),
        )
        return self._with_tracebacks(self._read_spans(wanted, _checked_limit(limit)))

    def get_trace(self, trace_id: str) -> list[SpanRecord]:
        """All spans of one trace, oldest first; empty when there is none. ``trace_id`` may be a unique prefix."""
        spans = self._read_trace(_trace_prefix(trace_id))
        traces = {span.trace_id for span in spans}
        if len(traces) > 1:
            raise QueryError(f"{len(traces)} traces begin with {trace_id!r}; give more of the trace id.")
        spans.sort(key=lambda span: (span.start_ns, span.span_id))
        return list(_filled(spans, spans))

    def get_statistics(
        self,
        function_name: str,
        *,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
    ) -> Statistics:
        """One `Statistics` over every execution that ``function_name`` (name or glob) means; zeros when none does."""
        wanted = SpanFilter(
            function_name=_name(function_name, "function_name"),
            start_ns=time_bound(start_time, "start_time"),
            end_ns=time_bound(end_time, "end_time"),
        )
        found = self._read_statistics(wanted, group_as=function_name)
        return next(iter(found), Statistics(function_name))

    def function_statistics(
        self,
        *,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        limit: int | None = DEFAULT_LIMIT,
        function_name: str | None = None,
        kind: str | None = None,
        order_by: str = "p95_ms",
    ) -> list[Statistics]:
        """One `Statistics` a function (or span name), largest ``order_by`` first; any number field of `Statistics`."""
        if order_by not in _STATISTICS_ORDERS:
            raise QueryError(f"order_by is {order_by!r}; expected one of {', '.join(_STATISTICS_ORDERS)}.")
        wanted = SpanFilter(
            function_name=_name(function_name, "function_name"),
            kind=_known_kind(kind),
            start_ns=time_bound(start_time, "start_time"),
            end_ns=time_bound(end_time, "end_time"),
        )
        found = sorted(self._read_statistics(wanted, group_as=None), key=lambda entry: entry.function_name)
        found.sort(key=lambda entry: _none_last(getattr(entry, order_by)), reverse=True)
        return found[: _checked_limit(limit)]

    def events(
        self,
        name: str | None = None,
        *,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        trace_id: str | None = None,
        limit: int | None = DEFAULT_LIMIT,
    ) -> Iterator[EventRecord]:
        """Events, newest first; ``name`` is an event name or a glob such as ``"checkout.*"``."""
        wanted = EventFilter(
            name=_name(name, "name"),
            start_ns=time_bound(start_time, "start_time"),
            end_ns=time_bound(end_time, "end_time"),
            trace_id=_hex_id(trace_id),
        )
        return self._read_events(wanted, _checked_limit(limit))

    def logs(
        self,
        logger: str | None = None,
        *,
        min_severity: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        trace_id: str | None = None,
        limit: int | None = DEFAULT_LIMIT,
    ) -> Iterator[LogRecord]:
        """Log records that are no events, newest first.

        ``logger`` is a logger's name or a glob such as ``"shop.*"``; ``min_severity`` is the least severity that is
        wanted, by any name: ``"WARNING"``, ``"warn"``, ``"ERROR"``.
        """
        wanted = LogFilter(
            logger=_name(logger, "logger"),
            min_severity=_known_severity(min_severity),
            start_ns=time_bound(start_time, "start_time"),
            end_ns=time_bound(end_time, "end_time"),
            trace_id=_hex_id(trace_id),
        )
        return self._read_logs(wanted, _checked_limit(limit))

    def metrics(
        self,
        name: str | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        kind: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        limit: int | None = DEFAULT_LIMIT,
    ) -> Iterator[MetricRecord]:
        """Metric points, newest first.

        ``name`` is a metric's name or a glob such as ``"shop.*"``, ``kind`` one of `METRIC_KINDS`; ``attributes`` keeps
        the points that have all of these. ``since`` (inclusive) and ``until`` (exclusive) bound the point's time: aware
        datetime, ISO text or an age such as ``"1h"``.
        """
        wanted = MetricFilter(
            name=_name(name, "name"),
            kind=_known_metric_kind(kind),
            attributes=_attributes(attributes),
            start_ns=time_bound(since, "since"),
            end_ns=time_bound(until, "until"),
        )
        return self._read_metrics(wanted, _checked_limit(limit))

    def stored(self, after: str | None = None) -> Iterator[Stored]:
        """Everything in the order in which it was stored, each record with the position that follows it.

        Goes on after a position that an earlier call gave, of this process or another's. A span that was stored again
        (its end after its start, a batch written twice) comes again. A store that keeps no order gives spans, then
        events, then logs, then metric points, newest first and without positions. Bounded memory.
        """
        return iter(self._read_stored(after))

    def tail(self, *, last: int = 0, poll_s: float = 0.2, timeout_s: float | None = None) -> Iterator[Record]:
        """All that is stored, as it comes, by any number of processes; first the ``last`` that are there.

        Blocks between records, looking every ``poll_s`` seconds, until the reader is closed or ``timeout_s`` seconds
        have passed. A store that keeps no order raises `QueryError`.
        """
        poll = checked_seconds(poll_s, "poll_s", minimum_s=0.01)
        timeout = checked_seconds(timeout_s, "timeout_s")
        position = self._position_before_last(_checked_limit(last) or 0)
        return self._followed(position, poll or 0.2, timeout)

    def _followed(self, position: str | None, poll_s: float, timeout_s: float | None) -> Iterator[Record]:
        with self._following() as read_stored:
            yield from follow(read_stored, position, poll_s=poll_s, timeout_s=timeout_s, closed=self._closing())

    def stored_size(self) -> int | None:
        """How much `stored` has to go through, in the units of `progress`; None when nobody knows."""
        return None

    def progress(self, position: str) -> int:
        """How much of `stored_size` lies before a position."""
        raise QueryError(f"{self.location} keeps no positions.")

    def close(self) -> None:
        """Release what the reader holds and end every iterator; a second call does nothing."""
        self._closing().set()

    def _closing(self) -> Event:
        # One for all threads, made at need: whoever closes may be the first to ask, and subclasses have an `__init__`.
        closing: Event = self.__dict__.setdefault("_closed", Event())
        return closing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _with_tracebacks(self, spans: Iterator[SpanRecord]) -> Iterator[SpanRecord]:
        """Fill the tracebacks of outer failed spans, a page at a time."""
        page: list[SpanRecord] = []
        for span in spans:
            page.append(span)
            if len(page) == DEFAULT_LIMIT:
                yield from self._filled_page(page)
                page = []
        yield from self._filled_page(page)

    def _filled_page(self, page: list[SpanRecord]) -> Iterable[SpanRecord]:
        lacking = {span.trace_id for span in page if _lacks_traceback(span)}
        return _filled(page, self._read_failures(sorted(lacking))) if lacking else page

    @abstractmethod
    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        """The wanted spans by ``(start_ns, span_id)`` descending, each once, at most ``limit``."""

    @abstractmethod
    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        """Each span once whose trace id begins with these lower-case hex digits, in any order."""

    @abstractmethod
    def _read_failures(self, trace_ids: Sequence[str]) -> Iterable[SpanRecord]:
        """The failed spans of these traces that carry a traceback, in any order."""

    @abstractmethod
    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        """One `Statistics` a `SpanRecord.qualified_name`, or a single one named ``group_as``."""

    @abstractmethod
    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        """The wanted events by ``time_ns`` descending, at most ``limit``."""

    def _read_logs(self, wanted: LogFilter, limit: int | None) -> Iterator[LogRecord]:
        """The wanted logs by ``time_ns`` descending, at most ``limit``; none, in a store that keeps none."""
        return iter(())

    def _read_metrics(self, wanted: MetricFilter, limit: int | None) -> Iterator[MetricRecord]:
        """The wanted points by ``time_ns`` descending, at most ``limit``; none, in a store that keeps none."""
        return iter(())

    def _read_stored(self, after: str | None) -> Iterable[Stored]:
        """See `stored`; a store that keeps an order overrides this and `_position_before_last`."""
        spans: Iterator[Record] = self._read_spans(SpanFilter(), None)
        events, logs = self._read_events(EventFilter(), None), self._read_logs(LogFilter(), None)
        metrics = self._read_metrics(MetricFilter(), None)
        return (Stored(record, None) for record in chain(spans, events, logs, metrics))

    def _read_all_stored(self, after: str | None) -> Iterable[Stored]:
        """As `_read_stored`, and behind that, without positions, what may still be in the middle of being written."""
        return self._read_stored(after)

    def _following(self) -> AbstractContextManager[Callable[[str | None], Iterable[Stored]]]:
        """`_read_stored` for one who asks again and again; a store may keep something open meanwhile."""
        return nullcontext(self._read_stored)

    def _position_before_last(self, count: int) -> str | None:
        """The position with ``count`` records behind it; None for the beginning of a store that holds fewer."""
        raise QueryError(f"{self.location} keeps no order in which records were stored, and cannot be followed.")


def _filled(spans: Iterable[SpanRecord], failures: Iterable[SpanRecord]) -> Iterator[SpanRecord]:
    """The spans, those that failed above a recorded exception given its traceback.

    The exception event stands on the deepest span alone; an outer span is matched by trace, type and message.
    """
    known = {_failure_key(span): span.error["traceback"] for span in failures if span.error.get("traceback")}
    for span in spans:
        traceback = known.get(_failure_key(span)) if _lacks_traceback(span) else None
        yield span if traceback is None else replace(span, error={**span.error, "traceback": traceback})


def _failure_key(span: SpanRecord) -> tuple[str, str | None, str | None]:
    return span.trace_id, span.error.get("type"), span.error.get("message")


def _lacks_traceback(span: SpanRecord) -> bool:
    return bool(span.error) and "traceback" not in span.error


def _none_last(value: float | None) -> float:
    return float("-inf") if value is None else value


def _known_status(status: str | None) -> str | None:
    if status is not None and status not in STATUSES:
        raise QueryError(f"status is {status!r}; expected one of {', '.join(STATUSES)}.")
    return status


def _known_kind(kind: str | None) -> str | None:
    known = kind.lower() if isinstance(kind, str) else kind
    if known is not None and known not in KINDS:
        raise QueryError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}.")
    return known


def _known_metric_kind(kind: str | None) -> str | None:
    if kind is not None and kind not in METRIC_KINDS:
        raise QueryError(f"kind is {kind!r}; expected one of {', '.join(METRIC_KINDS)}.")
    return kind


def _attributes(attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if attributes is None:
        return {}
    if not isinstance(attributes, Mapping):
        raise QueryError(f"attributes is {attributes!r:.60}; expected a mapping such as {{'region': 'eu'}}.")
    return dict(attributes)


def _known_severity(severity: str | None) -> int | None:
    if severity is None:
        return None
    number = severity_number(severity) if isinstance(severity, str) else 0
    if not number:
        raise QueryError(f"min_severity is {severity!r}; expected one of {', '.join(LEVELS)}.")
    return number


def _name(value: str | None, parameter: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise QueryError(f"{parameter} is {value!r}; expected a name or a glob such as 'shop.*'.")
    return value


def _duration_ns(duration_ms: float | None) -> int | None:
    if duration_ms is None:
        return None
    if isinstance(duration_ms, bool) or not isinstance(duration_ms, (int, float)) or not 0 <= duration_ms < math.inf:
        raise QueryError(f"min_duration_ms is {duration_ms!r}; expected a number of milliseconds from 0.")
    return int(min(duration_ms * NS_PER_MS, INT64_MAX))


def _checked_limit(limit: int | None) -> int | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise QueryError(f"limit is {limit!r}; expected a whole number from 0, or None for all.")
    return min(limit, INT64_MAX)


def _hex_id(trace_id: str | None) -> str | None:
    if trace_id is None:
        return None
    text = _trace_prefix(trace_id)
    if len(text) != 32:
        raise QueryError(f"trace_id is {trace_id!r}; expected 32 hexadecimal digits.")
    return text


def _trace_prefix(trace_id: str) -> str:
    text = trace_id.strip().lower().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{1,32}", text):
        raise QueryError(f"trace_id is {trace_id[:60]!r}; expected up to 32 hexadecimal digits.")
    return text


def _position(after: SpanRecord | str | None) -> tuple[int, str] | None:
    if after is None:
        return None
    if isinstance(after, SpanRecord):
        return after.start_ns, after.span_id
    match = _CURSOR.fullmatch(str(after))
    if match is None or not INT64_MIN <= int(match[1]) <= INT64_MAX:
        raise QueryError(f"after is {str(after)[:60]!r}; expected the cursor that the previous page ended with.")
    return int(match[1]), match[2]
