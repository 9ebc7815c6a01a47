"""Whatever happens to the process, its own result is what it would have been, and what could be kept is kept.

Each case is brought about for real in a child process; clocks are patched.
"""

from __future__ import annotations

import json
import signal
import sys

import pytest
from support import Ended, run, stored_spans

from .programs import missing, repeated, run_work, script, stored_event_numbers, stored_numbers

resource = pytest.importorskip("resource", reason="needs POSIX limits")

LIMITS = """
import resource
configure()
work_and_track(range(10))

def limit(kind, soft):
    was = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, was[1]))
    return lambda: resource.setrlimit(kind, was)

"""


def check_once(numbers: range) -> None:
    """Every number is stored, as a span and as an event, exactly once."""
    for found in (stored_numbers(), stored_event_numbers()):
        assert missing(numbers, found) == []
        assert repeated(found) == []


@pytest.mark.slow
def test_clock_that_is_set_back_changes_nothing_and_loses_nothing() -> None:
    """100 seconds, in the middle of a run: delays and deadlines go by a clock that nobody sets."""
    ended = run_work("""
configure()
work_and_track(range(50))
assert flush(20)
really, really_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: really() - 100, lambda: really_ns() - 100 * 10**9
work_and_track(range(50, 100))
began_s = time.monotonic()
while time.monotonic() < began_s + 20 and not delivery_report().exported == 200:
    time.sleep(0.01)
print(delivery_report().exported, work(100))
""")
    assert (ended.stdout, ended.stderr) == ("200 101\n", "")
    assert missing(range(101), stored_numbers()) == []
    assert missing(range(100), stored_event_numbers()) == []


def test_duration_of_a_span_across_a_clock_set_back_is_not_negative() -> None:
    """A statistic with a negative duration would be worse than none."""
    run_work("""
configure()
really, really_ns = time.time, time.time_ns

@traced
def across(number):
    time.time, time.time_ns = lambda: really() - 100, lambda: really_ns() - 100 * 10**9

across(1)
""")
    (span,) = stored_spans()
    assert span.duration_ms is not None
    assert span.duration_ms >= 0


@pytest.mark.parametrize("first", ["flush(20)", pytest.param("flush(0)", marks=pytest.mark.slow)])
def test_exhausted_file_descriptors_do_not_reach_the_program(first: str) -> None:
    """Neither store nor journal can be opened: the program goes on, what is lost is counted, what is later is not."""
    ended = run_work(f"""{LIMITS}
{first}
fds = []
limit(resource.RLIMIT_NOFILE, 64)
try:
    while True:
        fds.append(os.open(os.devnull, os.O_RDONLY))
except OSError as error:
    print(error.errno)
print(sum(work(number) for number in range(10, 5_000)))
for number in range(10, 5_000):
    track("work.done", number=number)
flush(0.5)
for fd in fds:
    os.close(fd)
assert flush(20)
work_and_track(range(5_000, 5_010))
assert flush(20)
say(**delivery_report().to_dict())
""")
    total, report = ended.stdout.splitlines()[1], json.loads(ended.stdout.splitlines()[-1])
    assert ended.stdout.startswith("24\n")
    assert int(total) == sum(number + 1 for number in range(10, 5_000))
    assert set(report["dropped"]) <= {"journal_unwritable"}
    assert report["created"] == 10_020 == report["exported"] + sum(report["dropped"].values())
    assert ended.stderr.count("Telemetry is lost") <= 1
    assert "Traceback" not in ended.stderr
    assert len(stored_numbers()) + len(stored_event_numbers()) == report["exported"]
    assert missing(range(5_000, 5_010), stored_numbers()) == missing(range(5_000, 5_010), stored_event_numbers()) == []


@pytest.mark.slow
def test_process_that_can_start_no_thread_goes_on_and_delivers_at_its_end() -> None:
    """Address space for one more stack is not there; the exit needs no thread either."""
    ended = run_work(
        """
import resource
configure()
threading.stack_size(1 << 30)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), resource.RLIM_INFINITY))
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
print(sum(work(number) for number in range(5_000)))
for number in range(5_000):
    track("work.done", number=number)
print(flush(20))
work(5_000)
""",
    )
    assert ended.stdout == f"can't start new thread\n{sum(range(1, 5_001))}\nTrue\n"
    assert len(ended.complaints) <= 1, ended.stderr
    assert missing(range(5_001), stored_numbers()) == []
    assert missing(range(5_000), stored_event_numbers()) == []


