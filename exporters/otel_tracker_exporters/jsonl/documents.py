"""Looks at the beginning of a file: whether it is one JSON document and no lines, and which file it is.

The protocol's own examples are pretty-printed documents. Ours and everybody else's log files are lines; a document is
taken for what it is only when the whole file is one, so that a broken first line costs no other. One that is too large
to be taken into memory is recognised, so that nobody takes its lines for broken ones.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from itertools import chain, islice

from otel_tracker_exporters.jsonl.files import MAX_LINE_BYTES, OpenFile, blocks, lines_backwards
from otel_tracker_exporters.jsonl.lines import OUR_HEADS

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"


def is_document(file: OpenFile, end: int) -> bool:
    """Whether the first ``end`` bytes are one JSON object, over several lines or without a line feed at its end."""
    if not 2 < end <= MAX_LINE_BYTES or not _begins_and_ends_so(file, end):
        return False
    first, newline, _ = next(blocks(file, 0, end)).lines.partition(b"\n")
    if newline and _is_object(first):  # a long line; the whole file need not be taken into memory to see that
        return False
    try:
        return isinstance(json.loads(file.read_at(0, end).decode("utf-8-sig", "replace")), dict)
    except (ValueError, RecursionError):
        return False


def is_too_large_document(file: OpenFile, end: int) -> bool:
    """Whether the first ``end`` bytes are such an object beyond `MAX_LINE_BYTES`, as far as can be told unparsed.

    A file of lines whose first is broken or long looks alike, but has an object of its own in one of its first lines
    or the last.
    """
    if end <= MAX_LINE_BYTES or not _begins_and_ends_so(file, end):
        return False
    first = (line for block in islice(blocks(file, 0, end), 2) for line in block.lines.split(b"\n"))
    last = (line for _, line in lines_backwards(file, 0, end) if line.strip(_BLANKS))
    return not any(map(_is_object, chain(first, islice(last, 1))))


def too_large(path: str, size_bytes: int) -> str:
    """Says that the document at ``path`` is, and the way out."""
    return (
        f"{path} is one JSON document of {size_bytes / 2**20:,.1f} MiB; a document is read up to "
        f"{MAX_LINE_BYTES / 2**20:,.0f} MiB, a file of lines whatever its size. Split it into lines of one OTLP "
        "object each; docs/converting.md has a program for that."
    )


def fingerprint_of(head: bytes) -> str | None:
    """What tells a file from others while it grows: a hash of its first line; None while that is not whole.

    ``head`` is the first `HEAD_BYTES`, or all there is; of a longer line they are enough.
    """
    line, newline, _ = head.lstrip(_BLANKS).partition(b"\n")
    return blake2b(line, digest_size=8).hexdigest() if newline or len(head) >= HEAD_BYTES else None


def fingerprint_of_all(content: bytes) -> str:
    """The same for a document, whose first line says nothing and which does not grow."""
    return blake2b(content, digest_size=8).hexdigest()


def may_be_document(head: bytes) -> bool:
    """Whether a file that begins so is worth a try: an object that goes on behind its first line, or ends without."""
    first, newline, _ = head.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS).partition(b"\n")
    if not first.startswith(b"{") or first.startswith(OUR_HEADS):
        return False
    return not (newline and first.rstrip(_BLANKS).endswith(b"}"))


def _begins_and_ends_so(file: OpenFile, end: int) -> bool:
    """Whether the outermost bytes are those of an object that is no line of a file."""
    if not may_be_document(file.read_at(0, HEAD_BYTES)):
        return False
    return file.read_at(max(end - HEAD_BYTES, 0), min(HEAD_BYTES, end)).rstrip(_BLANKS).endswith(b"}")


def _is_object(line: bytes) -> bool:
    """Whether a line is an object by itself: not in the middle of another, which is indented, empty or goes on."""
    try:
        return line.startswith(b"{") and bool(json.loads(line))
    except (ValueError, RecursionError):
        return False
