"""Reads the lines of a file that others are appending to, in both directions and in bounded memory.

Queries go from the end to the beginning, because the records wanted are mostly the newest, and knowing those early
lets the rest be passed over unread. Lines end in a line feed; this module does not know what is in them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from threading import Lock
from typing import NamedTuple

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is no record of ours, and is passed over without being held in memory."""

TOO_LONG = b"\x00"
"""What stands for a line that is too long: no JSON either."""

_BLOCK_BYTES = 1024 * 1024
_HAS_PREAD = hasattr(os, "pread")  # Windows has none
_seeking = Lock()


class OpenFile(FileIO):
    """A file that one thread reads while another may close it; never reads what its descriptor stands for later."""

    def __init__(self, file: str | int) -> None:
        self._reading = Lock()  # first, because close() is called also when opening fails
        super().__init__(file)

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on; fewer where the file was cut meanwhile. ValueError when it is closed."""
        with self._reading:
            if _HAS_PREAD:
                return os.pread(self.fileno(), size, offset)
            with _seeking:  # duplicated descriptors share one position
                self.seek(offset)
                return self.read(size) or b""

    def close(self) -> None:
        """Close the file, after what is being read just now."""
        with self._reading:
            super().close()


def open_file(path: str) -> OpenFile:
    """The file, unbuffered; raises `StoreNotFoundError` or `StoreUnreadableError`."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise StoreUnreadableError(f"{path} is no regular file; expected a JSONL file. Name a file.")
        return OpenFile(path)
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, ValueError) as error:
        raise StoreUnreadableError(sentence_of(path, error)) from None


def not_found(path: str) -> StoreNotFoundError:
    """Says that there is nothing at ``path``."""
    return StoreNotFoundError(f"There is no store at {path}. Run your program first, or name another place.")


def sentence_of(path: str, error: Exception) -> str:
    """What is wrong with the file at ``path``, and the way out."""
    reason = str(error.strerror if isinstance(error, OSError) and error.strerror else error).rstrip(".")
    if "closed file" in reason:
        return f"The reader of {path} is closed. Open the store again."
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return f"{path} has more files than this process may open. Prune the store, or raise the limit (ulimit -n)."
    return f"{path} cannot be read: {reason}; expected a JSONL file. See that it is yours, or name another file."


def size_of(file: OpenFile) -> int:
    """The file's present size in bytes."""
    return os.fstat(file.fileno()).st_size


def lines_backwards(file: OpenFile, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Offset and content, without line feed, of each line from ``begin`` to the present end, last one first.

    What follows the last line feed comes first, and may be empty. In place of a line beyond `MAX_LINE_BYTES` comes
    `TOO_LONG`.
    """
    position = size_of(file) if end is None else end
    later: list[bytes] = []  # the rest, last part first, of the line that the block below ends in the middle of
    later_bytes = 0
    while position > begin:
        size = min(_BLOCK_BYTES, position - begin)
        position -= size
        first, *others = file.read_at(position, size).split(b"\n")
        if others:
            offset = position + size - len(others[-1])
            yield offset, _line_of(others[-1], later, later_bytes)
            for line in reversed(others[:-1]):
                offset -= len(line) + 1
                yield offset, line
            later, later_bytes = [], 0
        later.append(first)
        later_bytes += len(first)
        if later_bytes > MAX_LINE_BYTES:
            later.clear()  # that it is too long is enough to know
    yield begin, _line_of(b"", later, later_bytes)


def _line_of(first: bytes, later: list[bytes], later_bytes: int) -> bytes:
    """The line whose parts these are, last one first; `TOO_LONG` for one that is."""
    is_too_long = later_bytes + len(first) > MAX_LINE_BYTES
    return TOO_LONG if is_too_long else b"".join([first, *reversed(later)])


class Block(NamedTuple):
    """Lines in a row: where they begin, their bytes, and where the next block begins."""

    offset: int
    lines: bytes
    next_offset: int


def blocks(file: OpenFile, begin: int = 0, end: int | None = None) -> Iterator[Block]:
    """The lines from ``begin`` to the present end, in order.

    Each block ends in a line feed, except what follows the last one, if anything does. In place of a line beyond
    `MAX_LINE_BYTES` comes `TOO_LONG`, in a block of its own.
    """
    position, end = begin, size_of(file) if end is None else end
    offset = begin
    parts: list[bytes] = []  # the line that the block before has begun
    while position < end:
        block = file.read_at(position, min(_BLOCK_BYTES, end - position))
        if not block:
            break  # cut meanwhile
        cut = block.rfind(b"\n") + 1
        if cut:
            yield from _completed(offset, position, parts, block[:cut])
            offset, parts = position + cut, []
        parts.append(block[cut:])
        position += len(block)
        if position - offset > MAX_LINE_BYTES:
            parts = []  # that it is too long is enough to know
    if position > offset:
        is_too_long = position - offset > MAX_LINE_BYTES
        yield Block(offset, TOO_LONG if is_too_long else b"".join(parts), position)


def _completed(offset: int, position: int, parts: list[bytes], block: bytes) -> Iterator[Block]:
    """The lines that a block at ``position`` ends; the first of them began at ``offset``, and may be too long."""
    end = position + len(block)
    if position - offset <= MAX_LINE_BYTES:
        yield Block(offset, b"".join([*parts, block]), end)
        return
    cut = block.find(b"\n") + 1
    yield Block(offset, TOO_LONG + b"\n", position + cut)
    if cut < len(block):
        yield Block(position + cut, block[cut:], end)


class Line(NamedTuple):
    """A line without its line feed, and whether it had one."""

    offset: int
    content: bytes
    next_offset: int
    is_whole: bool = True


def lines_forward(file: OpenFile, begin: int = 0, end: int | None = None) -> Iterator[Line]:
    """Each line from ``begin`` to the present end, in order; the last one only if there is something of it."""
    for block in blocks(file, begin, end):
        *lines, rest = block.lines.split(b"\n")
        offset = block.offset
        for line in lines[:-1]:
            yield Line(offset, line, offset := offset + len(line) + 1)
        if lines:  # its length may be unknown
            yield Line(offset, lines[-1], block.next_offset)
        if rest:
            yield Line(offset, rest, block.next_offset, False)
