"""The `jsonl` store: spans and events as lines of JSON in one file, readable by anything that reads text.

`STORE` opens it for queries, the two exporters write it. Everything heavier than this page is imported on first
use, so that a reader never loads the OpenTelemetry SDK and a writer never loads the query side.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from otel_tracker.settings import JSONL_PATH
from otel_tracker.stores import Store

if TYPE_CHECKING:
    from otel_tracker.query import StoreReader
    from otel_tracker_exporters.jsonl.exporter import JsonlLogExporter, JsonlSpanExporter

__all__ = ["STORE", "JsonlLogExporter", "JsonlSpanExporter"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def __getattr__(name: str) -> Any:
    if name in ("JsonlLogExporter", "JsonlSpanExporter"):
        from otel_tracker_exporters.jsonl import exporter

        return getattr(exporter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _open_reader(location: str) -> StoreReader:
    from otel_tracker_exporters.jsonl.reader import JsonlReader

    return JsonlReader(location)


def _default_location() -> str:
    return os.path.abspath(JSONL_PATH.read())


def _recognises(head: bytes) -> bool:
    """A file whose first line is a JSON object with a record's first keys; a cut first line is enough."""
    line = head.removeprefix(_BYTE_ORDER_MARK).lstrip().partition(b"\n")[0]
    return line.startswith(b"{") and b'"schema"' in line and b'"type"' in line


STORE = Store(
    name="jsonl",
    schemes=("jsonl",),
    suffixes=(".jsonl", ".ndjson"),
    open_reader=_open_reader,
    default_location=_default_location,
    recognises=_recognises,
)
