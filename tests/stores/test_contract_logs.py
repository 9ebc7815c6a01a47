"""The one contract, continued: log records that are no events, in every store."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import log_records

from otel_tracker.errors import QueryError
from otel_tracker.query import LogFilter
from otel_tracker.records import LogRecord
from otel_tracker.timestamps import format_time

from .helpers import (
    BEGIN_NS,
    FULL_EVENT,
    FULL_LOG,
    SECOND_NS,
    SUFFIXES,
    StoreUnderTest,
    make_event,
    make_log,
    make_span,
)


def seconds_of(logs: object) -> list[int]:
    """How many seconds after `BEGIN_NS` each of them was written."""
    return [(log.time_ns - BEGIN_NS) // SECOND_NS for log in logs]  # type: ignore[attr-defined]


def test_a_log_comes_back_as_it_was_written(store: StoreUnderTest) -> None:
    """Every field survives, to the nanosecond, and what is absent stays absent; logs and events are two things."""
    bare = LogRecord(BEGIN_NS)
    store.write(FULL_LOG, bare, FULL_EVENT)
    reader = store.reader()
    assert list(reader.logs()) == [FULL_LOG, bare]
    assert [log.to_dict() for log in reader.logs()] == [FULL_LOG.to_dict(), bare.to_dict()]
    assert list(reader.events()) == [FULL_EVENT]


def test_logs_come_newest_first_within_limit_and_times(store: StoreUnderTest) -> None:
    """Whatever the order of writing; `start_time` is inclusive and `end_time` exclusive."""
    store.write(*(make_log(n) for n in (3, 0, 4, 1, 2)), make_event(9), make_span(9))
    reader = store.reader()
    for limit in (0, 1, 3, None):
        assert seconds_of(reader.logs(limit=limit)) == [4, 3, 2, 1, 0][:limit]
    first, last = format_time(BEGIN_NS + SECOND_NS), format_time(BEGIN_NS + 3 * SECOND_NS)
    assert seconds_of(reader.logs(start_time=first, end_time=last)) == [2, 1]


def test_logs_are_found_by_logger_and_trace(store: StoreUnderTest) -> None:
    """A logger's name or a glob keeps what it wrote, and a trace what belongs to it."""
    loggers = ["shop", "shop.db", "shop.pay", "", "weird [*]"]
    trace_id = "c" * 32
    store.write(
        *(make_log(n, logger=logger) for n, logger in enumerate(loggers)), make_log(9, trace_id=trace_id, logger="x")
    )
    reader = store.reader()
    assert seconds_of(reader.logs("shop.db")) == [1]
    assert seconds_of(reader.logs("shop.*")) == [2, 1]
    assert seconds_of(reader.logs("weird*")) == [4]
    assert seconds_of(reader.logs("SHOP")) == []
    assert seconds_of(reader.logs(trace_id=trace_id)) == [9]


def test_logs_are_found_by_their_least_severity(store: StoreUnderTest) -> None:
    """By whatever name and case a library calls it; a severity that nobody knows is below all."""
    severities = ["DEBUG", "INFO", "WARN", "WARNING", "error", "CRITICAL", "ERROR3", "loud", ""]
    store.write(*(make_log(n, severity=severity) for n, severity in enumerate(severities)))
    reader = store.reader()
    for name in ("WARNING", "warn"):
        assert seconds_of(reader.logs(min_severity=name)) == [6, 5, 4, 3, 2]
    assert seconds_of(reader.logs(min_severity="CRITICAL")) == [5]
    assert seconds_of(reader.logs(min_severity="trace", limit=1)) == [6]
    with pytest.raises(QueryError, match="min_severity is 'loud'; expected one of TRACE, DEBUG, INFO, WARNING"):
        reader.logs(min_severity="loud")


def test_equal_logs_are_all_kept(store: StoreUnderTest) -> None:
    """Two log records of the same moment and content are two."""
    store.write(make_log(1), make_log(1))
    assert len(list(store.reader().logs())) == 2


def test_logs_stand_among_what_was_stored(store: StoreUnderTest) -> None:
    """Whoever follows a store or converts it meets them, and goes on behind any of them."""
    store.write(make_span(1), make_event(2), make_log(3), make_log(4))
    reader = store.reader()
    stored = list(reader.stored())
    assert [entry.record for entry in stored] == [make_span(1), make_event(2), make_log(3), make_log(4)]
    assert [entry.record for entry in reader.stored(stored[2].position)] == [make_log(4)]
    assert list(reader.tail(last=2, timeout_s=0)) == [make_log(3), make_log(4)]
    assert reader.get_statistics("total").total == 1


def test_a_body_of_any_kind_is_found_by_its_time(store: StoreUnderTest) -> None:
    """Also one that holds the keys of a record itself."""
    body = {"time": "1970-01-01T00:00:00.000000000Z", "trace_id": "x", "logger": ["y"], "deep": [{"time": 1}]}
    bodies = [body, [body], "x", "", 0, False, {}, '"time":"', None]
    store.write(*(make_log(n, body=value) for n, value in enumerate(bodies)))
    reader = store.reader()
    first, last = format_time(BEGIN_NS), format_time(BEGIN_NS + len(bodies) * SECOND_NS)
    found = list(reader.logs("shop.db", start_time=first, end_time=last))
    assert [log.body for log in found] == bodies[::-1]
    assert list(reader.logs(start_time=last)) == []


def test_a_log_that_cannot_be_stored_costs_no_neighbour(store: StoreUnderTest, sentences: list[str]) -> None:
    """It is left out, counted and said once; lone surrogates cost nothing."""
    lone = make_log(2, body="a\ud800", logger="l\udfff", attributes={"k": "\ud83d"})
    assert store.write(make_log(0), make_log(1, body=float("nan")), lone, make_span(3))
    found = list(store.reader().logs())
    assert (found[0].body, found[0].attributes) == ("a\ud800", {"k": "\ud83d"})
    assert found[1:] == [make_log(0)]
    assert store.writers[0].unwritable == 1
    assert len(sentences) == 1


@pytest.mark.parametrize("kind", sorted(SUFFIXES))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(logs=st.lists(log_records(), min_size=1, max_size=6), by_logger=st.booleans(), limit=st.none() | st.just(2))
def test_any_logs_give_the_plain_answer(kind: str, logs: list[LogRecord], by_logger: bool, limit: int | None) -> None:
    """Whatever a log record holds, it is found, ordered and given back unchanged."""
    first = logs[0]
    filters = {"start_time": format_time(first.time_ns), "trace_id": first.trace_id or None, "limit": limit}
    with TemporaryDirectory() as folder:
        store = StoreUnderTest(kind, Path(folder, f"store{SUFFIXES[kind]}"))
        store.write(*logs)
        found = list(store.reader().logs(first.logger if by_logger else None, **filters))  # type: ignore[arg-type]
        everything = list(store.reader().logs(limit=None))
        store.close()
    wanted = LogFilter(first.logger if by_logger else None, None, first.time_ns, None, first.trace_id or None)
    newest_first = sorted(logs, key=lambda log: log.time_ns)[::-1]
    assert everything == newest_first
    assert found == list(filter(wanted.matches, newest_first))[:limit]
