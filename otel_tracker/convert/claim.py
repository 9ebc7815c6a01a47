"""Keeps two conversions from writing to one target at the same time: neither would see what the other adds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otel_tracker.errors import StoreUnwritableError

try:
    import fcntl
except ImportError:  # Windows has no flock; there nobody is kept away
    fcntl = None  # type: ignore[assignment]

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def claimed(path: Path | None) -> Iterator[None]:
    """Hold the lock file at ``path``, and remove it at the end; raises `StoreUnwritableError` when somebody holds it.

    Where no such file can be made there is no lock. A killed process leaves the file, but not the lock.
    """
    descriptor = None if path is None or fcntl is None else _lock(path)
    try:
        yield
    finally:
        if path is not None and descriptor is not None:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    while True:
        try:
            descriptor = os.open(path, _FLAGS, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # whoever held it has just removed it; ours is nobody's file any more
        except BlockingIOError:
            os.close(descriptor)
            raise StoreUnwritableError(
                f"Another conversion is at work with {path.name.removeprefix('.').removesuffix('.convert.lock')}. "
                "Wait until it has ended."
            ) from None
        except OSError:
            os.close(descriptor)
            return None  # a file system without locks
        os.close(descriptor)
