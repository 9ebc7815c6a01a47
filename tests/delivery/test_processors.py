"""The processors lose nothing, keep the order, keep their deadlines and count everything."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from support import wait_until

from delivery.servers import Gate, Server, delivering, make_spans, seconds_of
from otel_tracker import DeliveryReport, delivery_report
from otel_tracker.delivery import folders
from otel_tracker.delivery.reports import left_reports


def check_sum(report: DeliveryReport) -> None:
    """Everything that was created is somewhere."""
    for one in (report, *report.destinations):
        dropped = sum(one.dropped.values())
        assert one.created == one.exported + one.queued + one.in_journal + dropped + one.unknown, one


def test_flush_delivers_everything_in_order_and_in_batches_of_the_given_size() -> None:
    """The exporter gets what ended, oldest first, never more at once than it may."""
    server = Server()
    with delivering(server, max_export_batch_size=7) as (provider, processor):
        names = make_spans(provider, 50)
        assert processor.force_flush(10_000)
        assert server.names == names
        assert max(map(len, server.batches)) <= 7
        report = delivery_report()
        assert (report.created, report.exported, report.queued) == (50, 50, 0)
        check_sum(report)


def test_span_waits_no_longer_than_the_schedule_delay() -> None:
    """Nobody has to flush."""
    server = Server()
    with delivering(server, schedule_delay_millis=20) as (provider, _):
        make_spans(provider, 3)
        wait_until(lambda: len(server.spans) == 3)


def test_full_batch_is_delivered_at_once() -> None:
    """The delay is for what does not fill a batch."""
    server = Server()
    with delivering(server, max_export_batch_size=10) as (provider, _):
        make_spans(provider, 25)
        wait_until(lambda: len(server.spans) >= 20)


def test_unsampled_spans_are_not_delivered() -> None:
    """Also those that are recorded."""
    server = Server()
    with delivering(server) as (provider, processor):
        unsampled = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0))
        context = set_span_in_context(NonRecordingSpan(unsampled))
        provider.get_tracer("test").start_span("child of an unsampled one", context).end()
        provider.sampler = ALWAYS_OFF
        provider.get_tracer("test 2").start_span("unsampled").end()
        assert processor.force_flush(10_000)
        assert server.spans == []


def _own_threads() -> list[str]:
    """The SDK makes some of its own to find out about its resource."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("otel-tracker")]


def test_process_that_ends_no_span_starts_no_thread_and_makes_no_file() -> None:
    """A supervisor or a reloader's watcher has nothing to trace."""
    with delivering(Server()) as (_, processor):
        assert _own_threads() == []
        assert processor.force_flush(1_000)
        assert _own_threads() == []
    assert os.listdir(os.environ["XDG_STATE_HOME"]) == []


def test_burst_behind_a_slow_exporter_is_kept_on_disk_and_arrives_whole_and_in_order() -> None:
    """What the queue has no room for waits in the journal; memory holds no more than the queue."""
    gate = Gate()
    server = Server(takes=gate)
    with delivering(server, max_queue_size=64, max_export_batch_size=32) as (provider, processor):
        names = make_spans(provider, 32, "first")
        assert gate.reached.wait(10)
        names += make_spans(provider, 1_000)
        report = delivery_report()
        assert report.queued <= 64 + 32
        assert report.in_journal >= 1_000 - 64
        check_sum(report)
        gate.open()
        assert processor.force_flush(30_000)
        assert server.names == names
        check_sum(delivery_report())
    assert list(folders.all_segment_paths()) == []


def test_refused_batch_is_tried_again_and_stays_first() -> None:
    """A destination that was down gets everything, in the order in which it ended."""
    is_down = True
    server = Server(takes=lambda _: not is_down)
    with delivering(server) as (provider, processor):
        names = make_spans(provider, 5, "early")
        assert not processor.force_flush(10_000)
        names += make_spans(provider, 5, "late")
        assert not processor.force_flush(10_000)
        report = delivery_report()
        assert (report.created, report.exported, report.queued) == (10, 0, 10)
        is_down = False
        assert processor.force_flush(10_000)
        assert server.names == names
        check_sum(delivery_report())


def test_refused_batch_is_tried_again_without_being_asked() -> None:
    """A second later, and then after longer and longer pauses."""
    failures = iter([False])
    server = Server(takes=lambda _: next(failures, True))
    with delivering(server, schedule_delay_millis=10) as (provider, _):
        make_spans(provider, 5)
        wait_until(lambda: len(server.spans) == 5)


