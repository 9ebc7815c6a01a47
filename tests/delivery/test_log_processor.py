"""Events are delivered as spans are: nothing lost, in order, in time and counted, by `DurableLogRecordProcessor`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from support import wait_until

from otel_tracker import delivery_report
from otel_tracker.delivery import folders
from otel_tracker.processors import DurableLogRecordProcessor

from .servers import NEVER_MS, Gate, seconds_of


class LogServer(LogRecordExporter):
    """Keeps what it takes; ``takes`` says for each batch whether it does, and may wait or raise."""

    def __init__(self, takes: Callable[[Any], bool] = lambda _: True, destination: str = "log server") -> None:
        self.destination = destination
        self.batches: list[list[ReadableLogRecord]] = []
        self.is_closed = False
        self._takes = takes

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        if not self._takes(batch):
            return LogRecordExportResult.FAILURE
        self.batches.append(list(batch))
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def shutdown(self) -> None:
        self.is_closed = True

    @property
    def names(self) -> list[str | None]:
        return [record.log_record.event_name for batch in self.batches for record in batch]


@contextmanager
def delivering(server: LogServer, **arguments: Any) -> Iterator[tuple[LoggerProvider, DurableLogRecordProcessor]]:
    """A provider of its own with the processor in front of ``server``; shut down at the end."""
    arguments.setdefault("schedule_delay_millis", NEVER_MS)
    processor = DurableLogRecordProcessor(server, **arguments)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    try:
        yield provider, processor
    finally:
        provider.shutdown()


def make_events(provider: LoggerProvider, number: int, prefix: str = "event") -> list[str]:
    """Emit so many events; their names, in their order."""
    logger = provider.get_logger("test")
    names = [f"{prefix} {index}" for index in range(number)]
    for name in names:
        logger.emit(LogRecord(event_name=name, attributes={"name": name}, timestamp=time.time_ns()))
    return names


def check_sum() -> None:
    """Everything that was created is somewhere."""
    for one in delivery_report().destinations:
        parts = one.exported + one.queued + one.in_journal + sum(one.dropped.values()) + one.unknown
        assert (one.signal, one.created) == ("events", parts), one


def test_flush_delivers_every_event_in_order_and_in_batches_of_the_given_size() -> None:
    """Oldest first, never more at once than the exporter may get; the exporter is closed at the end."""
    server = LogServer()
    with delivering(server, max_export_batch_size=7) as (provider, processor):
        names = make_events(provider, 50)
        assert processor.force_flush(10_000)
        assert server.names == names
        assert max(map(len, server.batches)) <= 7
        check_sum()
    assert server.is_closed


def test_variables_of_log_records_bound_the_delay_the_batch_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_BLRP_*`, and not those of spans."""
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "5")
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "20")
    monkeypatch.setenv("OTEL_BLRP_EXPORT_TIMEOUT", "100")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", str(NEVER_MS))
    gate = Gate()
    server = LogServer(gate)
    with delivering(server, schedule_delay_millis=None) as (provider, processor):
        names = make_events(provider, 3)
        assert gate.reached.wait(10)
        names += make_events(provider, 100, "more")
        assert delivery_report().queued <= 20 + 5
        assert delivery_report().in_journal >= 103 - 25
        assert seconds_of(processor.force_flush) < 2
        gate.open()
        wait_until(lambda: server.names == names)
        assert max(map(len, server.batches)) <= 5


def test_burst_of_events_behind_a_slow_exporter_arrives_whole_and_in_order() -> None:
    """What memory has no room for waits in the journal, and comes back as it was."""
    gate = Gate()
    server = LogServer(gate)
    with delivering(server, max_queue_size=64, max_export_batch_size=32) as (provider, processor):
        names = make_events(provider, 32, "first")
        assert gate.reached.wait(10)
        names += make_events(provider, 1_000)
        assert delivery_report().in_journal >= 1_000 - 64
        check_sum()
        gate.open()
        assert processor.force_flush(30_000)
        assert server.names == names
        records = [record for batch in server.batches for record in batch]
        assert [record.log_record.attributes for record in records] == [{"name": name} for name in names]
        check_sum()
    assert list(folders.all_segment_paths()) == []


def test_refused_events_are_tried_again_and_stay_first() -> None:
    """A destination that was down gets everything, in the order in which it was emitted."""
    is_down = True
    server = LogServer(lambda _: not is_down)
    with delivering(server) as (provider, processor):
        names = make_events(provider, 5, "early")
        assert not processor.force_flush(10_000)
        names += make_events(provider, 5, "late")
        is_down = False
        assert processor.force_flush(10_000)
        assert server.names == names
        check_sum()


def test_shutdown_of_events_keeps_its_deadline_and_the_next_start_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """In hand, in memory and on disk: all of it, in order, when the exporter hangs."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S", "0.5")
    gate = Gate()
    with delivering(LogServer(gate), max_queue_size=64, max_export_batch_size=32) as (provider, _):
        names = make_events(provider, 32, "first")
        assert gate.reached.wait(10)
        names += make_events(provider, 200)
        assert seconds_of(provider.shutdown) < 2
        assert delivery_report().in_journal == 232
        check_sum()
    second = LogServer()
    with delivering(second) as (provider, processor):
        assert processor.force_flush(10_000)
        assert second.names == names
        assert delivery_report().recovered == 232
    gate.open()


def test_late_event_does_not_take_along_what_was_emitted_in_time() -> None:
    """A daemon thread goes on while the process ends: its own events are counted as late, the others are delivered."""
    gate = Gate()
    server = LogServer(gate)
    with delivering(server, max_export_batch_size=32) as (provider, processor):
        names = make_events(provider, 32, "first")
        assert gate.reached.wait(10)
        names += make_events(provider, 20, "in time")
        ending = threading.Thread(target=processor.shutdown)
        ending.start()
        wait_until(lambda: processor._lane._is_closed)
        make_events(provider, 3, "late")
        gate.open()
        ending.join()
        assert server.names == names
        assert delivery_report().dropped == {"after_shutdown": 3}
        check_sum()
