"""Output files that appear under their name when they are whole, readable by their owner alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from otel_tracker.errors import OtelTrackerError

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputError(OtelTrackerError):
    """The file that was named as output cannot be written, or must not be replaced."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """An empty file (mode 0600) beside ``path`` that takes its place at the end; nothing is left on failure.

    Raises `OutputError` when the place or what is written there cannot be used; errors of the store that is read
    pass through.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    os.close(descriptor)
    try:
        yield Path(name)
        os.replace(name, path)
    except OtelTrackerError:
        raise  # some of them are OSErrors too
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        Path(name).unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The sentence for a place that cannot be written to."""
    return OutputError(f"{path} cannot be written: {error.strerror}. Choose another --output.")
