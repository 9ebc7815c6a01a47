"""However a process forks, ends or is ended: what it has counted is in the store once, and it ends in time.

Real child processes; the interval is a minute, so that what is stored was delivered by the way in which they ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery.programs import end, run_work, start
from support import stored_spans, wait_until

from otel_tracker import open_store

if TYPE_CHECKING:
    from otel_tracker import MetricRecord

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")]

MEASURE = """
import asyncio, concurrent.futures, multiprocessing
from otel_tracker import counter, gauge, histogram, timed, up_down_counter

@traced(metrics=True)
def call():
    pass

def measure(times=1):
    for _ in range(times):
        counter("c").add(1, where="x")
        histogram("h").record(2.0)
        up_down_counter("u").add(1)
        call()

"""
SLOW_INTERVAL = {"OTEL_METRIC_EXPORT_INTERVAL": "60000", "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S": "20"}
QUIET = {**SLOW_INTERVAL, "PYTHONWARNINGS": "ignore"}


def points(location: str | Path = "otel-tracker.db") -> list[MetricRecord]:
    """Every point of a store, the newest first."""
    with open_store(location) as reader:
        return list(reader.metrics(limit=None))


def totals(location: str | Path = "otel-tracker.db") -> dict[str, int]:
    """What the deltas of a store add up to."""
    found: Counter[str] = Counter()
    for point in points(location):
        if point.temporality == "delta":
            told = point.count if point.kind == "histogram" else point.value
            found[point.name] += int(told or 0)
    return dict(found)


def all_are(number: int) -> dict[str, int]:
    """What `measure` has measured so many times."""
    return {"c": number, "h": number, "otel_tracker.function.duration": number}


ENDS = {
    "end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise SystemError", 1),
    "sigterm": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -signal.SIGTERM),
    "sigint": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -signal.SIGINT),
    "shutdown": ("shutdown(); measure(5)", 0),
    "flush and _exit": ("flush(20); os._exit(0)", 0),
    "daemon thread": ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", 0),
    "in a thread": ("t = threading.Thread(target=measure, args=(10,)); t.start(); t.join()", 0),
    "atexit": ("import atexit; atexit.register(measure, 10)", 0),
    "stdout closed": ("sys.stdout.close(); sys.stderr.close()", 0),
}


@pytest.mark.parametrize("how", ENDS)
def test_end_of_a_process_stores_what_it_counted_once(how: str) -> None:
    """Whatever ends it, but SIGKILL."""
    code, status = ENDS[how]
    program = start(f"{MEASURE}configure()\nmeasure(10)\n{code}\n", **SLOW_INTERVAL)
    ended = end(program)
    assert ended.status == status, ended
    assert "otel" not in ended.stderr
    assert totals() == all_are(20 if how in ("in a thread", "atexit") else 10)


@pytest.mark.parametrize("store", ["sqlite", "jsonl", "sqlite,jsonl"])
def test_every_destination_gets_all_of_it(store: str) -> None:
    """Two destinations count the same, each in full."""
    run_work(f"{MEASURE}configure()\nmeasure(10)\nflush(20)\nmeasure(5)\n", OTEL_TRACES_EXPORTER=store, **SLOW_INTERVAL)
    for name in store.split(","):
        assert totals("otel-tracker.db" if name == "sqlite" else "otel-tracker.jsonl") == all_are(15)


def test_forks_of_every_kind_count_what_they_measured_and_no_more() -> None:
    """`os.fork`, `multiprocessing` and a pool of processes, with counts before, between and after."""
    ended = run_work(
        f"""{MEASURE}
configure()
measure(7)
pids = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        measure(2)
        sys.exit(0) if n else None
        flush(20)
        os._exit(0)
    pids.append(pid)
    measure(1)
context = multiprocessing.get_context("fork")
children = [context.Process(target=measure, args=(3,)) for _ in range(2)]
for child in children:
    child.start()
for child in children:
    child.join()
with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
    list(pool.map(measure, [1] * 10))
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
""",
        **QUIET,
    )
    assert (ended.stdout, ended.stderr) == ("[0, 0, 0]\n", "")
    assert totals() == all_are(7 + 3 * 2 + 3 + 6 + 10)
    assert len(stored_spans()) == 32


def test_up_down_counters_of_parent_and_children_stay_apart() -> None:
    """Each process tells its own total; a reader that adds up processes must be able to tell them apart."""
    run_work(
        f"""{MEASURE}
configure()
up_down_counter("jobs").add(5)
pid = os.fork()
if pid == 0:
    up_down_counter("jobs").add(3)
    sys.exit(0)
