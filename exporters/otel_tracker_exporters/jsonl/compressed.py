"""Unpacks gzip files into private temporary files, and looks at their beginning without unpacking the rest.

A query reads lines in any order, which gzip cannot do. What a broken file still holds is used; that it is broken is
said along with it.
"""

from __future__ import annotations

import errno
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress

from otel_tracker.errors import StoreUnreadableError
from otel_tracker_exporters.jsonl.files import OpenFile, size_of

_CHUNK_BYTES = 256 * 1024
_PIECE_BYTES = 1024 * 1024
_STEP_BYTES = 64
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way of asking for a gzip header and its checksum


class DamagedError(ValueError):
    """The gzip file is cut or corrupt behind what was unpacked so far."""


class Unpacked:
    """The plain bytes of a gzip file, in a temporary file without a name that is gone when it is closed."""

    def __init__(self, packed: OpenFile, path: str) -> None:
        self.is_damaged = False
        self.size_bytes = 0
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close(), or just below
        try:
            self._fill(packed)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StoreUnreadableError(
                    f"{path} cannot be unpacked: {tempfile.gettempdir()} has no room for it. "
                    "Make room, or set TMPDIR to a folder that has."
                ) from None
            raise

    def opened(self) -> OpenFile:
        """The bytes for one query; to be closed by it."""
        return OpenFile(os.dup(self._file.fileno()))

    def close(self) -> None:
        """Give the room back, as soon as no query reads any more."""
        self._file.close()

    def _fill(self, packed: OpenFile) -> None:
        try:
            for chunk in unpack(packed):
                self.size_bytes += len(chunk)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[self._file.write(rest) :]
        except DamagedError:
            self.is_damaged = True


def unpack(packed: OpenFile) -> Iterator[bytes]:
    """The plain bytes in pieces of bounded size; raises `DamagedError` behind the last good ones."""
    offset, rest = 0, b""
    stream = zlib.decompressobj(_GZIP_WINDOW)
    while True:
        if not rest:
            rest = packed.read_at(offset, _CHUNK_BYTES)
            offset += len(rest)
        if stream.eof:  # another member may follow, as `cat a.gz b.gz` makes them, or the zeros of a tape
            rest = rest.lstrip(b"\0")
            if not rest:
                return
            stream = zlib.decompressobj(_GZIP_WINDOW)
        if not rest:
            raise DamagedError("cut")
        before = stream.copy()
        try:
            plain = stream.decompress(rest, _PIECE_BYTES)
        except zlib.error as error:
            yield _before_the_damage(before, rest)
            raise DamagedError(str(error)) from None
        rest = stream.unused_data if stream.eof else stream.unconsumed_tail
        if plain:
            yield plain


def _before_the_damage(stream: zlib._Decompress, packed: bytes) -> bytes:
    """What stands before the damage in a piece: zlib itself gives nothing of a call that fails."""
    plain: list[bytes] = []
    with suppress(zlib.error):
        for offset in range(0, len(packed), _STEP_BYTES):
            plain.append(stream.decompress(packed[offset : offset + _STEP_BYTES], _PIECE_BYTES))
            if stream.unconsumed_tail:
                break  # more than fits, and damaged before its end
    return b"".join(plain)


def unpacked_head(packed: OpenFile, size: int) -> bytes:
    """The first ``size`` plain bytes, or what there is of them."""
    head = b""
    try:
        for chunk in unpack(packed):
            head += chunk
            if len(head) >= size:
                break
    except DamagedError:
        pass
    return head[:size]


def unpacked_size(packed: OpenFile) -> int:
    """The plain size in bytes as the file's end says it; exact below 4 GiB for a file with one member."""
    packed_size = size_of(packed)
    return int.from_bytes(packed.read_at(max(packed_size - 4, 0), 4), "little") if packed_size >= 18 else 0
