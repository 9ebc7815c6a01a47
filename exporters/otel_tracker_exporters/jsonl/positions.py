"""Says how far a JSONL store was read, in a text that survives rotation, compression and the process.

A file is known by its fingerprint and not by its name or inode, because the name changes when it is put aside and the
inode when it is compressed. Each signal has files of its own, and a mark of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from otel_tracker.errors import QueryError


class Mark(NamedTuple):
    """How far the files of one group were read.

    In the file with this ``fingerprint`` it goes on at ``offset``, with the record of that ``number`` in the line. When
    there is no such file any more, it goes on with the first one that was put aside after ``older``, the stamp of the
    file before.
    """

    fingerprint: str = ""
    offset: int = 0
    number: int = 0
    older: str = ""


def encode_position(marks: Mapping[str, Mark]) -> str:
    """The marks by group as a text, which is a JSON object."""
    entries = (
        f'"{group}":["{mark.fingerprint}",{mark.offset},{mark.number},"{mark.older}"]' for group, mark in marks.items()
    )
    return f"{{{','.join(entries)}}}"


def decode_position(text: str | None) -> dict[str, Mark]:
    """The marks in a text, none in None; raises `QueryError` for a text that is no position."""
    try:
        entries = {} if text is None else json.loads(text)
        return {group: _mark(*entry) for group, entry in entries.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise QueryError(
            f"after is {str(text)[:80]!r}; expected a position in a JSONL store, as an earlier call gave it."
        ) from None


def _mark(fingerprint: str, offset: int, number: int, older: str) -> Mark:
    is_right = isinstance(fingerprint, str) and isinstance(older, str)
    if not is_right or not all(type(count) is int and count >= 0 for count in (offset, number)):
        raise TypeError("no mark")
    return Mark(fingerprint, offset, number, older)
