"""`otel-tracker stats`: calls, errors and percentiles, one line a function."""

from __future__ import annotations

import click

from otel_tracker.cli.options import (
    example,
    json_option,
    limit_option,
    opened_store,
    since_option,
    store_option,
    until_option,
)

_ORDERS = {
    "calls": "total",
    "failed": "failed",
    "avg": "avg_ms",
    "p50": "p50_ms",
    "p95": "p95_ms",
    "p99": "p99_ms",
    "max": "max_ms",
}


@click.command(
    epilog=example("what was called most often in the last day", "otel-tracker stats --sort calls --since 1d")
)
@click.argument("function", required=False)
@since_option
@until_option
@click.option(
    "--sort", type=click.Choice(tuple(_ORDERS)), default="p95", show_default=True, help="Largest of this first."
)
@limit_option
@store_option
@json_option
def stats(
    *,
    function: str | None,
    since: str | None,
    until: str | None,
    sort: str,
    limit: int,
    store: str | None,
    as_json: bool,
) -> None:
    """Count calls, errors and percentiles, one line a function.

    FUNCTION narrows it down: a name as in the code or a glob. Percentiles are exact, by nearest rank, over
    executions that ended; errors are those that failed, in percent of them.
    """
    with opened_store(store) as reader:
        entries = reader.function_statistics(
            start_time=since, end_time=until, limit=limit, function_name=function, order_by=_ORDERS[sort]
        )
        location = reader.location
    from otel_tracker.cli.output import console_for, note, print_json_lines

    if as_json:
        print_json_lines(entries)
    elif not entries:
        note(f"No execution in {location} matches.")
    else:
        from otel_tracker.cli.tables import statistics_table

        console_for().print(statistics_table(entries))
