"""Writes records into a JSONL store: one appending write a batch, from any number of processes and threads.

In the format `record` all share one file; in the format `otlp` spans have one, events and logs another, metric points
a third. How a batch
lands there is told in `appending`, how files are put aside, deleted and compressed in `rotation`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from otel_tracker.errors import StoreUnwritableError
from otel_tracker.records import EventRecord, LogRecord, MetricRecord
from otel_tracker.writing import Item, StoreWriter
from otel_tracker_exporters.jsonl.appending import AppendedFile
from otel_tracker_exporters.jsonl.formats import OTLP, RECORD
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.names import signal_path
from otel_tracker_exporters.jsonl.rotation import Rotation
from otel_tracker_exporters.jsonl.span_lines import SpanLines

_LOCK_WAIT_S = 1.0


class _Target(NamedTuple):
    """Where records of one kind go, and what their lines are."""

    file: AppendedFile
    encode: Callable[[Any], bytes]


class JsonlWriter(StoreWriter):
    """Appends spans, events, logs and metric points to the store at an absolute path.

    ``format`` is `record` or `otlp`. A file that would grow beyond ``max_bytes`` (0 = no limit) is put aside, and
    the newest ``backups`` of those are kept.

    A batch lies whole in each file; in the format `otlp` a disk that becomes full just between two of them can leave
    the spans of a batch stored and its events not.
    """

    def __init__(
        self,
        path: str,
        *,
        format: str = RECORD,  # noqa: A002 - the option is called so
        max_bytes: int = 0,
        backups: int = 0,
    ) -> None:
        super().__init__(path)

        def new_file(file: Path) -> AppendedFile:
            return AppendedFile(file, Rotation(max_bytes, backups), _LOCK_WAIT_S)

        if format == OTLP:
            from otel_tracker_exporters.jsonl.otlp_encoding import encode_event_line, encode_log_line, encode_span_line
            from otel_tracker_exporters.jsonl.otlp_metric_encoding import encode_metric_line

            self._spans = _Target(new_file(signal_path(Path(path), "traces")), encode_span_line)
            self._events = _Target(new_file(signal_path(Path(path), "logs")), encode_event_line)
            self._logs = self._events._replace(encode=encode_log_line)
            self._metrics = _Target(new_file(signal_path(Path(path), "metrics")), encode_metric_line)
        else:
            self._spans = self._events = self._logs = self._metrics = _Target(new_file(Path(path)), encode_line)
        self._lines = SpanLines()

    def _store(self, records: Iterable[Item]) -> None:
        batches = self._encoded(records)
        for file in batches:  # all are there before anything is written to one
            with _sentence_for(file.path):
                file.open()
        for file, lines in batches.items():
            with _sentence_for(file.path):
                file.append(b"".join(lines))

    def _recover(self) -> None:
        for target in (self._spans, self._events, self._metrics):
            target.file.close()

    def _release(self) -> None:
        for target in (self._spans, self._events, self._metrics):
            target.file.stop()

    def _encoded(self, records: Iterable[Item]) -> dict[AppendedFile, list[bytes]]:
        files = (self._spans.file, self._events.file, self._metrics.file)
        batches: dict[AppendedFile, list[bytes]] = {file: [] for file in files}
        span_lines, event_lines, metric_lines = (batches[file] for file in files)
        encode_texts = self._lines.encode
        for record in records:
            try:
                if type(record) is tuple:
                    span_lines.append(encode_texts(record))
                elif isinstance(record, EventRecord):
                    event_lines.append(self._events.encode(record))
                elif isinstance(record, LogRecord):
                    event_lines.append(self._logs.encode(record))
                elif isinstance(record, MetricRecord):
                    metric_lines.append(self._metrics.encode(record))
                else:
                    span_lines.append(self._spans.encode(record))
            except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                self._leave_out(error)
        return {file: lines for file, lines in batches.items() if lines}


@contextmanager
def _sentence_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnwritableError(_sentence_of(path, error)) from None


def _sentence_of(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk that holds {path} is full. Make room, or set OTEL_TRACKER_JSONL_PATH to another disk."
    if error.errno == errno.EISDIR:
        return f"{path} is a directory; expected a JSONL file. Set OTEL_TRACKER_JSONL_PATH to a file inside it."
    reason = error.strerror or str(error)
    return (
        f"{path} cannot be written: {reason[:1].lower()}{reason[1:]}; expected a file that you may append to. "
        "See to its rights and its folder's, or set OTEL_TRACKER_JSONL_PATH to another file."
    )
