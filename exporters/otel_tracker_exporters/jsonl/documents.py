"""Looks at the beginning of a file: whether it is one JSON document and no lines, and which file it is.

The protocol's own examples are pretty-printed documents. Ours and everybody else's log files are lines; a document is
taken for what it is only when the whole file is one, so that a broken first line costs no other.
"""

from __future__ import annotations

import json
from hashlib import blake2b

from otel_tracker_exporters.jsonl.files import MAX_LINE_BYTES, OpenFile
from otel_tracker_exporters.jsonl.lines import EVENT_HEAD, SPAN_HEAD

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_OUR_HEADS = (SPAN_HEAD, EVENT_HEAD)


def is_document(file: OpenFile, end: int) -> bool:
    """Whether the first ``end`` bytes are one JSON object, over several lines or without a line feed at its end."""
    if not 2 < end <= MAX_LINE_BYTES or not may_be_document(file.read_at(0, HEAD_BYTES)):
        return False
    if not file.read_at(max(end - HEAD_BYTES, 0), HEAD_BYTES).rstrip(_BLANKS).endswith(b"}"):
        return False
    try:
        return isinstance(json.loads(file.read_at(0, end).decode("utf-8-sig", "replace")), dict)
    except (ValueError, RecursionError):
        return False


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
    if not first.startswith(b"{") or first.startswith(_OUR_HEADS):
        return False
    return not (newline and first.rstrip(_BLANKS).endswith(b"}"))
