"""Deletes files of a JSONL store that were put aside: the oldest ones, each as a whole.

A line is never taken out of a file, and the file that is written is never touched; so what stays may be older, or
more, than was asked for, by up to one file a signal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from otel_tracker.errors import StoreNotFoundError, StoreUnwritableError
from otel_tracker.writing import Pruned, Retention
from otel_tracker_exporters.jsonl.names import StoreFile, active_paths, put_aside_files


def delete_older(path: Path, backups: int) -> None:
    """Keep the newest ``backups`` of what was put aside from the file at ``path``; raises OSError."""
    files = put_aside_files(path)
    for file in files[: max(0, len(files) - backups)]:
        _delete(file)


def prune(location: str, retention: Retention, dry_run: bool) -> Pruned:
    """Delete, or only count, the files put aside before ``before_ns``, then the oldest until ``max_bytes`` are left.

    Nobody counts what was in them. Raises `StoreNotFoundError` and `StoreUnwritableError`.
    """
    paths = active_paths(Path(os.path.abspath(location)))
    is_written = any(path.exists() for path in paths)  # asked first: it may be put aside in between
    put_aside = sorted((file for path in paths for file in put_aside_files(path)), key=lambda file: file.stamp)
    if not (put_aside or is_written):
        raise StoreNotFoundError(f"There is no store at {location}. Run your program first, or name another place.")
    left_bytes = _size(paths) + sum(_size(file.forms) for file in put_aside)
    files = freed_bytes = 0
    for file in put_aside:
        if not (_is_too_old(file, retention) or 0 < retention.max_bytes < left_bytes):
            break
        size = _size(file.forms)
        if not dry_run:
            _delete_or_say(file)
        files, freed_bytes, left_bytes = files + 1, freed_bytes + size, left_bytes - size
    return Pruned(traces=None, spans=None, events=None, logs=None, metrics=None, files=files, bytes=freed_bytes)


def _is_too_old(file: StoreFile, retention: Retention) -> bool:
    put_aside_ns = file.put_aside_ns
    return retention.before_ns is not None and put_aside_ns is not None and put_aside_ns < retention.before_ns


def _delete_or_say(file: StoreFile) -> None:
    try:
        _delete(file)
    except OSError as error:
        raise StoreUnwritableError(
            f"{file.path} cannot be deleted: {error.strerror or error}. See to the rights of its folder."
        ) from None


def _delete(file: StoreFile) -> None:
    """All its forms, the plain one first: that tells a process that compresses it just now to give up."""
    for path in file.forms:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _size(paths: Iterable[Path]) -> int:
    """Bytes in the files that are there."""
    size = 0
    for path in paths:
        with suppress(OSError):
            size += path.stat().st_size
    return size
