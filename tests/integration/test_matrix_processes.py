"""Programs that make processes: whatever made them and however they end, each delivers what it did, once.

Every program does something before it makes a process, so that there is something that must not be delivered twice.
"""

from __future__ import annotations

import sys

import pytest
from support import stored_spans

from .matrix import assert_worked, launch, needs_linux

pytestmark = needs_linux

# Those that start interpreters take seconds; `test_bound_function_continues_the_trace_wherever_it_runs` spawns as well.
METHODS = ("fork", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "forkserver")))

PROCESSES = """
import multiprocessing, sys
from shop_work import price

def work(first):
    for sku in range(first, first + 10):
        price(sku)
    if first == 20:
        sys.exit(3)

if __name__ == "__main__":
    price(0)
    made = [multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(first,)) for first in (10, 20)]
    for process in made:
        process.start()
    for process in made:
        process.join()
    price(1)
    sys.exit([process.exitcode for process in made] != [0, 3])
"""


@pytest.mark.parametrize("method", METHODS)
def test_multiprocessing_loses_nothing(method: str) -> None:
    """Two processes, of which one ends by `sys.exit`; both in the end by `os._exit`, unless spawned."""
    launch(PROCESSES, method)
    assert_worked([0, 1, *range(10, 30)])


TERMINATED = """
import multiprocessing, sys, threading
from shop_work import price

def work(ready):
    for sku in range(10, 20):
        price(sku)
    ready.set()
    threading.Event().wait()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    price(0)
    ready = context.Event()
    process = context.Process(target=work, args=(ready,))
    process.start()
    ready.wait()
    process.terminate()
    process.join()
    sys.exit(process.exitcode != -15)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_process_that_is_terminated_loses_nothing(method: str) -> None:
    """`Process.terminate()` is SIGTERM, and the parent sees that it worked."""
    launch(TERMINATED, method)
    assert_worked([0, *range(10, 20)])


POOL = """
import multiprocessing
from shop_work import price

if __name__ == "__main__":
    price(0)
    with multiprocessing.Pool(2) as pool:
        pool.map(price, range(10, 50))
"""


@pytest.mark.slow
def test_pool_that_is_terminated_by_its_with_block_loses_nothing() -> None:
    """Leaving the block terminates the workers with SIGTERM."""
    launch(POOL)
    assert_worked([0, *range(10, 50)])


EXECUTOR = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from shop_work import price

if __name__ == "__main__":
    price(0)
    method, *at_most = sys.argv[1:]
    recycled = {"max_tasks_per_child": int(*at_most)} if at_most else {}
    with ProcessPoolExecutor(2, multiprocessing.get_context(method), **recycled) as pool:
        assert list(pool.map(price, range(10, 50))) == list(range(10, 50))
"""


@pytest.mark.parametrize("method", METHODS)
def test_executor_of_processes_loses_nothing(method: str) -> None:
    """Forty tasks in two workers."""
    launch(EXECUTOR, method)
    assert_worked([0, *range(10, 50)])


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs max_tasks_per_child, of Python 3.11")
def test_executor_that_replaces_its_workers_loses_nothing() -> None:
    """Each worker ends after twenty tasks, while the program goes on."""
    launch(EXECUTOR, "forkserver", "20")
    assert_worked([0, *range(10, 50)])


FORKS = """
import os, sys
from shop_work import price

price(0)
if os.fork():
    price(1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 3
else:
    price(10)
    if os.fork():
        price(11)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        sys.exit(3)
    price(20)
"""


def test_forked_process_and_its_own_child_lose_nothing() -> None:
    """`os.fork`, with `sys.exit` and with a normal end."""
    launch(FORKS)
    assert_worked([0, 1, 10, 11, 20])


FORK_AND_SIGTERM = """
import os, signal, time
from shop_work import price

price(0)
child = os.fork()
if child == 0:
    price(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
assert os.waitstatus_to_exitcode(os.wait()[1]) == -15
price(2)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""


def test_forked_process_and_its_parent_lose_nothing_on_sigterm() -> None:
    """Each is ended by the signal, and each delivers its own."""
    launch(FORK_AND_SIGTERM, status=-15)
    assert_worked([0, 1, 2])


FORK_BESIDE_THREADS = """
import os, threading
from shop_work import price

def busy(first):
    for sku in range(first, first + 500):
        price(sku)

price(100)
threads = [threading.Thread(target=busy, args=(first,)) for first in (10_000, 20_000)]
for thread in threads:
    thread.start()
for sku in range(10):
    if os.fork() == 0:
        price(sku)
        raise SystemExit
    os.wait()
for thread in threads:
    thread.join()
"""


@pytest.mark.slow
def test_fork_beside_busy_threads_neither_hangs_nor_loses_nor_repeats_anything() -> None:
    """Whatever a thread holds at the moment of the fork."""
    launch(FORK_BESIDE_THREADS)
    assert_worked([*range(10), 100, *range(10_000, 10_500), *range(20_000, 20_500)])


SUBPROCESS = """
import subprocess, sys
from otel_tracker import child_environment, span
from shop_work import price

if len(sys.argv) > 1:
    price(int(sys.argv[1]))
else:
    with span("apart"):
        subprocess.run([sys.executable, __file__, "0"], check=True)
    with span("together"):
        subprocess.run([sys.executable, __file__, "1"], check=True, env=child_environment())
"""


@pytest.mark.slow
def test_subprocess_is_traced_and_continues_the_trace_that_it_is_given() -> None:
    """With `child_environment()`; without, its trace is its own."""
    launch(SUBPROCESS)
    found = assert_worked([0, 1], besides=2)
    together = next(span for span in stored_spans() if span.name == "together")
    assert found["0"].parent_span_id == ""
    assert (found["1"].trace_id, found["1"].parent_span_id) == (together.trace_id, together.span_id)


PROPAGATED = """
import multiprocessing, threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from otel_tracker import propagate, span
from shop_work import price

if __name__ == "__main__":
    with span("bound"):
        bound = propagate(price)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(bound, range(10))) == list(range(10))
    for method, first in (("fork", 10), ("spawn", 20)):
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            assert list(pool.map(bound, range(first, first + 10))) == list(range(first, first + 10))
    thread = threading.Thread(target=bound, args=(30,))
    process = multiprocessing.get_context("fork").Process(target=bound, args=(31,))
    for each in (thread, process):
        each.start()
        each.join()
"""


@pytest.mark.slow
def test_bound_function_continues_the_trace_wherever_it_runs() -> None:
    """Threads, their executor, forked and spawned processes, their executors: after the block in which it was bound."""
    launch(PROPAGATED)
    found = assert_worked(range(32), besides=1)
    bound = next(span for span in stored_spans() if span.name == "bound")
    assert {(span.trace_id, span.parent_span_id) for span in found.values()} == {(bound.trace_id, bound.span_id)}