os.waitpid(pid, 0)
up_down_counter("jobs").add(-1)
""",
        **QUIET,
    )
    ended = subprocess.run(
        [sys.executable, "-m", "otel_tracker", "metrics", "jobs"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    row = ended.stdout.splitlines()[1].split()
    assert row[:2] == ["jobs", "up_down_counter"]
    assert row[2] == "7"


def test_gauge_of_a_parent_is_not_told_by_a_child() -> None:
    """Who never set it knows nothing of it."""
    run_work(
        f"""{MEASURE}
configure()
gauge("g").set(5)
pid = os.fork()
if pid == 0:
    measure(1)
    sys.exit(0)
os.waitpid(pid, 0)
""",
        **QUIET,
    )
    assert [point.value for point in points() if point.name == "g"] == [5]


@pytest.mark.parametrize("turn", range(3))
def test_fork_while_other_threads_measure_never_hangs_the_child(turn: int) -> None:
    """Threads stand inside of locks in the moment of the fork; parent and children together have counted all of it."""
    ended = run_work(
        f"""{MEASURE}
configure()
stop = threading.Event()
made = [0] * 4
def add():
    counter("c").add(1, where="x")
    histogram("h").record(2.0)
def go_on(which):
    while not stop.is_set():
        add()
        made[which] += 1
