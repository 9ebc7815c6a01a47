"""Files and folders that their owner alone may read, for whatever holds telemetry."""

from __future__ import annotations

from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Create a folder and those above it with mode 0700, where they are missing.

    Unlike `os.makedirs`, which gives the folders in between another mode than the last.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
