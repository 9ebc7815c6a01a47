"""Answers queries from Firestore: filters, order and limit are the server's, page by page, newest first.

What a question costs is said in docs/firestore.md: a query reads what it gives back and one document more; a glob, a
least duration and an event's glob are compared here and read whatever lies in the time range until the limit is
reached. Subcollections are included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any, TypeVar

from otel_tracker.diagnostics import say_once
from otel_tracker.errors import StoreUnreadableError
from otel_tracker.query import EventFilter, LogFilter, SpanFilter, StoreReader
from otel_tracker.records import FAILED, EventRecord, LogRecord, SpanRecord
from otel_tracker.stats import Statistics
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.asking import PAGE, Asker, Document, Question, is_glob
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.decoding import FAULTS, event_of, log_of, span_of
from otel_tracker_exporters.firestore.documents import cut_text
from otel_tracker_exporters.firestore.options import options_at, require_client
from otel_tracker_exporters.firestore.statistics import StatisticsReader, spans_question
from otel_tracker_exporters.firestore.values import clean

_Record = TypeVar("_Record", SpanRecord, EventRecord, LogRecord)

_TRACES_AT_ONCE = 30
_MOST_TRACES = 100


class FirestoreReader(StoreReader):
    """Reads the store that a url names; see `StoreReader`.

    ``skipped`` is how many documents were met that are no records of otel-tracker's, ``document_reads`` how many were
    read so far as Google bills them.
    """

    def __init__(self, url: str) -> None:
        require_client()
        options = options_at(url)
        self.location = options.location
        self.skipped = 0
        self._options = options
        self._connection = Connection(options)
        self._asker = Asker(self._connection, options.shards)

    @property
    def document_reads(self) -> int:
        """See the class."""
        return self._asker.reads

    def close(self) -> None:
        """End every iterator and the connection."""
        super().close()
        self._connection.close()

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        if wanted.function_name is not None:
            wanted = replace(wanted, function_name=_as_stored(wanted.function_name))
        question = spans_question(self._options, wanted)
        if wanted.after is not None:
            question = question.within(None, wanted.after[0])
        is_exact = wanted.min_duration_ns is None and not is_glob(wanted.function_name or "")
        spans = self._records(question, _page_for(limit, is_exact), lambda one: span_of(one.id, one.fields))
        ordered = _in_order(spans, lambda span: (span.start_ns, span.span_id))
        return self._open(islice(filter(wanted.matches, ordered), limit))

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        self._check_open()
        heads: list[Document] = []
        question = Question(self._options.collection).where(f.TRACE_ID, "<", f"{trace_id_prefix}g")
        lowest = question.where(f.TRACE_ID, ">=", trace_id_prefix)
        while len(heads) < _MOST_TRACES:
            found = self._asker.ordered(lowest, f.TRACE_ID, limit=1)
            if not found:
                break
            heads += found
            lowest = question.where(f.TRACE_ID, ">", found[0].fields[f.TRACE_ID])
        if len(heads) != 1:
            return list(self._decoded(heads, lambda one: span_of(one.id, one.fields)))
        whole = Question(self._options.collection).where(f.TRACE_ID, "==", heads[0].fields[f.TRACE_ID])
        return list(self._decoded(self._asker.all_of(whole), lambda one: span_of(one.id, one.fields)))

    def _read_failures(self, trace_ids: Sequence[str]) -> Iterator[SpanRecord]:
        failed = Question(self._options.collection).where(f.STATUS, "==", FAILED)
        for first in range(0, len(trace_ids), _TRACES_AT_ONCE):
            question = failed.where(f.TRACE_ID, "in", list(trace_ids[first : first + _TRACES_AT_ONCE]))
            for span in self._decoded(self._asker.all_of(question), lambda one: span_of(one.id, one.fields)):
                if span.error.get("traceback"):
                    yield span

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> Iterable[Statistics]:
        self._check_open()
        return StatisticsReader(self._asker, self._options).read(wanted, group_as)

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        if wanted.name is not None:
            wanted = replace(wanted, name=_as_stored(wanted.name))
        question = Question(self._options.events).within(wanted.start_ns, wanted.end_ns)
        is_exact = not is_glob(wanted.name or "")
        if wanted.name is not None and is_exact:
            question = question.where(f.NAME, "==", wanted.name)
        return self._timed(question, wanted, limit, is_exact, lambda one: event_of(one.fields))

    def _read_logs(self, wanted: LogFilter, limit: int | None) -> Iterator[LogRecord]:
        if wanted.logger is not None:
            wanted = replace(wanted, logger=_as_stored(wanted.logger))
        question = Question(self._options.logs).within(wanted.start_ns, wanted.end_ns)
        is_exact = not is_glob(wanted.logger or "") and wanted.min_severity is None
        if wanted.logger is not None and not is_glob(wanted.logger):
            question = question.where(f.LOGGER, "==", wanted.logger)
        return self._timed(question, wanted, limit, is_exact, lambda one: log_of(one.fields))

    def _timed(
        self, question: Question, wanted: Any, limit: int | None, is_exact: bool, record_of: Callable[[Document], Any]
    ) -> Iterator[Any]:
        if wanted.trace_id is not None:
            question = question.where(f.TRACE_ID, "==", wanted.trace_id)
        records = self._records(question, _page_for(limit, is_exact), record_of)
        ordered = _in_order(records, lambda record: (record.time_ns,))
        return self._open(islice(filter(wanted.matches, ordered), limit))

    def _records(
        self, question: Question, page: int, record_of: Callable[[Document], _Record]
    ) -> Iterator[tuple[Any, _Record]]:
        """Records with the microsecond that they are ordered by."""
        for document in self._asker.newest_first(question, page):
            for record in self._decoded((document,), record_of):
                yield document.fields[f.TIMESTAMP], record

    def _decoded(self, documents: Iterable[Document], record_of: Callable[[Document], _Record]) -> Iterator[_Record]:
        for document in documents:
            try:
                yield record_of(document)
            except FAULTS as error:
                self.skipped += 1
                say_once(
                    f"{self.location} holds documents that otel-tracker did not write ({type(error).__name__} in "
                    f"{document.id[:60]}); they are passed over.",
                    key=f"skipped:{self.location}",
                )

    def _open(self, records: Iterator[_Record]) -> Iterator[_Record]:
        """The records as long as the reader is open."""
        self._check_open()
        for record in records:
            yield record
            self._check_open()

    def _check_open(self) -> None:
        if self._connection.is_closed:
            raise StoreUnreadableError(f"The reader of {self.location} is closed. Open the store again.")


def _as_stored(name: str) -> str:
    """A name as documents have it; a glob is not cut."""
    return clean(name) if is_glob(name) else cut_text(name)


def _page_for(limit: int | None, is_exact: bool) -> int:
    """How many documents to ask for at once: no more than are wanted, and the one that shows where they end."""
    return PAGE if limit is None or not is_exact else max(1, min(limit + 1, PAGE))


def _in_order(records: Iterator[tuple[Any, _Record]], key: Callable[[_Record], Any]) -> Iterator[_Record]:
    """Records that come by microseconds, newest first, ordered within each."""
    for _, group in groupby(records, key=lambda pair: pair[0]):
        yield from sorted((record for _, record in group), key=key, reverse=True)
