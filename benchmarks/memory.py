"""How many bytes an ended span takes while it waits in the queue of a processor, beside a span of the SDK.

Run ``python benchmarks/memory.py``. Spans with 8 attributes, whose values are all their own, are kept in a deque, as
`BatchSpanProcessor` keeps them, and `tracemalloc` says what all of that takes, values included. The SDK's spans carry
the same keys and values. Exit status 1: a bar was missed.

What a run keeps once (the plan of the function, constant texts) is not in the figures: it was there before.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from _results import Result, is_wanted, option_parser, report
from _span_sources import ATTRIBUTES, Sources

ROUNDS = 1
WARM_UP = 1_000


@dataclass(frozen=True)
class Pair:
    """Two ways to make so many spans, which stay in the queue."""

    name: str
    workload: str
    ours: Callable[[int], None]
    sdk: Callable[[int], None]
    bar: float | None = None


def main() -> int:
    parser = option_parser(__doc__, rounds=ROUNDS)
    parser.add_argument("--spans", type=int, default=20_000, help="spans in the queue [default: 20000]")
    options = parser.parse_args()
    sources = Sources(with_events=False)
    pairs = [pair for pair in _pairs(sources) if is_wanted(pair.name, pair.workload, options.only)]
    results = [result for pair in pairs for result in _results(pair, sources, options.spans, options.rounds)]
    return report(results, options, [f"{options.spans:,} spans in the queue; the cost is that of one."])


def _pairs(sources: Sources) -> list[Pair]:
    return [
        Pair("@traced, arguments", f"{ATTRIBUTES} attributes", sources.queue_ours, sources.queue_sdk, 0.35),
        Pair('span("x", ...)', f"{ATTRIBUTES} attributes", sources.queue_blocks, sources.queue_sdk),
        Pair("@traced, without capture", "4 attributes", sources.queue_bare, sources.queue_sdk_bare),
    ]


def _results(pair: Pair, sources: Sources, count: int, rounds: int) -> list[Result]:
    ours = [_bytes_a_span(pair.ours, sources, count) for _ in range(rounds)]
    sdk = [_bytes_a_span(pair.sdk, sources, count) for _ in range(rounds)]
    ratios = [mine / its for mine, its in zip(ours, sdk, strict=True)]
    kept = statistics.median(ours), "bytes", statistics.median(ratios), min(ours) / min(sdk), "x SDK"
    return [
        Result(f"SDK, beside {pair.name}", pair.workload, statistics.median(sdk), "bytes", 1, 1, "x SDK"),
        Result(pair.name, pair.workload, *kept, pair.bar),
    ]


def _bytes_a_span(queue: Callable[[int], None], sources: Sources, count: int) -> float:
    queue(WARM_UP)
    sources.keep.taken()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        queue(count)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if len(sources.keep.ended) != count:
        raise RuntimeError(f"{len(sources.keep.ended)} spans are queued; expected {count}.")
    sources.keep.taken()
    return (after - before) / count


if __name__ == "__main__":
    sys.exit(main())
