"""From records to the writes of a request: where a document goes, what is in it, and under which condition.

What has ended replaces whatever is there. What has only begun is written where nothing is, so that it never takes an
end back, however late it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from otel_tracker.attributes import SUBCOLLECTION
from otel_tracker.records import (
    ABORTED,
    STARTED,
    EventRecord,
    LogRecord,
    MetricRecord,
    Record,
    SpanRecord,
    UnfitRecordError,
)
from otel_tracker.writing import Item
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.documents import Encoder, shortened
from otel_tracker_exporters.firestore.identities import folder_of, span_id_of, timed_id_of
from otel_tracker_exporters.firestore.options import Options
from otel_tracker_exporters.firestore.text_spans import TextSpans
from otel_tracker_exporters.firestore.text_spans import record_of as record_of_texts

MAX_DOCUMENT_BYTES = 950_000
"""Firestore takes 1 MiB, the names of the document and of its fields included."""

_CUTS = ((100_000, 1_000), (10_000, 200), (1_000, 50), (100, 10))


def record_of(source: Item) -> Record:
    """The record that is, or that stands behind, what a write was made of."""
    return record_of_texts(source) if isinstance(source, tuple) else source


@dataclass(slots=True)
class Write:
    """One document on its way: ``path`` below the database's root, ``message`` the bytes of a ``Write``.

    With ``is_if_new`` it is written only where no document is.
    """

    source: Item
    path: str
    message: bytes
    is_if_new: bool = False


class WriteMaker:
    """Makes writes for one store; used by one thread at a time."""

    def __init__(self, options: Options, document_root: str) -> None:
        self._options = options
        self._root = document_root
        self._encoder = Encoder(options.ttl_ns, options.shards)
        self._text_spans = TextSpans(self._encoder)
        self._last_path = ""

    def write(self, source: Item) -> Write:
        """The write of a record or of the texts of a span; raises what `Encoder` raises."""
        if isinstance(source, tuple):
            try:
                message = self._text_spans.write_of(source, self._name_of)
            except ValueError:  # half a surrogate pair, say: the long way has an answer
                message = None
            if message is not None and len(message) <= MAX_DOCUMENT_BYTES:
                return Write(source, self._last_path, message)
        record = record_of(source)
        return self.write_of(record, self.path_of(record))

    def write_of(self, record: Record, path: str) -> Write:
        """The write of a record at a path; raises what `Encoder` raises."""
        fields = self._fields(record, path)
        if sum(map(len, fields)) > MAX_DOCUMENT_BYTES:
            fields = self._cut(record, path)
        is_if_new = isinstance(record, SpanRecord) and record.status in (STARTED, ABORTED)
        return Write(record, path, wire.write(f"{self._root}/{path}", fields, if_new=is_if_new), is_if_new)

    def path_of(self, record: Record) -> str:
        """Where the document of a record lies; raises `UnfitRecordError` for a metric's point."""
        if isinstance(record, MetricRecord):
            raise UnfitRecordError("the firestore store keeps no metrics")
        if isinstance(record, EventRecord):
            return f"{self._options.events}/{timed_id_of(record)}"
        if isinstance(record, LogRecord):
            return f"{self._options.logs}/{timed_id_of(record)}"
        return self._span_path(str(record.attributes.get(SUBCOLLECTION, "")), span_id_of(record))

    def _span_path(self, folder: str, document_id: str) -> str:
        collection = self._options.collection
        return (
            f"{collection}/{folder_of(folder)}/{collection}/{document_id}" if folder else f"{collection}/{document_id}"
        )

    def _name_of(self, folder: str, document_id: str) -> str:
        self._last_path = self._span_path(folder, document_id)
        return f"{self._root}/{self._last_path}"

    def _fields(self, record: Record, path: str) -> list[bytes]:
        document_id = path.rpartition("/")[2]
        if isinstance(record, SpanRecord):
            return self._encoder.span_fields(record, document_id)
        if isinstance(record, EventRecord):
            return self._encoder.event_fields(record, document_id)
        if isinstance(record, LogRecord):
            return self._encoder.log_fields(record, document_id)
        raise UnfitRecordError("the firestore store keeps no metrics")

    def _cut(self, record: Record, path: str) -> list[bytes]:
        """The same with less of its largest parts, until it fits."""
        for max_length, max_items in _CUTS:
            smaller, names = _shortened(record, max_length, max_items)
            fields = self._fields(smaller, path)
            if sum(map(len, fields)) <= MAX_DOCUMENT_BYTES:
                return [*fields, wire.field(f.CUT, wire.value(names))]
        raise ValueError("it is larger than 1 MiB, however much of it is cut")


_SPAN_PARTS = {
    "args": f.INPUT,
    "result": f.OUTPUT,
    "error": f.ERROR,
    "attributes": f.ATTRIBUTES,
    "events": f.EVENTS,
    "links": f.LINKS,
    "status_message": f.STATUS_MESSAGE,
    "name": f.NAME,
    "resource": f.RESOURCE,
}
_TIMED_PARTS = {
    "properties": f.PROPERTIES,
    "attributes": f.ATTRIBUTES,
    "body": f.BODY,
    "error": f.ERROR,
    "name": f.NAME,
}


def _shortened(record: Record, max_length: int, max_items: int) -> tuple[Record, list[str]]:
    parts = _SPAN_PARTS if isinstance(record, SpanRecord) else _TIMED_PARTS
    changed: dict[str, Any] = {}
    for part in parts.keys() & record.__dataclass_fields__.keys():
        value = getattr(record, part)
        smaller = shortened(value, max_length, max_items)
        if smaller != (list(value) if isinstance(value, tuple) else value):
            changed[part] = smaller
    return replace(record, **changed), sorted(parts[part] for part in changed)
