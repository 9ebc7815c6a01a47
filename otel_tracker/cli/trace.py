"""`otel-tracker trace`: one trace as a tree."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import click

from otel_tracker.cli.options import TraceNotFoundError, example, json_option, opened_store, spans_of, store_option
from otel_tracker.records import FAILED, SpanRecord

if TYPE_CHECKING:
    from otel_tracker.query import StoreReader

LATEST = "latest"
FAILED_TRACE = "failed"


@click.command(epilog=example("what went wrong just now", "otel-tracker trace failed"))
@click.argument("trace_id", metavar="ID")
@store_option
@json_option
def trace(*, trace_id: str, store: str | None, as_json: bool) -> None:
    """Show one trace as a tree.

    It has durations, arguments, results, errors with the end of their traceback, events and logs. ID is a trace id
    or the beginning of one, as long as it is unique; `latest` is the newest trace and `failed` the newest in which
    something failed.
    """
    from otel_tracker.cli.output import console_for, print_json_lines

    with opened_store(store) as reader:
        spans = _wanted_trace(reader, trace_id)
        if as_json:
            print_json_lines(spans)
            return
        from otel_tracker.cli.tree import trace_tree

        trace_id = spans[0].trace_id
        events, logs = reader.events(trace_id=trace_id, limit=None), reader.logs(trace_id=trace_id, limit=None)
        console_for().print(trace_tree(spans, chain(events, logs)))


def _wanted_trace(reader: StoreReader, trace_id: str) -> list[SpanRecord]:
    """The spans of the named trace, oldest first; raises `TraceNotFoundError` when there is none."""
    if trace_id not in (LATEST, FAILED_TRACE):
        return spans_of(reader, trace_id)
    status = FAILED if trace_id == FAILED_TRACE else None
    newest = next(reader.query_executions(status=status, limit=1), None)
    if newest is None:
        what = "failed" if status else "was stored"
        raise TraceNotFoundError(f"Nothing {what} in {reader.location}, so there is no such trace.")
    return spans_of(reader, newest.trace_id)
