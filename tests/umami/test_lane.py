"""Behind the processor that loses nothing: sent = stored + reported drops + unknown, at every moment and at the end."""

from __future__ import annotations

import threading
import time

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from support import wait_until

from otel_tracker import delivery_report
from otel_tracker.processors import DurableSpanProcessor
from otel_tracker_exporters.umami import UmamiSpanExporter

from .helpers import NEVER_MS, check_report, delivering, emit, event, events, log_exporter, span, span_exporter
from .server import V2_12, V2_17, WEBSITE, Reply, Request, Version, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")


@pytest.mark.parametrize("version", [Version(), V2_17, V2_12], ids=str)
def test_everything_arrives_once_and_in_order(version: Version) -> None:
    """A thousand small things that may go wrong on the way, and none did."""
    with serving(version) as server, delivering(server) as (provider, processor):
        names = emit(provider, 300)
        assert processor.force_flush(30_000)
        assert server.names == names
        assert delivery_report().exported == 300
        check_report(300)


def test_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server does not take lies in memory and in the journal; no age makes it worthless."""
    with serving() as server, delivering(server, limits={"max_queue_size": 64}) as (provider, processor):
        server.always = lambda _: Reply(503, "starting")
        names = emit(provider, 200)
        assert not processor.force_flush(5_000)
        check_report(200)
        assert delivery_report().exported == 0
        server.always = None
        assert processor.force_flush(30_000)
        assert server.names == names
        check_report(200)


def test_mixed_answers_add_up() -> None:
    """Stored, unknown, failed and refused ones of one run; what is stored was counted, and once."""
    failing = Reply(500, '{"error": {"code": "server-error", "message": "no"}}')
    with serving() as server, delivering(server) as (provider, processor):
        server.replies += [lambda _: None, lambda _: None, Reply(None), failing, Reply(413, ""), Reply(429, "")]
        emit(provider, 400)
        wait_until(lambda: processor.force_flush(10_000))
        report = delivery_report()
        check_report(400)
        assert report.queued == report.in_journal == 0
        assert report.unknown == 50
        assert len(server.names) == len(set(server.names)) == report.exported
        assert report.exported + sum(report.dropped.values()) + report.unknown == 400


def test_all_drops_are_reported() -> None:
    """A User-Agent that counts as a bot: nothing is stored, and everything is counted."""
    with serving() as server, delivering(server, user_agent="my-service/1.0") as (provider, processor):
        emit(provider, 70)
        assert processor.force_flush(10_000)
        assert delivery_report().dropped == {"umami_bot": 70}
        assert server.names == []
        check_report(70)


def test_end_of_the_process_keeps_its_deadline_and_the_next_one_sends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server hangs: what it may have is unknown, the rest goes out at the next start, and none of it twice."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S", "1")
    go_on = threading.Event()

    def hang(_: Request) -> Reply:
        go_on.wait(30)
        return Reply(None)

    with serving() as server:
        with delivering(server) as (provider, _):
            server.replies += [lambda _: None, hang]
            names = emit(provider, 200)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 3
        check_report(200)
        assert (delivery_report().exported, delivery_report().unknown) == (1, 49)
        assert delivery_report().in_journal == 150
        go_on.set()
        with delivering(server) as (provider, processor):
            wait_until(lambda: processor.force_flush(10_000))
            assert server.names == [names[0], *names[50:]]
            assert delivery_report().recovered == 150


def test_process_that_is_killed_gives_up_one_request_at_most() -> None:
    """What is on its way at that moment may be stored; everything else is put on disk."""
    reached, go_on = threading.Event(), threading.Event()

    def hang(_: Request) -> Reply:
        reached.set()
        go_on.wait(30)
        return Reply(None)

    with serving() as server, delivering(server) as (provider, processor):
        server.replies += [lambda _: None, lambda _: None, hang]
        emit(provider, 400)
        assert reached.wait(10)
        processor._lane.park()
        assert (delivery_report().exported, delivery_report().unknown) == (50, 50)
        assert delivery_report().in_journal == 300
        check_report(400)
        go_on.set()


def test_spans_that_nobody_asked_for_are_not_sent() -> None:
    """They count as exported: the destination has all that it wants."""
    with serving() as server:
        exporter = UmamiSpanExporter(endpoint=server.url, website_id=WEBSITE)
        processor = DurableSpanProcessor(exporter, schedule_delay_millis=NEVER_MS)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        for index in range(10):
            provider.get_tracer("test").start_span(f"span {index}").end()
        assert processor.force_flush(10_000)
        provider.shutdown()
        assert server.requests == []
        assert delivery_report().exported == 10


def test_stock_processor_works_too() -> None:
    """`export` for those who set up the SDK by themselves."""
    with serving() as server, log_exporter(server) as exporter:
        processor = BatchLogRecordProcessor(exporter, schedule_delay_millis=NEVER_MS)
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(processor)
        names = emit(provider, 60)
        assert provider.force_flush()
        provider.shutdown()
        assert server.names == names


def test_export_tries_again_what_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few times, and only what was not stored."""
    monkeypatch.setattr("otel_tracker.delivery.outcomes._PAUSES_S", (0.01, 0.02))
    with serving() as server, log_exporter(server) as exporter, span_exporter(server, spans="*") as other:
        server.replies += [Reply(503, ""), Reply(503, "")]
        assert exporter.export(events(3)) is LogRecordExportResult.SUCCESS
        assert server.names == ["event 0", "event 1", "event 2"]
        server.always = lambda _: Reply(503, "")
        before = len(server.requests)
        assert exporter.export([event()]) is LogRecordExportResult.FAILURE
        assert other.export([span()]) is SpanExportResult.FAILURE
        assert len(server.requests) - before == 6
        assert exporter.force_flush()


def test_export_that_pauses_ends_with_shutdown() -> None:
    """A server that wants to be left alone for a quarter of an hour does not hold up the end of the program."""
    with serving() as server, log_exporter(server) as exporter:
        server.always = lambda _: Reply(503, "", (("Retry-After", "20"),))
        found = []
        thread = threading.Thread(target=lambda: found.append(exporter.export(events(1))))
        thread.start()
        wait_until(lambda: len(server.requests) == 1)
        exporter.shutdown()
        thread.join(5)
        assert found == [LogRecordExportResult.FAILURE]
