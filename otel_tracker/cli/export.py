"""`otel-tracker export`: the executions of a store, or its statistics, as JSON lines or CSV, on stdout or in a file.

Streams, so that the size of the store does not matter. A file appears under its name when it is whole.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from otel_tracker.cli.files import OutputError, whole_file
from otel_tracker.cli.options import example, opened_store, store_option
from otel_tracker.cli.progress import counted
from otel_tracker.cli.selection import Selection, execution_filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_tracker.cli.csv_lines import Row
    from otel_tracker.query import StoreReader
    from otel_tracker.stats import Statistics


@click.command(
    epilog=example("last week's executions for a spreadsheet", "otel-tracker export --csv --since 7d --output week.csv")
)
@execution_filters
@click.option("--limit", type=click.IntRange(min=0), help="At most this many.  [default: all]")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV with a header instead of JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines, one record a line; this is the default.")
@click.option("--statistics", is_flag=True, help="Write the statistics of each function instead of its executions.")
@click.option(
    "--output", "-o", metavar="FILE", type=click.Path(path_type=Path), help="Write to this file.  [default: stdout]"
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@store_option
def export(
    *,
    store: str | None,
    limit: int | None,
    as_csv: bool,
    as_json: bool,
    statistics: bool,
    output: Path | None,
    force: bool,
    **filters: Any,
) -> None:
    """Write executions as JSON lines or CSV, newest first.

    Takes the filters of `query`; of those, --statistics takes FUNCTION, --since, --until and --kind. In CSV, text that
    a spreadsheet would take for a formula gets a leading apostrophe.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")
    with ExitStack() as stack:
        reader = stack.enter_context(opened_store(store))
        chosen = Selection(**filters)
        records: Iterable[Row] = _statistics(reader, chosen, limit) if statistics else chosen.executions(reader, limit)
        if output is None:
            file = _standard_output()
        else:
            _refuse_store(output, reader.location)
            file = stack.enter_context(_text_file(output, force=force))
        shown = stack.enter_context(counted("Exporting", records, beside_output=output is None))
        _write(shown, file, as_csv=as_csv, statistics=statistics)
        file.flush()


def _statistics(reader: StoreReader, chosen: Selection, limit: int | None) -> list[Statistics]:
    """The statistics of each function that is meant, largest p95 first."""
    if chosen.status or chosen.min_ms is not None or chosen.trace_id or chosen.after:
        raise click.UsageError("--statistics takes no --status, --min-ms, --trace or --after.")
    return reader.function_statistics(
        function_name=chosen.function,
        start_time=chosen.since,
        end_time=chosen.until,
        kind=chosen.kind,
        limit=limit,
    )


def _write(records: Iterable[Row], file: TextIO, *, as_csv: bool, statistics: bool) -> None:
    if as_csv:
        from otel_tracker.cli.csv_lines import COLUMNS, STATISTICS_COLUMNS, write_csv

        write_csv(records, file, STATISTICS_COLUMNS if statistics else COLUMNS)
        return
    from otel_tracker.cli.output import is_utf8
    from otel_tracker.cli.text import json_line

    ascii_only = not is_utf8(file.encoding)
    for record in records:
        file.write(json_line(record.to_dict(), ascii_only=ascii_only) + "\n")


def _standard_output() -> TextIO:
    """Standard output without translation of newlines: CSV has its own."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(newline="")
    return sys.stdout


@contextmanager
def _text_file(path: Path, *, force: bool) -> Iterator[TextIO]:
    """A new text file at ``path``; an existing one is replaced only by force, and only if it is a regular file."""
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no regular file; expected the name of a file to write.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists. Choose another --output, or replace it with --force.")
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        yield file


def _refuse_store(output: Path, location: str) -> None:
    """The store that is read must survive; `--force` is no permission to replace it."""
    try:
        is_store = output.samefile(location)
    except OSError:
        return
    if is_store:
        raise OutputError(f"{output} is the store that is exported. Choose another --output.")