@pytest.mark.slow
def test_recursion_error_in_a_traced_function_is_the_programs_own() -> None:
    """It is raised where it would have been, handled as before, and tracing goes on."""
    ended = run_work("""
configure()

@traced
def endless(number):
    return endless(number + 1)

def deep(number):
    return work(number) if number else work(0) and deep(number)

for _ in range(3):
    try:
        endless(0)
    except RecursionError as error:
        print(type(error).__name__)

@traced
def outer(number):
    def down(n):
        return down(n + 1)
    return down(0)

try:
    outer(1)
except RecursionError as error:
    print(type(error).__name__)
work_and_track(range(10_000, 10_010))
print(flush(20), delivery_report().dropped)
""")
    assert ended.stdout == "RecursionError\n" * 4 + "True {}\n"
    assert ended.stderr == ""
    assert missing(range(10_000, 10_010), stored_numbers()) == []


def test_memory_error_in_a_traced_function_is_the_programs_own() -> None:
    """The address space is limited for real; what is caught is what was raised, and the span says so."""
    ended = run_work(f"""{LIMITS}
@traced
def hungry(number):
    return len(bytearray(1 << 40)) + number

restore = limit(resource.RLIMIT_AS, 4 << 30)
for number in range(10, 20):
    try:
        hungry(number)
    except MemoryError as error:
        print(type(error).__name__)
work_and_track(range(20, 30))
print(flush(20), delivery_report().dropped)
""")
    assert ended.stdout == "MemoryError\n" * 10 + "True {}\n"
    assert ended.stderr == ""
    check_once(range(10))
    assert missing(range(30), stored_numbers()) == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 asks for memory for every frame, the test's own included")
@pytest.mark.slow
def test_process_without_any_memory_left_keeps_its_own_result() -> None:
    """Even when there is none for a span: what it could do without us, it does.

    Without memory the interpreter, or a library in C, now and then ends with a segmentation fault, which tells nothing.
    """
    ended = next(each for _ in range(5) if (each := _starved()).status != -signal.SIGSEGV)
    total = sum(number + 1 for number in range(10, 2_000))
    assert (ended.status, ended.stdout) == (0, f"{total} 0\nTrue\n"), ended
    assert missing(range(2_000, 2_010), stored_numbers()) == []


def _starved() -> Ended:
    program = script(f"""{LIMITS}
assert flush(20)

def starve():
    # In a thread, whose stack has its room already: the main thread's would have to grow, which kills the process.
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    hoard, size, numbers, total, refused = [], 1 << 20, list(range(10, 2_000)), 0, 0
    restore = limit(resource.RLIMIT_AS, used + (1 << 20))
    while size >= 512:
        try:
            hoard.append(bytearray(size))
        except MemoryError:
            size //= 2
    spare = hoard.pop()  # for the loop's own numbers
    del spare
    for number in numbers:
        try:
            total += work(number)
        except MemoryError:
            refused += 1
    hoard.clear()
    restore()
    print(total, refused)

thread = threading.Thread(target=starve)
thread.start()
thread.join()
work_and_track(range(2_000, 2_010))
print(flush(20))
""")
    return run(sys.executable, program)


@pytest.mark.slow
def test_a_thousand_threads_that_trace_together_lose_nothing() -> None:
    """Each ends ten spans and ten events; no thread of ours is started for any of them."""
    ended = run_work("""
configure()
threading.stack_size(128 << 10)
gate = threading.Event()
failures = []

def trace(which):
    gate.wait()
    try:
        work_and_track(range(which * 10, which * 10 + 10))
    except BaseException as error:
        failures.append(repr(error))

threads = [threading.Thread(target=trace, args=(n,)) for n in range(1_000)]
for thread in threads:
    thread.start()
gate.set()
for thread in threads:
    thread.join()
ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("otel-tracker")]
flush(60)
print(failures, len(ours) <= 3)
""")
    assert (ended.stdout, ended.stderr) == ("[] True\n", "")
    check_once(range(10_000))


@pytest.mark.parametrize("destination", ["sqlite", pytest.param("jsonl", marks=pytest.mark.slow)])
def test_interpreter_shuts_down_while_daemon_threads_trace(destination: str) -> None:
    """What ended before the last line is stored, and the exit status is the program's own."""
    ended = run_work(
        """
configure()
def forever(which):
    number = which
    while True:
        work(number)
        track("work.done", number=number)
        number += 10
        time.sleep(0)

for n in range(4):
    threading.Thread(target=forever, args=(1_000_000 + n,), daemon=True).start()
work_and_track(range(500))
print("done")
""",
        OTEL_TRACES_EXPORTER=destination,
    )
    assert ended.stdout == "done\n"
    # What such threads left no time for waits in the journal, and is said.
    assert all("The rest lies in the journal" in sentence for sentence in ended.stderr.splitlines()), ended
    run_work("configure(); assert flush(30)", OTEL_TRACES_EXPORTER=destination)
    store = "otel-tracker.db" if destination == "sqlite" else "otel-tracker.jsonl"
    assert missing(range(500), stored_numbers(store)) == []
    assert missing(range(500), stored_event_numbers(store)) == []
    assert repeated(stored_numbers(store)) == []
