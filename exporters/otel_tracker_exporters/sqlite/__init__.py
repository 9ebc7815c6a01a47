"""The `sqlite` store: spans, events, logs and metric points in one SQLite file, readable by any SQLite client.

`STORE` opens it for queries and commands, the exporters write it. Everything heavier than this page is imported on
first use, so that a reader never loads the OpenTelemetry SDK and a writer never loads the query side.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from otel_tracker.settings import SQLITE_PATH
from otel_tracker.stores import Store

if TYPE_CHECKING:
    from otel_tracker.query import StoreReader
    from otel_tracker.writing import Pruned, Retention, StoreWriter
    from otel_tracker_exporters.sqlite.exporter import SqliteLogExporter, SqliteSpanExporter
    from otel_tracker_exporters.sqlite.metric_exporter import SqliteMetricExporter

__all__ = ["STORE", "SqliteLogExporter", "SqliteMetricExporter", "SqliteSpanExporter"]

# https://www.sqlite.org/fileformat2.html#magic_header_string
_MAGIC = b"SQLite format 3\x00"


def __getattr__(name: str) -> Any:
    if name in ("SqliteLogExporter", "SqliteSpanExporter"):
        from otel_tracker_exporters.sqlite import exporter

        return getattr(exporter, name)
    if name == "SqliteMetricExporter":
        from otel_tracker_exporters.sqlite import metric_exporter

        return metric_exporter.SqliteMetricExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _open_reader(location: str) -> StoreReader:
    from otel_tracker_exporters.sqlite.reader import SqliteReader

    return SqliteReader(location)


def _open_writer(location: str, format: str | None) -> StoreWriter:  # noqa: A002 - what `Store` asks for
    from otel_tracker_exporters.sqlite.writer import SqliteWriter

    return SqliteWriter(os.path.abspath(location))


def _prune(location: str, retention: Retention, dry_run: bool) -> Pruned:
    from otel_tracker_exporters.sqlite.pruning import prune

    return prune(location, retention, dry_run)


def _default_location() -> str:
    return os.path.abspath(SQLITE_PATH.read())


def _recognises(head: bytes) -> bool:
    return head.startswith(_MAGIC)


STORE = Store(
    name="sqlite",
    schemes=("sqlite",),
    suffixes=(".db", ".sqlite", ".sqlite3"),
    open_reader=_open_reader,
    default_location=_default_location,
    recognises=_recognises,
    open_writer=_open_writer,
    prune=_prune,
)
