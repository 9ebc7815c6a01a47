"""`otel-tracker metrics`: what counters, gauges and histograms came to, one line a metric and label set."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from otel_tracker.metric_records import METRIC_KINDS
from otel_tracker.timestamps import time_bound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_tracker.metric_records import MetricRecord


@click.command(epilog=example("what the shop counted in the last hour", "otel-tracker metrics 'shop.*' --since 1h"))
@click.argument("name", required=False)
@click.option("--kind", type=click.Choice(METRIC_KINDS), help="Only metrics of this kind.")
@since_option
@until_option
@limit_option
@store_option
@json_option
def metrics(
    *,
    name: str | None,
    kind: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    store: str | None,
    as_json: bool,
) -> None:
    """Add metrics up, one line a metric and label set.

    NAME is a metric's name or a glob. The value of a counter is its total in the time that is asked for, that of a
    gauge or an up-down counter where it stood last, that of a histogram how much was measured; its percentiles are
    estimated from its buckets. The trend shows equal parts of that time. With --json the points themselves are
    printed, newest first.
    """
    with opened_store(store) as reader:
        if as_json:
            from otel_tracker.cli.output import print_json_lines

            print_json_lines(reader.metrics(name, kind=kind, since=since, until=until, limit=limit))
            return
        points = reader.metrics(name, kind=kind, since=since, until=until, limit=None)
        _print(points, time_bound(since, "since"), reader.location, limit)


def _print(points: Iterator[MetricRecord], since_ns: int | None, location: str, limit: int) -> None:
    from otel_tracker.cli.metric_table import series_table, slots_for
    from otel_tracker.cli.output import console_for, note
    from otel_tracker.metric_series import metric_series

    console = console_for()
    found = metric_series(points, since_ns=since_ns, slots=slots_for(console))
    if not found:
        note(f"No metric in {location} matches.")
        return
    shown = found[:limit]
    if shown:
        console.print(series_table(shown))
    if any(series.count for series in shown):
        note("p50 and p95 are estimated from buckets.")
    if len(found) > limit:
        note(f"{len(found) - limit:,} more; raise --limit to see them.")
