"""Signals at any moment: SIGTERM loses nothing that has ended, SIGKILL no more than the last second."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import child_environment, wait_until

from .programs import missing, now_s, run_work, stored_event_numbers, stored_numbers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork and POSIX signals")

NURSERY = Path(__file__).with_name("nursery.py")
SEED = 20_261_128
TERM_LIMIT_S = 10.0
LOSS_BOUND_S = 1.0
LOSS_MARGIN_S = 1.0
"""What a busy machine adds to the second: until a thread that is due runs, and has written."""


class Nursery:
    """Children that trace at full speed, by process id, and what each has noted as ended, with the time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.records: dict[int, Path] = {}

    def begin(self) -> int:
        """One more child; it traces by now."""
        record = Path(f"record-{len(self.records)}.txt")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{record.resolve()}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self.records[pid] = record
        wait_until(lambda: record.exists() and record.stat().st_size > 0, 30)
        return pid

    def ended(self, pid: int, before_s: float = float("inf")) -> list[int]:
        """The numbers that a child had ended by then."""
        lines = self.records[pid].read_text(encoding="utf-8").splitlines()
        return [int(number) for number, time_s in map(str.split, lines) if float(time_s) <= before_s]

    def endings(self) -> dict[int, int]:
        """How each child ended, once all have."""
        stdout, _ = self._process.communicate(timeout=TERM_LIMIT_S)
        return {int(pid): status for pid, status in json.loads(stdout).items()}


@contextmanager
def nursery(pause_s: float = 0.0) -> Iterator[Nursery]:
    """None of its children is left afterwards."""
    command = [sys.executable, str(NURSERY), str(pause_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=child_environment(), text=True, start_new_session=True, **pipes) as process:
        try:
            yield Nursery(process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def deliver_what_was_left() -> None:
    """The next start."""
    run_work("configure(); work(-1); assert flush(30); time.sleep(0)")


def _pause(chance: random.Random, at_most_s: float) -> None:
    """The moment of a signal is what is tested, so that nothing can be polled for."""
    time.sleep(chance.uniform(0, at_most_s))


@pytest.mark.parametrize(
    ("children", "signals"),
    [(4, 1), pytest.param(50, 1, marks=pytest.mark.slow), pytest.param(25, 4, marks=pytest.mark.slow)],
)
def test_sigterm_in_the_middle_of_a_burst_loses_nothing_that_had_ended(children: int, signals: int) -> None:
    """Whenever it comes, and when somebody is impatient: stored or in the journal, and the status is the signal's."""
    chance = random.Random(SEED)
    with nursery() as born:
        for _ in range(children):
            pid = born.begin()
            for _ in range(signals):
                _pause(chance, 0.05)
                os.kill(pid, signal.SIGTERM)
        assert list(born.endings().values()) == [-signal.SIGTERM] * children
        ended = [number for pid in born.records for number in born.ended(pid)]
    deliver_what_was_left()
    assert len(ended) > 10 * children
    assert missing(ended, stored_numbers()) == []
    assert missing(ended, stored_event_numbers()) == []


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [50])
def test_sigkill_takes_no_more_than_the_last_second(rounds: int) -> None:
    """As often as it happens: what had ended a second before is in the store, and the store is whole."""
    chance = random.Random(SEED)
    with nursery(0.01) as born:
        left = rounds
        while left:
            pids = [born.begin() for _ in range(min(left, 10))]
            left -= len(pids)
            time.sleep(LOSS_BOUND_S + LOSS_MARGIN_S)
            killed_s = {}
            for pid in pids:
                _pause(chance, 0.3)
                killed_s[pid] = now_s()
                os.kill(pid, signal.SIGKILL)
            _check_loss(born, killed_s)
        assert set(born.endings().values()) == {-signal.SIGKILL}


def _check_loss(born: Nursery, killed_s: dict[int, float]) -> None:
    spans, events = stored_numbers(), stored_event_numbers()
    for pid, at_s in killed_s.items():
        safe = born.ended(pid, before_s=at_s - LOSS_BOUND_S - LOSS_MARGIN_S)
        assert safe, "the round was too short to show anything"
        assert missing(safe, spans) == []
        assert missing(safe, events) == []
