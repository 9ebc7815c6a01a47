"""Children for the tests that kill: each forked from one warm process, since starting hundreds anew takes minutes.

Reads from stdin what to call a child's record; prints its process id. A child traces at full speed and notes in its
record, by a write of its own and after each span and event has ended, its number and the time. Ends with stdin, and
says then how each child ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from otel_tracker import configure, traced, track


@traced
def work(number: int) -> int:
    return number + 1


def child(first: int, record: str, pause_s: float, parent: int) -> None:
    """Trace until somebody ends it, or the process that it was forked from is gone."""
    configure()
    fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    number = first
    while os.getppid() == parent:
        work(number)
        track("work.done", number=number)
        os.write(fd, b"%d %.4f\n" % (number, time.monotonic()))
        number += 1
        if pause_s:
            time.sleep(pause_s)


def main() -> None:
    pause_s = float(sys.argv[1])
    import opentelemetry.sdk._logs.export
    import opentelemetry.sdk.trace.export  # noqa: F401

    import otel_tracker.processors  # noqa: F401
    import otel_tracker_exporters.sqlite  # noqa: F401

    children: list[int] = []
    parent = os.getpid()
    for index, record in enumerate(sys.stdin):
        pid = os.fork()
        if pid == 0:
            child(index * 1_000_000, record.strip(), pause_s, parent)
            os._exit(1)
        children.append(pid)
        print(pid, flush=True)
    endings: dict[int, Any] = {pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children}
    print(json.dumps(endings), flush=True)


if __name__ == "__main__":
    main()
