"""How fast statistics come out of a JSONL store, beside what parsing each of its lines would take.

Run ``python benchmarks/jsonl_statistics.py --spans 1000000``. It writes a store of realistic spans (about 660 bytes a
line, 200 functions), asks for the statistics of all functions several times, each time beside `json.loads` of the
lines, and prints the best of each, in seconds of processor time, which other processes take nothing of. Their ratio
says more than either, because it is much the same on every machine. The memory is what this process grew by during
the first question.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from otel_tracker.records import SpanRecord
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.reader import JsonlReader

FUNCTIONS = 200
BEGIN_NS = 1_790_000_000_000_000_000
TARGET_SPANS_PER_S = 60_000


def spans(count: int) -> Iterator[SpanRecord]:
    """As many spans as asked for, ten a trace, one in fifty failed."""
    numbers = random.Random(1)
    for number in range(count):
        function = numbers.randrange(FUNCTIONS)
        start_ns = BEGIN_NS + number * 1_000_000 + numbers.randrange(1_000_000)
        is_failed = number % 50 == 0
        yield SpanRecord(
            trace_id=f"{random.Random(number // 10).getrandbits(128) | 1:032x}",
            span_id=f"{numbers.getrandbits(64) | 1:016x}",
            parent_span_id=f"{numbers.getrandbits(64) | 1:016x}",
            name=f"shop.part_{function % 20}.Service.work_{function}",
            function=f"Service.work_{function}",
            module=f"shop.part_{function % 20}",
            start_ns=start_ns,
            end_ns=start_ns + int(numbers.lognormvariate(16, 1)),
            status="failed" if is_failed else "completed",
            status_code="ERROR" if is_failed else "UNSET",
            error={"type": "ValueError", "message": "out of stock"} if is_failed else {},
            args={"customer": number, "items": [1, 2, 3]},
            attributes={"code.file.path": "/srv/shop/service.py", "code.line.number": 17, "session.id": "5f2c9a"},
            scope="otel_tracker",
            resource={"service.name": "shop", "service.version": "1.2.3", "process.pid": 4711},
        )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--spans", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.jsonl")
        with path.open("wb") as file:
            file.writelines(encode_line(span) for span in spans(chosen.spans))
        _measure(path, chosen.spans, chosen.runs)
    return 0


def _measure(path: Path, count: int, runs: int) -> None:
    size = path.stat().st_size
    with JsonlReader(str(path)) as reader:
        before = _peak_bytes()
        statistics = reader.function_statistics(limit=None)
        grown = _peak_bytes() - before
        if sum(entry.total for entry in statistics) != count:
            raise SystemExit(f"{sum(entry.total for entry in statistics)} spans were counted, expected {count}.")
        statistics_s = parsing_s = math.inf
        for _ in range(runs):  # in turns, because a machine is not equally fast all the time
            statistics_s = min(statistics_s, _timed_s(lambda: reader.function_statistics(limit=None)))
            parsing_s = min(parsing_s, _timed_s(lambda: _parse_all(path)))
    print(f"{count} spans in {size / 1e6:.0f} MB, {size / count:.0f} bytes a line, {len(statistics)} functions")
    print(f"statistics   {count / statistics_s:9.0f} spans/s  {statistics_s / count * 1e6:6.2f} us a span")
    print(f"json.loads   {count / parsing_s:9.0f} lines/s  {parsing_s / count * 1e6:6.2f} us a line")
    print(f"ratio        {parsing_s / statistics_s:9.2f}  (target {TARGET_SPANS_PER_S} spans/s)")
    print(f"memory       {grown / count:9.1f} bytes a span ({grown / 1e6:.0f} MB)")


def _parse_all(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def _timed_s(task: Callable[[], object]) -> float:
    begin_s = time.process_time()
    task()
    return time.process_time() - begin_s


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
