"""Following a store: records come as they are stored, and every wait has an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from otel_tracker.errors import QueryError
from otel_tracker.following import Stored, follow
from otel_tracker.query import EventFilter, SpanFilter, StoreReader
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stats import Statistics


def span(number: int) -> SpanRecord:
    return SpanRecord(f"{number + 1:032x}", f"{number + 1:016x}", "work", number, number + 1)


class ListReader(StoreReader):
    """Answers from a list; a position is an index in it."""

    location = "list"

    def __init__(self, *records: SpanRecord | EventRecord) -> None:
        self.records = list(records)

    def _read_spans(self, wanted: SpanFilter, limit: int | None) -> Iterator[SpanRecord]:
        return iter([record for record in reversed(self.records) if isinstance(record, SpanRecord)])

    def _read_events(self, wanted: EventFilter, limit: int | None) -> Iterator[EventRecord]:
        return iter([record for record in reversed(self.records) if isinstance(record, EventRecord)])

    def _read_trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        return []

    def _read_failures(self, trace_ids: object) -> list[SpanRecord]:
        return []

    def _read_statistics(self, wanted: SpanFilter, group_as: str | None) -> list[Statistics]:
        return []


class OrderedReader(ListReader):
    def _read_stored(self, after: str | None) -> Iterable[Stored]:
        begin = int(after or 0)
        return (Stored(self.records[n], str(n + 1)) for n in range(begin, len(self.records)))

    def _position_before_last(self, count: int) -> str | None:
        return str(max(len(self.records) - count, 0))


def test_store_without_an_order_gives_all_but_cannot_be_followed() -> None:
    """Everything can still be converted; following it is refused with a sentence."""
    reader = ListReader(span(0), EventRecord("a.b", 5), span(1))
    assert list(reader.stored()) == [
        Stored(span(1), None),
        Stored(span(0), None),
        Stored(EventRecord("a.b", 5), None),
    ]
    with pytest.raises(QueryError, match="cannot be followed"):
        reader.tail()


def test_stored_goes_on_after_a_position() -> None:
    """The position that came with a record is where the next call begins."""
    reader = OrderedReader(span(0), span(1), span(2))
    first = next(reader.stored())
    assert [stored.record for stored in reader.stored(first.position)] == [span(1), span(2)]


def test_tail_begins_with_the_last_ones_and_goes_on_with_new_ones() -> None:
    """What is there comes first, as far as it was asked for; then what another thread stores."""
    reader = OrderedReader(span(0), span(1))
    tail = reader.tail(last=1, poll_s=0.01, timeout_s=10)
    assert next(tail) == span(1)
    threading.Timer(0.05, reader.records.append, [span(2)]).start()
    assert next(tail) == span(2)
    reader.close()
    assert list(tail) == []


def test_tail_ends_at_its_timeout() -> None:
    """Who waits for a limited time is not kept longer."""
    begin_s = time.monotonic()
    assert list(OrderedReader(span(0)).tail(poll_s=60, timeout_s=0.05)) == []
    assert time.monotonic() - begin_s < 10


def test_tail_ends_when_the_reader_is_closed_elsewhere() -> None:
    """A thread that waits in `tail` is let go at once, whatever the polling interval."""
    reader = OrderedReader()
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(reader.tail(poll_s=60)))
    thread.start()
    reader.close()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert found == []


def test_closed_while_records_are_read_ends_the_iterator() -> None:
    """Nothing comes after closing, even if there is more."""
    reader = OrderedReader(span(0), span(1), span(2))
    tail = reader.tail(last=3)
    assert next(tail) == span(0)
    reader.close()
    assert list(tail) == []


@pytest.mark.parametrize(
    "arguments", [{"poll_s": 0}, {"poll_s": "fast"}, {"timeout_s": -1}, {"timeout_s": float("nan")}, {"last": -1}]
)
def test_numbers_that_make_no_sense_are_refused(arguments: dict[str, object]) -> None:
    """One sentence that names the parameter; nothing waits for ever by mistake."""
    with pytest.raises(QueryError, match=next(iter(arguments)).replace("last", "limit")):
        OrderedReader().tail(**arguments)  # type: ignore[arg-type]


def test_a_position_moves_on_with_each_record() -> None:
    """A poll asks only for what came after the last record."""
    asked: list[str | None] = []

    def read(position: str | None) -> list[Stored]:
        asked.append(position)
        return [Stored(span(0), "1")] if position is None else []

    found = list(follow(read, None, poll_s=0.01, timeout_s=0.05, closed=threading.Event()))
    assert found == [span(0)]
    assert asked[:2] == [None, "1"]
