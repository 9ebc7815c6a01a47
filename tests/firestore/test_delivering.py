"""What is promised of delivery to Firestore, shown against the emulator."""

from __future__ import annotations

import resource
import threading
import time
from typing import Any

import pytest
from firestore_emulator import need_emulator, new_emulator, new_project
from support import wait_until

from otel_tracker import delivery_report, open_store, traced
from otel_tracker.records import SpanRecord
from otel_tracker.writing import Item
from otel_tracker_exporters.firestore import wire
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.dead_letters import path_of
from otel_tracker_exporters.firestore.writes import Write, WriteMaker, record_of

from .support import count_of, delivered, documents_of, writing

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("firestore")]


@traced
def work(number: int) -> int:
    return number


def call(numbers: range, latencies_s: list[float] | None = None) -> None:
    for number in numbers:
        began_s = time.perf_counter()
        work(number)
        if latencies_s is not None:
            latencies_s.append(time.perf_counter() - began_s)


def in_threads(targets: list[Any]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_eighty_thousand_calls_of_sixteen_threads_are_eighty_thousand_documents(firestore_project: str) -> None:
    """Every call has a document of its own, and none has two."""
    with writing(firestore_project) as (processor, _):
        in_threads([lambda n=n: call(range(n * 5_000, (n + 1) * 5_000)) for n in range(16)])
        assert delivered(processor, 400)
        assert delivery_report().exported == 80_000
    assert count_of(firestore_project) == 80_000


@pytest.mark.usefixtures("isolated")
def test_everything_arrives_once_when_the_server_was_away_for_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers never wait, memory is bounded; what was not acknowledged before arrives after, each once."""
    need_emulator()
    emulator, project = new_emulator(), new_project()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
    emulator.start()
    is_over = threading.Event()
    latencies_s: list[float] = []
    created = [0]

    def load() -> None:
        while not is_over.wait(0.002):
            began_s = time.perf_counter()
            work(created[0])
            latencies_s.append(time.perf_counter() - began_s)
            created[0] += 1

    try:
        with writing(project) as (processor, _):
            loader = threading.Thread(target=load)
            loader.start()
            wait_until(lambda: delivery_report().exported, 30)
            emulator.stop()
            acknowledged = delivery_report().exported
            before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            time.sleep(30)
            grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
            emulator.start()  # what it held is gone: it keeps documents in memory
            time.sleep(1)
            is_over.set()
            loader.join()
            assert delivered(processor)
            report = delivery_report()
        assert 0 < acknowledged < created[0]
        assert (report.created, report.exported, report.dropped) == (created[0], created[0], {})
        assert count_of(project) == created[0] - acknowledged
        assert sorted(latencies_s)[int(len(latencies_s) * 0.999)] < 0.05
        assert grown_kib < 64 * 1024
    finally:
        is_over.set()
        emulator.stop()


def test_thirty_milliseconds_at_the_server_cost_the_caller_none(
    firestore_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With that much more latency a write, 99 of 100 calls take less than a millisecond."""
    write = Connection.batch_write

    def slow_write(self: Connection, *arguments: Any) -> list[Any]:
        time.sleep(0.03)
        return write(self, *arguments)

    monkeypatch.setattr(Connection, "batch_write", slow_write)
    rounds: list[float] = []
    with writing(firestore_project) as (processor, _):
        for first in range(0, 9_000, 3_000):  # a busy machine takes the processor away for longer than that
            latencies_s: list[float] = []
            call(range(first, first + 3_000), latencies_s)
            rounds.append(sorted(latencies_s)[int(len(latencies_s) * 0.99)])
        assert delivered(processor)
    assert min(rounds) < 0.001
    assert count_of(firestore_project) == 9_000


def test_one_poisoned_document_among_three_hundred_is_a_dead_letter(
    firestore_project: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its neighbours are stored; it is counted, named, and kept where a store can read it."""
    make = WriteMaker.write

    def poisoned(self: WriteMaker, source: Item) -> Write:
        write = make(self, source)
        record = record_of(source)
        if isinstance(record, SpanRecord) and record.args["number"] == 117:
            nested = wire.field("nested", wire.array([wire.array([wire.NULL])]))  # a list in a list
            write.message = wire.write(f"{self._root}/{write.path}", [nested])
        return write

    monkeypatch.setattr(WriteMaker, "write", poisoned)
    with writing(firestore_project) as (processor, exporter):
        call(range(300))
        assert delivered(processor)
        report = delivery_report()
        assert (report.exported, report.dropped) == (299, {"dead_letter": 1})
        kept_in = path_of(exporter.destination)
    stored = {document["input"]["kwargs"]["number"] for document in documents_of(firestore_project).values()}
    assert stored == set(range(300)) - {117}
    with open_store(kept_in) as kept:
        (letter,) = kept.query_executions()
    assert letter.args == {"number": 117}
    (sentence,) = [record.getMessage() for record in caplog.records if "no such document" in record.getMessage()]
    assert f"{letter.trace_id}{letter.span_id}" in sentence
    assert str(kept_in) in sentence


def test_a_refusal_for_the_moment_is_tried_again_for_that_document_alone(
    firestore_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document whose status says that it was contended is written by the next request, its neighbours are not."""
    from google.rpc.status_pb2 import Status

    sizes: list[int] = []
    write = Connection.batch_write

    def contended(self: Connection, writes: list[bytes], *arguments: Any) -> list[Any]:
        sizes.append(len(writes))
        if len(sizes) > 1:
            return write(self, writes, *arguments)
        return [*write(self, writes[:-2], *arguments), Status(code=10), Status(code=14)]

    monkeypatch.setattr(Connection, "batch_write", contended)
    with writing(firestore_project) as (processor, exporter):
        call(range(50))
        assert delivered(processor)
        exporter._rollups.written()
    assert sizes[:2] == [50, 2]
    assert count_of(firestore_project) == 50


def test_a_process_writes_no_faster_than_it_was_told(firestore_project: str) -> None:
    """With a bound of 100 a second, 300 documents take at least the two seconds beyond the first one's worth."""
    with writing(firestore_project, max_writes_per_s=100) as (processor, _):
        began_s = time.monotonic()
        call(range(300))
        assert delivered(processor)
        assert time.monotonic() - began_s >= 1.9
    assert count_of(firestore_project) == 300


def test_what_runs_for_long_has_a_document_before_it_ends(
    firestore_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started documents are written where asked for, are replaced by the end, and never replace it."""
    monkeypatch.setenv("OTEL_TRACKER_DELIVERY_STARTED", "true")
    may_end = threading.Event()

    @traced
    def long() -> None:
        may_end.wait(30)

    with writing(firestore_project) as (processor, _):
        runner = threading.Thread(target=long)
        runner.start()
        call(range(20))
        processor.force_flush(10_000)
        deadline_s = time.monotonic() + 20
        while not (begun := [one for one in documents_of(firestore_project).values() if one["status"] == "started"]):
            assert time.monotonic() < deadline_s
        assert [one["function_name"].rpartition(".")[2] for one in begun] == ["long"]
        may_end.set()
        runner.join()
        processor.force_flush(10_000)
        assert {one["status"] for one in documents_of(firestore_project).values()} == {"completed"}
    assert count_of(firestore_project) == 21
