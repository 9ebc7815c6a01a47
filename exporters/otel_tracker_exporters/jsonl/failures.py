"""Remembers where the tracebacks lie, so that outer spans get theirs without a pass over the store for every page.

Failed spans that carry a traceback are few: one for each exception. The index grows with each file, from where it
stopped the last time, whatever the file is called meanwhile, and begins anew when another file has taken its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from otel_tracker.records import Record, SpanRecord
from otel_tracker_exporters.jsonl.lines import Parsed, parse_line
from otel_tracker_exporters.jsonl.prefilter import traceback_prefilter
from otel_tracker_exporters.jsonl.selection import Place
from otel_tracker_exporters.jsonl.sources import Source, StoreFiles

# Of lines that hold a whole batch each; several, because the batches of several processes overlap in time.
_KEPT_LINES = 16
_KEPT_BYTES = 1024 * 1024


@dataclass
class _FileIndex:
    """The places of failed spans with a traceback in one file up to ``end``, by trace; of places, the file is 0.

    ``is_final`` when nobody writes to the file any more.
    """

    end: int = 0
    is_final: bool = False
    places: dict[str, list[Place]] = field(default_factory=dict)


class FailureIndex:
    """The places of all failed spans with a traceback."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._indexes: dict[str, _FileIndex] = {}

    def find(self, sources: Sequence[Source], trace_ids: Sequence[str]) -> Iterator[SpanRecord]:
        """The failed spans of these traces that carry a traceback, as the files have them now."""
        for source in sources:
            index = self._caught_up(source)
            fetch = Fetcher([source])
            for trace_id in trace_ids:
                for place in index.places.get(trace_id, ()):
                    record = fetch(place)
                    if isinstance(record, SpanRecord) and record.trace_id == trace_id:
                        yield record

    def _caught_up(self, source: Source) -> _FileIndex:
        """The index of a file, with what was appended since the last time."""
        fingerprint = self._files.fingerprint(source)
        index = _FileIndex() if fingerprint is None else self._indexes.get(fingerprint, _FileIndex())
        if index.is_final and not source.is_active:
            return index  # without unpacking it
        if index.end > source.plain_end:  # emptied, and begun again with the same line
            index = _FileIndex()
        end, added = _read_on(source, index.end)
        # A new one, because another thread may be reading the old one.
        places = {trace_id: [*index.places.get(trace_id, ()), *found] for trace_id, found in added.items()}
        index = _FileIndex(end, not source.is_active, {**index.places, **places})
        if fingerprint is not None:
            self._indexes[fingerprint] = index
        return index


def _read_on(source: Source, begin: int) -> tuple[int, dict[str, list[Place]]]:
    """How far the file is known now, and what was found from ``begin`` on."""
    prefilter = traceback_prefilter()
    found: dict[str, list[Place]] = {}
    end = None
    if begin >= source.plain_end:
        return begin, found
    for offset, line in source.lines_backwards(begin):
        if end is None:
            end = offset  # what follows the last newline may grow, and is read again the next time
        if prefilter.may_want(line):
            for number, record in enumerate(parse_line(line).records):
                if isinstance(record, SpanRecord) and record.error.get("traceback"):
                    found.setdefault(record.trace_id, []).append(Place(0, offset, len(line), number))
    return source.plain_end if end is None or source.is_document() else end, found


class Fetcher:
    """Reads the records that were chosen; a line with many of them is kept while its neighbours are asked for."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._kept: dict[Place, Parsed] = {}

    def __call__(self, place: Place) -> Record | None:
        """The record, or None when the file was cut or overwritten meanwhile."""
        line = place._replace(number=0)
        parsed = self._kept.get(line) or self._parsed(line)
        return parsed.records[place.number] if place.number < len(parsed.records) else None

    def _parsed(self, line: Place) -> Parsed:
        source = self._sources[line.file]
        parsed = parse_line(source.plain.read_at(line.offset, line.length))
        if len(parsed.records) > 1:
            if len(self._kept) >= _KEPT_LINES or line.length > _KEPT_BYTES:
                self._kept.clear()
            self._kept[line] = parsed
        return parsed
