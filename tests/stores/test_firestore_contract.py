"""The one contract, for the `firestore` store against the emulator: the tests of every store, and its own bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from firestore_emulator import new_project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_tracker.query import SpanFilter, StoreReader
from otel_tracker.records import LogRecord, Record, SpanRecord
from otel_tracker.stores import open_store
from otel_tracker.timestamps import format_time
from otel_tracker.writing import StoreWriter
from otel_tracker_exporters.firestore import STORE

from . import test_contract
from .helpers import BEGIN_NS, FULL_LOG, SECOND_NS, make_event, make_log, make_span

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("firestore")]

# What is parametrised over files is told again below, or does not fit: a document holds 1 MiB.
_NOT_HERE = {
    "test_statistics_equal_a_plain_computation",
    "test_any_records_and_filters_give_the_plain_answer",
    "test_hostile_text_comes_back_unchanged",
}
globals().update(
    {name: test for name, test in vars(test_contract).items() if name.startswith("test_") and name not in _NOT_HERE}
)


@dataclasses.dataclass
class FirestoreUnderTest:
    """The emulator's place of a test, how records get into it, and how they are asked for."""

    location: str
    writers: list[StoreWriter] = dataclasses.field(default_factory=list)
    readers: list[StoreReader] = dataclasses.field(default_factory=list)

    def write(self, *records: Record) -> bool:
        """One batch, through the writer of the test."""
        if not self.writers:
            assert STORE.open_writer is not None
            self.writers.append(STORE.open_writer(self.location, None))
        return self.writers[0].write(records)

    def reader(self) -> StoreReader:
        self.readers.append(open_store(self.location))
        return self.readers[-1]

    def close(self) -> None:
        for closable in (*self.writers, *self.readers):
            closable.close()


