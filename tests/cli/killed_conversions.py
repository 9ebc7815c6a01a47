"""Converts in child processes that are killed at random moments, then in one that is not: ``SOURCE TARGET FORMAT``.

Children are forked, because a new interpreter for each would take longer than the conversion. Prints how many were
killed while they wrote.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from otel_tracker.convert import Conversion, conversion
from otel_tracker.stores import find_place

_KILLS = 12
_DEADLINE_S = 30.0


def main() -> None:
    """Kill often, then convert to the end."""
    source, target, target_format = sys.argv[1], sys.argv[2], sys.argv[3] or None
    conversion.BATCH_RECORDS = 64  # more moments between batches
    with find_place(source).open_reader():  # imports what each child would have to import
        find_place(target).open_writer(target_format).close()
    chance = random.Random(f"{source}{target}")
    kills = 0
    while kills < _KILLS and _killed(source, target, target_format, chance.randint(1, 60_000)):
        kills += 1
    Conversion(source, target, target_format).run()
    print(kills)


def _killed(source: str, target: str, target_format: str | None, beyond_bytes: int) -> bool:
    """Whether a conversion could be killed once it had written so much."""
    begin = _size(Path(target))
    child = os.fork()
    if not child:
        try:
            Conversion(source, target, target_format).run()
        finally:
            os._exit(0)
    deadline_s = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline_s:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        if _size(Path(target)) - begin >= beyond_bytes:
            break
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _size(path: Path) -> int:
    """Bytes in all files of the store at a path."""
    sizes = 0
    for file in path.parent.glob(f"{path.stem}*"):
        try:
            sizes += file.stat().st_size
        except OSError:
            pass
    return sizes


if __name__ == "__main__":
    main()
