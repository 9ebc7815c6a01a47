"""Answers queries from a JSONL file: each in one pass over it, in little memory, beside any number of writers.

A pass goes from the end of the file to its beginning, parses what its bytes do not rule out, and keeps small keys;
the lines chosen are then read again. Statistics need a key for every execution that they count, about 120 bytes,
because a span may have more than one line. Lines that are no records (torn, garbage, foreign, of a newer version)
are passed over and counted in ``skipped_lines``. A store of many million spans is better kept in SQLite.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO

from otel_tracker.errors import StoreUnreadableError
from otel_tracker.query import EventFilter, SpanFilter, StoreReader
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker_exporters.jsonl.counting import ExecutionCounter
from otel_tracker_exporters.jsonl.failures import FailureIndex, record_at
from otel_tracker_exporters.jsonl.files import lines_backwards, open_file, sentence_of
from otel_tracker_exporters.jsonl.lines import UnreadableLineError, parse_line
from otel_tracker_exporters.jsonl.prefilter import (
    Prefilter,
    event_prefilter,
    span_prefilter,
    trace_prefilter,
)
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


class JsonlReader(StoreReader):
    """Reads the store in one JSONL file; see `StoreReader`.

    ``skipped_lines`` is how many lines the latest pass met that are no records. A last line without its newline is
    not among them: somebody may be writing it.
    """

    def __init__(self, location: str) -> None:
        self.location = os.path.abspath(location)
        self.skipped_lines = 0
        self._files: set[FileIO] = set()
        self._is_closed = False
        self._failures = FailureIndex()
        with self._opened():
            pass  # what cannot be read is said now and not at the first query

    def close(self) -> None:
        """End every iterator."""
        self._is_closed = True
        for file in tuple(self._files):
            file.close()

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        if limit == 0:
            return
        with self._opened() as file:
            for key in self._chosen_spans(file, wanted, limit):
                record = record_at(file, place_of(key))
                if isinstance(record, SpanRecord):
                    yield record

    def _chosen_spans(self, file: FileIO, wanted: SpanFilter, limit: int | None) -> Iterable[bytes]:
        if wanted.status is None or rank_of(wanted.status) == FINAL_RANK:
            return self._newest_spans(file, wanted, limit).chosen()
        # A start counts only where no line of the same span knows more: all of them have to be seen.
        newest = self._newest_spans(file, replace(wanted, status=None), None)
        rank = rank_of(wanted.status)
        return [key for key in newest.chosen() if span_rank_of(key) == rank][:limit]

    def _newest_spans(self, file: FileIO, wanted: SpanFilter, limit: int | None) -> Newest:
        newest = Newest(limit, of_spans=True)
        prefilter = span_prefilter(wanted)
        for place, record in self._records(file, prefilter):
            if isinstance(record, SpanRecord) and wanted.matches(record):
                prefilter.raise_lowest(newest.add(span_key(record, place)))
        return newest

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        newest = Newest(None, of_spans=True)
        with self._opened() as file:
            for place, record in self._records(file, trace_prefilter(trace_id_prefix)):
                if isinstance(record, SpanRecord) and record.trace_id.startswith(trace_id_prefix):
                    newest.add(span_key(record, place))
            found = [record_at(file, place_of(key)) for key in newest.chosen()]
        return [record for record in found if isinstance(record, SpanRecord)]

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterable[SpanRecord]:
        with self._opened() as file:
            self._failures.catch_up(file)
            return [span for trace_id in trace_ids for span in self._failures.find(file, trace_id)]

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        counter = ExecutionCounter(group_as)
        with self._opened() as file:
            for place, record in self._records(file, span_prefilter(wanted)):
                if isinstance(record, SpanRecord) and wanted.matches(record):
                    counter.add(record, place)
        return counter.statistics()

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        if limit == 0:
            return
        with self._opened() as file:
            newest = Newest(limit, of_spans=False)
            prefilter = event_prefilter(wanted)
            for place, record in self._records(file, prefilter):
                if isinstance(record, EventRecord) and wanted.matches(record):
                    prefilter.raise_lowest(newest.add(event_key(record, place)))
            for key in newest.chosen():
                found = record_at(file, place_of(key))
                if isinstance(found, EventRecord):
                    yield found

    def _records(self, file: FileIO, prefilter: Prefilter) -> Iterator[tuple[Place, SpanRecord | EventRecord]]:
        """The records that the prefilter lets through, last line first."""
        self.skipped_lines = 0
        is_unfinished = True  # the first that comes is what follows the last newline
        for offset, line in lines_backwards(file):
            if prefilter.may_want(line):
                try:
                    record = parse_line(line)
                except UnreadableLineError:
                    record = None
                    self.skipped_lines += not is_unfinished
                if record is not None:
                    yield Place(offset, len(line)), record
            is_unfinished = False

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        """The file, for one query; what goes wrong becomes a sentence."""
        if self._is_closed:
            raise StoreUnreadableError(f"The reader of {self.location} is closed. Open the store again.")
        file = open_file(self.location)
        self._files.add(file)
        try:
            yield file
        except OSError as error:
            raise StoreUnreadableError(sentence_of(self.location, error)) from None
        except ValueError as error:
            if not file.closed:
                raise
            raise StoreUnreadableError(sentence_of(self.location, error)) from None
        finally:
            self._files.discard(file)
            file.close()
