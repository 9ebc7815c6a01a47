"""Statistics in one pass over the bytes of a store, which parses only what it must.

Lines of ours have a fixed order of keys. What statistics need stands in front, and one pattern takes it out; the rest
of the line is only looked over for being whole, because a line that a killed process tore must not count. Any other
line is parsed, and gives the same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

from otel_tracker.query import SpanFilter
from otel_tracker.records import INT64_MAX, INT64_MIN, STATUSES, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker.timestamps import NS_PER_S, parse_time
from otel_tracker_exporters.jsonl.counting import STATE_NUMBERS, ExecutionCounter
from otel_tracker_exporters.jsonl.lines import EVENT_HEAD, LOG_HEAD, METRIC_HEAD, SPAN_HEAD

# Runs of fixed length are jumped over here, which is twice as fast, and judged once they are taken out.
_TIME = rb"((?s:.{19}))\.((?s:.{9}))Z"
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NUMBER = rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_PLAIN_TEXT = rb'"[^"\\\x00-\x1f]*"'
_TEXT = rb'"[^"\\\x00-\x1f]*(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*)*"'
_LINE = re.compile(
    re.escape(SPAN_HEAD)
    + rb'"trace_id":"((?s:.{32}))","span_id":"((?s:.{16}))",(?:"parent_span_id":"[^"\\\x00-\x1f]{16}",)?'
    + rb'("name":%b,"kind":%b(?:,"function":%b)?(?:,"module":%b)?)' % (_TEXT, _PLAIN_TEXT, _TEXT, _TEXT)
    + rb',"status":"(%b)"' % "|".join(STATUSES).encode()
    + rb',"start":"%b"(?:,"end":"%b","duration_ms":%b|(?!,"end"))(?:,(?=")|(?=\}\Z))' % (_TIME, _TIME, _NUMBER)
)
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"{}\0'))  # a line with zero bytes is broken
_OTHER_HEADS = (EVENT_HEAD, LOG_HEAD, METRIC_HEAD)
_MAX_SHAPE_BYTES = 1000
_MAX_DESCRIPTIONS = 50_000
_STATES = {
    (status.encode(), has_ended): number for (status, has_ended), number in STATE_NUMBERS.items()
}  # by the bytes of a line

_UNWANTED = -1
_UNKNOWN = -2


class StatisticsScan:
    """Goes over the lines of executions, oldest first, and answers with one `Statistics` a function.

    ``parse`` reads the lines that this module does not take apart itself, and counts those that are no records.
    """

    def __init__(
        self, wanted: SpanFilter, group_as: str | None, parse: Callable[[bytes], Iterable[SpanRecord]]
    ) -> None:
        self._wanted = wanted
        self._group_as = group_as
        self._parse = parse
        self._counter = ExecutionCounter()
        self._functions: dict[bytes, int] = {}
        self._wanted_names = SpanFilter(function_name=wanted.function_name, kind=wanted.kind)
        self._is_timed = wanted.start_ns is not None or wanted.end_ns is not None
        # What else a filter can say is not asked of statistics; only a line that was parsed can answer it.
        self._is_simple = wanted == replace(self._wanted_names, start_ns=wanted.start_ns, end_ns=wanted.end_ns)

    def add_block(self, lines: bytes) -> None:
        """Take whole lines into account; an empty last one is none."""
        for line in lines.split(b"\n"):
            if not (self._is_simple and self._is_added(line)):
                self._add_parsed(line)

    def statistics(self) -> list[Statistics]:
        """The answer; nothing is left to count afterwards."""
        return self._counter.statistics()

    def _is_added(self, line: bytes) -> bool:
        """Whether the line was dealt with; False when it must be parsed."""
        match = _LINE.match(line)
        if match is None:
            return line.startswith(_OTHER_HEADS) and line.endswith(b"}")
        if not _is_whole(line, match.end()):
            return False
        trace_id, span_id, description, status, start, start_ns, end, end_ns = match.groups()
        function = self._functions.get(description)
        if function is None:
            function = self._described(description)
        if function < 0:
            return function == _UNWANTED
        ids = trace_id + span_id
        if not (ids.islower() or ids.isdigit()):
            return False
        try:
            if self._is_timed and not self._is_within(_time_ns(start, start_ns)):
                return True
            duration_ns = _duration_ns(start, start_ns, end, end_ns)
            self._counter.add_line(ids, function, _STATES[status, end is not None], duration_ns)
        except ValueError:
            return False  # the thirtieth of February, or an id that is none
        return True

    def _add_parsed(self, line: bytes) -> None:
        for record in self._parse(line):
            if self._wanted.matches(record):
                name = record.qualified_name if self._group_as is None else self._group_as
                self._counter.add(record, self._counter.number_of(name))

    def _is_within(self, start_ns: int) -> bool:
        wanted = self._wanted
        return (wanted.start_ns is None or start_ns >= wanted.start_ns) and (
            wanted.end_ns is None or start_ns < wanted.end_ns
        )

    def _described(self, description: bytes) -> int:
        """The number of the function that a line's names mean; they are decoded once for all its lines."""
        if len(self._functions) >= _MAX_DESCRIPTIONS:  # span names with an id in each
            self._functions.clear()
        try:
            names = json.loads(f"{{{description.decode('utf-8', 'replace')}}}")
        except ValueError:  # an escape that is none
            return self._functions.setdefault(description, _UNKNOWN)
        record = SpanRecord("", "", names["name"], 0, **{key: names[key] for key in names if key != "name"})
        if not self._wanted_names.matches(record):
            return self._functions.setdefault(description, _UNWANTED)
        name = record.qualified_name if self._group_as is None else self._group_as
        return self._functions.setdefault(description, self._counter.number_of(name))


