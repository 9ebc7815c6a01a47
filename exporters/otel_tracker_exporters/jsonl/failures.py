"""Remembers where the tracebacks lie, so that outer spans get theirs without a pass over the file for every page.

Failed spans that carry a traceback are few: one for each exception. The index grows with the file, from where it
stopped the last time, and begins anew when another file has taken its place.
"""

from __future__ import annotations

import os
from io import FileIO

from otel_tracker.records import SpanRecord
from otel_tracker_exporters.jsonl.files import lines_backwards, read_at
from otel_tracker_exporters.jsonl.lines import UnreadableLineError, parse_line
from otel_tracker_exporters.jsonl.prefilter import traceback_prefilter
from otel_tracker_exporters.jsonl.selection import Place


class FailureIndex:
    """The places of all failed spans with a traceback, by trace."""

    def __init__(self) -> None:
        self._places: dict[str, list[Place]] = {}
        self._file: tuple[int, int] | None = None
        self._end = 0

    def find(self, file: FileIO, trace_id: str) -> list[SpanRecord]:
        """The failed spans of a trace that carry a traceback, as the file has them now."""
        found = (record_at(file, place) for place in self._places.get(trace_id, ()))
        return [span for span in found if isinstance(span, SpanRecord) and span.trace_id == trace_id]

    def catch_up(self, file: FileIO) -> None:
        """Take in what was appended since the last time."""
        status = os.fstat(file.fileno())
        if self._file != (status.st_dev, status.st_ino) or status.st_size < self._end:
            self._file, self._end, self._places = (status.st_dev, status.st_ino), 0, {}
        prefilter = traceback_prefilter()
        end = None
        for offset, line in lines_backwards(file, self._end):
            if end is None:
                end = offset  # what follows the last newline may grow, and is read again the next time
            if prefilter.may_want(line):
                self._add(line, Place(offset, len(line)))
        self._end = self._end if end is None else end

    def _add(self, line: bytes, place: Place) -> None:
        try:
            span = parse_line(line)
        except UnreadableLineError:
            return
        if isinstance(span, SpanRecord) and span.error.get("traceback"):
            self._places.setdefault(span.trace_id, []).append(place)


def record_at(file: FileIO, place: Place) -> object:
    """The record of a line that was chosen before, or None when the file was cut or overwritten meanwhile."""
    try:
        return parse_line(read_at(file, *place))
    except UnreadableLineError:
        return None
