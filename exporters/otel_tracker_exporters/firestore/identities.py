"""Which document a record is: ids that begin with something random, and are the same whenever it is written again.

Firestore spreads documents over its servers by their ids, so that ids which begin alike, or grow with time, make one
server busy. https://firebase.google.com/docs/firestore/best-practices#document_ids
"""

from __future__ import annotations

import hashlib

from otel_tracker.records import EventRecord, LogRecord, SpanRecord
from otel_tracker_exporters.firestore.values import clean, json_text

_FOLDER_PREFIX = "_sub."
_MAX_FOLDER = 200


def span_id_of(record: SpanRecord) -> str:
    """Span id first, because trace ids of some generators begin with the time."""
    return f"{record.span_id}{record.trace_id}"


def timed_id_of(record: EventRecord | LogRecord) -> str:
    """A digest of all that an event or a log record is: OTel gives them no identity."""
    content = json_text(record.to_dict())
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def folder_of(subcollection: str) -> str:
    """The document under which a subcollection lies; its id is no span's."""
    name = clean(subcollection)[:_MAX_FOLDER].replace("/", "_")
    return f"{_FOLDER_PREFIX}{name}"


def shard_of(document_id: str, shards: int) -> int:
    """Which shard a document belongs to: always the same, and evenly spread."""
    return int(document_id[:8], 16) % shards
