"""Answers queries from all files of a JSONL store: each in one pass, in little memory, beside any number of writers.

A pass goes from the end of the newest file to the beginning of the oldest, parses what its bytes do not rule out, and
keeps small keys; the lines chosen are then read again. Statistics need about 60 bytes for every execution that they
count, because a span may have more than one line. Lines that are no records (torn, garbage, foreign, of a newer
version) are passed over and counted. A store of many million spans is better kept in SQLite.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from otel_tracker.errors import OtelTrackerError, StoreNotFoundError, StoreUnreadableError
from otel_tracker.following import Stored
from otel_tracker.query import EventFilter, LogFilter, MetricFilter, SpanFilter, StoreReader
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, Record, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker_exporters.jsonl.failures import FailureIndex, Fetcher
from otel_tracker_exporters.jsonl.files import sentence_of
from otel_tracker_exporters.jsonl.following import (
    bytes_before,
    is_passed,
    marks_before_last,
    read_after,
    read_unfinished,
)
from otel_tracker_exporters.jsonl.holding import HeldFiles, with_lost
from otel_tracker_exporters.jsonl.lines import Parsed, parse_line
from otel_tracker_exporters.jsonl.positions import Mark, decode_position, encode_position
from otel_tracker_exporters.jsonl.prefilter import (
    Prefilter,
    event_prefilter,
    log_prefilter,
    metric_prefilter,
    span_prefilter,
    trace_prefilter,
)
from otel_tracker_exporters.jsonl.scanning import StatisticsScan
from otel_tracker_exporters.jsonl.selection import (
    FINAL_RANK,
    Newest,
    Place,
    event_key,
    place_of,
    rank_of,
    span_key,
    span_rank_of,
)
from otel_tracker_exporters.jsonl.sources import Found, Source, StoreFiles, is_older

_MAX_NOTED = 10_000
_Timed = TypeVar("_Timed", EventRecord, LogRecord, MetricRecord)


class JsonlReader(StoreReader):
    """Reads the store at a path: its file, its files of each signal, and what was put aside of them; see `StoreReader`.

    ``skipped_lines`` is how many lines the latest pass met that hold something else than records, or records that
    cannot be read; a damaged compressed file counts as one more. A last line without its newline is not among them:
    somebody may be writing it; only `otel-tracker convert` counts it, unless it is a record. Lines that a query need
    not look at are not counted.
    """

    def __init__(self, location: str) -> None:
        self.location = os.path.abspath(location)
        self.skipped_lines = 0
        self._files = StoreFiles(Path(self.location))
        self._open_sources: set[Source] = set()
        self._failures = FailureIndex(self._files)
        self._nothing_after: tuple[str | None, list[Found]] | None = None
        self._lowest_failure_ns: dict[str, int] = {}
        with self._opened():
            pass  # what cannot be read is said now and not at the first query

    def close(self) -> None:
        """End every iterator."""
        super().close()
        for source in tuple(self._open_sources):
            source.close()
        self._files.close()

    def stored(self, after: str | None = None) -> Iterator[Stored]:
        """See `StoreReader.stored`; closed on the way, it ends."""
        self._check_open()
        return super().stored(after)

    def stored_size(self) -> int:
        """Bytes in all files, those of compressed ones when they are unpacked."""
        return sum(map(self._files.plain_size, self._files.find()))

    def progress(self, position: str) -> int:
        """Bytes before a position."""
        marks = decode_position(position)
        try:
            with self._opened() as sources:
                return bytes_before(self._files, sources, marks)
        except StoreNotFoundError:
            return 0

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        if limit == 0:
            return
        with self._opened(wanted.start_ns) as sources:
            fetch = Fetcher(sources)
            for key in self._chosen_spans(sources, wanted, limit):
                record = fetch(place_of(key))
                if isinstance(record, SpanRecord):
                    self._note_failure(record)
                    yield record

    def _chosen_spans(self, sources: list[Source], wanted: SpanFilter, limit: int | None) -> Iterable[bytes]:
        if wanted.status is None or rank_of(wanted.status) == FINAL_RANK:
            return self._newest_spans(sources, wanted, limit).chosen()
        # A start counts only where no line of the same span knows more: all of them have to be seen.
        newest = self._newest_spans(sources, replace(wanted, status=None), None)
        rank = rank_of(wanted.status)
        return [key for key in newest.chosen() if span_rank_of(key) == rank][:limit]

    def _newest_spans(self, sources: list[Source], wanted: SpanFilter, limit: int | None) -> Newest:
        newest = Newest(limit, of_spans=True)
        prefilter = span_prefilter(wanted)
        for place, record in self._records(sources, prefilter):
            if isinstance(record, SpanRecord) and wanted.matches(record):
                prefilter.raise_lowest(newest.add(span_key(record, place)))
        return newest

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        newest = Newest(None, of_spans=True)
        with self._opened() as sources:
            for place, record in self._records(sources, trace_prefilter(trace_id_prefix)):
                if isinstance(record, SpanRecord) and record.trace_id.startswith(trace_id_prefix):
                    newest.add(span_key(record, place))
            found = list(map(Fetcher(sources), map(place_of, newest.chosen())))
        return [record for record in found if isinstance(record, SpanRecord)]

    def _note_failure(self, span: SpanRecord) -> None:
        """Remember when a span began whose traceback will be asked for: the span that has it was written later."""
        if span.error and len(self._lowest_failure_ns) < _MAX_NOTED:
            known_ns = self._lowest_failure_ns.get(span.trace_id, span.start_ns)
            self._lowest_failure_ns[span.trace_id] = min(known_ns, span.start_ns)

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterable[SpanRecord]:
        noted_ns = [self._lowest_failure_ns.pop(trace_id, None) for trace_id in trace_ids]
        lowest_ns = [start_ns for start_ns in noted_ns if start_ns is not None]
        with self._opened(min(lowest_ns) if len(lowest_ns) == len(noted_ns) > 0 else None) as sources:
            return list(self._failures.find(sources, trace_ids))

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        scan = StatisticsScan(wanted, group_as, self._spans_of)
        with self._opened(wanted.start_ns) as sources:
            self.skipped_lines = 0
            for source in sources:
                for block in source.blocks():
                    skipped_before = self.skipped_lines
                    scan.add_block(block)
                    if source.has_open_end and not block.endswith(b"\n"):
                        self.skipped_lines = skipped_before
                self.skipped_lines += source.is_damaged
        return scan.statistics()

    def _spans_of(self, line: bytes) -> Iterator[SpanRecord]:
        return (record for record in self._parsed(line).records if isinstance(record, SpanRecord))

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        return self._read_newest(EventRecord, wanted.matches, event_prefilter(wanted), limit)

    def _read_logs(self, wanted: LogFilter, limit: int | None) -> Iterator[LogRecord]:
        return self._read_newest(LogRecord, wanted.matches, log_prefilter(wanted), limit)

    def _read_metrics(self, wanted: MetricFilter, limit: int | None) -> Iterator[MetricRecord]:
        return self._read_newest(MetricRecord, wanted.matches, metric_prefilter(wanted), limit)

    def _read_newest(
        self, kind: type[_Timed], is_wanted: Callable[[_Timed], bool], prefilter: Prefilter, limit: int | None
    ) -> Iterator[_Timed]:
        """The events, logs or metric points that are wanted, newest first."""
        if limit == 0:
            return
        with self._opened(prefilter.lowest_ns) as sources:
            newest = Newest(limit, of_spans=False)
            for place, record in self._records(sources, prefilter):
                if isinstance(record, kind) and is_wanted(record):
                    prefilter.raise_lowest(newest.add(event_key(record, place)))
            fetch = Fetcher(sources)
            for key in newest.chosen():
                found = fetch(place_of(key))
                if isinstance(found, kind):
                    yield found

    def _read_stored(self, after: str | None) -> Iterable[Stored]:
        return self._stored(after, decode_position(after), None)

    def _read_all_stored(self, after: str | None) -> Iterable[Stored]:
        return self._stored(after, decode_position(after), None, with_unfinished=True)

    @contextmanager
    def _following(self) -> Iterator[Callable[[str | None], Iterable[Stored]]]:
        with closing(HeldFiles(self._files)) as held:
            yield lambda after: self._stored(after, decode_position(after), held)

    def _stored(
        self, after: str | None, marks: Mapping[str, Mark], held: HeldFiles | None, *, with_unfinished: bool = False
    ) -> Iterator[Stored]:
        found = self._files.find()
        if self._nothing_after == (after, found) and not with_unfinished:
            return
        self.skipped_lines = 0
        is_any = False
        try:
            with self._opened_after(marks, held) as sources:
                for stored in read_after(self._files, sources, marks, self._parsed):
                    is_any = True
                    yield stored
                if with_unfinished:
                    yield from (Stored(record, None) for record in read_unfinished(sources, self._parsed))
                    self.skipped_lines += sum(source.is_damaged for source in sources)
        except StoreUnreadableError:
            if not self._closing().is_set():
                raise
        if not (is_any or with_unfinished):
            self._nothing_after = after, found

    @contextmanager
    def _opened_after(self, marks: Mapping[str, Mark], held: HeldFiles | None) -> Iterator[list[Source]]:
        """What `_opened` finds, if anything, and ahead of it what is held and was taken away since the last look."""
        with ExitStack() as stack:
            sources: list[Source] = []
            with suppress(StoreNotFoundError):  # it may come
                sources = stack.enter_context(self._opened(marks=marks))
            if held is None:
                yield sources
                return
            lost = held.lost([*(source.found for source in sources), *self._files.find()])
            yield with_lost(self._files, lost, sources)
            held.hold(sources)

    def _position_before_last(self, count: int) -> str | None:
        try:
            with self._opened() as sources:
                return encode_position(marks_before_last(self._files, sources, count))
        except StoreNotFoundError:
            return None

    def _records(self, sources: Sequence[Source], prefilter: Prefilter) -> Iterator[tuple[Place, Record]]:
        """The records that the prefilter lets through, last line of the last file first."""
        self.skipped_lines = 0
        for number in reversed(range(len(sources))):
            source = sources[number]
            if not prefilter.may_want_file(source.found.file):
                continue
            is_unfinished = source.has_open_end  # the first that comes is what follows the last newline
            for offset, line in source.lines_backwards():
                if prefilter.may_want(line):
                    parsed = self._parsed(line) if not is_unfinished else parse_line(line)
                    for count, record in enumerate(parsed.records):
                        yield Place(number, offset, len(line), count), record
                is_unfinished = False
            self.skipped_lines += source.is_damaged

    def _parsed(self, line: bytes) -> Parsed:
        """What a line holds; what cannot be read of it is counted."""
        parsed = parse_line(line)
        self.skipped_lines += parsed.broken
        return parsed

    def _check_open(self) -> None:
        if self._closing().is_set():
            raise StoreUnreadableError(f"The reader of {self.location} is closed. Open the store again.")

    @contextmanager
    def _opened(self, lowest_ns: int | None = None, marks: Mapping[str, Mark] | None = None) -> Iterator[list[Source]]:
        """The files for one query that wants nothing older, or nothing before marks; what goes wrong is a sentence."""
        self._check_open()
        sources: list[Source] = []
        try:
            sources = self._files.open(
                lambda found: not (is_older(found.file, lowest_ns) or is_passed(found, marks or {}))
            )
            self._open_sources.update(sources)
            yield sources
        except OtelTrackerError:
            raise  # some are an OSError as well
        except OSError as error:
            self._check_open()
            raise StoreUnreadableError(sentence_of(self.location, error)) from None
        except ValueError as error:
            if "closed file" not in str(error):
                raise
            raise StoreUnreadableError(sentence_of(self.location, error)) from None
        finally:
            self._open_sources.difference_update(sources)
            for source in sources:
                source.close()
