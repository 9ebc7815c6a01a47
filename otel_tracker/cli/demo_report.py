"""What the demo shows at its end: requests, slow functions, one failure, events, and what to try next."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from otel_tracker import attributes as keys
from otel_tracker.cli.tables import milliseconds, new_table, number_column, statistics_table
from otel_tracker.cli.text import visible
from otel_tracker.cli.tree import trace_tree
from otel_tracker.records import FAILED, SpanRecord
from otel_tracker.stats import nearest_rank

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from otel_tracker.query import StoreReader

SERVER, INTERNAL = "server", "internal"
_SLOWEST = 8


def print_report(console: Console, reader: StoreReader, store: Path) -> None:
    """Print the whole report about what the demo stored."""
    _print_part(console, "Requests", requests_table(reader.query_executions(kind=SERVER, limit=None)))
    slowest = reader.function_statistics(kind=INTERNAL, limit=_SLOWEST)
    _print_part(console, "Slowest functions", statistics_table(slowest))
    failed = next(reader.query_executions(kind=SERVER, status=FAILED, limit=1), None)
    if failed is not None:
        tree = trace_tree(reader.get_trace(failed.trace_id), reader.events(trace_id=failed.trace_id, limit=None))
        _print_part(console, "A request that failed", tree)
    _print_part(console, "Events", _events_table(reader))
    _print_part(console, "Try next", _next_steps(store))


def requests_table(requests: Iterable[SpanRecord]) -> Table:
    """How often each route was answered with each status, and how long that took."""
    durations_ms: dict[tuple[str, str], list[float]] = {}
    for request in requests:
        status = str(request.attributes.get(keys.HTTP_RESPONSE_STATUS_CODE, "-"))
        durations_ms.setdefault((request.name, status), []).append(request.duration_ms or 0.0)
    table = new_table()
    table.add_column("request", overflow="fold")
    for heading in ("status", "count", "p50 ms", "max ms"):
        number_column(table, heading)
    for (name, status), unordered in sorted(durations_ms.items()):
        ordered = sorted(unordered)
        median = ordered[nearest_rank(50, len(ordered))]
        shown = Text(status, style="bold red" if status.startswith("5") else "")
        table.add_row(
            Text(visible(name)), shown, Text(str(len(ordered))), milliseconds(median), milliseconds(ordered[-1])
        )
    return table


def _events_table(reader: StoreReader) -> Table:
    counted = Counter(event.name for event in reader.events(limit=None))
    table = new_table()
    table.add_column("event", overflow="fold")
    number_column(table, "count")
    for name, count in counted.most_common():
        table.add_row(Text(visible(name)), Text(str(count)))
    return table


def _next_steps(store: Path) -> Text:
    """Commands that work as they stand, in a POSIX shell."""
    quoted = shlex.quote(str(store))
    commands = (
        f"otel-tracker stats --store {quoted} 'flask_shop.*'",
        f"otel-tracker query --store {quoted} --status failed",
        f"otel-tracker trace --store {quoted} failed",
        f"otel-tracker events --store {quoted} 'order.*'",
        f"otel-tracker export --store {quoted} --csv --output executions.csv",
    )
    return Text("\n".join(commands))


def _print_part(console: Console, heading: str, content: Table | Text | object) -> None:
    console.print()
    console.print(Text(heading, style="bold underline"))
    console.print(content, soft_wrap=isinstance(content, Text))
