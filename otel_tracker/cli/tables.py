"""The tables that people read: executions, statistics, events and logs.

Names wrap, numbers and ids never do. Trace ids are whole where there is room and otherwise cut to a prefix
that `otel-tracker trace` accepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from otel_tracker.cli.text import compact, shortened, visible
from otel_tracker.records import COMPLETED, FAILED, EventRecord, LogRecord, MetricRecord, Record, SpanRecord
from otel_tracker.severities import severity_number
from otel_tracker.timestamps import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from otel_tracker.stats import Statistics

WIDTH_FOR_WHOLE_IDS = 110
_PREFIX_DIGITS = 12
_MAX_PROPERTIES_LENGTH = 300
_STATUS_WIDTH, _MS_WIDTH = 9, 9
_WARNING, _ERROR = severity_number("WARNING"), severity_number("ERROR")
_STATUS_STYLES = {FAILED: "bold red", COMPLETED: "green"}


def executions_table(records: Iterable[SpanRecord], console: Console) -> Table:
    """When, how, how long, what and in which trace: one row an execution."""
    table = new_table()
    table.add_column("start (UTC)", no_wrap=True)
    table.add_column("status", no_wrap=True)
    number_column(table, "ms")
    table.add_column("function", overflow="fold", ratio=1)
    table.add_column("trace", no_wrap=True)
    for record in records:
        table.add_row(
            moment(record.start_ns),
            status_text(record.status),
            milliseconds(record.duration_ms),
            Text(visible(record.qualified_name)),
            Text(trace_prefix(record.trace_id, console)),
        )
    return table


def statistics_table(entries: Iterable[Statistics]) -> Table:
    """Calls, error rate and percentiles: one row a function."""
    table = new_table()
    table.add_column("function", overflow="fold", ratio=1)
    for heading in ("calls", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms"):
        number_column(table, heading)
    for entry in entries:
        table.add_row(
            Text(visible(entry.function_name)),
            Text(f"{entry.total + entry.running}"),
            error_rate(entry),
            *(milliseconds(value) for value in (entry.p50_ms, entry.p95_ms, entry.p99_ms, entry.max_ms)),
        )
    return table


def events_table(records: Iterable[EventRecord], console: Console) -> Table:
    """When, what, with which properties and in which trace: one row an event."""
    table = new_table()
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("event", overflow="fold")
    table.add_column("properties", overflow="fold", ratio=1)
    table.add_column("trace", no_wrap=True)
    for record in records:
        table.add_row(
            moment(record.time_ns),
            Text(visible(record.name)),
            Text(shortened(event_details(record), _MAX_PROPERTIES_LENGTH)),
            Text(trace_prefix(record.trace_id, console)),
        )
    return table


def logs_table(records: Iterable[LogRecord], console: Console) -> Table:
    """When, how severe, by which logger, what and in which trace: one row a log record."""
    table = new_table()
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("logger", overflow="fold")
    table.add_column("message", overflow="fold", ratio=1)
    table.add_column("trace", no_wrap=True)
    for record in records:
        table.add_row(
            moment(record.time_ns),
            severity_text(record),
            Text(visible(record.logger)),
            Text(shortened(log_message(record), _MAX_PROPERTIES_LENGTH)),
            Text(trace_prefix(record.trace_id, console)),
        )
    return table


def record_line(record: Record, console: Console) -> Text:
    """Any record as a line of its own, for what comes one by one."""
    if isinstance(record, SpanRecord):
        return execution_line(record, console)
    if isinstance(record, MetricRecord):
        return metric_line(record)
    return event_line(record, console) if isinstance(record, EventRecord) else log_line(record, console)


def execution_line(record: SpanRecord, console: Console) -> Text:
    """An execution as a line of its own, for what comes one by one: the columns of `executions_table`."""
    status = status_text(record.status)
    status.pad_right(max(_STATUS_WIDTH - len(status), 0))
    duration = milliseconds(record.duration_ms).plain.rjust(_MS_WIDTH)
    name = visible(record.qualified_name)
    return _line(moment(record.start_ns), status, duration, name, trace_prefix(record.trace_id, console))


def event_line(record: EventRecord, console: Console) -> Text:
    """An event as a line of its own; its name stands below those of functions."""
    kind = Text("event".ljust(_STATUS_WIDTH), style="cyan")
    details = shortened(event_details(record), _MAX_PROPERTIES_LENGTH)
    trace = trace_prefix(record.trace_id, console)
    return _line(moment(record.time_ns), kind, " " * _MS_WIDTH, visible(record.name), details, trace)


def log_line(record: LogRecord, console: Console) -> Text:
    """A log record as a line of its own; its logger stands below the names of functions."""
    severity = severity_text(record)
    severity.pad_right(max(_STATUS_WIDTH - len(severity), 0))
    message = shortened(log_message(record), _MAX_PROPERTIES_LENGTH)
    trace = trace_prefix(record.trace_id, console)
    return _line(moment(record.time_ns), severity, " " * _MS_WIDTH, visible(record.logger), message, trace)


def metric_line(record: MetricRecord) -> Text:
    """A metric point as a line of its own; its name stands below those of functions."""
    kind = Text("metric".ljust(_STATUS_WIDTH), style="magenta")
    labels = shortened(compact(dict(record.attributes)), _MAX_PROPERTIES_LENGTH) if record.attributes else ""
    return _line(moment(record.time_ns), kind, " " * _MS_WIDTH, visible(record.name), measured(record), labels)


def measured(record: MetricRecord) -> str:
    """What a point came to: its value, or its count and its average."""
    unit = "" if record.unit == "1" else visible(record.unit)
    if record.count is None:
        return f"{number(record.value)} {unit}".rstrip()
    average = f", avg {number(record.sum / record.count)}" if record.count and record.sum is not None else ""
    return f"count {record.count:,}{average} {unit}".rstrip()


def number(value: float | None) -> str:
    """A number in at most four digits, a whole one with all of its own; ``-`` where there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) < 1e15 and value == int(value) else f"{value:,.4g}"