threads = [threading.Thread(target=go_on, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for n in range(25):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        for _ in range(4):
            add()
        counter(f"new.{{n}}").add(1)
        flush(20)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, (n, status)
stop.set()
for thread in threads:
    thread.join()
say(made=sum(made))
""",
        **QUIET,
    )
    made = json.loads(ended.stdout)["made"]
    found = totals()
    assert (found["c"], found["h"]) == (made + 100, made + 100)
    assert sum(count for name, count in found.items() if name.startswith("new.")) == 25


def test_child_that_replaces_itself_or_leaves_at_once_takes_nothing_along() -> None:
    """`os._exit` and `exec` without a flush lose the child's own, and nothing of the parent's."""
    run_work(
        f"""{MEASURE}
configure()
measure(10)
for how in range(2):
    pid = os.fork()
    if pid == 0:
        if how:
            os.execv(sys.executable, [sys.executable, "-c", "pass"])
        os._exit(0)
    os.waitpid(pid, 0)
measure(10)
""",
        **QUIET,
    )
    assert totals() == all_are(20)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_processes_that_configure_themselves_count_too(method: str) -> None:
    """Helpers that travel by pickle included."""
    run_work(
        f"""{MEASURE}
shared = counter("c")

def work(times, which):
    configure()
    for _ in range(times):
        which.add(1, where="x")

if __name__ == "__main__":
    configure()
    context = multiprocessing.get_context({method!r})
    child = context.Process(target=work, args=(5, shared))
    child.start()
    child.join()
    assert child.exitcode == 0
    shared.add(1, where="y")
""",
        **QUIET,
    )
    assert totals() == {"c": 6}


@pytest.mark.parametrize("turn", range(4))
def test_sigterm_in_a_tight_loop_of_measurements_loses_none(turn: int) -> None:
    """What the loop had counted when it was stopped; at most the measurement in flight is not in it."""
    program = start(
        f"""{MEASURE}
configure()
print("on", flush=True)
n = 0
try:
    while True:
        n += 1
        histogram("h").record(2.0, a=n % 3)
        counter("c").add(1)
        if n % 1000 == 0:
            os.write(1, b"%d\\n" % n)
finally:
    pass
""",
        **SLOW_INTERVAL,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "on\n"
    assert program.stdout.readline() == "1000\n"
    time.sleep(0.02 * turn)
    began_s = time.monotonic()
    ended = end(program, signal.SIGTERM)
    assert ended.status == -signal.SIGTERM, ended
    assert ended.stderr == ""
    assert time.monotonic() - began_s < 15
    told = [1000, *map(int, ended.stdout.split())][-1]
    found = totals()
    assert found["h"] >= told
    assert found["c"] in (found["h"], found["h"] - 1)


def test_sigkill_costs_no_more_than_an_interval() -> None:
    """What an export had told is kept; no more than what came since the last one is missing."""
    program = start(
        f"""{MEASURE}
configure()
n = 0
while True:
    counter("c").add(1)
    n += 1
    if n % 10 == 0:
        os.write(1, b"%d\\n" % n)
    time.sleep(0.01)
""",
        OTEL_METRIC_EXPORT_INTERVAL="200",
    )
    assert program.stdout is not None
    wait_until(lambda: Path("otel-tracker.db").exists() and totals().get("c", 0) > 20, 30)
    kept = totals()["c"]
    ended = end(program, signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert totals()["c"] >= kept
    assert len(points()) >= 1


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_store_that_cannot_be_written_never_reaches_the_program(kind: str) -> None:
    """A folder where the file should be: results as ever, an end in time, and one sentence."""
    os.mkdir("otel-tracker.db" if kind == "sqlite" else "otel-tracker.jsonl")
    began_s = time.monotonic()
    ended = run_work(
        f"{MEASURE}configure()\nfor _ in range(5):\n    measure(10)\n    flush(5)\nprint('done')\n",
        OTEL_TRACES_EXPORTER=kind,
        OTEL_METRIC_EXPORT_INTERVAL="100",
        OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S="2",
    )
    assert ended.stdout == "done\n"
    assert "Traceback" not in ended.stderr
    assert len(ended.complaints) <= 4, ended.stderr
    assert time.monotonic() - began_s < 40


def test_locked_store_delays_the_end_no_longer_than_its_deadline() -> None:
    """Somebody holds the SQLite file for good: the process ends in the time that it was given."""
    import sqlite3
    from contextlib import closing

    run_work(f"{MEASURE}configure()\nmeasure(1)\n", **SLOW_INTERVAL)
    with closing(sqlite3.connect("otel-tracker.db", isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        ended = run_work(
            f"""{MEASURE}
configure()
began_s = time.monotonic()
measure(10)
measured_s = time.monotonic() - began_s
import atexit
say(measured_s=measured_s)
""",
            OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S="1",
        )
        assert json.loads(ended.stdout)["measured_s"] < 1.0
        locker.execute("ROLLBACK")
    assert totals()["c"] in (1, 11)


def test_disabled_sdk_stores_nothing_and_says_nothing() -> None:
    """No provider, no thread, no file."""
    ended = run_work(f"{MEASURE}configure()\nmeasure(10)\nprint(threading.active_count())\n", OTEL_SDK_DISABLED="true")
    assert (ended.stdout, ended.stderr) == ("1\n", "")
    assert not Path("otel-tracker.db").exists()


def test_interpreter_without_configure_has_no_thread_and_no_file() -> None:
    """Importing and measuring never configure anything."""
    ended = run_work(f"{MEASURE}measure(10)\nprint(threading.active_count(), 'opentelemetry.sdk' in sys.modules)\n")
    assert (ended.stdout, ended.stderr) == ("1 False\n", "")
    assert not Path("otel-tracker.db").exists()


def test_asyncio_run_twice_and_threads_that_come_and_go() -> None:
    """Nothing of ours is bound to a loop or to a thread that ends."""
    run_work(
        f"""{MEASURE}
configure()
async def main():
    async with timed("t"):
        await asyncio.gather(*(asyncio.to_thread(measure, 2) for _ in range(20)))
asyncio.run(main())
asyncio.run(main())
""",
        **SLOW_INTERVAL,
    )
    found = totals()
    assert found.pop("t") == 2
    assert found == all_are(80)


def test_what_a_program_measures_with_the_sdk_itself_is_stored_as_well() -> None:
    """A library's own meter, observable instruments included, before and behind a fork."""
    run_work(
        f"""{MEASURE}
from opentelemetry import metrics
configure()
meter = metrics.get_meter("their.lib")
theirs = meter.create_counter("theirs")
seen = [0]
def observe(options):
    seen[0] += 1
    yield metrics.Observation(100 + os.getpid() * 0)
meter.create_observable_counter("observed", [observe])
meter.create_observable_gauge("boom", [lambda options: 1 // 0])
theirs.add(5)
pid = os.fork()
if pid == 0:
    theirs.add(2)
    sys.exit(0)
os.waitpid(pid, 0)
measure(1)
""",
        **QUIET,
    )
    found = totals()
    assert (found["theirs"], found["c"]) == (7, 1)


def test_memory_stays_bounded_while_a_store_cannot_be_written() -> None:
    """A day of exports with a thousand series each, in fast motion."""
    os.mkdir("otel-tracker.jsonl")
    ended = run_work(
        f"""{MEASURE}
import resource
configure()
def grown():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for turn in range(12):
    for n in range(900):
        counter("c").add(1, n=n)
    flush(5)
before = grown()
for turn in range(6):
    for n in range(900):
        counter("c").add(1, n=n)
    flush(5)
say(grown_mb=grown() - before)
""",
        OTEL_TRACES_EXPORTER="jsonl",
        **SLOW_INTERVAL,
    )
    assert json.loads(ended.stdout)["grown_mb"] < 25
