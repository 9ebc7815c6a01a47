"""Commands without an end of their own are told to end, and do it at a point of their choice."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import child_environment, run_script

PROGRAM = """
import os, signal, sys, threading
from otel_tracker.cli.ending import told_to_end

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

told = threading.Event()
"""


def run(code: str) -> str:
    """What a program prints that knows `told_to_end`, `told` and `interrupt`."""
    ended = run_script(PROGRAM + code)
    assert (ended.status, ended.stderr) == (0, "")
    return ended.stdout


def test_ctrl_c_does_not_interrupt_what_is_under_way() -> None:
    """It is told to another thread; where a connection is being opened nothing is raised."""
    code = """
with told_to_end(told.set):
    interrupt()
    print(told.wait(20))
print(threading.active_count(), signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.set_wakeup_fd(-1))
"""
    assert run(code).split() == ["True", "1", "True", "-1"]


def test_second_ctrl_c_interrupts() -> None:
    """Whatever does not come to its end can be ended all the same."""
    code = """
try:
    with told_to_end(told.set):
        interrupt()
        told.wait(20)
        interrupt()
        print("went on")
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
"""
    assert run(code).split() == ["interrupted", "1"]


def test_ignored_ctrl_c_stays_ignored() -> None:
    """A command that a shell has put into the background is not ended by what is meant for another."""
    code = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
with told_to_end(told.set):
    interrupt()
print(told.is_set(), threading.active_count())
"""
    assert run(code).split() == ["False", "1"]


def test_other_threads_may_use_it() -> None:
    """Signals are the main thread's: there is nothing to change then, and nothing is raised."""
    code = """
def work():
    with told_to_end(told.set):
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(told.is_set(), threading.active_count())
"""
    assert run(code).split() == ["True", "False", "1"]


def test_output_that_cannot_be_watched_ends_nothing() -> None:
    """As devices on macOS; a closed descriptor gives the same answer."""
    code = """
sys.stdout = os.fdopen(os.dup2(1, 100), "w", closefd=False)  # far from the numbers that the next files get
os.close(100)
with told_to_end(told.set):
    was_told = told.wait(0.3)
    interrupt()
    is_told = told.wait(20)
sys.stdout = sys.__stdout__
print(was_told, is_told)
"""
    assert run(code).split() == ["False", "True"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no poll")
def test_end_of_the_outputs_reader_is_told() -> None:
    """`tail | head -1` ends although nothing is printed any more."""
    code = "with told_to_end(told.set):\n    print('begun', flush=True)\n    sys.exit(7 if told.wait(20) else 1)"
    command = [sys.executable, "-c", PROGRAM + code]
    with subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.stdout.close()
        assert process.wait(30) == 7
