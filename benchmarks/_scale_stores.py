"""Makes the stores of ``scale.py``, and keeps one busy; also the child process that does the latter.

The spans are like those of a shop: 200 functions, 10 spans a trace, about 660 bytes of JSON each, one in a hundred
failed, an event for every twentieth span.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.writing import StoreWriter
from otel_tracker_exporters.jsonl.writer import JsonlWriter
from otel_tracker_exporters.sqlite.writer import SqliteWriter

FUNCTIONS = 200
SPANS_A_TRACE = 10
EVENTS_EVERY = 20
STEP_NS = 10_000_000
BATCH = 512
WRITERS = 4
SPANS_A_WRITER_AND_S = 250
_PERIOD_S = 0.25

_RESOURCE = {
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1.45.1",
    "service.instance.id": "758755c3-11fb-46bc-b11f-b20a7b07a36e",
    "service.name": "shop",
}


def records(first_ns: int, seed: int) -> Iterator[SpanRecord | EventRecord]:
    """Spans and events without end, 100 spans a second of their own time."""
    chance = random.Random(seed)
    trace_id = root_id = ""
    number = 0
    while True:
        span_id = f"{chance.getrandbits(64):016x}"
        if number % SPANS_A_TRACE == 0:
            trace_id, root_id = f"{chance.getrandbits(128):032x}", span_id
        parent_id = "" if span_id == root_id else root_id
        start_ns = first_ns + number * STEP_NS
        yield _span(chance, number, (trace_id, span_id, parent_id), start_ns)
        if number % EVENTS_EVERY == 0:
            properties = {"order_id": number}
            yield EventRecord("order.placed", start_ns, "INFO", trace_id, span_id, properties, resource=_RESOURCE)
        number += 1


def fill(writer: StoreWriter, spans: int, first_ns: int) -> float:
    """Write so many spans, with their events; how many seconds writing alone took."""
    seconds = 0.0
    left = islice(records(first_ns, seed=1), spans + -(-spans // EVENTS_EVERY))
    while batch := list(islice(left, BATCH)):
        begin_s = time.perf_counter()
        writer.store(batch)
        seconds += time.perf_counter() - begin_s
    begin_s = time.perf_counter()
    writer.close()
    return seconds + time.perf_counter() - begin_s


def writer_of(path: Path) -> StoreWriter:
    """A writer that keeps everything."""
    return SqliteWriter(str(path)) if path.suffix == ".db" else JsonlWriter(str(path))


@contextmanager
def kept_busy(path: Path) -> Iterator[None]:
    """Four processes write to the store meanwhile, 1,000 spans a second in all."""
    command = [sys.executable, __file__, str(path)]
    children = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE) for seed in range(2, 2 + WRITERS)]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()  # it has written its first batch
        yield
        dead = [child for child in children if child.poll() is not None]
        if dead:
            raise RuntimeError(f"{len(dead)} of the writing processes ended early; the measurements mean nothing.")
    finally:
        for child in children:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _span(chance: random.Random, number: int, ids: tuple[str, str, str], start_ns: int) -> SpanRecord:
    function = chance.randrange(FUNCTIONS)
    has_failed = chance.random() < 0.01
    failure: dict[str, Any] = {}
    if has_failed:
        message = f"There is no order {number}"
        traceback = "Traceback (most recent call last):\n" + '  File "shop.py", line 5\n' * 8
        failure = {
            "status": "failed",
            "status_code": "ERROR",
            "error": {"type": "LookupError", "message": message, "traceback": traceback},
        }
    return SpanRecord(
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=ids[2],
        name=f"shop.part{function % 20}.function{function}",
        function=f"function{function}",
        module=f"shop.part{function % 20}",
        start_ns=start_ns,
        end_ns=start_ns + int(chance.lognormvariate(15, 1.5)),
        args={"order_id": number, "items": {"teapot": number % 7, "cup": 2}},
        attributes={"code.line.number": function},
        scope="otel_tracker",
        resource=_RESOURCE,
        **failure,
    )


def _write_for_ever(path: Path, seed: int) -> None:
    """Batches of what a quarter of a second brings, until this process is killed."""
    writer = writer_of(path)
    endless = records(time.time_ns(), seed)
    next_s = time.monotonic()
    while True:
        writer.store(list(islice(endless, round(SPANS_A_WRITER_AND_S * _PERIOD_S))))
        print("written", flush=True)
        next_s += _PERIOD_S
        time.sleep(max(next_s - time.monotonic(), 0))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=False)  # type: ignore[union-attr]
    _write_for_ever(Path(sys.argv[1]), int(sys.argv[2]))
