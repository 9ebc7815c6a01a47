"""Passes over lines without parsing them, where their bytes alone say that they are not wanted.

Only lines that begin as `encode_line` writes them are judged, because only of those the order of keys and the
spelling of values are known; all others go to the parser. A line that is let through may still be unwanted, one that
is held back never is wanted.
"""

from __future__ import annotations

import re

from otel_tracker.query import EventFilter, SpanFilter
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.jsonl.lines import EVENT_HEAD, SPAN_HEAD

# The first of these keys on a line of ours is the record's own: what stands before it is text, and in JSON text a
# quote is escaped.
_SPAN_TIME = b'"start":"'
_EVENT_TIME = b'"time":"'
_TIME_LENGTH = len("2026-11-22T10:15:30.123456789Z")
_LATEST_NS = 253_402_300_800 * 10**9  # the year 10000

# Spelled alike in JSON and in a name, and no glob.
_PLAIN = re.compile(r"[A-Za-z0-9_ /:<>-]+")


class Prefilter:
    """Says for each line whether it is worth parsing; ``lowest_ns`` may be raised on the way."""

    def __init__(
        self, head: bytes, time_key: bytes, needles: list[bytes], lowest_ns: int | None, highest_ns: int | None
    ) -> None:
        self._head = head
        self._other_head = EVENT_HEAD if head is SPAN_HEAD else SPAN_HEAD
        self._time_key = time_key
        self._needles = needles
        self._lowest = _time_bytes(lowest_ns) or b""
        self._highest = _time_bytes(highest_ns)

    def raise_lowest(self, lowest_ns: int | None) -> None:
        """Nothing older is wanted any more; None says nothing."""
        self._lowest = max(self._lowest, _time_bytes(lowest_ns) or b"")

    def may_want(self, line: bytes) -> bool:
        """Whether the line must be parsed; True for everything that might be torn, garbage or foreign."""
        if not line.endswith(b"}"):
            return True
        if not line.startswith(self._head):
            return not line.startswith(self._other_head)
        begin = line.find(self._time_key) + len(self._time_key)
        time = line[begin : begin + _TIME_LENGTH]
        return (
            time >= self._lowest
            and (self._highest is None or time <= self._highest)
            and all(needle in line for needle in self._needles)
        )


def span_prefilter(wanted: SpanFilter) -> Prefilter:
    """For the spans that a query wants."""
    needles = []
    if wanted.trace_id is not None:
        needles.append(b'"trace_id":"%b"' % wanted.trace_id.encode())
    if wanted.function_name is not None:
        # A dotted name is split into module and function in the line, but one text ends with its last part.
        last_part = wanted.function_name.rpartition(".")[2]
        if _PLAIN.fullmatch(last_part):
            needles.append(b'%b"' % last_part.encode())
    bounds_ns = [bound for bound in (wanted.end_ns, wanted.after and wanted.after[0]) if bound is not None]
    return Prefilter(SPAN_HEAD, _SPAN_TIME, needles, wanted.start_ns, min(bounds_ns, default=None))


def event_prefilter(wanted: EventFilter) -> Prefilter:
    """For the events that a query wants."""
    needles = []
    if wanted.trace_id is not None:
        needles.append(b'"trace_id":"%b"' % wanted.trace_id.encode())
    if wanted.name is not None and _PLAIN.fullmatch(wanted.name.replace(".", "")):
        needles.append(b'"name":"%b"' % wanted.name.encode())
    return Prefilter(EVENT_HEAD, _EVENT_TIME, needles, wanted.start_ns, wanted.end_ns)


def trace_prefilter(trace_id_prefix: str) -> Prefilter:
    """For all spans of the traces whose id begins so."""
    return Prefilter(SPAN_HEAD, _SPAN_TIME, [b'"trace_id":"%b' % trace_id_prefix.encode()], None, None)


def traceback_prefilter() -> Prefilter:
    """For the failed spans that carry a traceback."""
    return Prefilter(SPAN_HEAD, _SPAN_TIME, [b'"traceback":"'], None, None)


def _time_bytes(time_ns: int | None) -> bytes | None:
    """The time as it stands in a line; None outside the years 1970 to 9999, where text does not sort like time."""
    if time_ns is None or not 0 <= time_ns < _LATEST_NS:
        return None
    return format_time(time_ns).encode()
