"""Tells by a file's first bytes what its lines are: records of ours, OTLP JSON, or neither.

OTLP is recognised as lines and as one document over several lines. Nothing here parses JSON, because the first bytes
may end in the middle of it.
"""

from __future__ import annotations

import re

RECORD = "record"
OTLP = "otlp"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTLP_KEY = rb'"resource(?:Spans|Logs|Metrics)"\s*:'
_OTLP_FIRST = re.compile(rb"\{\s*" + _OTLP_KEY)
_OTLP_LATER = re.compile(_OTLP_KEY)


def format_of(head: bytes) -> str | None:
    """`RECORD` or `OTLP`; None for anything else. A cut first line is enough."""
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not text.startswith(b"{"):
        return None
    if _OTLP_FIRST.match(text):
        return OTLP
    line = text.partition(b"\n")[0]
    if b'"schema"' in line and b'"type"' in line:  # an OTLP key may stand in a record's attributes
        return RECORD
    return OTLP if _OTLP_LATER.search(text) else None