def _line(*parts: Text | str) -> Text:
    return Text("  ").join(part if isinstance(part, Text) else Text(part) for part in parts if len(part))


def new_table(title: str | None = None) -> Table:
    """A table without borders: two spaces between columns, so that text tools can read it too."""
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def number_column(table: Table, heading: str) -> None:
    """Add a column of numbers: to the right, never wrapped."""
    table.add_column(heading, justify="right", no_wrap=True)


def moment(time_unix_ns: int) -> Text:
    """Date and time of day with milliseconds."""
    return Text(format_time(time_unix_ns)[:23].replace("T", " "))


def milliseconds(value: float | None) -> Text:
    """A duration; ``-`` where there is none."""
    return Text("-" if value is None else f"{value:,.1f}")


def status_text(status: str) -> Text:
    """The status in its colour."""
    return Text(visible(status), style=_STATUS_STYLES.get(status, "yellow"))


def severity_text(record: LogRecord) -> Text:
    """How severe a log record is, in its colour."""
    number = severity_number(record.severity)
    style = "bold red" if number >= _ERROR else "yellow" if number >= _WARNING else "cyan"
    return Text(visible(record.severity or "log"), style=style)


def error_rate(entry: Statistics) -> Text:
    """How many of the ended executions failed, in percent."""
    if not entry.total:
        return Text("-")
    return Text(f"{100 * entry.failed / entry.total:.1f} %", style="bold red" if entry.failed else "")


def event_details(record: EventRecord) -> str:
    """An event's properties, or its body or error where it has none."""
    parts = [
        compact(part)
        for part in (
            dict(record.properties),
            record.body,
            {key: text for key, text in record.error.items() if key != "traceback"},
        )
        if part not in (None, {}, "")
    ]
    return " ".join(parts)


def log_message(record: LogRecord) -> str:
    """A log record's message as it was written, and the error where it has one."""
    body = "" if record.body is None else record.body
    message = visible(body) if isinstance(body, str) else compact(body)
    error = ": ".join(visible(record.error[key]) for key in ("type", "message") if record.error.get(key))
    return "  ".join(filter(None, (message, error)))


def trace_prefix(trace_id: str, console: Console) -> str:
    """The trace id, whole where the console is wide enough."""
    shown = visible(trace_id)
    return shown if console.width >= WIDTH_FOR_WHOLE_IDS else shown[:_PREFIX_DIGITS]
