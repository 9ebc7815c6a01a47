"""A burst of 100,000 spans below one parent, before an exporter that takes 5 or 50 ms for each batch: is one lost?

Run ``python benchmarks/bursts.py``. Our decorator with `DurableSpanProcessor` runs beside the SDK's own with
`BatchSpanProcessor`, each burst in a process of its own, both with the SDK's default bounds (2,048 spans in the queue,
512 in a batch). A row says what a span costs the loop, in processor time of its thread and as a share of the SDK's
loop; how many spans never came to the exporter; and by how much the process grew while the burst lasted. Exit status 1:
a bar was missed.

What is not in the figures: the drain afterwards, which is as long as the exporter is slow.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _results import Result, is_wanted, option_parser, report

ROUNDS = 3
SLEEPS_MS = (5, 50)
WARM_UP = 3_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096


def main() -> int:
    parser = option_parser(__doc__, rounds=ROUNDS)
    parser.add_argument("--spans", type=int, default=100_000, help="spans in a burst [default: 100000]")
    parser.add_argument("--sleep-ms", type=float, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        return _burst(options)
    results = [result for sleep_ms in SLEEPS_MS for result in _results(sleep_ms, options)]
    return report(results, options, [f"{options.spans:,} spans a burst; the cost is that of one."])


def _results(sleep_ms: int, options: argparse.Namespace) -> list[Result]:
    workload = f"{sleep_ms} ms a batch"
    if not is_wanted("burst", workload, options.only):
        return []
    ours, sdk = [], []
    for _ in range(options.rounds):
        ours.append(_measured("ours", sleep_ms, options))
        sdk.append(_measured("sdk", sleep_ms, options))
    ratios = [mine["us"] / its["us"] for mine, its in zip(ours, sdk, strict=True)]
    best = min(each["us"] for each in ours) / min(each["us"] for each in sdk)
    sdk_us, sdk_lost = (statistics.median(each[key] for each in sdk) for key in ("us", "lost"))
    us, lost = statistics.median(each["us"] for each in ours), max(each["lost"] for each in ours)
    grown = [each["grown_mb"] for each in ours]
    return [
        Result("SDK, BatchSpanProcessor", workload, sdk_us, "us", 1, 1, "x SDK"),
        Result("SDK, spans lost", workload, sdk_lost, "spans", sdk_lost / options.spans, 0, "of all"),
        Result("@traced, DurableSpanProcessor", workload, us, "us", statistics.median(ratios), best, "x SDK", 0.5),
        Result("spans lost", workload, lost, "spans", lost / options.spans, 0, "of all", 0),
        Result("growth of the process", workload, max(grown) * 1e6, "bytes", max(grown), min(grown), "MB", 10),
    ]


def _measured(process: str, sleep_ms: int, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), "--process", process]
    command += ["--spans", str(options.spans), "--sleep-ms", str(sleep_ms)]
    with tempfile.TemporaryDirectory(prefix="otel-tracker-benchmark-") as folder:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment = {**kept, "XDG_STATE_HOME": folder}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _burst(options: argparse.Namespace) -> int:
    """In a child process."""
    from _workloads import add
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from otel_tracker import traced
    from otel_tracker.processors import DurableSpanProcessor

    class Slow(SpanExporter):
        taken = 0

        def export(self, spans: Sequence[Any]) -> SpanExportResult:
            time.sleep(options.sleep_ms / 1e3)
            self.taken += len(spans)
            return SpanExportResult.SUCCESS

    exporter = Slow()
    is_ours = options.process == "ours"
    processor = DurableSpanProcessor(exporter) if is_ours else BatchSpanProcessor(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    if is_ours:
        call = traced(capture_args=False, capture_result=False)(add)
    else:
        call = provider.get_tracer("benchmarks").start_as_current_span("add")(add)
    _loop(call, WARM_UP)
    processor.force_flush(600_000)
    before_bytes, before = _resident_bytes(), exporter.taken
    with provider.get_tracer("benchmarks").start_as_current_span("parent"):
        us, peak_bytes = _loop(call, options.spans)
    processor.force_flush(600_000)
    lost = options.spans + 1 - (exporter.taken - before)
    print(json.dumps({"us": us, "lost": lost, "grown_mb": max(0, peak_bytes - before_bytes) / 1e6}))
    provider.shutdown()
    return 0


def _loop(call: Callable[[int, int], int], number: int) -> tuple[float, int]:
    """Microseconds a call, and the most memory that was seen."""
    peak_bytes, began_ns = 0, time.thread_time_ns()
    for index in range(number):
        call(index, 2)
        if not index % 5_000:
            peak_bytes = max(peak_bytes, _resident_bytes())
    return (time.thread_time_ns() - began_ns) / 1_000 / number, max(peak_bytes, _resident_bytes())


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    sys.exit(main())
