"""How many documents a second the `firestore` exporter writes, beside one `document.set` a call, and what each costs.

Run ``python benchmarks/firestore.py`` where ``FIRESTORE_EMULATOR_HOST`` names an emulator, or where the Google Cloud
SDK's can be started. Both sides write the same spans: the exporter 200 in a request, without its cap; Google's client
one after another, each as a dictionary with all that its record holds, as a decorator that writes by itself would. Both
encode what they write. The sides are timed in turns, of which the median counts. The cost is the processor time of the
whole process, threads of gRPC included; the bar is 0.2 ms. Exit status 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _results import Result, is_wanted, option_parser, report
from _span_sources import Sources

from otel_tracker.recording import span_record
from otel_tracker.records import SpanRecord
from otel_tracker_exporters.firestore import FirestoreSpanExporter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from firestore_emulator import new_emulator, new_project

ROUNDS = 5
BATCH = FirestoreSpanExporter.max_batch_size
RATE_BAR, COST_BAR_MS = 25.0, 0.2
_VARIABLE = "FIRESTORE_EMULATOR_HOST"

Cost = tuple[float, float]
"""Seconds of the clock, and of the processor, for one document."""


def main() -> int:
    options = _options()
    with _emulator():
        project = new_project()
        exporter = FirestoreSpanExporter(project=project, max_writes_per_s=0)
        client = exporter._connection.client()
        sources = Sources(with_events=True)
        _exported(exporter, sources, options.warm)  # a cold emulator takes several times as long as a warm one
        _set(client, sources, options.sets)
        ours, sets = _measured(exporter, client, sources, options)
        exporter.shutdown()
    rate, set_rate = 1 / _median(ours, 0), 1 / _median(sets, 0)
    cost_us, set_cost_us = _median(ours, 1) * 1e6, _median(sets, 1) * 1e6
    rows = [
        Result("documents a second", "exporter", rate, "/s", rate / set_rate, 1.0, "x document.set", RATE_BAR, True),
        Result("processor time", "exporter", cost_us, "us", cost_us / 1e3, cost_us / set_cost_us, "ms", COST_BAR_MS),
        Result("processor time", "document.set", set_cost_us, "us", set_cost_us / 1e3, 1.0, "ms"),
    ]
    notes = [f"document.set writes {set_rate:,.0f} documents a second; {options.spans:,} spans in a sample."]
    return report([row for row in rows if is_wanted(row.case, row.workload, options.only)], options, notes)


def _options() -> argparse.Namespace:
    parser = option_parser(__doc__, rounds=ROUNDS)
    parser.add_argument("--spans", type=int, default=3_200, help="spans in a sample [default: 3200]")
    parser.add_argument("--warm", type=int, default=24_000, help="spans written before [default: 24000]")
    parser.add_argument("--sets", type=int, default=100, help="documents set one by one in a sample [default: 100]")
    return parser.parse_args()


def _measured(
    exporter: FirestoreSpanExporter,
    client: Any,
    sources: Sources,
    options: argparse.Namespace,
) -> tuple[list[Cost], list[Cost]]:
    ours, sets = [], []
    for _ in range(options.rounds):
        ours.append(_cost_of(lambda: _exported(exporter, sources, options.spans), options.spans))
        sets.append(_cost_of(lambda: _set(client, sources, options.sets), options.sets))
    return ours, sets


def _cost_of(act: Callable[[], Cost], number: int) -> Cost:
    clock_s, processor_s = act()
    return clock_s / number, processor_s / number


def _exported(exporter: FirestoreSpanExporter, sources: Sources, number: int) -> Cost:
    """The spans are made before; what is timed is what the thread of the exporter does."""
    sources.queue_ours(number)
    spans = sources.keep.taken()
    begin_s, begin_processor_s = time.perf_counter(), time.process_time()
    for first in range(0, number, BATCH):
        left = spans[first : first + BATCH]
        while left:  # a cold emulator may be too slow once
            outcome = exporter.deliver(left)
            left = outcome.again
            if outcome.dropped:
                raise RuntimeError("The exporter has given something up; its log says why.")
    return time.perf_counter() - begin_s, time.process_time() - begin_processor_s


def _set(client: Any, sources: Sources, number: int) -> Cost:
    """What a decorator that writes by itself does at the end of each call."""
    sources.queue_ours(number)
    records = [span_record(span) for span in sources.keep.taken()]
    collection = client.collection("one_by_one")
    begin_s, begin_processor_s = time.perf_counter(), time.process_time()
    for record in records:
        collection.document(f"{record.span_id}{record.trace_id}").set(_fields(record))
    return time.perf_counter() - begin_s, time.process_time() - begin_processor_s


def _fields(record: SpanRecord) -> dict[str, Any]:
    """The tracker's structure, and the rest of the record, as they come."""
    return {
        **record.to_dict(),
        "execution_id": f"{record.trace_id}{record.span_id}",
        "function_name": record.function,
        "timestamp": record.start,
        "input": {"args": [], "kwargs": dict(record.args)},
        "output": record.result,
        "execution_time_ms": record.duration_ms,
        "error": dict(record.error) or None,
        "custom_fields": {},
    }


def _median(costs: list[Cost], which: int) -> float:
    return statistics.median(cost[which] for cost in costs)


@contextmanager
def _emulator() -> Iterator[None]:
    if os.environ.get(_VARIABLE):
        yield
        return
    emulator = new_emulator()
    emulator.start()
    os.environ[_VARIABLE] = emulator.host
    try:
        yield
    finally:
        emulator.stop()


if __name__ == "__main__":
    sys.exit(main())
