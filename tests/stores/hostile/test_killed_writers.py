"""Four processes write, one after another is killed in the middle of it, and a reader asks all the while."""

from __future__ import annotations

import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import Self

from otel_tracker.stores import open_store

from ..helpers import SUFFIXES
from .support import REFUSALS, Refusal, ask, assert_is_whole, jsonl_lines, span_exporter, through_exporter, torn_lines

NURSERY = Path(__file__).with_name("nursery.py")
WRITERS = 4
BATCH = 10
NUMBERS_A_WRITER = 1_000_000
ANSWER_TIMEOUT_S = 20.0
SEED = 20_261_124

ROUNDS = [5, pytest.param(50, marks=pytest.mark.slow)]
FEWER_ROUNDS = [5, pytest.param(25, marks=pytest.mark.slow)]


@dataclass
class Crowd:
    """Writing processes, which batches each has acknowledged, and which of them were killed."""

    nursery: subprocess.Popen[bytes]
    acknowledged: dict[int, list[int]] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)
    refused: int = 0
    _begun: int = 0
    _rest: bytes = b""

    @property
    def living(self) -> list[int]:
        return sorted(self.acknowledged.keys() - self.killed)

    def begin_writer(self) -> int:
        """One more process; returns its id when its first batch was acknowledged."""
        known = set(self.acknowledged)
        assert self.nursery.stdin is not None
        self.nursery.stdin.write(b"%d\n" % (self._begun * NUMBERS_A_WRITER))
        self.nursery.stdin.flush()
        self._begun += 1
        self.listen(lambda: len(self.acknowledged) > len(known))
        return (self.acknowledged.keys() - known).pop()

    def kill_after(self, writer: int, count: int) -> None:
        """Kill it as soon as it has acknowledged so many more batches: it is in the middle of the next one by then."""
        until = len(self.acknowledged[writer]) + count
        self.listen(lambda: len(self.acknowledged[writer]) >= until)
        os.kill(writer, signal.SIGKILL)
        self.killed.add(writer)

    def listen(self, is_enough: Callable[[], bool]) -> None:
        """Note what is said until that is the case."""
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        while not is_enough():
            assert time.monotonic() < deadline_s, "the writers do not get on"
            self._note(0.2)

    def end(self) -> None:
        """Kill all that are left and note the last that they said."""
        for writer in self.living:
            os.kill(writer, signal.SIGKILL)
        assert self.nursery.stdin is not None
        self.nursery.stdin.close()
        while self._note(ANSWER_TIMEOUT_S):
            pass

    def _note(self, timeout_s: float) -> bool:
        """Read what is there; False at the end."""
        assert self.nursery.stdout is not None
        if not select.select([self.nursery.stdout], [], [], timeout_s)[0]:
            return True
        block = os.read(self.nursery.stdout.fileno(), 65_536)
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            writer, word = line.split()
            if word == b"refused":
                self.refused += 1
            else:
                self.acknowledged.setdefault(int(writer), []).append(int(word))
        return bool(block)


