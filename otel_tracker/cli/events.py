"""`otel-tracker events`: what `track()` recorded, newest first."""

from __future__ import annotations

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


@click.command(
    epilog=example("every order event of the last quarter of an hour", "otel-tracker events 'order.*' --since 15m")
)
@click.argument("name", required=False)
@since_option
@until_option
@trace_option
@limit_option
@store_option
@json_option
def events(
    *,
    name: str | None,
    since: str | None,
    until: str | None,
    trace_id: str | None,
    limit: int,
    store: str | None,
    as_json: bool,
) -> None:
    """List events, newest first.

    NAME is an event's name or a glob.
    """
    from otel_tracker.cli.output import console_for, note, print_json_lines
    from otel_tracker.cli.tables import events_table

    with opened_store(store) as reader:
        trace = full_trace_id(reader, trace_id)
        found = reader.events(name, start_time=since, end_time=until, trace_id=trace, limit=limit)
        if as_json:
            print_json_lines(found)
            return
        console = console_for()
        table = events_table(found, console)
        if table.row_count:
            console.print(table)
        else:
            note(f"No event in {reader.location} matches.")