@pytest.fixture(autouse=True)
def _unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator needs no sparing."""
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_MAX_WRITES_PER_S", "0")


@pytest.fixture
def kind() -> str:
    """Stands for the fixture of the other stores."""
    return "firestore"


@pytest.fixture
def store(firestore_project: str) -> Iterator[FirestoreUnderTest]:
    """An empty collection."""
    under_test = FirestoreUnderTest(f"firestore://{firestore_project}/function_tracking")
    yield under_test
    under_test.close()


@pytest.mark.parametrize(
    "value",
    ["nul \x00 inside", "emoji \N{GRINNING FACE}", "line\nfeed\r\u2028\x85", '"start":"x","trace_id":"', "x" * 200_000],
    ids=["nul", "emoji", "line ends", "keys", "large"],
)
def test_hostile_text_comes_back_unchanged(store: FirestoreUnderTest, value: str) -> None:
    """No character changes a text; of one that is compared, an index holds 1,400 bytes."""
    name = value if len(value) < 1_000 else "name"
    span = make_span(1, name=name, args={value: [value]}, result=value, has_result=True, status_message=value)
    event = make_event(1, name=name, properties={value: value}, body=value)
    store.write(make_span(0), span, event, make_span(2))
    reader = store.reader()
    assert list(reader.query_executions()) == [make_span(2), span, make_span(0)]
    assert list(reader.events()) == [event]


def test_what_is_too_large_for_a_document_is_cut_with_a_mark(store: FirestoreUnderTest) -> None:
    """Two megabytes are stored as a part of them, which says so, and the neighbours are whole."""
    huge = make_span(1, args={"text": "x" * 2_000_000, "n": 7}, result=["y" * 3_000] * 1_000, has_result=True)
    event = make_event(1, properties={"text": "z" * 2_000_000})
    assert store.write(make_span(0), huge, event)
    found = list(store.reader().query_executions())
    assert found[1] == make_span(0)
    assert found[0].args["text"].startswith("xxx")
    assert found[0].args["text"].endswith("...")
    assert found[0].args["n"] == 7
    (stored,) = store.reader().events()
    assert stored.properties["text"].endswith("z...")
    assert store.writers[0].unwritable == 0


def test_logs_come_back_and_are_found(store: FirestoreUnderTest) -> None:
    """Log records that are no events are kept apart, whole, and found by logger, severity and time."""
    logs = [FULL_LOG, LogRecord(time_ns=BEGIN_NS), make_log(2, logger="shop.pay", severity="ERROR"), make_log(3)]
    store.write(*logs, make_event(1))
    reader = store.reader()
    assert list(reader.logs()) == sorted(logs, key=lambda log: log.time_ns, reverse=True)
    assert [log.time_ns for log in reader.logs("shop.p*", min_severity="error")] == [logs[2].time_ns, FULL_LOG.time_ns]
    assert [log.time_ns for log in reader.logs("shop.db", limit=1)] == [logs[3].time_ns]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(executions=test_contract.execution_lists, pattern=st.sampled_from(["f", "shop.*", "*", "shop.cart.Cart.f"]))
def test_statistics_equal_a_plain_computation(emulator_host: str, executions: list[Any], pattern: str) -> None:
    """Of up to a thousand executions counts, averages and nearest-rank percentiles are exact."""
    spans = [
        make_span(
            n,
            function=function,
            module=module if function else "",
            name="block",
            status=status,
            start_ns=BEGIN_NS + second * SECOND_NS,
            end_ns=BEGIN_NS + second * SECOND_NS + duration_ns if status in ("completed", "failed") else None,
        )
        for n, (function, module, status, second, duration_ns) in enumerate(executions)
    ]
    start_ns, end_ns = BEGIN_NS + 5 * SECOND_NS, BEGIN_NS + 35 * SECOND_NS
    wanted = SpanFilter(function_name=pattern, start_ns=start_ns, end_ns=end_ns)
    times = {"start_time": format_time(start_ns), "end_time": format_time(end_ns)}
    with _fresh_store(emulator_host) as store:
        store.write(*spans)
        together = store.reader().get_statistics(pattern, **times)
        each = store.reader().function_statistics(function_name=pattern, limit=None, **times)
    groups: dict[str, list[SpanRecord]] = {}
    for span in filter(wanted.matches, spans):
        groups.setdefault(span.qualified_name, []).append(span)
    everything = [span for group in groups.values() for span in group]
    assert together.to_dict() == test_contract._plain_statistics(pattern, everything)
    assert {entry.function_name: entry.to_dict() for entry in each} == {
        name: test_contract._plain_statistics(name, group) for name, group in groups.items()
    }


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=st.lists(test_contract.hostile_spans, max_size=12, unique_by=lambda span: (span.trace_id, span.span_id)),
    status=st.none() | st.sampled_from(["started", "completed", "failed", "aborted"]),
    min_duration_ms=st.none() | st.integers(0, 10**9),
    limit=st.none() | st.integers(0, 5),
)
def test_any_records_and_filters_give_the_plain_answer(
    emulator_host: str, spans: list[SpanRecord], status: str | None, min_duration_ms: int | None, limit: int | None
) -> None:
    """Whatever text, number and nesting a record holds, it is found, ordered and given back unchanged."""
    name = spans[0].qualified_name if spans else None
    filters: dict[str, Any] = {"status": status, "min_duration_ms": min_duration_ms, "limit": limit}
    with _fresh_store(emulator_host) as store:
        store.write(*spans, make_event(0))
        found = list(store.reader().query_executions(**filters))
        named = list(store.reader().query_executions(name, **filters))
    wanted = SpanFilter(status=status, min_duration_ns=min_duration_ms and min_duration_ms * 1_000_000)
    assert found == test_contract._plain_answer(spans, wanted, limit)
    assert named == test_contract._plain_answer(spans, dataclasses.replace(wanted, function_name=name), limit)


@contextmanager
def _fresh_store(emulator_host: str) -> Iterator[FirestoreUnderTest]:
    """A place for one example of a test that has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", emulator_host)
        store = FirestoreUnderTest(f"firestore://{new_project()}/function_tracking")
        yield store
        store.close()
