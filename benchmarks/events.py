"""What an event costs whoever tracks it, in B: the cost of a bare span of the SDK (see ``decorators.py``).

Run ``python benchmarks/events.py``. An event is ``track("order.placed", order_id=42, total=9.99, currency="EUR")`` in
a recorded span. It is discarded by the first processor, or delivered: through the router and our processor, to one
destination or to two with routes between them, whose exporters discard it on their own thread, which is not timed. Exit
status 1: a bar was missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from _children import results_of
from _results import Result, is_wanted, option_parser, print_for_parent, report

ROUNDS = 40
SAMPLE_MS = 4.0
BAR = 0.5
PARTS = ("discarded", "delivered", "routed to two")


def main() -> int:
    options = option_parser(__doc__, rounds=ROUNDS, sample_ms=SAMPLE_MS).parse_args()
    if options.process:
        return _measure(options)
    results: list[Result] = []
    notes: list[str] = []
    for name in PARTS:
        measured, said = results_of(__file__, name, options, settings={})
        results += measured
        notes += said
    return report(results, options, notes)


def _measure(options: argparse.Namespace) -> int:
    """In a child process."""
    from _rounds import results

    _set_up(options.process)
    rows = [row for row in _rows(options.process) if is_wanted(row.name, row.workload, options.only)]
    return print_for_parent(results(rows, options.rounds, options.sample_ms) if rows else [])


def _set_up(part: str) -> None:
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

    from otel_tracker.event_routes import parse_routes
    from otel_tracker.processors import DurableLogRecordProcessor
    from otel_tracker.routing import Branch, EventRouter

    class Discard(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            """Nothing is done with it."""

        def shutdown(self) -> None:
            """Nothing is held."""

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return True

    class NullExporter(LogRecordExporter):
        def __init__(self, destination: str) -> None:
            self.destination = destination

        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None:
            """Nothing is held."""

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return True

    def branch(name: str) -> Branch:
        route = parse_routes("b=order.*,user.*").of(name)
        processor = DurableLogRecordProcessor(NullExporter(name), max_queue_size=1 << 20)
        return Branch(name, processor, route, takes_every_event=route is None)

    provider = LoggerProvider()
    names = {"discarded": (), "delivered": ("a",), "routed to two": ("a", "b")}[part]
    provider.add_log_record_processor(EventRouter([branch(name) for name in names]) if names else Discard())
    set_logger_provider(provider)


def _rows(part: str) -> Iterator[Any]:
    from _decorator_rows import Bench
    from _workloads import ADD

    from otel_tracker import clear_context, set_context, track, track_duration

    bench = Bench()

    def tracking(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(a: int, b: int) -> Any:
            track("order.placed", order_id=42, total=9.99, currency="EUR")
            return function(a, b)

        return wrapper

    def naming(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(a: int, b: int) -> Any:
            track("order.placed")
            return function(a, b)

        return wrapper

    @contextmanager
    def in_request() -> Iterator[None]:
        with bench.inside():
            set_context(user_id="u1", session_id="s1", request_id="r1", path="/cart", plan="pro")
            yield
            clear_context()

    yield bench.row(f"track, three properties, {part}", ADD, tracking, BAR)
    yield bench.row(f"track, no properties, {part}", ADD, naming, BAR)
    yield bench.row(f"track, three properties and five of the request, {part}", ADD, tracking, None, in_request)
    yield bench.row(f"track_duration: a span and two events, {part}", ADD, track_duration("job"))


if __name__ == "__main__":
    sys.exit(main())
