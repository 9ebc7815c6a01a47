"""What waits on disk for one destination: segments, oldest first, written by this process or taken over from dead ones.

Used under the lock of its lane.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from otel_tracker.delivery import folders
from otel_tracker.delivery.segment import SUFFIX, Segment

SEGMENT_BYTES = 4 * 2**20
_FIRST_NUMBER = 500_000
"""Segments are numbered from the middle, because what is put back goes before all others."""


class JournalFullError(OSError):
    """The journals hold as much as they may."""


class Place(NamedTuple):
    """Where lines were read: what to mark as done when they are delivered."""

    segment: Segment
    end: int
    is_own: bool


class Journal:
    """The journal of one destination; its folder is made with the first line.

    ``max_bytes`` bounds the journals of all destinations and processes together; 0 is no limit.
    """

    def __init__(self, signal: str, destination: str, max_bytes: int) -> None:
        self._folder = folders.folder_of(signal, destination)
        self._header = {"signal": signal, "destination": destination}
        self._max_bytes = max_bytes
        self._segments: deque[Segment] = deque()
        self._current: Segment | None = None
        self._numbers = itertools.count(_FIRST_NUMBER)
        self._before = itertools.count(_FIRST_NUMBER - 1, -1)
        self._used_bytes = 0
        self._started_ns = time.time_ns()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not self._segments

    @property
    def holds_others(self) -> bool:
        """Whether something waits here that this process has taken over."""
        return any(not segment.is_own for segment in self._segments)

    def has_left_behind(self) -> bool:
        """Whether there is something that an earlier process may have left."""
        return bool(folders.segment_paths(self._folder))

    def append(self, encode: Callable[[Segment], list[bytes]]) -> None:
        """Write what ``encode`` makes for the segment that it is given; raises OSError with nothing written."""
        segment = self._current
        if segment is None or segment.size >= SEGMENT_BYTES:
            segment = self._new_segment(next(self._numbers))
            self._segments.append(segment)
            self._current = segment
        self._encoded(segment, encode)

    def prepend(self, encode: Callable[[Segment], list[bytes]], *, is_own: bool = True) -> None:
        """The same for what is older than all that lies here; ``is_own`` says who has made it."""
        segment = self._new_segment(next(self._before), is_own=is_own)
        try:
            self._encoded(segment, encode)
        except BaseException:
            segment.remove()
            raise
        self._segments.appendleft(segment)

    def claim(self) -> int:
        """Take over what dead processes have left; how many files that were."""
        claimed = 0
        known = {segment.path for segment in self._segments}
        for path in folders.segment_paths(self._folder):
            if path in known:
                continue
            segment = Segment.claim(path)
            if segment is None:
                continue
            if folders.is_outdated(path) or segment.done >= segment.size:
                segment.remove()
            else:
                self._segments.insert(claimed, segment)
                claimed += 1
        return claimed

    def next_lines(self, number: int) -> tuple[list[bytes], Place] | None:
        """The oldest lines that are not done, from one segment, or None. A segment that cannot be read is given up."""
        while self._segments:
            segment = self._segments[0]
            try:
                lines, end = segment.lines_from(segment.done, number)
            except OSError:
                lines, end = [], segment.size
            if lines:
                return lines, Place(segment, end, segment.is_own)
            segment.mark_done(end)
            if not self._drop_if_done(segment):
                return None
        return None

    def done(self, place: Place) -> None:
        """The lines that were read there have been delivered, or given up."""
        place.segment.mark_done(place.end)
        self._drop_if_done(place.segment)

    def close(self) -> None:
        """Give everything to whoever comes next."""
        for segment in self._segments:
            segment.close()
        self._clear()

    def forget(self) -> None:
        """Close what a fork handed to this process; it stays the parent's."""
        for segment in self._segments:
            segment.forget()
        self._clear()

    def _drop_if_done(self, segment: Segment) -> bool:
        if segment.done < segment.size:
            return False
        if segment is self._current:
            self._current = None
        self._used_bytes = max(0, self._used_bytes - segment.size)
        self._segments.remove(segment)
        segment.remove()
        return True

    def _write(self, segment: Segment, lines: Sequence[bytes]) -> None:
        number = sum(map(len, lines))
        if self._max_bytes and self._used_bytes + number > self._max_bytes:
            self._used_bytes = folders.used_bytes()
            if self._used_bytes + number > self._max_bytes:
                raise JournalFullError(f"the journals hold {self._max_bytes} bytes")
        segment.append(lines)
        self._used_bytes += number

    def _encoded(self, segment: Segment, encode: Callable[[Segment], list[bytes]]) -> None:
        try:
            self._write(segment, encode(segment))
        except BaseException:
            segment.written.clear()  # what was defined stands nowhere
            raise

    def _new_segment(self, number: int, *, is_own: bool = True) -> Segment:
        folders.open_folder(self._folder)
        self._used_bytes = folders.used_bytes()
        path = self._folder / f"{self._started_ns:020d}-{os.getpid()}-{number:06d}{SUFFIX}"
        segment = Segment.create(path, self._header)
        segment.is_own = is_own
        return segment

    def _clear(self) -> None:
        self._segments.clear()
        self._current = None
