"""The `firestore` store: spans and events as documents of Google Cloud Firestore, which a reader queries and counts.

`STORE` opens it for queries and for `otel-tracker convert`, the two exporters write it, `probe` is what
``otel-tracker doctor firestore`` asks and `index_file` what ``otel-tracker firestore indexes`` writes. Everything
heavier than this page is imported on first use, Google's client with the first document or question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_tracker.stores import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_tracker.query import StoreReader
    from otel_tracker.writing import StoreWriter
    from otel_tracker_exporters.firestore.exporter import FirestoreLogExporter, FirestoreSpanExporter

__all__ = ["STORE", "FirestoreLogExporter", "FirestoreSpanExporter", "index_file", "probe"]


def __getattr__(name: str) -> Any:
    if name in ("FirestoreLogExporter", "FirestoreSpanExporter"):
        from otel_tracker_exporters.firestore import exporter

        return getattr(exporter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def probe() -> Iterator[tuple[str, str]]:
    """Write, read and delete one probe document: pairs of verdict and sentence."""
    from otel_tracker_exporters.firestore.probing import findings

    return findings()


def index_file(collection: str | None = None) -> dict[str, Any]:
    """What ``firestore.indexes.json`` has to hold for the queries of this store; None is the collection of the setting.

    https://firebase.google.com/docs/reference/firestore/indexes
    """
    from otel_tracker_exporters.firestore.indexes import index_file as made

    return made(collection)


def _open_reader(location: str) -> StoreReader:
    from otel_tracker_exporters.firestore.reader import FirestoreReader

    return FirestoreReader(location)


def _open_writer(location: str, format: str | None) -> StoreWriter:  # noqa: A002 - what `Store` asks for
    from otel_tracker_exporters.firestore.writer import FirestoreWriter

    return FirestoreWriter(location)


def _default_location() -> str:
    from otel_tracker_exporters.firestore.options import options_of

    return options_of({}).location


def _recognises(head: bytes) -> bool:
    return False


STORE = Store(
    name="firestore",
    schemes=("firestore",),
    suffixes=(),
    open_reader=_open_reader,
    default_location=_default_location,
    recognises=_recognises,
    open_writer=_open_writer,
    keeps_scheme=True,
)