def _is_whole(line: bytes, begin: int) -> bool:
    """Whether a line that begins as ours, inside of its braces at ``begin``, ends as one."""
    if not line.endswith(b"}"):
        return False
    rest = line[begin:]
    if b"\\" in rest:
        rest = rest.replace(b"\\\\", b"").replace(b'\\"', b"")
    shape = rest.translate(None, _NOT_STRUCTURE)  # the same for most lines, and looked at once
    return _has_closed(shape) if len(shape) > _MAX_SHAPE_BYTES else _has_closed_cached(shape)


def _has_closed(shape: bytes) -> bool:
    """Whether quotes and braces say that everything was closed; False also when they cannot say.

    Without braces in texts the quotes between two braces are even in number.
    """
    braces = shape.replace(b'""', b"")
    return not braces.strip(b"{}") and braces.count(b"}") == braces.count(b"{") + 1


_has_closed_cached = lru_cache(maxsize=4096)(_has_closed)


def _time_ns(moment: bytes, fraction: bytes) -> int:
    """Nanoseconds since the epoch; raises ValueError for what is no time as we write it."""
    if not fraction.isdigit():
        raise ValueError("no nanoseconds")
    return _seconds(moment) * NS_PER_S + int(fraction)


def _duration_ns(start: bytes, start_ns: bytes, end: bytes | None, end_ns: bytes) -> int:
    """The nanoseconds from start to end, each given as seconds and their fraction; 0 while there is no end."""
    if end is None:
        _time_ns(start, start_ns)
        return 0
    if end == start and start_ns.isdigit() and end_ns.isdigit():
        _seconds(start)
        return int(end_ns) - int(start_ns)
    return max(INT64_MIN, min(_time_ns(end, end_ns) - _time_ns(start, start_ns), INT64_MAX))


@lru_cache(maxsize=4096)
def _seconds(moment: bytes) -> int:
    """Seconds since the epoch of ``2026-11-22T10:15:30``; raises ValueError for a date that does not exist."""
    if not _MOMENT.fullmatch(moment):
        raise ValueError("no time of ours")
    return parse_time(moment.decode("ascii")) // NS_PER_S