@contextmanager
def crowd_at(kind: str, path: Path) -> Iterator[Crowd]:
    """A nursery for writers of one store; none is left afterwards."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(NURSERY), kind, str(path), str(BATCH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nursery:
        crowd = Crowd(nursery)
        try:
            yield crowd
        finally:
            with suppress(OSError):
                for writer in crowd.living:
                    os.kill(writer, signal.SIGKILL)
            nursery.kill()


@dataclass
class Asking:
    """A thread that asks a store all the while; what it did not understand is in ``failures``."""

    path: Path
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask_for_ever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(ANSWER_TIMEOUT_S)
        assert not self._thread.is_alive()

    def _ask_for_ever(self) -> None:
        while not self._end.wait(0.1):
            try:
                self._ask()
            except REFUSALS as error:
                self.failures.append(str(error))
            except BaseException as error:
                self.failures.append(repr(error))

    def _ask(self) -> None:
        if not self.path.exists():
            return
        with open_store(self.path) as reader:
            newest = list(reader.query_executions(limit=20))
            assert len(newest) == len({span.span_id for span in newest})
            assert list(reader.events()) == []
            if newest:
                assert reader.get_trace(newest[-1].trace_id) in ([newest[-1]], [])  # retention may have been quicker
        self.answers += 1


def kill_in_turn(crowd: Crowd, rounds: int) -> None:
    """Four writers; one of them is killed after its next few batches, and another takes its place, so many times."""
    chance = random.Random(SEED)
    for _ in range(WRITERS):
        crowd.begin_writer()
    for _ in range(rounds):
        crowd.kill_after(chance.choice(crowd.living), chance.randrange(1, 5))
        crowd.begin_writer()
    crowd.end()


def check(kind: str, path: Path, crowd: Crowd) -> set[int]:
    """Every acknowledged span is there, no row or line is torn, and no batch was refused; returns what is there."""
    found = ask(path)
    assert not isinstance(found, Refusal), found
    assert ask(path, "stored") == found
    lost = {number for number in _acknowledged(crowd) if number not in found}
    assert sorted(lost) == []
    assert crowd.refused == 0
    assert_is_whole(kind, path, most_torn_lines=len(crowd.acknowledged))
    return set(found)


def _acknowledged(crowd: Crowd) -> Iterator[int]:
    for firsts in crowd.acknowledged.values():
        for first in firsts:
            yield from range(first, first + BATCH)


def check_beyond(found: set[int], crowd: Crowd) -> None:
    """What is there beyond that is at most the one batch that each writer was writing when it was killed."""
    for number in found - set(_acknowledged(crowd)):
        writers = [firsts for firsts in crowd.acknowledged.values() if 0 <= number - firsts[-1] < 2 * BATCH]
        assert writers, number


@pytest.mark.slow
@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_killed_writer_takes_nothing_along(kind: str, tmp_path: Path, rounds: int) -> None:
    """After every kill all acknowledged batches of everyone are there, and the reader has answered all the time."""
    path = tmp_path / f"store{SUFFIXES[kind]}"
    with crowd_at(kind, path) as crowd:
        with Asking(path) as asking:
            kill_in_turn(crowd, rounds)
        found = check(kind, path, crowd)
        check_beyond(found, crowd)
        assert len(crowd.killed) == rounds
    assert asking.failures == []
    assert asking.answers > 0
    if kind == "sqlite":
        assert all(number - number % BATCH + rest in found for number in found for rest in (0, BATCH - 1))


@pytest.mark.slow
@pytest.mark.parametrize("rounds", FEWER_ROUNDS)
def test_a_writer_that_is_killed_while_files_are_put_aside_takes_nothing_along(
    tmp_path: Path, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with small files that all four put aside and compress: nothing is lost between the files."""
    monkeypatch.setenv("OTEL_TRACKER_JSONL_MAX_BYTES", "100000")
    monkeypatch.setenv("OTEL_TRACKER_JSONL_BACKUPS", "100000")
    path = tmp_path / "store.jsonl"
    with crowd_at("jsonl", path) as crowd:
        with Asking(path) as asking:
            kill_in_turn(crowd, rounds)
        found = check("jsonl", path, crowd)
        check_beyond(found, crowd)
    assert asking.failures == []
    assert asking.answers > 0
    assert len(list(tmp_path.glob("store-*.jsonl*"))) >= rounds
    assert sum(1 for _ in jsonl_lines(path)) <= len(found) + len(torn_lines(path)) + BATCH * len(crowd.acknowledged)
    left = [file.name for file in tmp_path.iterdir() if not file.name.endswith((".jsonl", ".gz", ".lock"))]
    assert len(left) <= len(crowd.killed) + WRITERS, left


@pytest.mark.parametrize("rounds", FEWER_ROUNDS)
def test_a_writer_that_is_killed_while_the_oldest_are_removed_harms_nothing(
    tmp_path: Path, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With retention at work in four processes the database stays whole, within its bound, and keeps the newest."""
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_MAX_BYTES", "500000")
    path = tmp_path / "store.db"
    with crowd_at("sqlite", path) as crowd:
        with Asking(path) as asking:
            kill_in_turn(crowd, rounds)
        assert crowd.refused == 0
        assert_is_whole("sqlite", path)
        found = ask(path)
        check_beyond(found, crowd)
        assert max(_acknowledged(crowd)) in found
    assert asking.failures == []
    assert asking.answers > 0


@pytest.mark.slow
def test_writers_that_live_shortly_keep_the_bound_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty programs that each write a little, one after the other, leave no more than one that writes it all."""
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_MAX_BYTES", "500000")
    path = tmp_path / "store.db"
    for begin in range(0, 8_000, 200):
        exporter = span_exporter("sqlite", path)
        write = through_exporter(exporter)
        assert all(write(range(first, first + 20), "x" * 400) for first in range(begin, begin + 200, 20))
        exporter.shutdown()
    assert _used_bytes(path) < 2_500_000
    assert max(ask(path)) == 7_999


def _used_bytes(path: Path) -> int:
    """What is in use of a database, without the pages that are free to be used again."""
    with closing(sqlite3.connect(path)) as connection:
        pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return int(pages - free) * int(connection.execute("PRAGMA page_size").fetchone()[0])
