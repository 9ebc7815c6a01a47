"""Passes over lines without parsing them, where their bytes alone say that they are not wanted.

Only lines that begin as our encoders write them are judged, because only of those the order of keys and the spelling
of values are known; all others go to the parser. A line that is let through may still be unwanted, one that is held
back never is wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from otel_tracker.query import EventFilter, LogFilter, MetricFilter, SpanFilter
from otel_tracker.records import FAILED
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.jsonl.lines import EVENT_HEAD, LOG_HEAD, METRIC_HEAD, OUR_HEADS, SPAN_HEAD
from otel_tracker_exporters.jsonl.names import StoreFile
from otel_tracker_exporters.jsonl.otlp_prefilter import LOGS, METRICS, OTLP_HEAD, SPANS, OtlpPrefilter
from otel_tracker_exporters.jsonl.sources import is_older

# The first of these keys on a line of ours is the record's own: what stands before it is text, and in JSON text a
# quote is escaped.
_SPAN_TIME = b'"start":"'
_TIME = b'"time":"'
# Only the body of a log stands before its time and may be an object, with any key in it.
_BODY = b'"body":'
_TIME_LENGTH = len("2026-11-22T10:15:30.123456789Z")
_LATEST_NS = 253_402_300_800 * 10**9  # the year 10000

# Spelled alike in JSON and in a name, and no glob.
_PLAIN = re.compile(r"[A-Za-z0-9_ /:<>-]+")
_PLAIN_EVERYWHERE = re.compile(r"[A-Za-z0-9_]+")  # other encoders escape a slash or angle brackets


@dataclass
class Prefilter:
    """Says for each line whether it is worth parsing; ``lowest_ns`` may be raised on the way.

    ``head`` is how lines of the wanted kind begin. One of ours is wanted when it holds all of ``needles``.
    """

    head: bytes
    otlp: OtlpPrefilter
    needles: list[bytes] = field(default_factory=list)
    lowest_ns: int | None = None
    highest_ns: int | None = None

    def __post_init__(self) -> None:
        self._time_key = _SPAN_TIME if self.head == SPAN_HEAD else _TIME
        self._lowest = _time_bytes(self.lowest_ns) or b""
        self._highest = _time_bytes(self.highest_ns)

    def raise_lowest(self, lowest_ns: int | None) -> None:
        """Nothing older is wanted any more; None says nothing."""
        if lowest_ns is not None and (self.lowest_ns is None or lowest_ns > self.lowest_ns):
            self.lowest_ns = lowest_ns
            self._lowest = _time_bytes(lowest_ns) or b""

    def may_want_file(self, file: StoreFile) -> bool:
        """Whether the file may hold anything that is not too old."""
        return not is_older(file, self.lowest_ns)

    def may_want(self, line: bytes) -> bool:
        """Whether the line must be parsed; True for everything that might be torn, garbage or foreign."""
        if not line.endswith(b"}"):
            return True
        if not line.startswith(self.head):
            if line.startswith(OTLP_HEAD):
                return self.otlp.may_want(line, self.lowest_ns, self.highest_ns)
            return not line.startswith(OUR_HEADS)
        return self._is_timely(line) and all(needle in line for needle in self.needles)

    def _is_timely(self, line: bytes) -> bool:
        begin = line.find(self._time_key)
        if self.head == LOG_HEAD and line[line.find(_BODY, 0, begin) :].startswith((_BODY + b"{", _BODY + b"[")):
            return True
        begin += len(self._time_key)
        time = line[begin : begin + _TIME_LENGTH]
        return time >= self._lowest and (self._highest is None or time <= self._highest)


def span_prefilter(wanted: SpanFilter) -> Prefilter:
    """For the spans that a query wants."""
    needles: list[bytes] = []
    otlp_needles: list[bytes] = []
    if wanted.trace_id is not None:
        needles.append(b'"trace_id":"%b"' % wanted.trace_id.encode())
    if wanted.status is not None:
        needles.append(b'"status":"%b"' % wanted.status.encode())
    if wanted.status == FAILED:
        otlp_needles.append(b'"code"')
    if wanted.kind is not None:
        needles.append(b'"kind":"%b"' % wanted.kind.encode())
    if wanted.function_name is not None:
        # A dotted name is split into module and function in the line, but one text ends with its last part.
        last_part = wanted.function_name.rpartition(".")[2]
        needle = b'%b"' % last_part.encode("utf-8", "surrogatepass")
        if _PLAIN.fullmatch(last_part):
            needles.append(needle)
        if _PLAIN_EVERYWHERE.fullmatch(last_part):
            otlp_needles.append(needle)
    bounds_ns = [bound for bound in (wanted.end_ns, wanted.after and wanted.after[0]) if bound is not None]
    otlp = OtlpPrefilter(SPANS, wanted.trace_id or "", otlp_needles)
    return Prefilter(SPAN_HEAD, otlp, needles, wanted.start_ns, min(bounds_ns, default=None))


def event_prefilter(wanted: EventFilter) -> Prefilter:
    """For the events that a query wants."""
    return _log_prefilter(EVENT_HEAD, b'"name":"%b"', wanted.name, wanted)


def log_prefilter(wanted: LogFilter) -> Prefilter:
    """For the logs that a query wants."""
    return _log_prefilter(LOG_HEAD, b'"logger":"%b"', wanted.logger, wanted)


def _log_prefilter(head: bytes, key: bytes, name: str | None, wanted: EventFilter | LogFilter) -> Prefilter:
    needles = []
    if wanted.trace_id is not None:
        needles.append(b'"trace_id":"%b"' % wanted.trace_id.encode())
    if name is not None and _PLAIN.fullmatch(name.replace(".", "")):
        needles.append(key % name.encode())
    otlp = OtlpPrefilter(LOGS, wanted.trace_id or "")
    return Prefilter(head, otlp, needles, wanted.start_ns, wanted.end_ns)


def metric_prefilter(wanted: MetricFilter) -> Prefilter:
    """For the metric points that a query wants."""
    needles = [] if wanted.kind is None else [b'"kind":"%b"' % wanted.kind.encode()]
    if wanted.name is not None and _PLAIN.fullmatch(wanted.name.replace(".", "")):
        needles.append(b'"name":"%b"' % wanted.name.encode())
    return Prefilter(METRIC_HEAD, OtlpPrefilter(METRICS), needles, wanted.start_ns, wanted.end_ns)


def trace_prefilter(trace_id_prefix: str) -> Prefilter:
    """For all spans of the traces whose id begins so."""
    needles = [b'"trace_id":"%b' % trace_id_prefix.encode()]
    return Prefilter(SPAN_HEAD, OtlpPrefilter(SPANS, trace_id_prefix), needles)


def traceback_prefilter() -> Prefilter:
    """For the failed spans that carry a traceback."""
    return Prefilter(SPAN_HEAD, OtlpPrefilter(SPANS, needles=[b'"exception.stacktrace"']), [b'"traceback":"'])


def _time_bytes(time_ns: int | None) -> bytes | None:
    """The time as it stands in a line; None outside the years 1970 to 9999, where text does not sort like time."""
    if time_ns is None or not 0 <= time_ns < _LATEST_NS:
        return None
    return format_time(time_ns).encode()
