"""What every store's writer keeps, whatever the store: it never disturbs an exporter, and tells a command the truth."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from otel_tracker.diagnostics import forget_said
from otel_tracker.errors import StoreUnwritableError
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.writing import StoreWriter

SPAN = SpanRecord("ab" * 16, "cd" * 8, "work", 1, 2)


class ListWriter(StoreWriter):
    """Keeps records in a list, and fails with whatever it is given."""

    def __init__(self) -> None:
        super().__init__("list")
        self.kept: list[SpanRecord | EventRecord] = []
        self.failure: BaseException | None = None
        self.recovered = 0
        self.released = 0

    def _store(self, records: Iterable[SpanRecord | EventRecord]) -> None:
        if self.failure is not None:
            raise self.failure
        self.kept.extend(records)

    def _recover(self) -> None:
        self.recovered += 1

    def _release(self) -> None:
        self.released += 1


@pytest.fixture
def writer() -> ListWriter:
    forget_said()
    return ListWriter()


@pytest.mark.parametrize("failure", [StoreUnwritableError("The disk is full."), OSError(28, "full"), RuntimeError("x")])
def test_write_never_raises_and_goes_on_afterwards(
    writer: ListWriter, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """An exporter hears False, the log one sentence whatever the number of batches; the next batch may succeed."""
    writer.failure = failure
    assert [writer.write([SPAN]), writer.write([SPAN])] == [False, False]
    assert len([record for record in caplog.records if record.name == "otel_tracker"]) == 1
    assert writer.recovered == 2
    writer.failure = None
    assert writer.write([SPAN])
    assert writer.kept == [SPAN]


def test_store_raises_what_went_wrong_and_says_nothing(writer: ListWriter, caplog: pytest.LogCaptureFixture) -> None:
    """A command shows the sentence itself."""
    writer.failure = StoreUnwritableError("The disk is full.")
    with pytest.raises(StoreUnwritableError, match="full"):
        writer.store([SPAN])
    assert writer.recovered == 1
    assert not caplog.records


def test_records_that_fail_while_they_are_made_are_a_failure_of_the_batch(writer: ListWriter) -> None:
    """Records may be made as they are written; what goes wrong there does not get through either."""
    assert writer.write(SpanRecord(*fields) for fields in [("only one",)]) is False  # type: ignore[arg-type]
    assert writer.kept == []


def test_closed_writer_refuses(writer: ListWriter, caplog: pytest.LogCaptureFixture) -> None:
    """Quietly for an exporter, with a sentence for a command."""
    writer.close()
    writer.close()
    assert writer.released == 2
    assert writer.write([SPAN]) is False
    assert not caplog.records
    with pytest.raises(StoreUnwritableError, match="is closed"):
        writer.store([SPAN])


def test_threads_write_one_at_a_time(writer: ListWriter) -> None:
    """A store need not be safe for threads by itself."""
    inside: list[int] = []
    most: list[int] = []

    def records() -> Iterable[SpanRecord]:
        inside.append(1)
        most.append(len(inside))
        yield SPAN
        inside.pop()

    threads = [threading.Thread(target=lambda: writer.write(records())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(writer.kept) == 20
