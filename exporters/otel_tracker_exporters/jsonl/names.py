"""Which files make up a JSONL store, by their names alone.

A store is named by one path, ``shop.jsonl``. In the format `record` that is its file. In the format `otlp` there is one
file a signal, as the specification wants it (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/):
``shop.traces.jsonl``, ``shop.logs.jsonl`` and ``shop.metrics.jsonl``. A file that grew too large is put aside under the
time of that moment, ``shop-20261124T023421.123456789Z.jsonl``, and compressed later (``....jsonl.gz``); a name never
changes again, so that names sort as their files were written. Where the path is a symbolic link, all this happens where
it leads to.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from otel_tracker.timestamps import format_time, parse_time

SIGNALS = ("traces", "logs", "metrics")
GZIP_SUFFIX = ".gz"
PART_SUFFIX = ".gz.part"
"""A gzip file that is being written; readers pass it over."""

_STAMP = r"-(\d{8}T\d{6}\.\d{9}Z)"


@dataclass(frozen=True, slots=True)
class StoreFile:
    """One file of a store: the one that is written (``stamp`` is empty), or one that was put aside."""

    path: Path
    stamp: str = ""

    @property
    def is_compressed(self) -> bool:
        """Whether it is a gzip file."""
        return self.path.name.endswith(GZIP_SUFFIX)

    @property
    def put_aside_ns(self) -> int | None:
        """When it was put aside; nothing was written to it after that. None for the file that is written."""
        return time_of_stamp(self.stamp) if self.stamp else None

    @property
    def forms(self) -> tuple[Path, ...]:
        """Every path under which its content may lie: plain, compressed, half compressed."""
        plain = str(self.path).removesuffix(GZIP_SUFFIX) if self.stamp else str(self.path)
        return (Path(plain), *(Path(plain + suffix) for suffix in (GZIP_SUFFIX, PART_SUFFIX) if self.stamp))


def signal_path(path: Path, signal: str) -> Path:
    """``shop.jsonl`` and ``traces`` as ``shop.traces.jsonl``; a path that names a signal already is led back first."""
    base = base_path(path)
    return base.with_name(f"{base.stem}.{signal}{base.suffix}")


def base_path(path: Path) -> Path:
    """The path that names the whole store: ``shop.jsonl`` for ``shop.traces.jsonl``."""
    stem, _, signal = path.stem.rpartition(".")
    return path.with_name(f"{stem}{path.suffix}") if signal in SIGNALS and stem else path


def active_paths(path: Path) -> list[Path]:
    """The files that may be written under a store's path: itself, and one a signal unless it is one of those."""
    return [path] if base_path(path) != path else [path, *(signal_path(path, signal) for signal in SIGNALS)]


def written_path(path: Path) -> Path:
    """Where the file at ``path`` really lies: what a symbolic link leads to, else the path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def put_aside_path(path: Path, time_unix_ns: int) -> Path:
    """The name under which the file at ``path`` is put aside at this moment."""
    path = written_path(path)
    stamp = format_time(time_unix_ns).replace("-", "").replace(":", "")
    return path.with_name(f"{path.stem}-{stamp}{path.suffix}")


def next_put_aside_path(path: Path, time_unix_ns: int) -> Path:
    """A name that sorts behind all that were given, also when the clock was set back: that of the next nanosecond."""
    newest = put_aside_files(path)[-1:]
    return put_aside_path(path, max([time_unix_ns, *(time_of_stamp(file.stamp) + 1 for file in newest)]))


def put_aside_files(path: Path) -> list[StoreFile]:
    """What was put aside from the file at ``path``, oldest first.

    While a file is being compressed both forms are there for a moment; the plain one counts.
    """
    path = written_path(path)
    found: dict[str, StoreFile] = {}
    for name, stamp in _stamped_names(path, f"(?:{re.escape(GZIP_SUFFIX)})?"):  # the plain name sorts before its .gz
        found.setdefault(stamp, StoreFile(path.with_name(name), stamp))
    return [found[stamp] for stamp in sorted(found)]


def parts(path: Path) -> list[Path]:
    """The half compressed forms of what was put aside from the file at ``path``."""
    path = written_path(path)
    return [path.with_name(name) for name, _ in _stamped_names(path, re.escape(PART_SUFFIX))]


def is_put_aside(path: Path) -> bool:
    """Whether the path bears the name of a file that was put aside, or of a compressed one."""
    return path.name.endswith(GZIP_SUFFIX) or re.search(f"{_STAMP}$", path.stem) is not None


def whole_path(path: Path) -> Path:
    """The path that means the whole store which a file of any name belongs to: put aside, compressed, of a signal."""
    real = os.path.realpath(path)
    plain = Path(real.removesuffix(GZIP_SUFFIX))
    return base_path(plain.with_name(re.sub(f"{_STAMP}$", "", plain.stem) + plain.suffix))


def _stamped_names(path: Path, ending: str) -> list[tuple[str, str]]:
    """Name and stamp, sorted, of the files beside ``path`` that bear its name with a stamp and this ending."""
    pattern = re.compile(re.escape(path.stem) + _STAMP + re.escape(path.suffix) + ending)
    try:
        matches = [match for name in os.listdir(path.parent) if (match := pattern.fullmatch(name))]
    except OSError:
        return []
    return sorted((match[0], match[1]) for match in matches if _is_time(match[1]))


def _is_time(stamp: str) -> bool:
    """False for digits that are no date: somebody else's file."""
    try:
        time_of_stamp(stamp)
        return True
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def time_of_stamp(stamp: str) -> int:
    """Nanoseconds since the epoch of a stamp such as ``20261124T023421.123456789Z``."""
    date, _, time = stamp.partition("T")
    return parse_time(f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}")
