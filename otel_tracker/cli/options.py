"""The options that several commands share, and how `--store` becomes an open reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otel_tracker.errors import OtelTrackerError, UnknownStoreError
from otel_tracker.query import DEFAULT_LIMIT, StoreReader
from otel_tracker.settings import EXPORTERS
from otel_tracker.stores import Place, default_place, find_place, readable_names
from otel_tracker.timestamps import time_bound

if TYPE_CHECKING:
    from otel_tracker.records import SpanRecord

_TRACE_ID_DIGITS = 32


class TraceNotFoundError(OtelTrackerError):
    """The store holds no trace of the id that was named."""


store_option = click.option(
    "--store",
    metavar="URL",
    help="A path (x.db, x.jsonl) or url (sqlite:///x.db).  [default: the store that OTEL_TRACES_EXPORTER names]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines, one record a line.")


def _checked_time(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Say what is wrong with a time under the name that was typed."""
    time_bound(value, parameter.opts[0])
    return value


since_option = click.option(
    "--since",
    metavar="TIME",
    callback=_checked_time,
    help="Only what began at or after this time: an age (90s, 15m, 1h, 7d) or ISO 8601 (UTC unless it has an offset).",
)
until_option = click.option("--until", metavar="TIME", callback=_checked_time, help="Only what began before this time.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=0), default=DEFAULT_LIMIT, show_default=True, help="At most this many."
)
trace_option = click.option("--trace", "trace_id", metavar="ID", help="Only this trace (its id, or a unique prefix).")


def example(purpose: str, command: str) -> str:
    """The end of a command's help: one example that can be copied."""
    return f"\b\nExample: {purpose}\n    {command}"


def opened_store(store: str | None) -> StoreReader:
    """A reader of the store that ``--store`` or else the environment names."""
    return place_of_store(store).open_reader()


def place_of_store(store: str | None) -> Place:
    """The store that ``--store`` or else the environment names; nothing need be there yet."""
    place = default_place() if store is None else find_place(store)
    if place is None:
        raise UnknownStoreError(
            f"{EXPORTERS.variable} is {','.join(EXPORTERS.read())!r}, and none of these can be read back; "
            f"expected one of {', '.join(readable_names())}. Name a store with --store."
        )
    return place


def full_trace_id(reader: StoreReader, trace_id: str | None) -> str | None:
    """The whole id of the one trace that begins with these digits; raises `TraceNotFoundError` when none does."""
    if trace_id is None or len(trace_id) == _TRACE_ID_DIGITS:
        return trace_id
    return spans_of(reader, trace_id)[0].trace_id


def spans_of(reader: StoreReader, trace_id: str) -> list[SpanRecord]:
    """All spans of the trace with this id or unique prefix, oldest first; raises `TraceNotFoundError`."""
    spans = reader.get_trace(trace_id)
    if not spans:
        raise TraceNotFoundError(
            f"No trace in {reader.location} has an id that begins with {trace_id!r}. "
            "`otel-tracker query` lists the executions and their traces."
        )
    return spans
