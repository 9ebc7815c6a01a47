"""Metric points on ground that gives way: what was measured is in the sums afterwards, once."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from otel_tracker.stores import open_store
from otel_tracker_exporters.jsonl.metric_exporter import JsonlMetricExporter
from otel_tracker_exporters.sqlite.metric_exporter import SqliteMetricExporter

from ..helpers import SUFFIXES
from .ground import SmallDisk
from .support import assert_is_whole, assert_said_once

EXPORTERS: dict[str, Any] = {"sqlite": SqliteMetricExporter, "jsonl": JsonlMetricExporter}
LABEL = "x" * 500


class MeteredProgram:
    """A program with a real meter provider in front of a store, exporting when it is told to, that keeps accounts."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind, self.path = kind, path
        self.exporter = EXPORTERS[kind](path=path)
        self.reader = PeriodicExportingMetricReader(self.exporter, math.inf, export_timeout_millis=5_000)
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        meter = self.provider.get_meter("shop")
        self._orders, self._sizes = meter.create_counter("orders"), meter.create_histogram("sizes")
        self._open = meter.create_up_down_counter("open")
        self.made = 0

    def measure(self, sets: int = 10) -> None:
        """One of each with so many sets of labels."""
        for number in range(sets):
            labels = {"number": number, "text": LABEL}
            self._orders.add(1, labels)
            self._sizes.record(2.5, labels)
            self._open.add(1, labels)
        self.made += sets

    def export(self) -> bool:
        """Whether everything is written."""
        return bool(self.provider.force_flush(10_000)) and self.exporter.force_flush()

    def check(self, lost: int = 0) -> None:
        """Everything that was measured is in the sums of the store, once."""
        assert totals(self.path) == {"orders": self.made - lost, "sizes": self.made - lost, "open": self.made - lost}


def totals(path: Path) -> dict[str, int]:
    """What the points of a store add up to: of deltas the sum, of cumulative points the newest of each set."""
    found: dict[str, int] = {}
    newest: dict[Any, int] = {}
    with open_store(path) as reader:
        for point in reader.metrics(limit=None):
            told = point.count if point.kind == "histogram" else point.value
            assert isinstance(told, int)
            if point.temporality == "delta":
                found[point.name] = found.get(point.name, 0) + told
            else:
                newest.setdefault((point.name, point.attributes["number"]), told)
    for (name, _), told in newest.items():
        found[name] = found.get(name, 0) + told
    return found


@pytest.fixture
def metered() -> Iterator[Callable[[str, Path], MeteredProgram]]:
    """Starts metered programs; all end afterwards."""
    made: list[MeteredProgram] = []

    def make(kind: str, path: Path) -> MeteredProgram:
        made.append(MeteredProgram(kind, path))
        return made[-1]

    yield make
    for program in made:
        program.provider.shutdown()


Metered = Callable[[str, Path], MeteredProgram]


@pytest.mark.slow
def test_points_that_a_full_disk_refuses_are_in_the_sums_when_there_is_space(
    kind: str, metered: Metered, small_disk: SmallDisk, sentences: Sequence[str]
) -> None:
    """Filled and freed three times; nothing is torn, counted twice or missing, and one sentence says so."""
    path = small_disk.path / f"store{SUFFIXES[kind]}"
    program = metered(kind, path)
    program.measure()
    assert program.export()
    for _ in range(3):
        small_disk.fill()
        for _ in range(3):
            program.measure(30)
            program.export()
        small_disk.free()
        program.measure()
        assert program.export()
        program.check()
    assert_is_whole(kind, path)
    assert_said_once(sentences, path, "full")


@pytest.mark.slow
def test_store_that_fills_the_disk_itself_goes_on_with_what_fits(
    kind: str, metered: Metered, small_disk: SmallDisk
) -> None:
    """The points of several exports in one batch may be too many for what was freed: still nothing is doubled."""
    small_disk.take(1_700_000)
    program = metered(kind, small_disk.path / f"store{SUFFIXES[kind]}")
    for _ in range(15):
        program.measure(20)
        refused = not program.export()
    assert refused
    found = totals(program.path)
    assert all(count <= program.made for count in found.values())
    small_disk.free()
    program.measure()
    assert program.export()
    program.check()