def test_exporter_that_raises_is_one_that_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """Said in one sentence with its reason, however often it happens."""
    is_down = True

    def takes(_: Sequence[ReadableSpan]) -> bool:
        if is_down:
            raise ConnectionRefusedError("nobody listens")
        return True

    server = Server("the collector", takes)
    with delivering(server) as (provider, processor):
        make_spans(provider, 5)
        for _ in range(4):
            assert not processor.force_flush(10_000)
        (sentence,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert "the collector does not take telemetry (ConnectionRefusedError: nobody listens)" in sentence
        is_down = False
        assert processor.force_flush(10_000)
        assert len(server.spans) == 5


def test_one_poisoned_span_is_given_up_and_named_and_its_neighbours_arrive(caplog: pytest.LogCaptureFixture) -> None:
    """A destination that takes everything else is not down: what it refuses alone is dropped, counted and said."""
    server = Server("the collector", takes=lambda spans: all(span.name != "span 77" for span in spans))
    with delivering(server) as (provider, processor):
        names = make_spans(provider, 300)
        for _ in range(3):
            processor.force_flush(10_000)
        assert sorted(server.names) == sorted(set(names) - {"span 77"})
        report = delivery_report()
        assert (report.exported, report.dropped) == (299, {"refused": 1})
        check_sum(report)
    assert "refused 1 of a batch" in caplog.text


def test_destination_that_comes_back_while_a_batch_is_taken_apart_gets_all_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was refused before the first part that was taken was refused by the outage, not for what it is."""
    attempts = 0

    def takes(_: Sequence[ReadableSpan]) -> bool:
        nonlocal attempts
        attempts += 1
        return attempts > 12  # down to single spans, of which one or two are refused

    server = Server(takes=takes)
    with delivering(server) as (provider, processor):
        names = make_spans(provider, 300)
        for _ in range(4):
            processor.force_flush(10_000)
        assert sorted(server.names) == sorted(names)
        report = delivery_report()
        assert (report.exported, report.dropped) == (300, {})
    assert "given up" not in caplog.text


def test_destination_that_is_down_drops_nothing_however_often_it_is_tried() -> None:
    """Taking a batch apart must not mistake a dead server for poisoned spans."""
    server = Server(takes=lambda _: False)
    with delivering(server) as (provider, processor):
        make_spans(provider, 300)
        for _ in range(15):
            assert not processor.force_flush(10_000)
        report = delivery_report()
        assert (report.queued, report.dropped) == (300, {})


def test_flush_keeps_its_deadline_while_the_exporter_hangs() -> None:
    """And says so."""
    gate = Gate()
    with delivering(Server(takes=gate)) as (provider, processor):
        make_spans(provider, 5)
        assert seconds_of(lambda: processor.force_flush(100)) < 2
        assert not processor.force_flush(100)
        gate.open()
        assert processor.force_flush(10_000)


def test_shutdown_keeps_its_deadline_and_what_hangs_goes_out_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In hand, in memory and on disk: all of it is left to the next process, in order, and counted."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S", "0.5")
    gate = Gate()
    server = Server(takes=gate)
    with delivering(server, max_queue_size=64, max_export_batch_size=32) as (provider, processor):
        names = make_spans(provider, 32, "first")
        assert gate.reached.wait(10)
        names += make_spans(provider, 200)
        assert seconds_of(provider.shutdown) < 2
        report = delivery_report()
        assert (report.created, report.exported, report.in_journal) == (232, 0, 232)
        check_sum(report)
    second = Server()
    with delivering(second) as (provider, processor):
        wait_until(lambda: len(second.spans) == 232)
        assert second.names == names
        assert processor.force_flush(10_000)
        assert delivery_report().recovered == 232
    gate.open()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("otel-tracker")])
    check_sum(delivery_report())
    assert list(folders.all_segment_paths()) == []


def test_several_hanging_destinations_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK shuts processors down one after another; the exit takes no longer for that."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S", "0.5")
    gates = [Gate() for _ in range(4)]
    with delivering(Server("0", gates[0])) as (provider, processor):
        for number, gate in enumerate(gates[1:], 1):
            more = type(processor)(Server(str(number), gate), schedule_delay_millis=3_600_000.0)
            provider.add_span_processor(more)
        make_spans(provider, 5)
        assert seconds_of(provider.shutdown) < 1.5
        assert delivery_report().in_journal == 20
    for gate in gates:
        gate.open()


def test_exporter_that_may_not_repeat_gets_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had in hand when the process ended is counted as unknown, and not sent again."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S", "0.5")
    gate = Gate()
    server = Server(takes=gate)
    server.may_repeat = False  # type: ignore[attr-defined]
    with delivering(server, max_export_batch_size=10) as (provider, _):
        make_spans(provider, 10, "first")
        assert gate.reached.wait(10)
        names = make_spans(provider, 20)
        provider.shutdown()
        report = delivery_report()
        assert (report.unknown, report.in_journal) == (10, 20)
        check_sum(report)
    second = Server()
    with delivering(second):
        wait_until(lambda: second.names == names)
    gate.open()


def test_span_that_ends_after_the_shutdown_is_counted() -> None:
    """There is nobody left to deliver it."""
    with delivering(Server()) as (provider, _):
        make_spans(provider, 2)
        provider.shutdown()
        make_spans(provider, 3)
        report = delivery_report()
        assert (report.created, report.exported, report.dropped) == (5, 2, {"after_shutdown": 3})
        check_sum(report)


def test_journal_that_is_full_drops_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Disk is bounded, too; whoever reads the log knows why, and what to do."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_JOURNAL_MAX_BYTES", "20KiB")
    gate = Gate()
    server = Server(takes=gate)
    with delivering(server, max_queue_size=64, max_export_batch_size=32) as (provider, processor):
        make_spans(provider, 32, "first")
        assert gate.reached.wait(10)
        make_spans(provider, 2_000)
        report = delivery_report()
        assert report.dropped["journal_full"] > 1_000
        check_sum(report)
        assert folders.used_bytes() <= 20 * 1024
        assert caplog.text.count("OTEL_TRACKER_DELIVERY_JOURNAL_MAX_BYTES") == 1
        gate.open()
        assert processor.force_flush(30_000)
        check_sum(delivery_report())
    (left,) = left_reports()
    assert left["dropped"] == delivery_report().dropped


def test_journal_folder_of_somebody_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What others may write into is neither written nor replayed."""
    folder = Path("open to all")
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_JOURNAL_DIR", str(folder))
    gate = Gate()
    with delivering(Server(takes=gate), max_queue_size=64, max_export_batch_size=32) as (provider, _):
        make_spans(provider, 32, "first")
        assert gate.reached.wait(10)
        make_spans(provider, 200)
        report = delivery_report()
        assert report.dropped["journal_unwritable"] > 0
        check_sum(report)
        gate.open()
    assert "can be written by others" in caplog.text
    assert list(folders.all_segment_paths()) == []


def test_journal_is_for_its_owner_alone() -> None:
    """Telemetry on disk is private."""
    gate = Gate()
    with delivering(Server(takes=gate), max_queue_size=64, max_export_batch_size=32) as (provider, _):
        make_spans(provider, 32, "first")
        assert gate.reached.wait(10)
        make_spans(provider, 200)
        (segment,) = folders.all_segment_paths()
        assert segment.stat().st_mode & 0o777 == 0o600
        assert segment.parent.stat().st_mode & 0o777 == segment.parent.parent.stat().st_mode & 0o777 == 0o700
        gate.open()


def test_another_destination_does_not_take_what_was_left_for_this_one() -> None:
    """A journal belongs to its destination, whoever starts next."""
    with delivering(Server("one", takes=lambda _: False)) as (provider, _):
        make_spans(provider, 5)
    other = Server("another")
    with delivering(other) as (provider, processor):
        make_spans(provider, 1, "own")
        assert processor.force_flush(10_000)
    assert other.names == ["own 0"]
    rightful = Server("one")
    with delivering(rightful):
        wait_until(lambda: len(rightful.spans) == 5)


def test_many_threads_lose_nothing_in_a_burst() -> None:
    """Eight producers, one slow exporter, a small queue."""

    def slow(_: Sequence[ReadableSpan]) -> bool:
        time.sleep(0.001)
        return True

    server = Server(takes=slow)
    with delivering(server, max_queue_size=128, max_export_batch_size=64) as (provider, processor):
        threads = [threading.Thread(target=make_spans, args=(provider, 500, f"thread {n}")) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert processor.force_flush(60_000)
        assert len(server.spans) == len({span.context.span_id for span in server.spans}) == 4_000
        check_sum(delivery_report())


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf"])
def test_variable_that_is_no_number_is_one_sentence(
    value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The default holds and the program goes on."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", value)
    server = Server()
    with delivering(server, schedule_delay_millis=None) as (provider, processor):
        make_spans(provider, 1)
        assert processor.force_flush(10_000)
    assert f"OTEL_BSP_SCHEDULE_DELAY is {value!r}; expected a number above 0." in caplog.text


def test_argument_that_is_no_bound_is_refused() -> None:
    """As the SDK's processor refuses it."""
    with pytest.raises(ValueError, match="max_queue_size is 0; expected a number above 0"):
        delivering(Server(), max_queue_size=0).__enter__()
