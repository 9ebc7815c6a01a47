"""Reads a store in the order in which it was stored, from a position on, over all its files.

Groups of files (the format `record`, each signal) come one after the other, in each the oldest file first. A file that
was put aside or compressed in between is recognised, and nothing in it comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import NamedTuple

from otel_tracker.following import Stored
from otel_tracker.records import Record, SpanRecord
from otel_tracker_exporters.jsonl.lines import Parsed, parse_line
from otel_tracker_exporters.jsonl.positions import Mark, encode_position
from otel_tracker_exporters.jsonl.sources import Found, Source, StoreFiles

_Parse = Callable[[bytes], Parsed]


class _Before(NamedTuple):
    """A record's time, and the mark that has it just ahead."""

    time_ns: int
    group: str
    mark: Mark


def read_after(
    files: StoreFiles, sources: Sequence[Source], marks: Mapping[str, Mark], parse: _Parse
) -> Iterator[Stored]:
    """The records after the marks of each group, each with the position behind it.

    A last line without its newline is not yet complete: it is neither given nor passed.
    """
    reached = dict(marks)
    for group, members in _by_group(sources):
        for record, mark in _read_group(files, members, reached.get(group, Mark()), parse):
            reached[group] = mark
            yield Stored(record, encode_position(reached))


def read_unfinished(sources: Sequence[Source], parse: _Parse) -> Iterator[Record]:
    """The records of what `read_after` waits for to be complete: the last lines without newline."""
    for source in sources:
        if source.has_open_end:
            _, line = next(source.lines_backwards())
            yield from (parse_line if source.is_damaged else parse)(line).records


def is_passed(found: Found, marks: Mapping[str, Mark]) -> bool:
    """Whether a file lies before the mark of its group, so far that nobody needs to look at it."""
    mark = marks.get(found.group)
    return mark is not None and found.file.stamp != "" and found.file.stamp < mark.older


def marks_before_last(files: StoreFiles, sources: Sequence[Source], count: int) -> dict[str, Mark]:
    """The marks with the last ``count`` records ahead; where groups differ, the ones of the latest times."""
    groups = _by_group(sources)
    marks = {group: _mark_at_end(files, members) for group, members in groups}
    backwards = [_read_backwards(files, group, members) for group, members in groups]
    latest = merge(*backwards, key=lambda before: before.time_ns, reverse=True)
    marks.update((before.group, before.mark) for before in islice(latest, count))
    return marks


def bytes_before(files: StoreFiles, sources: Sequence[Source], marks: Mapping[str, Mark]) -> int:
    """How many plain bytes lie before the marks."""
    passed = 0
    for group, members in _by_group(sources):
        number, mark = _begin(files, members, marks.get(group, Mark()))
        passed += sum(files.plain_size(source.found) for source in members[:number]) + mark.offset
    return passed


def _by_group(sources: Sequence[Source]) -> list[tuple[str, list[Source]]]:
    return [(group, list(members)) for group, members in groupby(sources, lambda source: source.found.group)]


def _read_group(files: StoreFiles, sources: list[Source], mark: Mark, parse: _Parse) -> Iterator[tuple[Record, Mark]]:
    first, mark = _begin(files, sources, mark)
    for number in range(first, len(sources)):
        fingerprint = files.fingerprint(sources[number])
        if fingerprint is not None:
            begin = mark if number == first else Mark()
            begin = begin._replace(fingerprint=fingerprint, older=_older(sources, number))
            yield from _read_source(files, sources[number], begin, parse)


def _read_source(files: StoreFiles, source: Source, begin: Mark, parse: _Parse) -> Iterator[tuple[Record, Mark]]:
    if begin.offset and begin.offset == files.plain_size(source.found):
        return  # without unpacking it
    for line in source.lines_forward(begin.offset):
        if not line.is_whole and source.has_open_end:
            return
        records = parse(line.content).records
        passed = begin.number if line.offset == begin.offset else 0
        for count, record in enumerate(records[passed:], start=passed + 1):
            offset, number = (line.offset, count) if count < len(records) else (line.next_offset, 0)
            yield record, Mark(begin.fingerprint, offset, number, begin.older)


def _begin(files: StoreFiles, sources: list[Source], mark: Mark) -> tuple[int, Mark]:
    """Which file to go on with, and the mark in it; the number of files when there is none."""
    numbers = sorted(range(len(sources)), key=lambda number: (_older(sources, number) == mark.older, number))
    for number in reversed(numbers):  # the likeliest first: the others need not even be looked at
        source = sources[number]
        # A plain file that is shorter than it was has been emptied, and begun again with the same line.
        may_be = source.found.file.is_compressed or mark.offset <= source.plain_end
        if mark.fingerprint and may_be and files.fingerprint(source) == mark.fingerprint:
            return number, mark
    stamps = [source.found.file.stamp for source in sources]
    later = (number for number, stamp in enumerate(stamps) if not stamp or stamp > mark.older)
    return next(later, len(sources)), Mark()


def _older(sources: list[Source], number: int) -> str:
    return sources[number - 1].found.file.stamp if number else ""


def _mark_at_end(files: StoreFiles, sources: list[Source]) -> Mark:
    source, older = sources[-1], _older(sources, len(sources) - 1)
    fingerprint = files.fingerprint(source)
    if fingerprint is None:
        return Mark(older=older)
    end = next(source.lines_backwards())[0] if source.has_open_end else source.plain_end
    return Mark(fingerprint, end, 0, older)


def _read_backwards(files: StoreFiles, group: str, sources: list[Source]) -> Iterator[_Before]:
    """The records of a group, last one first."""
    for number in reversed(range(len(sources))):
        source = sources[number]
        fingerprint = files.fingerprint(source)
        if fingerprint is None:
            continue
        lines = source.lines_backwards()
        if source.has_open_end:
            next(lines)
        for offset, line in lines:
            records = parse_line(line).records
            for count in reversed(range(len(records))):
                mark = Mark(fingerprint, offset, count, _older(sources, number))
                yield _Before(_time_of(records[count]), group, mark)


def _time_of(record: Record) -> int:
    """When it was stored, or nearly."""
    if isinstance(record, SpanRecord):
        return record.start_ns if record.end_ns is None else record.end_ns
    return record.time_ns
