"""Where journals and the reports of processes lie, and whether that place can be trusted.

``<state>/journal/<destination>/`` holds the segments of one destination, ``<state>/reports/`` what processes have left
about themselves; the state folder is `otel_tracker.private_files.state_folder`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from otel_tracker.delivery.segment import SUFFIX, header_of
from otel_tracker.private_files import check_folder, make_private_folder, state_folder
from otel_tracker.settings import DELIVERY_JOURNAL_DIR

MAX_AGE_S = 30 * 86_400.0
"""What has found no destination for so long is deleted."""


def journal_root() -> Path:
    """The folder of all journals; it need not exist."""
    named = DELIVERY_JOURNAL_DIR.read()
    return Path(os.path.abspath(named)) if named else state_folder() / "journal"


def reports_folder() -> Path:
    """The folder of the reports that processes leave; it need not exist."""
    named = DELIVERY_JOURNAL_DIR.read()
    return journal_root() / "reports" if named else state_folder() / "reports"


def folder_of(signal: str, destination: str) -> Path:
    """The folder of one destination's segments: the same in every process that sends there."""
    return journal_root() / hashlib.sha256(f"{signal}\n{destination}".encode("utf-8", "replace")).hexdigest()[:20]


def open_folder(folder: Path) -> None:
    """Make a folder where it is missing, 0700; raises OSError when it cannot be made or trusted."""
    if os.path.lexists(folder.parent):
        check_folder(folder.parent)  # before anything is left in it
    make_private_folder(folder)
    for one in (folder, folder.parent):
        check_folder(one)


def segment_paths(folder: Path) -> list[Path]:
    """The segments in a folder, oldest first; none where there is no folder that can be trusted."""
    try:
        check_folder(folder)
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
    except OSError:
        return []


def all_segment_paths() -> Iterator[Path]:
    """The segments of every destination."""
    with suppress(OSError):
        check_folder(journal_root())
        for entry in os.scandir(journal_root()):
            if entry.is_dir(follow_symlinks=False):
                yield from segment_paths(Path(entry.path))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in the journal for one destination; ``since_s`` is seconds since the epoch."""

    destination: str
    signal: str
    files: int
    bytes: int
    since_s: float


def waiting() -> list[Waiting]:
    """What lies in all journals, a destination each, the longest waiting first."""
    found: dict[tuple[str, str], Waiting] = {}
    for path in all_segment_paths():
        header = header_of(path)
        with suppress(OSError):
            status = path.stat()
            key = (header.get("destination", "?"), header.get("signal", "?"))
            known = found.get(key, Waiting(*key, 0, 0, status.st_mtime))
            since_s = min(known.since_s, status.st_mtime)
            found[key] = Waiting(*key, known.files + 1, known.bytes + status.st_size, since_s)
    return sorted(found.values(), key=lambda one: one.since_s)


def used_bytes() -> int:
    """What all journals hold together."""
    return sum(_size(path) for path in all_segment_paths())


def is_outdated(path: Path) -> bool:
    """Whether a segment has waited longer than `MAX_AGE_S`."""
    try:
        return time.time() - path.stat().st_mtime > MAX_AGE_S
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
