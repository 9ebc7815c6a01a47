"""Passes over lines of OTLP JSON without parsing them, where their bytes alone say that they are not wanted.

Such lines come from anybody: any number of spans in one, ids in upper case or base64. What is relied on is only that
nobody writes letters and digits as escapes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field

from otel_tracker.attributes import RECORD

OTLP_HEAD = b'{"resource'
"""How a compact line of any signal begins."""

_SAID_AGAIN = RECORD.encode()  # what OTLP cannot say of a record stands in such an attribute, as text
SPANS, LOGS, METRICS = b'"resourceSpans"', b'"resourceLogs"', b'"resourceMetrics"'
"""The key of each signal."""

_SPAN_TIME = re.compile(rb'"startTimeUnixNano":"(\d{1,20})"')


@dataclass
class OtlpPrefilter:
    """Says for each line whether it is worth parsing: it holds the ``signal``, the trace and all of ``needles``."""

    signal: bytes
    trace_id_prefix: str = ""
    needles: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hex = self.trace_id_prefix.encode()
        # Three bytes are four letters; what is neither letter nor digit may be escaped.
        whole = bytes.fromhex(self.trace_id_prefix[: len(self.trace_id_prefix) // 6 * 6])
        self._base64 = re.split(rb"[/+]", b64encode(whole))[0]

    def may_want(self, line: bytes, lowest_ns: int | None, highest_ns: int | None) -> bool:
        """True unless the line is known to hold nothing that is wanted."""
        return self.signal in line and (
            _SAID_AGAIN in line or (self._may_hold(line) and self._may_be_within(line, lowest_ns, highest_ns))
        )

    def _may_hold(self, line: bytes) -> bool:
        if not all(needle in line for needle in self.needles):
            return False
        return not self._hex or self._base64 in line or self._hex in line.lower()

    def _may_be_within(self, line: bytes, lowest_ns: int | None, highest_ns: int | None) -> bool:
        """Judges a line with a single span, as we write them, by its start."""
        if self.signal != SPANS or (lowest_ns is None and highest_ns is None):
            return True
        if line.count(b"startTimeUnixNano") != 1:
            return True
        match = _SPAN_TIME.search(line)
        if match is None:
            return True
        start_ns = int(match[1])
        return (lowest_ns is None or start_ns >= lowest_ns) and (highest_ns is None or start_ns <= highest_ns)
