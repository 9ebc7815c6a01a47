"""Writes to a JSONL store that rotates, from a process of its own; run by the tests.

``rotating_process.py PATH MAX_BYTES BACKUPS FIRST SIZE BATCH``, or with ``for_ever`` as BATCH: until it is killed.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from otel_tracker_exporters.jsonl.writer import JsonlWriter
from stores.helpers import make_span


def main(path: str, max_bytes: str, backups: str, first: str, size: str, batch: str) -> None:
    """Say after each batch how many spans are stored."""
    writer = JsonlWriter(path, max_bytes=int(max_bytes), backups=int(backups))
    print("ready", flush=True)
    sys.stdin.readline()
    step = 3 if batch == "for_ever" else int(batch)
    end = int(first) + int(size)
    for begin in count(int(first), step) if batch == "for_ever" else range(int(first), end, step):
        numbers = range(begin, begin + step) if batch == "for_ever" else range(begin, min(begin + step, end))
        assert writer.write([make_span(number) for number in numbers])
        print(numbers.stop, flush=True)
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
