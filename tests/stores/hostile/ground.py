"""Ground that gives way: small disks that fill up, become read-only or break, mounted for one test.

Mounting needs root. Who is not root gets it in a namespace of its own (``unshare``), where the test runs once more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

DISK_BYTES = 2 * 2**20
FIXTURE = "small_disk"
RERUN_TIMEOUT_S = 240


@dataclass
class SmallDisk:
    """A file system of `DISK_BYTES`, or what a test asks for, in memory."""

    path: Path

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all the space with another file, but for so many bytes."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                while _append(file.fileno(), size):
                    pass
            if leave_bytes:
                os.ftruncate(file.fileno(), max(0, os.fstat(file.fileno()).st_size - leave_bytes))

    def take(self, size: int) -> None:
        """Take so many bytes of the space with another file."""
        self._ballast.write_bytes(b"b" * size)

    def free(self) -> None:
        """Delete the other file."""
        self._ballast.unlink()

    def remount(self, option: str) -> None:
        """``ro`` or ``rw``."""
        run("mount", "-o", f"remount,{option}", str(self.path))

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


def _append(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, b"b" * size) == size
    except OSError:
        return False


class FaultyDisk:
    """An ext4 file system of 4 MiB in a file, which the kernel makes read-only at a fault, as it does with real disks.

    A plain ``remount,ro`` is refused as long as a file is open for writing.
    """

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        self._image.touch()
        os.truncate(self._image, 4 * 2**20)
        run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", str(self._image))
        run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.path))

    def break_down(self) -> None:
        """Report an error of the disk to the kernel; from here on nothing can be written."""
        subprocess.run(["sync", "-f", str(self.path)], check=True)
        device = os.stat(self.path).st_dev
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test breaks this disk")

    def replace(self) -> None:
        """Mount a copy in its place, while programs still hold files of the broken one open."""
        copy = self._image.with_suffix(".copy")
        shutil.copyfile(self._image, copy)
        run("umount", "-l", str(self.path))
        run("mount", "-o", "loop,errors=remount-ro", str(copy), str(self.path))


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


def unmount(path: Path) -> None:
    """Whatever lies mounted there, one above the other, is gone afterwards."""
    while os.path.ismount(path):
        if subprocess.run(["umount", str(path)], capture_output=True).returncode:
            run("umount", "-l", str(path))


@lru_cache(maxsize=1)
def may_mount() -> bool:
    """Whether this process may mount; asked of the kernel, because root in a container often may not."""
    return _succeeds("unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt")


@lru_cache(maxsize=1)
def may_unshare() -> bool:
    """Whether this process could mount in a namespace of its own."""
    return _succeeds("unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt")


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


def rerun_in_namespace(item: pytest.Function) -> None:
    """Run a test again as the root of a namespace, with all others of its file that need one, and fail if it failed."""
    same_file = (
        other.nodeid
        for other in item.session.items
        if isinstance(other, pytest.Function) and other.path == item.path and FIXTURE in other.fixturenames
    )
    passed, output = _run_in_namespace(item.config.rootpath, tuple(same_file))
    assert item.nodeid in passed, output


@lru_cache(maxsize=8)
def _run_in_namespace(root: Path, nodeids: tuple[str, ...]) -> tuple[set[str], str]:
    """The tests that passed, and what was printed; once for all of a file, because starting costs a second."""
    command = ["unshare", "-Urm", sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "-rpfE", *nodeids], cwd=root, capture_output=True, text=True, timeout=RERUN_TIMEOUT_S
    )
    words = (line.split(maxsplit=1) for line in result.stdout.splitlines() if line.startswith("PASSED "))
    return {nodeid for _, nodeid in words}, result.stdout + result.stderr
