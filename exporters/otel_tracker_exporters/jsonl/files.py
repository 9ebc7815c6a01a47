"""Reads the lines of a file that others are appending to, newest first, in bounded memory.

Newest first, because the records wanted are mostly the newest, and knowing those early lets the rest be passed over
unread. Lines end in a line feed; this module does not know what is in them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import FileIO

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is no record of ours, and is passed over without being held in memory."""

_BLOCK_BYTES = 1024 * 1024
_TOO_LONG = b"\x00"


def open_file(path: str) -> FileIO:
    """The file, unbuffered; raises `StoreNotFoundError` or `StoreUnreadableError`."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise StoreUnreadableError(f"{path} is no regular file; expected a JSONL file. Name a file.")
        return FileIO(path)
    except FileNotFoundError:
        raise StoreNotFoundError(
            f"There is no store at {path}. Run your program first, or name another place."
        ) from None
    except (OSError, ValueError) as error:
        raise StoreUnreadableError(sentence_of(path, error)) from None


def sentence_of(path: str, error: Exception) -> str:
    """What is wrong with the file at ``path``, and the way out."""
    reason = str(error.strerror if isinstance(error, OSError) and error.strerror else error).rstrip(".")
    if "closed file" in reason:
        return f"The reader of {path} is closed. Open the store again."
    return f"{path} cannot be read: {reason}; expected a JSONL file. See that it is yours, or name another file."


def lines_backwards(file: FileIO, begin: int = 0) -> Iterator[tuple[int, bytes]]:
    """Offset and content, without line feed, of each line from ``begin`` to the present end, last one first.

    What follows the last line feed comes first, and may be empty. In place of a line beyond `MAX_LINE_BYTES` comes
    a part of it that is no JSON.
    """
    position = file.seek(0, os.SEEK_END)
    later: list[bytes] = []  # the rest, last part first, of the line that the block below ends in the middle of
    later_bytes = 0
    while position > begin:
        size = min(_BLOCK_BYTES, position - begin)
        position -= size
        first, *others = read_at(file, position, size).split(b"\n")
        if others:
            offset = position + size - len(others[-1])
            yield offset, b"".join([others[-1], *reversed(later)])
            for line in reversed(others[:-1]):
                offset -= len(line) + 1
                yield offset, line
            later, later_bytes = [], 0
        later.append(first)
        later_bytes += len(first)
        if later_bytes > MAX_LINE_BYTES:
            later, later_bytes = [_TOO_LONG], 0
    yield begin, b"".join(reversed(later))


def read_at(file: FileIO, offset: int, size: int) -> bytes:
    """``size`` bytes from ``offset`` on; fewer where the file was cut meanwhile."""
    file.seek(offset)
    return file.read(size) or b""
