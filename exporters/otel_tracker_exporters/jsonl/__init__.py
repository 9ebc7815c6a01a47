"""The `jsonl` store: spans, events, logs and metric points as lines of JSON, readable by anything that reads text.

`STORE` opens it for queries, for `otel-tracker convert` and `prune`; the exporters write it. Everything heavier
than this page is imported on first use, so that a reader never loads the OpenTelemetry SDK and a writer never loads
the query side.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_tracker.settings import JSONL_PATH
from otel_tracker.stores import Store
from otel_tracker_exporters.jsonl.formats import OTLP, RECORD, format_of

if TYPE_CHECKING:
    from otel_tracker.query import StoreReader
    from otel_tracker.writing import Pruned, Retention
    from otel_tracker_exporters.jsonl.exporter import JsonlLogExporter, JsonlSpanExporter
    from otel_tracker_exporters.jsonl.metric_exporter import JsonlMetricExporter
    from otel_tracker_exporters.jsonl.writer import JsonlWriter

__all__ = ["STORE", "JsonlLogExporter", "JsonlMetricExporter", "JsonlSpanExporter"]


def __getattr__(name: str) -> Any:
    if name in ("JsonlLogExporter", "JsonlSpanExporter"):
        from otel_tracker_exporters.jsonl import exporter

        return getattr(exporter, name)
    if name == "JsonlMetricExporter":
        from otel_tracker_exporters.jsonl import metric_exporter

        return metric_exporter.JsonlMetricExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _open_reader(location: str) -> StoreReader:
    from otel_tracker_exporters.jsonl.reader import JsonlReader

    return JsonlReader(location)


def _open_writer(location: str, format: str | None) -> JsonlWriter:  # noqa: A002 - the option is called so
    from otel_tracker_exporters.jsonl.opening import open_writer

    return open_writer(location, format)


def _prune(location: str, retention: Retention, dry_run: bool) -> Pruned:
    from otel_tracker_exporters.jsonl.retention import prune

    return prune(location, retention, dry_run)


def _whole_location(location: str) -> str:
    from otel_tracker_exporters.jsonl.names import whole_path

    return str(whole_path(Path(location)))


def _default_location() -> str:
    return os.path.abspath(JSONL_PATH.read())


def _recognises(head: bytes) -> bool:
    return format_of(head) is not None


STORE = Store(
    name="jsonl",
    schemes=("jsonl",),
    suffixes=(".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
    open_reader=_open_reader,
    default_location=_default_location,
    recognises=_recognises,
    open_writer=_open_writer,
    formats=(RECORD, OTLP),
    prune=_prune,
    whole_location=_whole_location,
)
