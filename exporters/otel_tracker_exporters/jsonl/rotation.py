"""Keeps the files of a JSONL store small and few: puts the one that grew too large aside, deletes the oldest ones.

The name of a file that is put aside is the moment of that, or the next free one behind the newest: names sort as
files were written even when the clock is set back. What cannot be renamed or deleted stays as it is, said once, and
writing goes on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from otel_tracker.diagnostics import say_once
from otel_tracker_exporters.jsonl.compression import compress_later, stop_compressing
from otel_tracker_exporters.jsonl.names import next_put_aside_path, written_path
from otel_tracker_exporters.jsonl.retention import delete_older

_PAUSE_AFTER_FAILURE_S = 10.0


class Rotation:
    """When one file is put aside (never with ``max_bytes`` 0), and how many of its ``backups`` stay."""

    def __init__(self, max_bytes: int = 0, backups: int = 0) -> None:
        self.max_bytes = max_bytes
        self.backups = backups
        self._not_before_s = 0.0

    def is_due(self, size: int, added: int) -> bool:
        """Whether ``added`` bytes more would be too many; an empty file takes any batch."""
        return 0 < self.max_bytes < size + added and size > 0 and time.monotonic() >= self._not_before_s

    def put_aside(self, path: Path) -> bool:
        """Rename the file, whose lock the caller holds; False, said once, where that is not possible."""
        path = written_path(path)
        try:
            # A file that was written after "now" has seen the clock set back; readers take the name for its end.
            time_unix_ns = max(time.time_ns(), os.stat(path).st_mtime_ns)
            os.rename(path, next_put_aside_path(path, time_unix_ns))
            return True
        except (OSError, ValueError, OverflowError) as error:  # or a clock beyond the year 9999
            self._not_before_s = time.monotonic() + _PAUSE_AFTER_FAILURE_S
            _say(path, "put aside, so that it grows beyond OTEL_TRACKER_JSONL_MAX_BYTES", error)
            return False

    def tidy(self, path: Path) -> None:
        """After `put_aside`: delete what is too old to be kept, and have the others compressed."""
        path = written_path(path)
        try:
            delete_older(path, self.backups)
        except OSError as error:
            _say(path, "rid of its old backups, so that more than OTEL_TRACKER_JSONL_BACKUPS stay", error)
        if self.backups > 1:  # the newest one stays plain
            compress_later(self, path)

    def stop(self) -> None:
        """End the compression that was asked for here; the next rotation begins it again."""
        stop_compressing(self)


def _say(path: Path, what: str, error: Exception) -> None:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    say_once(
        f"{path} cannot be {what}: {reason[:1].lower()}{reason[1:]}. Writing goes on. "
        "See to the rights of its folder, or set OTEL_TRACKER_JSONL_PATH to a file in another one.",
        key=f"{what}:{path}",
    )
