"""A span's line made of its texts: ids and times formatted, everything else put together as it is.

What comes out is the line that `lines.encode_line` makes of the span's record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from otel_tracker.records import COMPLETED, Labels, Texts
from otel_tracker.timestamps import NINE_DIGITS, NS_PER_S, format_time, milliseconds_text
from otel_tracker_exporters.jsonl.lines import SPAN_HEAD

_MAX_REMEMBERED = 4_096
_HEAD = SPAN_HEAD.decode()

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode


class SpanLines:
    """Makes lines of `Texts`; remembers what all spans of a function, and all of a resource, have in common."""

    def __init__(self) -> None:
        self._above = (-1, -1)
        self._ids = ("", "")
        self._second_ns = 0
        self._second_text = format_time(0)[:20]
        self._labels: dict[Labels, str] = {}
        self._last_labels: Labels | None = None
        self._name = ""
        self._last: tuple[Mapping[str, Any] | None, str, str] = (None, "", "")
        self._tail = ""

    def encode(self, texts: Texts) -> bytes:
        """The line with its newline."""
        trace_id, span_id, parent, labels, start_ns, end_ns, args, result, attributes, events, code, scope, resource = (
            texts
        )
        if (trace_id, parent) != self._above:  # spans of a trace, and of a caller, come one after another
            above = f'"parent_span_id":"{parent:016x}",' if parent else ""
            self._above, self._ids = (trace_id, parent), (f'{_HEAD}"trace_id":"{trace_id:032x}","span_id":"', above)
        head, above = self._ids
        if labels is not self._last_labels:
            self._last_labels, self._name = labels, self._labels.get(labels) or self._new_labels(labels)
        if not (resource is self._last[0] and code is self._last[1] and scope is self._last[2]):
            self._last, self._tail = (resource, code, scope), _tail_of(code, scope, resource)
        inside = f'"args":{{{args}}},' if args else ""
        if result is not None:
            inside += f'"result":{result},'
        attributes = attributes or labels.attributes
        if attributes:
            inside += f'"attributes":{{{attributes}}},'
        if events:
            inside += f'"events":[{events}],'
        try:
            own_id = span_id.to_bytes(8, "big").hex()  # in half the time that a format with a width takes
        except OverflowError:
            own_id = f"{span_id:016x}"
        start, end = self._time(start_ns), self._time(end_ns)
        return (
            f'{head}{own_id}",{above}{self._name}"start":"{start}","end":"{end}",'
            f'"duration_ms":{milliseconds_text(end_ns - start_ns)},{inside}{self._tail}'
        ).encode("utf-8", "backslashreplace")  # which writes a lone surrogate as JSON does

    def _time(self, time_ns: int) -> str:
        """As `format_time`, which is asked once a second."""
        nanoseconds = time_ns - self._second_ns
        if not 0 <= nanoseconds < NS_PER_S:
            nanoseconds = time_ns % NS_PER_S
            self._second_ns = time_ns - nanoseconds
            self._second_text = format_time(self._second_ns)[:20]
        return f"{self._second_text}{nanoseconds if nanoseconds >= NINE_DIGITS else f'{nanoseconds:09d}'}Z"

    def _new_labels(self, labels: Labels) -> str:
        if len(self._labels) >= _MAX_REMEMBERED:
            self._labels.clear()
        members = {"name": labels.name, "kind": labels.kind, "function": labels.function, "module": labels.module}
        shown = [
            f'"{key}":{encode_basestring(text)},' for key, text in members.items() if text or key in ("name", "kind")
        ]
        text = self._labels[labels] = "".join([*shown, f'"status":"{COMPLETED}",'])
        return text


def _tail_of(code: str, scope: str, resource: Mapping[str, Any]) -> str:
    members: dict[str, Any] = {"status_code": code}
    members.update({"scope": scope} if scope else {})
    members.update({"resource": resource} if resource else {})
    return f"{_encode(members)[1:]}\n"
