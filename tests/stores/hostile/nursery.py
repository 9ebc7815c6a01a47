"""Writing processes that are killed: ``nursery.py KIND PATH BATCH`` forks one whenever a line tells it a first number.

Each of them exports batches of spans for ever and says ``PID FIRST`` when one was acknowledged, ``PID refused`` when it
was not. Imports are done once, here, so that a new writer writes within milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from stores.hostile.support import span_exporter, through_exporter

PAUSE_S = 0.01
"""Between a batch and saying so: fewer spans in all, and whoever kills at the word meets the next batch half done."""
TEXT = "some text that makes a line as long as lines are " * 8


def write_for_ever(kind: str, path: Path, first: int, size: int) -> None:
    write = through_exporter(span_exporter(kind, path))
    while True:
        word = str(first) if write(range(first, first + size), TEXT) else "refused"
        time.sleep(PAUSE_S)
        os.write(1, f"{os.getpid()} {word}\n".encode())
        first += size


def import_everything(kind: str, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        exporter = span_exporter(kind, Path(folder) / f"store{ending}")
        assert through_exporter(exporter)([1], "")
        exporter.shutdown()


def main(kind: str, path: Path, size: int) -> None:
    import_everything(kind, path.suffix)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that were killed
    for line in sys.stdin:
        if os.fork() == 0:
            os.close(0)
            write_for_ever(kind, path, int(line), size)


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
