"""`otel-tracker events`: what `track()` recorded, or with `--logs` what was logged, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from otel_tracker.cli.options import (
    example,
    full_trace_id,
    json_option,
    limit_option,
    opened_store,
    since_option,
    store_option,
    trace_option,
    until_option,
)
from otel_tracker.records import EventRecord, LogRecord
from otel_tracker.severities import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console
    from rich.table import Table

_Timed = TypeVar("_Timed", EventRecord, LogRecord)


@click.command(
    epilog=example("every order event of the last quarter of an hour", "otel-tracker events 'order.*' --since 15m")
)
@click.argument("name", required=False)
@click.option("--logs", is_flag=True, help="List log records that are no events instead.")
@click.option(
    "--min-severity", type=click.Choice(LEVELS, case_sensitive=False), help="Only log records at least so severe."
)
@since_option
@until_option
@trace_option
@limit_option
@store_option
@json_option
def events(
    *,
    name: str | None,
    logs: bool,
    min_severity: str | None,
    since: str | None,
    until: str | None,
    trace_id: str | None,
    limit: int,
    store: str | None,
    as_json: bool,
) -> None:
    """List events, newest first.

    NAME is an event's name or a glob. With --logs it is a logger's; log records are stored with
    OTEL_TRACKER_LOGS_STORE=true.
    """
    if min_severity and not logs:
        raise click.UsageError("--min-severity is for --logs; give both.")
    with opened_store(store) as reader:
        trace = full_trace_id(reader, trace_id)
        if logs:
            _print_logs(
                reader.logs(
                    name, min_severity=min_severity, start_time=since, end_time=until, trace_id=trace, limit=limit
                ),
                reader.location,
                as_json=as_json,
            )
        else:
            found = reader.events(name, start_time=since, end_time=until, trace_id=trace, limit=limit)
            _print_events(found, reader.location, as_json=as_json)


def _print_events(found: Iterator[EventRecord], location: str, *, as_json: bool) -> None:
    from otel_tracker.cli.tables import events_table

    _print(found, events_table, f"No event in {location} matches.", as_json=as_json)


def _print_logs(found: Iterator[LogRecord], location: str, *, as_json: bool) -> None:
    from otel_tracker.cli.tables import logs_table

    _print(found, logs_table, f"No log record in {location} matches.", as_json=as_json)


def _print(
    found: Iterator[_Timed],
    table_of: Callable[[Iterable[_Timed], Console], Table],
    nothing: str,
    *,
    as_json: bool,
) -> None:
    from otel_tracker.cli.output import console_for, note, print_json_lines

    if as_json:
        print_json_lines(found)
        return
    console = console_for()
    table = table_of(found, console)
    if table.row_count:
        console.print(table)
    else:
        note(nothing)
