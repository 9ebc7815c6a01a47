"""A fork loses nothing, delivers nothing twice and does not wait: in parent and child, before, between and after."""

from __future__ import annotations

import json
import os
import sys

import pytest

from .programs import (
    check_left_sums,
    missing,
    repeated,
    run_work,
    stored_event_numbers,
    stored_numbers,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

FORKS = """
configure()

def in_child(numbers):
    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        work_and_track(numbers)
        sys.exit(0)
    return pid, time.monotonic() - began_s

"""


def check_once(numbers: range) -> None:
    """Every number is stored, as a span and as an event, exactly once."""
    for found in (stored_numbers(), stored_event_numbers()):
        assert missing(numbers, found) == []
        assert repeated(found) == []
        assert len(found) == len(numbers)


def test_spans_and_events_around_a_fork_are_stored_once_each() -> None:
    """What waited in the parent's memory is the parent's alone."""
    ended = run_work(f"""{FORKS}
work_and_track(range(0, 100))
pid, _ = in_child(range(100, 200))
work_and_track(range(200, 300))
os.waitpid(pid, 0)
work_and_track(range(300, 400))
""")
    assert ended.stderr == ""
    check_once(range(400))


@pytest.mark.slow
def test_children_of_children_and_many_forks_in_a_row_lose_nothing() -> None:
    """As a prefork server does it, whose workers fork too."""
    ended = run_work(f"""{FORKS}
work_and_track(range(0, 10))
pids = []
for n in range(1, 11):
    pid = os.fork()
    if pid == 0:
        work_and_track(range(n * 100, n * 100 + 5))
        inner, _ = in_child(range(n * 100 + 5, n * 100 + 10))
        os.waitpid(inner, 0)
        sys.exit(0)
    pids.append(pid)
    work_and_track(range(n * 10, n * 10 + 10))
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
""")
    assert (ended.stdout, ended.stderr) == (f"{[0] * 10}\n", "")
    numbers = [*range(110), *(n * 100 + i for n in range(1, 11) for i in range(10))]
    assert sorted(stored_numbers()) == sorted(stored_event_numbers()) == sorted(numbers)


def test_fork_from_a_thread_while_others_trace_loses_nothing() -> None:
    """No thread of ours holds a lock in the moment of the fork, or the child would hang in its first call."""
    # Who forks beside running threads is warned by Python itself.
    ended = run_work(
        f"""{FORKS}
stop = threading.Event()
made = [0] * 3

def trace(which):
    while not stop.is_set():
        work_and_track([1_000_000 * (which + 1) + made[which]])
        made[which] += 1
        time.sleep(0.001)

def fork_often():
    for n in range(20):
        pid = os.fork()
        if pid == 0:
            work_and_track(range(n * 10, n * 10 + 10))
            flush(20)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0

tracers = [threading.Thread(target=trace, args=(n,)) for n in range(3)]
forker = threading.Thread(target=fork_often)
for thread in (*tracers, forker):
    thread.start()
forker.join()
stop.set()
for thread in tracers:
    thread.join()
say(made=made)
""",
        PYTHONWARNINGS="ignore",
    )
    assert ended.stderr == ""
    made = json.loads(ended.stdout)["made"]
    expected = [*range(200), *(1_000_000 * (which + 1) + n for which in range(3) for n in range(made[which]))]
    assert sorted(stored_numbers()) == sorted(stored_event_numbers()) == expected


def test_no_thread_of_ours_begins_while_a_fork_waits_for_a_slow_one() -> None:
    """What others trace meanwhile would begin one anew, and the child inherit what that is just writing."""
    ended = run_work(
        f"""
beside = []

def look():
    beside.extend(thread.name for thread in threading.enumerate() if thread.name.startswith("otel-tracker"))

os.register_at_fork(before=look)  # earlier than ours, and so called after it
{FORKS}
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from otel_tracker.processors import DurableSpanProcessor

class Slow(SpanExporter):
    schedule_delay_ms = 1  # as a local store's, for which a fork waits up to a second

    def export(self, spans):
        time.sleep(0.1)
        return SpanExportResult.SUCCESS

trace.get_tracer_provider().add_span_processor(DurableSpanProcessor(Slow()))
stop = threading.Event()
made = [0]

def trace_on():
    while not stop.wait(0.001):
        work_and_track([1_000 + made[0]])
        made[0] += 1

tracer = threading.Thread(target=trace_on)
tracer.start()
for n in range(5):
    while made[0] < (n + 1) * 10:
        time.sleep(0.001)
    pid, _ = in_child([n])
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
tracer.join()
say(beside=beside, made=made[0])
""",
        PYTHONWARNINGS="ignore",
    )
    said = json.loads(ended.stdout)
    assert (ended.stderr, said["beside"]) == ("", [])
    expected = [*range(5), *range(1_000, 1_000 + said["made"])]
    assert sorted(stored_numbers()) == sorted(stored_event_numbers()) == expected


@pytest.mark.slow
def test_fork_while_the_exporter_hangs_waits_briefly_and_loses_nothing() -> None:
    """A tenth of a second for each signal at most; parent and child leave what is theirs, and the next start has it."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")
    from .endpoints import endpoint

    with endpoint("hangs") as server:
        variables = {
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_BLRP_SCHEDULE_DELAY": "10",
            "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S": "0.5",
            **server.variables,
            "PYTHONWARNINGS": "ignore",
        }
        ended = run_work(
            f"""{FORKS}
work_and_track(range(0, 1000))
flush(0.2)
pid, took_s = in_child(range(1000, 2000))
work_and_track(range(2000, 3000))
print(json.dumps({{"took_s": took_s, "status": os.waitpid(pid, 0)[1]}}))
""",
            **variables,
        )
        measured = json.loads(ended.stdout)
        assert measured["status"] == 0
        assert measured["took_s"] < 1.0
        assert sum(report["in_journal"] for report in check_left_sums()) == 6_000
        server.recover()
        run_work("configure(); work(-1); assert flush(20)", **server.variables)
        for found in (server.span_numbers, server.event_numbers):
            assert missing(range(3_000), found) == []
            assert repeated(found) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older versions do not warn")
def test_fork_while_our_threads_are_idle_does_not_warn_of_threads() -> None:
    """Python 3.12 and later warn of a fork beside threads; ours are not there in that moment."""
    ended = run_work(f"""{FORKS}
import warnings
warnings.simplefilter("always")
work_and_track(range(10))
assert flush(20)
pid, _ = in_child(range(10, 20))
os.waitpid(pid, 0)
work_and_track(range(20, 30))
""")
    assert ended.stderr == ""
    check_once(range(30))


def test_workers_of_a_pool_deliver_what_they_did_and_the_parent_goes_on() -> None:
    """They end by `os._exit`, which runs nothing that `atexit` knows."""
    ended = run_work(
        f"""{FORKS}
import multiprocessing
work_and_track(range(0, 10))
with multiprocessing.get_context("fork").Pool(3) as pool:
    pool.map(work_and_track, [range(n * 10, n * 10 + 10) for n in range(1, 7)], 1)
    pool.close()
    pool.join()
work_and_track(range(70, 80))
""",
        PYTHONWARNINGS="ignore",
    )
    assert ended.stderr == ""
    check_once(range(80))


TIGHT_LOOPS = """
configure()
stop = threading.Event()
made = [0] * 4

@traced
def step(n):
    pass

def trace(which):
    while not stop.is_set():
        step(which)
        made[which] += 1

tracers = [threading.Thread(target=trace, args=(n,)) for n in range(4)]
for thread in tracers:
    thread.start()
"""


@pytest.mark.slow
def test_fork_beside_threads_that_trace_without_pause_returns_and_so_does_the_child() -> None:
    """More spans than can be delivered or put on disk: nobody waits for a lock that is never free."""
    ended = run_work(
        f"""{TIGHT_LOOPS}
longest_s = 0.0
for _ in range(8):
    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        step(9)
        os._exit(0 if flush(20) else 1)
    longest_s = max(longest_s, time.monotonic() - began_s)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in tracers:
    thread.join()
say(longest_s=longest_s)
os._exit(0)
""",
        PYTHONWARNINGS="ignore",
    )
    assert json.loads(ended.stdout)["longest_s"] < 5.0


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="asks /proc how much memory is in use")
def test_memory_is_bounded_while_several_threads_trace_without_pause() -> None:
    """One thread that puts on disk what the others make would never keep up with them."""
    ended = run_work(f"""{TIGHT_LOOPS}
def used_mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

while sum(made) < 40_000:
    time.sleep(0.01)
early_mib = used_mib()
while sum(made) < 160_000:
    time.sleep(0.01)
late_mib = used_mib()
stop.set()
say(grown_mib=late_mib - early_mib, made=made)
os._exit(0)
""")
    said = json.loads(ended.stdout)
    assert min(said["made"]) > sum(said["made"]) // 40  # nobody of them works for the others alone
    assert said["grown_mib"] < 40
