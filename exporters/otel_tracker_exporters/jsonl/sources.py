"""Finds and opens all files of a store at once, while others rotate, compress and delete them.

A query works on the files as they were when it began: they are held open, so that a name that moves on takes nothing
away. Files are told apart by their inodes, and looked for again until nothing has changed in between, so that none is
missed and none is read twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from otel_tracker.errors import StoreUnreadableError
from otel_tracker_exporters.jsonl.compressed import Unpacked, unpacked_head, unpacked_size
from otel_tracker_exporters.jsonl.documents import (
    HEAD_BYTES,
    fingerprint_of,
    fingerprint_of_all,
    is_document,
    is_too_large_document,
    may_be_document,
    too_large,
)
from otel_tracker_exporters.jsonl.files import (
    Line,
    OpenFile,
    blocks,
    lines_backwards,
    lines_forward,
    not_found,
    open_file,
    sentence_of,
    size_of,
)
from otel_tracker_exporters.jsonl.names import (
    GZIP_SUFFIX,
    SIGNALS,
    StoreFile,
    active_paths,
    base_path,
    is_put_aside,
    put_aside_files,
)

_ATTEMPTS = 100  # each has to meet another rotation to be in vain


class Found(NamedTuple):
    """A file of a store as a look at its folder shows it; ``group`` is its signal, or empty."""

    group: str
    file: StoreFile
    inode: tuple[int, int]
    size: int
    modified_ns: int


class Source:
    """One file that a query reads, held open; its bytes are plain, whatever they are on the disk."""

    def __init__(self, found: Found, raw: OpenFile, files: StoreFiles) -> None:
        self.found = found
        self.raw = raw
        self._end = size_of(raw)  # what comes later belongs to the next query
        self.is_damaged = False
        self._files = files
        self._plain: OpenFile | None = None
        self._is_document: bool | None = None

    @property
    def is_active(self) -> bool:
        """Whether somebody may be writing its last line."""
        return not (self.found.file.stamp or is_put_aside(self.found.file.path))

    @property
    def has_open_end(self) -> bool:
        """Whether a last line without its newline says nothing: it is being written, or was cut with the file."""
        return not self.is_document() and (self.is_active or self.is_damaged)

    @property
    def plain(self) -> OpenFile:
        """The plain bytes; a compressed file is unpacked here, once for all queries of a reader."""
        if not self.found.file.is_compressed:
            return self.raw
        if self._plain is None:
            self._plain, self.is_damaged = self._files.unpacked(self.found, self.raw)
            self._end = size_of(self._plain)
        return self._plain

    @property
    def plain_end(self) -> int:
        """How many plain bytes there were when the query began."""
        _ = self.plain  # which says so of a compressed file
        return self._end

    def lines_backwards(self, begin: int = 0) -> Iterator[tuple[int, bytes]]:
        """As `files.lines_backwards`; a document is one line."""
        file = self.plain
        if not begin and self.is_document():
            return iter([(0, file.read_at(0, self.plain_end))])
        return lines_backwards(file, begin, self.plain_end)

    def lines_forward(self, begin: int = 0) -> Iterator[Line]:
        """As `files.lines_forward`; a document is one line."""
        file = self.plain
        if self.is_document():
            return iter([Line(0, file.read_at(0, self.plain_end), self.plain_end)] if not begin else [])
        return lines_forward(file, begin, self.plain_end)

    def blocks(self) -> Iterator[bytes]:
        """Runs of whole lines in order; a document is one."""
        file = self.plain
        if self.is_document():
            return iter([file.read_at(0, self.plain_end).replace(b"\n", b" ") + b"\n"])
        return (block.lines for block in blocks(file, 0, self.plain_end))

    def is_document(self) -> bool:
        """Whether the content is one JSON document over several lines.

        Raises `StoreUnreadableError` for one that is too large: as lines it would be rubbish.
        """
        if self._is_document is None:
            if is_too_large_document(self.plain, self.plain_end):
                raise StoreUnreadableError(too_large(str(self.found.file.path), self.plain_end))
            self._is_document = is_document(self.plain, self.plain_end)
        return self._is_document

    def look_again(self, found: Found) -> None:
        """Take note that the file may have grown and been put aside since it was opened."""
        self.found, self._end = found, size_of(self.raw)

    def fingerprint(self) -> str | None:
        """See `StoreFiles.fingerprint`, which remembers it."""
        is_compressed = self.found.file.is_compressed
        head = unpacked_head(self.raw, HEAD_BYTES) if is_compressed else self.raw.read_at(0, HEAD_BYTES)
        if may_be_document(head) and self.is_document():
            return fingerprint_of_all(self.plain.read_at(0, self.plain_end))
        return fingerprint_of(head if self.is_active else head + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        self.raw.close()
        if self._plain is not None:
            self._plain.close()


class StoreFiles:
    """The files of the store at a path, and what a reader remembers about them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_closed = False
        self._lock = Lock()
        self._unpacked: dict[Found, Unpacked] = {}
        self._fingerprints: dict[Found, str | None] = {}

    def find(self) -> list[Found]:
        """The files as they are now: a group after the other, in each the oldest first."""
        if is_put_aside(self.path):
            found = list(_looked_at("", StoreFile(self.path)))
        else:
            found = [entry for group, path in _groups(self.path) for entry in _found_in(group, path)]
        if not found:  # a file that was named itself may have been compressed meanwhile
            found.extend(_looked_at("", StoreFile(self.path.with_name(self.path.name + GZIP_SUFFIX))))
        return found

    def open(self, is_wanted: Callable[[Found], bool]) -> list[Source]:
        """The files that are wanted, held open.

        Raises `StoreUnreadableError`; `StoreNotFoundError` when there is no file at all, wanted or not.
        """
        opened: dict[tuple[int, int], Source] = {}
        try:
            found = self._open_settled(is_wanted, opened)
            sources = [opened.pop(entry.inode) for entry in found if is_wanted(entry) and entry.inode in opened]
        finally:  # in the end those that were met on the way
            for source in opened.values():
                source.close()
        self._forget_all_but(found)
        if not found:
            raise not_found(str(self.path))
        return sources

    def _open_settled(self, is_wanted: Callable[[Found], bool], opened: dict[tuple[int, int], Source]) -> list[Found]:
        """Open files until a look at the folder shows the same before and after that."""
        found = self.find()
        for _ in range(_ATTEMPTS):
            wanted = [entry for entry in found if is_wanted(entry)]
            for entry in wanted:
                self._open_one(entry, opened)
            before, found = found, self.find()
            if _names_of(before) == _names_of(found) and all(entry.inode in opened for entry in wanted):
                return before
        return found

    def fingerprint(self, source: Source) -> str | None:
        """What tells a file from others under any name, plain and compressed; None without a whole line in it."""
        with self._lock:
            if source.found in self._fingerprints:
                return self._fingerprints[source.found]
        fingerprint = source.fingerprint()
        with self._lock:
            self._fingerprints[source.found] = fingerprint
        return fingerprint

    def plain_size(self, found: Found) -> int:
        """The file's size without compression, as far as it is cheaply known."""
        if not found.file.is_compressed:
            return found.size
        with self._lock:
            unpacked = self._unpacked.get(found)
        if unpacked is not None:
            return unpacked.size_bytes
        try:
            with open_file(str(found.file.path)) as file:
                return unpacked_size(file)
        except StoreUnreadableError:
            return 0

    def unpacked(self, found: Found, raw: OpenFile) -> tuple[OpenFile, bool]:
        """The plain bytes of a compressed file, and whether it is damaged."""
        with self._lock:
            if self._is_closed:
                raise ValueError("closed file")
            if found not in self._unpacked:
                self._unpacked[found] = Unpacked(raw, str(found.file.path))
            unpacked = self._unpacked[found]
            return unpacked.opened(), unpacked.is_damaged

    def close(self) -> None:
        """Give back the room that unpacked files take."""
        self._is_closed = True
        self._forget_all_but([])

    def _open_one(self, entry: Found, opened: dict[tuple[int, int], Source]) -> None:
        if entry.inode in opened:
            opened[entry.inode].look_again(entry)
            return
        try:
            file = OpenFile(str(entry.file.path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreUnreadableError(sentence_of(str(entry.file.path), error)) from None
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) == entry.inode:
            opened[entry.inode] = Source(entry, file, self)
        else:
            file.close()

    def _forget_all_but(self, found: list[Found]) -> None:
        with self._lock:
            for entry in self._unpacked.keys() - set(found):
                self._unpacked.pop(entry).close()
            for entry in self._fingerprints.keys() - set(found):
                self._fingerprints.pop(entry, None)


def is_older(file: StoreFile, lowest_ns: int | None) -> bool:
    """Whether nothing was written to a file at ``lowest_ns`` or later."""
    put_aside_ns = file.put_aside_ns
    return lowest_ns is not None and put_aside_ns is not None and put_aside_ns < lowest_ns


def _groups(path: Path) -> list[tuple[str, Path]]:
    """The file of the format `record`, and those of each signal, under the signal's name."""
    if base_path(path) != path:
        return [(path.stem.rpartition(".")[2], path)]
    return list(zip(("", *SIGNALS), active_paths(path), strict=True))


def _found_in(group: str, active: Path) -> Iterator[Found]:
    for file in (*put_aside_files(active), StoreFile(active)):
        yield from _looked_at(group, file)


def _looked_at(group: str, file: StoreFile) -> Iterator[Found]:
    try:
        status = os.stat(file.path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise StoreUnreadableError(sentence_of(str(file.path), error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise StoreUnreadableError(f"{file.path} is no regular file; expected a JSONL file. Name a file.")
    yield Found(group, file, (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


def _names_of(found: list[Found]) -> list[tuple[Path, tuple[int, int]]]:
    return [(entry.file.path, entry.inode) for entry in found]
