"""What a traced call costs its caller, at the 99.9th percentile, while the server of its exporter is broken.

Run ``python benchmarks/hostile.py`` (Linux, with the extra ``otlp``). A server on 127.0.0.1 refuses, hangs, answers
500 or 503, resets or drips its answers; a process of its own makes 20,000 calls in a tight loop before each, through
upstream's OTLP exporter with `DurableSpanProcessor` in front of it. Rows say what the call at the 99.9th percentile
takes, by how much the process grew, and how much longer than the exit timeout its end took. Exit status 1: a bar was
missed.

Calls from which the system took the processor are left out: they say how busy the machine is. Not in the figures: what
the exporter's thread does meanwhile, which shares the interpreter with the caller.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

from _results import Result, is_wanted, option_parser, report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

ROUNDS = 3
WARM_UP = 100
EXIT_TIMEOUT_S = 1.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    parser = option_parser(__doc__, rounds=ROUNDS)
    parser.add_argument("--calls", type=int, default=20_000, help="traced calls in a round [default: 20000]")
    options = parser.parse_args()
    if options.process:
        return _produce(options)
    from delivery.endpoints import OUTAGES

    results = [result for outage in OUTAGES for result in _results(outage, options)]
    return report(
        results, options, [f"{options.calls:,} calls a round; the plain call is the same without a provider."]
    )


def _results(outage: str, options: argparse.Namespace) -> list[Result]:
    if not is_wanted("outage", outage, options.only):
        return []
    rounds = [_measured(outage, options) for _ in range(options.rounds)]
    plain, ours, grown_mb, late_s = (
        [each[key] for each in rounds] for key in ("plain_ms", "ours_ms", "grown_mb", "late_s")
    )
    lost = max(each["lost"] for each in rounds)
    shown = f"server {outage}"
    return [
        Result(
            "plain call, p99.9", shown, statistics.median(plain) * 1e3, "us", statistics.median(plain), min(plain), "ms"
        ),
        Result(
            "traced call, p99.9",
            shown,
            statistics.median(ours) * 1e3,
            "us",
            statistics.median(ours),
            min(ours),
            "ms",
            1,
        ),
        Result("growth of the process", shown, max(grown_mb) * 1e6, "bytes", max(grown_mb), min(grown_mb), "MB", 10),
        Result("exit beyond its timeout", shown, max(late_s) * 1e6, "us", max(late_s), min(late_s), "s", 0.5),
        Result("spans lost", shown, lost, "spans", lost / options.calls, 0, "of all", 0),
    ]


def _percentile(case: str, workload: str, rounds_ms: list[float], bar: float | None = None) -> Result:
    median_ms = statistics.median(rounds_ms)
    return Result(case, workload, median_ms * 1e3, "us", median_ms, min(rounds_ms), "ms", bar)


def _measured(outage: str, options: argparse.Namespace) -> dict[str, float]:
    from delivery.endpoints import endpoint

    command = [sys.executable, str(Path(__file__).resolve()), "--process", outage, "--calls", str(options.calls)]
    with tempfile.TemporaryDirectory(prefix="otel-tracker-benchmark-") as folder, endpoint(outage) as server:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        own = {"XDG_STATE_HOME": folder, "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S": str(EXIT_TIMEOUT_S)}
        environment = {**kept, **own, **server.variables}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        ended_s = time.monotonic()
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    found["late_s"] = max(0.0, ended_s - found["ending_s"] - EXIT_TIMEOUT_S)
    return found


def _produce(options: argparse.Namespace) -> int:
    """In a child process."""
    from _workloads import add

    from otel_tracker import configure, delivery_report, traced

    call = traced(add)
    plain_ms = _p999_ms(call, options.calls)
    configure()
    for index in range(WARM_UP):
        call(index, 2)
    before_bytes = _resident_bytes()
    ours_ms = _p999_ms(call, options.calls)
    grown_mb = max(0, _resident_bytes() - before_bytes) / 1e6
    found = delivery_report()
    lost = found.created - found.exported - found.queued - found.in_journal
    figures = {"plain_ms": plain_ms, "ours_ms": ours_ms, "grown_mb": grown_mb, "lost": lost}
    print(json.dumps({**figures, "ending_s": time.monotonic()}), flush=True)
    return 0


def _p999_ms(call: Callable[[int, int], int], number: int) -> float:
    costs = []
    for index in range(number):
        before = _preemptions()
        began_ns = perf_counter_ns()
        call(index, 2)
        cost = perf_counter_ns() - began_ns
        if _preemptions() == before:
            costs.append(cost)
    return sorted(costs)[-max(1, len(costs) // 1_000)] / 1e6


def _preemptions() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    sys.exit(main())
