"""The sqlite store holds its bound however much is written, and catches up with what is too much already."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_tracker.records import SpanRecord
from otel_tracker_exporters.sqlite.keeping import Keeper
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .helpers import StoreUnderTest
from .test_sqlite_retention import MIB, in_use, kept, span_of, trace_id, write_in_batches

WRITER = """
import sys
sys.path.insert(0, {tests!r})
from stores.test_sqlite_retention import MIB, Keeper, SqliteWriter, span_of, write_in_batches
begin = int(sys.argv[1])
writer = SqliteWriter({path!r}, keeper=Keeper(2 * MIB, 0))
write_in_batches(writer, [span_of(begin + number, 0, number / 1000) for number in range(8_000)])
writer.close()
"""


@pytest.fixture
def kind() -> str:
    return "sqlite"


def short_traces(count: int, first: int = 0, second: float = 0) -> list[SpanRecord]:
    """Traces of one span, a thousand a second."""
    return [span_of(first + number, 0, second + number / 1000) for number in range(count)]


def writer_of(store: StoreUnderTest, max_bytes: int) -> SqliteWriter:
    writer = SqliteWriter(str(store.path), keeper=Keeper(max_bytes, 0))
    store.writers.append(writer)
    return writer


@pytest.mark.slow
def test_several_processes_at_full_speed_stay_near_the_bound(store: StoreUnderTest) -> None:
    """They write twelve times of what may be kept, as fast as they can; a file never shrinks, so its size tells."""
    script = WRITER.format(tests=str(Path(__file__).parents[1]), path=str(store.path))
    children = [subprocess.Popen([sys.executable, "-c", script, str(10_000 * n)]) for n in range(4)]
    store.children += children  # type: ignore[arg-type]
    assert [child.wait(120) for child in children] == [0, 0, 0, 0]
    assert store.path.stat().st_size < 5 * MIB
    assert in_use(store.path) < 3 * MIB


@pytest.mark.slow
def test_a_store_far_beyond_its_bound_shrinks_with_every_batch(store: StoreUnderTest) -> None:
    """A bound that was lowered is reached within a few batches, and none of them takes long."""
    write_in_batches(store.new_writer(), short_traces(15_000), 2_500)
    before = in_use(store.path)
    writer = writer_of(store, MIB)
    begin_s = time.monotonic()
    for number in range(8):
        assert writer.write([span_of(20_000 + number, 0, 20 + number)])
    assert time.monotonic() - begin_s < 8 * 2.5
    assert in_use(store.path) < before / 2
    assert trace_id(20_007) in kept(store)


def test_what_is_stored_late_is_not_kept_longer(store: StoreUnderTest) -> None:
    """Another process's batch may bring what is older than all that is there; it is the first to go."""
    writer = writer_of(store, MIB)
    write_in_batches(writer, short_traces(3_000, second=100))
    write_in_batches(writer, short_traces(250, first=5_000))
    write_in_batches(writer, short_traces(750, first=8_000, second=200))
    found = {int(identifier, 16) - 1 for identifier in kept(store)}
    assert not found & set(range(5_000, 5_250))
    assert set(range(8_000, 8_750)) <= found
