"""`otel-tracker convert`: what one store holds, into another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from otel_tracker.cli.options import example
from otel_tracker.errors import OtelTrackerError

if TYPE_CHECKING:
    from otel_tracker.convert import Conversion, Converted, Progress


@click.command(
    epilog=example("a store for programs that read OTLP", "otel-tracker convert shop.db shop.jsonl --format otlp")
)
@click.argument("source", metavar="A")
@click.argument("target", metavar="B")
@click.option(
    "--format",
    "target_format",
    metavar="FORMAT",
    help="record or otlp, for a JSONL target.  [default: what the target holds, else record]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the sentence.")
def convert(*, source: str, target: str, target_format: str | None, as_json: bool) -> None:
    """Copy what one store holds into another.

    A is any store that can be read, also a file of OTLP JSON; B is a file ending in .db or .jsonl, or the http url
    of an OTLP endpoint. What B holds already is passed over, so that converting twice adds nothing. A conversion that
    was interrupted goes on when it is started again.
    """
    from otel_tracker.cli.output import note
    from otel_tracker.convert import Conversion

    conversion = Conversion(source, target, target_format)
    try:
        converted = _run(conversion)
    except (OtelTrackerError, KeyboardInterrupt):
        if conversion.can_go_on:
            note("What was converted so far is kept; the same command goes on from there.", stderr=True)
        raise
    _print(converted, as_json=as_json)
    if converted.counts.unwritable:
        sys.exit(1)


def _run(conversion: Conversion) -> Converted:
    from otel_tracker.cli.progress import progress_bar

    with progress_bar() as show:
        if show is None:
            return conversion.run()

        def on_progress(progress: Progress) -> None:
            show(progress.doing, progress.records, progress.done, progress.total)

        return conversion.run(on_progress)


def _print(converted: Converted, *, as_json: bool) -> None:
    from otel_tracker.cli.output import print_json_lines
    from otel_tracker.cli.text import visible

    if as_json:
        print_json_lines([converted])
    else:
        click.echo(visible(str(converted)))
