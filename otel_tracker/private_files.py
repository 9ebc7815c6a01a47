"""Files and folders that their owner alone may read, for whatever holds telemetry, and where such a folder lies."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


class UntrustedFolderError(OSError):
    """A folder that belongs to somebody else, or that others may write into."""


def make_private_folder(folder: Path) -> None:
    """Create a folder and those above it with mode 0700, where they are missing.

    Unlike `os.makedirs`, which gives the folders in between another mode than the last.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def check_folder(folder: Path) -> None:
    """Raise `UntrustedFolderError` for a folder that others could have prepared, OSError for none."""
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise UntrustedFolderError(f"{folder} is no folder")
    if not hasattr(os, "getuid"):
        return
    if status.st_uid != os.getuid():
        raise UntrustedFolderError(f"{folder} belongs to another user")
    if status.st_mode & 0o022:
        raise UntrustedFolderError(f"{folder} can be written by others")


def is_own(status: os.stat_result) -> bool:
    """Whether a file belongs to this user."""
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def state_folder() -> Path:
    """Where a program of this user's may leave something for the next.

    ``XDG_STATE_HOME`` (https://specifications.freedesktop.org/basedir-spec/latest/), else in the temporary folder.
    """
    named = os.environ.get("XDG_STATE_HOME", "").strip()
    if named and os.path.isabs(named):
        return Path(named) / "otel-tracker"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"otel-tracker-{user}"
