"""`otel-tracker tail`: spans, events, logs and metric points as they are stored, until it is told to stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from threading import Event
from typing import TYPE_CHECKING

import click

from otel_tracker.cli.ending import told_to_end
from otel_tracker.cli.options import example, json_option, place_of_store, store_option
from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.query import matches_function
from otel_tracker.records import INT64_MAX, STATUSES, EventRecord, LogRecord, MetricRecord, Record, SpanRecord

if TYPE_CHECKING:
    from otel_tracker.query import StoreReader

_POLL_S = 0.2
_KINDS: dict[type[Record], str] = {
    SpanRecord: "spans",
    EventRecord: "events",
    LogRecord: "logs",
    MetricRecord: "metrics",
}


@click.command(epilog=example("failures of the shop, as they happen", "otel-tracker tail 'shop.*' --status failed"))
@click.argument("function", required=False)
@click.option("--status", type=click.Choice(STATUSES), help="Only executions of this status, and nothing else.")
@click.option("--only", type=click.Choice(tuple(_KINDS.values())), help="Only these.  [default: all]")
@click.option(
    "--last",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Begin with so many that are stored already; of these, only what matches is shown.",
)
@click.option(
    "--for", "for_s", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so long.  [default: at Ctrl-C]"
)
@store_option
@json_option
def tail(
    *,
    function: str | None,
    status: str | None,
    only: str | None,
    last: int,
    for_s: float | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Show spans, events, logs and metric points as they are stored.

    One a line, until Ctrl-C. FUNCTION is a name or a glob as in `query`, and may also be that of an event, a logger
    or a metric. Follows all processes that write, across rotation, deletion and replacement of the store, and waits
    for a store that is not there yet.
    """
    wanted = _matching(function, status, only)
    try:
        show = _show_json if as_json else _line_printer()
        follower = _Follower(store, for_s)
        with told_to_end(follower.stop):
            for record in follower.records(last):
                if wanted(record):
                    show(record)
    except KeyboardInterrupt:
        pass  # too early or too late for the above, and no failure either


class _Follower:
    """Follows a store that may come late, and go, and come again; `stop` may be called by another thread."""

    def __init__(self, store: str | None, for_s: float | None) -> None:
        self._store = store
        self._deadline_s = None if for_s is None else time.monotonic() + for_s
        self._stopped = Event()
        self._reader: StoreReader | None = None

    def records(self, last: int) -> Iterator[Record]:
        """The ``last`` ones that are stored, and those that come."""
        has_waited = False
        while True:
            try:
                yield from self._tail(INT64_MAX if has_waited else last)  # what comes to an absent store is all new
                return
            except StoreNotFoundError:
                if not has_waited:
                    _say_waiting(self._store)
                has_waited = True
            except StoreUnreadableError:
                if not self._stopped.is_set():
                    raise
            if self._stopped.wait(_POLL_S) or self._left_s() == 0:
                return

    def stop(self) -> None:
        """End `records`."""
        self._stopped.set()
        if self._reader is not None:
            self._reader.close()

    def _tail(self, last: int) -> Iterator[Record]:
        with closing(place_of_store(self._store).open_reader()) as self._reader:
            if not self._stopped.is_set():
                yield from self._reader.tail(last=last, timeout_s=self._left_s())

    def _left_s(self) -> float | None:
        return None if self._deadline_s is None else max(self._deadline_s - time.monotonic(), 0.0)


def _say_waiting(store: str | None) -> None:
    from otel_tracker.cli.output import note

    location = store if store is not None else place_of_store(None).location
    note(f"There is no store at {location} yet; waiting for it.", stderr=True)


def _matching(function: str | None, status: str | None, only: str | None) -> Callable[[Record], bool]:
    """What tells whether a record is to be shown."""

    def matches(record: Record) -> bool:
        if only not in (None, _KINDS[type(record)]):
            return False
        if isinstance(record, SpanRecord):
            return status in (None, record.status) and (function is None or matches_function(function, record))
        name = record.logger if isinstance(record, LogRecord) else record.name
        return status is None and (function is None or name == function or fnmatchcase(name, function))

    return matches


def _line_printer() -> Callable[[Record], None]:
    """Prints a record as a line that whoever reads sees at once."""
    from otel_tracker.cli.output import console_for
    from otel_tracker.cli.tables import record_line

    console = console_for()

    def show(record: Record) -> None:
        console.print(record_line(record, console), soft_wrap=True)
        sys.stdout.flush()

    return show


def _show_json(record: Record) -> None:
    from otel_tracker.cli.output import print_json_lines

    print_json_lines([record])
    sys.stdout.flush()
