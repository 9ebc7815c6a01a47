"""What a process leaves about its delivery when that did not go the straight way: a small file beside the journal.

`otel-tracker doctor` reads them. A process has one file, written again while its numbers change; the newest 50 files
are kept. Nothing in them but numbers and the names of destinations.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_tracker.delivery.folders import open_folder, reports_folder
from otel_tracker.private_files import check_folder

if TYPE_CHECKING:
    from otel_tracker.delivery.counts import DeliveryReport

_SUFFIX = ".json"
_KEPT = 50
_MAX_BYTES = 1 << 20


def leave_report(report: DeliveryReport) -> None:
    """Write this process's file; raises OSError."""
    folder = reports_folder()
    open_folder(folder)
    path = folder / f"{os.getpid()}-{_started_s}{_SUFFIX}"
    content = {"time": time.time(), "pid": os.getpid(), "program": os.path.basename(sys.argv[0]), **report.to_dict()}
    being_written = path.with_suffix(".new")
    fd = os.open(being_written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(being_written, path)
    _forget_oldest(folder)


def left_reports() -> Iterator[dict[str, Any]]:
    """What processes have left, the newest first: the fields of a report, with ``time``, ``pid`` and ``program``."""
    for path in reversed(_by_age(reports_folder())):
        with suppress(OSError, ValueError):
            if path.stat().st_size <= _MAX_BYTES:
                found = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(found, dict) and isinstance(found.get("destinations"), list):
                    yield found


def _forget_oldest(folder: Path) -> None:
    for path in _by_age(folder)[:-_KEPT]:
        with suppress(OSError):
            path.unlink()


def _by_age(folder: Path) -> list[Path]:
    try:
        check_folder(folder)
        found = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(folder) if entry.name.endswith(_SUFFIX)]
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found)]


_started_s = int(time.time())
"""With the process id it names a process: the id alone is used again."""
