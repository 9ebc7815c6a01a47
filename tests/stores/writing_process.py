"""Writes to a store from a process of its own: ``writing_process.py KIND PATH TASK ...``; run by the tests."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from stores.helpers import StoreUnderTest, make_event, make_span


def write(store: StoreUnderTest, first: str, size: str, batch: str) -> None:
    """Write spans and events with numbers from ``first`` on, in batches, then say so."""
    numbers = range(int(first), int(first) + int(size))
    for begin in range(0, len(numbers), int(batch)):
        part = numbers[begin : begin + int(batch)]
        assert store.write(*(make_span(n) for n in part), *(make_event(n) for n in part))
    print("done", flush=True)


def write_until_killed(store: StoreUnderTest) -> None:
    """Say after each batch how many spans are stored."""
    for number in range(10**9):
        assert store.write(make_span(number))
        print(number + 1, flush=True)


def fork(store: StoreUnderTest) -> None:
    """Parent and child write in turns with the writer that the parent opened, while a thread holds its lock."""
    assert store.write(make_span(0), make_event(0))
    writer = store.writers[0]
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with writer._lock():
            is_held.set()
            may_go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    child = os.fork()
    if child == 0:
        is_stored = store.write(make_span(1), make_event(1))
        store.close()
        os._exit(0 if is_stored else 1)
    may_go_on.set()
    thread.join()
    assert store.write(make_span(2))
    _, status = os.waitpid(child, 0)
    assert store.write(make_span(3))
    print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _, kind, path, task, *arguments = sys.argv
    under_test = StoreUnderTest(kind, Path(path))
    {"write": write, "write_until_killed": write_until_killed, "fork": fork}[task](under_test, *arguments)
    under_test.close()