@pytest.mark.parametrize("how", ["no folder", "a folder in its place", "foreign file"])
def test_store_that_cannot_be_opened_keeps_points_for_when_it_can(
    kind: str, how: str, metered: Metered, tmp_path: Path, sentences: Sequence[str]
) -> None:
    """Whatever lies there instead, the program goes on; when it is gone, the sums are right."""
    path = tmp_path / "folder" / f"store{SUFFIXES[kind]}"
    if how == "no folder":
        path.parent.touch()
    elif how == "a folder in its place":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
            connection.commit()
    program = metered(kind, path)
    for _ in range(3):
        program.measure()
        program.export()
    if how == "foreign file" and kind == "jsonl":
        return  # to append to what is no JSONL is allowed
    assert len(sentences) == 1
    if how == "no folder":
        path.parent.unlink()
    elif how == "a folder in its place":
        path.rmdir()
    else:
        path.unlink()
    program.measure()
    assert program.export()
    program.check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_waited_out(kind: str, metered: Metered, tmp_path: Path) -> None:
    """As a full disk."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    program = metered(kind, folder / f"store{SUFFIXES[kind]}")
    program.measure()
    assert not program.export()
    folder.chmod(0o700)
    program.measure()
    assert program.export()
    program.check()


def test_locked_store_never_holds_up_who_measures(metered: Metered, tmp_path: Path) -> None:
    """Another program has the file for itself: measurements cost what they always do, and are all there later."""
    program = metered("sqlite", tmp_path / "store.db")
    program.measure()
    assert program.export()
    with closing(sqlite3.connect(program.path, isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        exporting = threading.Thread(target=program.provider.force_flush, args=(300,))
        exporting.start()
        began_s = time.monotonic()
        longest_s = 0.0
        while exporting.is_alive() and time.monotonic() < began_s + 0.2:
            before_s = time.monotonic()
            program.measure(1)
            longest_s = max(longest_s, time.monotonic() - before_s)
        locker.execute("ROLLBACK")
        exporting.join(10)
    assert longest_s < 0.15
    program.measure()
    assert program.export()
    program.check()


@pytest.mark.slow
def test_limit_on_the_size_of_files_costs_nothing_once_it_is_lifted(kind: str, tmp_path: Path) -> None:
    """RLIMIT_FSIZE, with SIGXFSZ as Python has it: the write fails in the middle of a batch."""
    path = tmp_path / f"store{SUFFIXES[kind]}"
    code = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from stores.hostile.test_metric_points import MeteredProgram
program = MeteredProgram({kind!r}, Path({str(path)!r}))
program.measure()
assert program.export()
was = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, was[1]))
refused = 0
for _ in range(20):
    program.measure(30)
    refused += not program.export()
assert refused > 5, refused
resource.setrlimit(resource.RLIMIT_FSIZE, was)
program.measure()
assert program.export()
program.check()
program.provider.shutdown()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert_is_whole(kind, path)


@pytest.mark.slow
def test_processes_that_share_a_store_lose_nothing(kind: str, tmp_path: Path) -> None:
    """Four of them, exporting all the time, one of which also traces into it."""
    path = tmp_path / f"store{SUFFIXES[kind]}"
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from stores.hostile.test_metric_points import MeteredProgram
program = MeteredProgram({kind!r}, Path({str(path)!r}))
for _ in range(40):
    program.measure(5)
    program.export()
program.provider.shutdown()
assert program.exporter.dropped == 0
"""
    children = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        _, stderr = child.communicate(timeout=60)
        assert (child.returncode, stderr) == (0, "")
    found = totals(path)
    assert (found["orders"], found["sizes"]) == (800, 800)
    assert_is_whole(kind, path)


@pytest.mark.slow
def test_killed_in_the_middle_of_exports_leaves_whole_points(kind: str, tmp_path: Path) -> None:
    """Every set of labels is in the sums as often as the last export that was answered says, or once more."""
    path = tmp_path / f"store{SUFFIXES[kind]}"
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from stores.hostile.test_metric_points import MeteredProgram
program = MeteredProgram({kind!r}, Path({str(path)!r}))
while True:
    program.measure(20)
    assert program.export()
    print(program.made, flush=True)
"""
    told = 0
    for wait_s in (0.05, 0.11, 0.17):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child.stdout:
            child.stdout.readline()
            time.sleep(wait_s)
            child.kill()
            child.wait()
            told += int([line for line in child.stdout.read().split("\n") if line][-1])
    found = totals(path)
    for name in ("orders", "sizes"):
        assert told <= found[name] <= told + 3 * 20
    program = MeteredProgram(kind, path)
    program.measure()
    assert program.export()
    program.provider.shutdown()
    assert totals(path)["orders"] == found["orders"] + 10


def test_export_after_and_during_shutdown_raises_nothing(kind: str, metered: Metered, tmp_path: Path) -> None:
    """Threads that still measure while the provider ends; twice ended; measured afterwards."""
    program = metered(kind, tmp_path / f"store{SUFFIXES[kind]}")
    stop = threading.Event()
    failures: list[BaseException] = []

    def go_on() -> None:
        try:
            while not stop.is_set():
                program.measure(3)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    program.export()
    program.provider.shutdown()
    stop.set()
    for thread in threads:
        thread.join(5)
    assert failures == []
    assert program.exporter.force_flush()
    program.exporter.shutdown()
    assert sum(totals(program.path).values()) > 0
