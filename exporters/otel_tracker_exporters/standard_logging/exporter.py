"""Writes events to the logger ``otel_tracker.events``: message = event name, properties as ``key=value`` and extra.

The handlers run on the delivering thread, never on that of whoever tracks an event. What they track themselves does
not come back here, and log records of this logger that are turned into OpenTelemetry's are no events.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from otel_tracker.diagnostics import report_internal_error
from otel_tracker.exporting import LOCAL_DELAY_MS
from otel_tracker.feeding import feeding
from otel_tracker.recording import event_record
from otel_tracker.records import EventRecord
from otel_tracker.setting_values import parse_level
from otel_tracker.settings import EVENTS_ROUTES

LOGGER_NAME = "otel_tracker.events"
DESTINATION = "logging"

_NS_PER_S = 1_000_000_000
_FAILED = ("ERROR", "FATAL")
# What `logging.Formatter` writes on a LogRecord.
_FORMATTED = frozenset({"message", "asctime"})


class LoggingLogExporter(LogRecordExporter):
    """Hands events to the standard library's logging at ``level``; failed ones at ERROR at least.

    ``level`` falls back to the level of the route to ``logging``, else INFO.
    """

    destination = DESTINATION
    schedule_delay_ms = LOCAL_DELAY_MS
    takes_logs = False
    level_is_own = True

    def __init__(self, level: str | None = None) -> None:
        route = EVENTS_ROUTES.read().of(DESTINATION)
        name = parse_level(level) if level else (route.level if route is not None else "")
        self._level = logging.getLevelName((name or "info").upper())
        self._logger = logging.getLogger(LOGGER_NAME)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Log the events among the log records; a handler that raises takes only its own along."""
        with feeding(DESTINATION):
            for readable in batch:
                try:
                    record = event_record(readable)
                    if record is not None:
                        self._log(record)
                except Exception as error:  # handlers and filters are anybody's
                    report_internal_error("logging an event", error)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True: nothing is held back here."""
        return True

    def _log(self, event: EventRecord) -> None:
        level = max(self._level, logging.ERROR) if event.severity.startswith(_FAILED) else self._level
        if self._logger.isEnabledFor(level):
            record = self._logger.makeRecord(LOGGER_NAME, level, "", 0, _message(event), (), None)
            _add_extra(record, event)
            seconds, nanoseconds = divmod(event.time_ns, _NS_PER_S)
            record.created = seconds + nanoseconds / _NS_PER_S
            record.msecs = nanoseconds // 1_000_000 + 0.0
            self._logger.handle(record)


def _message(event: EventRecord) -> str:
    said = {**event.properties, **{f"error.{key}": value for key, value in event.error.items() if key != "traceback"}}
    return " ".join([_one_line(event.name), *(f"{_one_line(key)}={_shown(value)}" for key, value in said.items())])


def _one_line(text: str) -> str:
    """The text, quoted where it holds what would begin a line of its own or command a terminal."""
    return text if text.isprintable() else json.dumps(text)


def _shown(value: Any) -> str:
    """One line, whatever the value holds; text without blanks as it is."""
    if isinstance(value, str) and value.isprintable() and value and not any(mark in value for mark in " \"'="):
        return value
    return json.dumps(value, default=str)


def _add_extra(record: logging.LogRecord, event: EventRecord) -> None:
    """What `extra` would do, without its error for a name that the record, which may be of a factory's, has already."""
    own = vars(record)
    taken = own.keys() | _FORMATTED | {"event_name", "category"}
    properties = {f"event_{key}" if key in taken else key: value for key, value in event.properties.items()}
    ids = {key: value for key, value in (("trace_id", event.trace_id), ("span_id", event.span_id)) if value}
    extra = {**ids, **properties, "event_name": event.name, "category": event.category}
    own.update({key: value for key, value in extra.items() if key not in own})
