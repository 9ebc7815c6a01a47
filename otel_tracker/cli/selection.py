"""Which executions a command is about: the argument and options that `query` and `export` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click

from otel_tracker.cli.options import full_trace_id, since_option, trace_option, until_option
from otel_tracker.records import STATUSES, SpanRecord

if TYPE_CHECKING:
    from otel_tracker.query import StoreReader

F = TypeVar("F", bound=Callable[..., Any])

KINDS = ("internal", "server", "client", "producer", "consumer")

_OPTIONS = (
    click.argument("function", required=False),
    click.option("--status", type=click.Choice(STATUSES), help="Only executions of this status."),
    since_option,
    until_option,
    click.option("--kind", type=click.Choice(KINDS, case_sensitive=False), help="Only spans of this kind."),
    click.option("--min-ms", type=click.FloatRange(min=0), metavar="MS", help="Only what took at least this long."),
    trace_option,
    click.option("--after", metavar="CURSOR", help="Go on after the page that ended with this cursor."),
)


def execution_filters(command: F) -> F:
    """Give a command the argument and options whose values `Selection` takes as keywords."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


@dataclass(frozen=True)
class Selection:
    """The values of `execution_filters`, as the user wrote them."""

    function: str | None = None
    status: str | None = None
    since: str | None = None
    until: str | None = None
    kind: str | None = None
    min_ms: float | None = None
    trace_id: str | None = None
    after: str | None = None

    def executions(self, reader: StoreReader, limit: int | None) -> Iterator[SpanRecord]:
        """The executions that are meant, newest first; raises `QueryError` for a value that makes no sense."""
        return reader.query_executions(
            self.function,
            status=self.status,
            start_time=self.since,
            end_time=self.until,
            limit=limit,
            trace_id=full_trace_id(reader, self.trace_id),
            kind=self.kind,
            min_duration_ms=self.min_ms,
            after=self.after,
        )
