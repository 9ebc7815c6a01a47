"""What a tracker of its own wants of its documents: less in them, or a traceback in each that failed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from otel_tracker.attributes import EXCEPTION_EVENT
from otel_tracker.records import SpanRecord

_MAX_REMEMBERED = 1_000
_TRACEBACK = "traceback"


def reduced(record: SpanRecord, *, has_error: bool, has_duration: bool) -> SpanRecord:
    """The record without what is not to be stored; its status stays."""
    if not has_error and record.error:
        events = tuple(event for event in record.events if event.get("name") != EXCEPTION_EVENT)
        record = replace(record, error={}, events=events, status_message="")
    return record if has_duration else replace(record, end_ns=None)


class Tracebacks:
    """Gives failed spans the traceback that stands on the deepest span of their exception; used by one thread.

    The deepest ends first, so that it comes first, too.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def filled(self, record: SpanRecord) -> SpanRecord:
        """The record with its traceback, where that is known by now."""
        error = record.error
        key = record.trace_id, error.get("type", ""), error.get("message", "")
        if error.get(_TRACEBACK):
            self._known[key] = error[_TRACEBACK]
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
            return record
        known = self._known.get(key)
        return record if known is None else replace(record, error={**error, _TRACEBACK: known})
