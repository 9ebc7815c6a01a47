"""`otel-tracker query`: executions, newest first, a page at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from otel_tracker.cli.options import example, json_option, limit_option, opened_store, store_option
from otel_tracker.cli.selection import Selection, execution_filters
from otel_tracker.query import StoreReader, cursor_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_tracker.records import SpanRecord


@click.command(
    epilog=example(
        "what failed in the last hour, slower than half a second",
        "otel-tracker query --status failed --since 1h --min-ms 500",
    )
)
@execution_filters
@limit_option
@store_option
@json_option
def query(*, store: str | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List executions, newest first.

    FUNCTION is a name as in the code (total, Cart.total or shop.cart.Cart.total) or a glob ('shop.*'); requests
    and other spans without a function go by their span name.
    """
    with opened_store(store) as reader:
        page = _Page(Selection(**filters).executions(reader, limit + 1), limit)
        if as_json:
            _print_lines(page)
        else:
            _print_table(page, reader)


class _Page:
    """At most ``limit`` records; ``cursor`` says where the next page begins, once they are consumed."""

    def __init__(self, records: Iterator[SpanRecord], limit: int) -> None:
        self._records = records
        self._limit = limit
        self.cursor: str | None = None

    def __iter__(self) -> Iterator[SpanRecord]:
        last = None
        for last in islice(self._records, self._limit):
            yield last
        if last is not None and next(self._records, None) is not None:
            self.cursor = cursor_of(last)


def _print_lines(page: _Page) -> None:
    from otel_tracker.cli.output import note, print_json_lines

    print_json_lines(page)
    if page.cursor:
        note(f"There is more: --after {page.cursor}", stderr=True)


def _print_table(page: _Page, reader: StoreReader) -> None:
    from otel_tracker.cli.output import console_for, note
    from otel_tracker.cli.tables import executions_table

    console = console_for()
    table = executions_table(page, console)
    if not table.row_count:
        note(f"No execution in {reader.location} matches.")
        return
    console.print(table)
    if page.cursor:
        note(f"There is more: --after {page.cursor}")
