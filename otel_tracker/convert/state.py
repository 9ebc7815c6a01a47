"""Where an interrupted conversion stopped: a small private file beside its target, replaced as a whole.

It is written after each batch and removed at the end. Whatever does not fit or cannot be read counts as no state:
then the conversion begins again, and passes over what the target holds.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from otel_tracker.convert.counts import Counts

_VERSION = 1
_MAX_BYTES = 256 * 1024
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
_READ_FLAGS = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0)  # opening a pipe would block


@dataclass(frozen=True, slots=True)
class Job:
    """Which conversion a state belongs to. ``source_first`` tells a source from another that took its place."""

    source: str
    target: str
    target_format: str | None
    source_first: str


@dataclass(frozen=True, slots=True)
class State:
    """How far a conversion has come.

    Everything before ``source_position`` (``records`` records) is certainly in the target, the file with
    ``target_identity``, and ends there at ``target_position``. ``witness`` is the key of a record that lies behind
    ``witness_position`` there: a target without it is not the one that was written to.
    """

    job: Job
    records: int
    source_position: str
    target_position: str | None = None
    target_identity: str = ""
    witness: str = ""
    witness_position: str | None = None
    counts: Counts = field(default_factory=Counts)


class StateFile:
    """The file that holds a `State`, or does not; a path of None never does."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def is_there(self) -> bool:
        """Whether a state lies there, of whichever conversion."""
        return self._path is not None and self._path.exists()

    @property
    def lock_path(self) -> Path | None:
        """The file to lock while a conversion is at work."""
        return None if self._path is None else self._path.with_name(f"{self._path.name}.lock")

    def load(self, job: Job) -> State | None:
        """The state of an earlier run of this very conversion."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            fields = json.loads(self._content())
            if fields["version"] == _VERSION and Job(**fields["state"]["job"]) == job:
                return _state(job, fields["state"])
        return None

    def save(self, state: State) -> None:
        """Replace the file, where that is possible; if not, a conversion begins again instead of going on."""
        if self._path is None:
            return
        unfinished = self._unfinished()
        try:
            unfinished.unlink(missing_ok=True)  # what a killed process left, or somebody put there
            with open(os.open(unfinished, _WRITE_FLAGS, 0o600), "w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, "state": asdict(state)}, file)
            os.replace(unfinished, self._path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink()  # a full disk has room for half of it

    def remove(self) -> None:
        """Leave nothing behind."""
        if self._path is not None:
            for path in (self._path, self._unfinished()):
                with suppress(OSError):
                    path.unlink()

    def _unfinished(self) -> Path:
        # One name for all, so that nothing piles up.
        return self._path.with_name(f"{self._path.name}.part")  # type: ignore[union-attr]

    def _content(self) -> str:
        """The file's text; raises OSError or ValueError for one that is not ours to follow."""
        if self._path is None:
            raise ValueError("no file")
        with open(os.open(self._path, _READ_FLAGS), encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            is_mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            if not (is_mine and stat.S_ISREG(status.st_mode)):
                raise ValueError("somebody else's")
            return file.read(_MAX_BYTES)


def _state(job: Job, fields: dict[str, Any]) -> State:
    """The state in a JSON object; raises ValueError, TypeError or KeyError when it is none."""
    return State(
        job,
        records=_whole(fields["records"]),
        source_position=_text(fields["source_position"]),
        target_position=_text_or_none(fields["target_position"]),
        target_identity=_text(fields["target_identity"]),
        witness=_text(fields["witness"]),
        witness_position=_text_or_none(fields["witness_position"]),
        counts=Counts(**{name: _whole(number) for name, number in fields["counts"].items()}),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
