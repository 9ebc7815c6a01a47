"""How many spans the exporters of the local stores take per second, beside lines of the SDK's own `to_json`.

Run ``python benchmarks/exporters.py``. The base is ``span.to_json(indent=None)`` and a newline, written to a file; a
ratio of 5 means five times as many spans. In every round fresh spans with 8 attributes (an event on every tenth) are
made for each case, by `@traced` and by the SDK's own tracer, and exported in batches of 512, from opening the store to
closing it; what counts is the processor time of the exporting thread. The SQLite store is also measured when 400,000
spans are in it already; it grows by what the rounds add, and needs about 400 MB of disk meanwhile. Exit status 1: a bar
was missed.

orjson is hidden: the figures are for the standard library alone. Waiting for the disk is not in them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import thread_time_ns

from _children import hide_package
from _results import is_wanted, option_parser, report

hide_package("orjson")  # before anything that would use it is imported

from _rounds import Case, Row, results  # noqa: E402
from _span_sources import ARGUMENTS, Sources  # noqa: E402
from opentelemetry.sdk.trace import ReadableSpan  # noqa: E402
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: E402

from otel_tracker.stores import open_store  # noqa: E402
from otel_tracker_exporters.jsonl import JsonlSpanExporter  # noqa: E402
from otel_tracker_exporters.sqlite import SqliteSpanExporter  # noqa: E402

ROUNDS = 5
BATCH = 512
FILL_BATCHES = 8


@dataclass(frozen=True)
class Store:
    """Where spans are exported to, and how many times as many spans as `to_json` it has to take."""

    name: str
    path: Path
    opened: Callable[[Path], SpanExporter]
    bar: float | None = None
    is_emptied: bool = True


class ConsoleLines(SpanExporter):
    """What the SDK offers: one line of JSON for each span."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the lines of a batch."""
        for span in spans:
            self._file.write(span.to_json(indent=None) + "\n")
        self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        self._file.close()


def main() -> int:
    options = _options()
    sources = Sources(with_events=True)
    with tempfile.TemporaryDirectory(prefix="otel-tracker-exporters-", dir=options.work) as made:
        folder = Path(made)
        base = Store("to_json", folder / "spans.txt", ConsoleLines)
        large = Store(f"SQLite, {options.rows:,} rows", folder / "large.db", _sqlite, 2, is_emptied=False)
        stores = [
            Store("JSONL", folder / "spans.jsonl", _jsonl, 5.5),
            Store("SQLite, empty", folder / "small.db", _sqlite, 4),
            large,
        ]
        rows = [row for row in _rows(base, stores, sources, options.spans) if _is_wanted(row, options)]
        for store in stores:
            _check(store, sources)
        if any(row.name == large.name for row in rows):
            _fill(large, options.rows, sources)
        measured = results(rows, options.rounds, sample_ms=0)
    return report(measured, options, [f"{options.spans:,} spans in a sample; the cost is that of one."])


def _options() -> argparse.Namespace:
    parser = option_parser(__doc__, rounds=ROUNDS)
    parser.add_argument("--spans", type=int, default=20_000, help="spans in a sample [default: 20000]")
    parser.add_argument("--rows", type=int, default=400_000, help="spans in the large SQLite store [default: 400000]")
    parser.add_argument("--work", type=Path, help="where the folder of the files is made [default: the system's]")
    return parser.parse_args()


def _is_wanted(row: Row, options: argparse.Namespace) -> bool:
    return is_wanted(row.name, row.workload, options.only)


def _rows(base: Store, stores: list[Store], sources: Sources, spans: int) -> Iterator[Row]:
    for source, queue in (("@traced", sources.queue_ours), ("SDK spans", sources.queue_sdk)):
        unit = _case(base, queue, sources, spans)
        for store in stores:
            case = _case(store, queue, sources, spans)
            bar = store.bar if source == "@traced" else None  # others' spans are redacted here, for the first time
            yield Row(store.name, source, case, None, unit, None, bar, unit_name="x to_json", more_is_better=True)


def _jsonl(path: Path) -> JsonlSpanExporter:
    return JsonlSpanExporter(path=path, max_bytes=0)


def _sqlite(path: Path) -> SqliteSpanExporter:
    return SqliteSpanExporter(path=path, max_bytes=0, max_age_days=0)


def _case(store: Store, queue: Callable[[int], None], sources: Sources, spans: int) -> Case:
    def run(count: int) -> int:
        queue(count)
        batches = _batches(sources.keep.taken())  # no span is exported twice: nothing that it keeps can help
        if store.is_emptied:
            _remove(store.path)
        begin_ns = thread_time_ns()
        _export(store.opened(store.path), batches)
        return thread_time_ns() - begin_ns

    return Case(store.name, run, calls=spans)


def _export(exporter: SpanExporter, batches: list[list[ReadableSpan]]) -> None:
    for batch in batches:
        if exporter.export(batch) is not SpanExportResult.SUCCESS:
            raise RuntimeError(f"{type(exporter).__name__} failed; its log says why.")
    exporter.shutdown()


def _batches(spans: list[ReadableSpan]) -> list[list[ReadableSpan]]:
    return [spans[first : first + BATCH] for first in range(0, len(spans), BATCH)]


def _check(store: Store, sources: Sources) -> None:
    """Raise RuntimeError unless the spans that an exporter took can be read back, with what they carry."""
    sources.queue_ours(BATCH)
    _export(store.opened(store.path), [sources.keep.taken()])
    with open_store(store.path) as reader:
        found = [span for span in reader.query_executions(limit=2 * BATCH) if len(span.args) == ARGUMENTS]
    if len(found) != BATCH:
        raise RuntimeError(f"{store.name}: {len(found)} of {BATCH} spans can be read back with their arguments.")
    _remove(store.path)


def _fill(store: Store, rows: int, sources: Sources) -> None:
    """By the exporter itself, a few thousand spans at a time."""
    exporter = store.opened(store.path)
    for first in range(0, rows, FILL_BATCHES * BATCH):
        sources.queue_ours(min(rows - first, FILL_BATCHES * BATCH))
        for batch in _batches(sources.keep.taken()):
            exporter.export(batch)
    exporter.shutdown()


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


if __name__ == "__main__":
    sys.exit(main())
