"""Whatever the server of an exporter does, producers go on, memory and exit are bounded, and everything is counted.

Real servers, upstream's OTLP exporter under `configure(exporters="otlp")`, real child processes.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest
from support import Ended, wait_until

from .endpoints import OUTAGES, Endpoint, endpoint
from .programs import check_left_sums, end, missing, now_s, repeated, run_work, start

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")

EXIT_S = 0.5
EXIT_MARGIN_S = 1.5
"""What a busy machine of two cores may add to the end of an interpreter."""
MAX_GROWTH_MB = 20
MAX_P999_MS = 2.0
"""Twice the promise, which `benchmarks/hostile.py` measures: here the machine may be busy with other things."""

PRODUCER = """
number = int(sys.argv[1])
configure()
work_and_track(range(number))
if "wait" in sys.argv:
    say(made=number)
    sys.stdin.readline()
    flush(20)
say(ended_s=time.monotonic(), **delivery_report().to_dict())
"""
RECOVERY = """
configure()
work_and_track(range(1_000_000, 1_000_001))
say(flushed=flush(30), **delivery_report().to_dict())
"""


def _slow_but(*quick: str) -> list[Any]:
    return [pytest.param(each, marks=[] if each in quick else pytest.mark.slow) for each in OUTAGES]


def last_line(ended: Ended) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def check_sum(report: dict[str, Any]) -> None:
    """Everything that was created is somewhere."""
    parts = sum(report[part] for part in ("exported", "queued", "in_journal", "unknown"))
    assert report["created"] == parts + sum(report["dropped"].values()), report


def check_all_arrives(server: Endpoint, numbers: range, at_most_twice: int) -> None:
    """The next process delivers what was left; only what was in hand at the end may come again."""
    server.recover()
    ended = run_work(RECOVERY, **server.variables)
    assert last_line(ended)["flushed"] is True, ended
    assert ended.stderr == ""
    check_sum(last_line(ended))
    for found in (server.span_numbers, server.event_numbers):
        assert missing(numbers, found) == []
        assert len(repeated(found)) <= at_most_twice, len(repeated(found))


@pytest.mark.slow
@pytest.mark.parametrize("outage", _slow_but("refuses"))
def test_program_before_a_broken_endpoint_ends_in_time_says_it_once_and_loses_nothing(outage: str) -> None:
    """Exit within its timeout, one sentence with the reason, numbers that add up, and all of it at the next start."""
    with endpoint(outage) as server:
        ended = run_work(PRODUCER, "3000", OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S=str(EXIT_S), **server.variables)
        took_s = now_s() - last_line(ended)["ended_s"]
        check_sum(last_line(ended))
        assert last_line(ended)["created"] == 6_000
        assert took_s < EXIT_S + EXIT_MARGIN_S
        if outage != "drips":
            (report,) = check_left_sums()
            assert (report["exported"], report["in_journal"], report["dropped"]) == (0, 6_000, {})
            assert server.span_numbers == server.event_numbers == []
        assert len(ended.complaints) <= 1, ended.stderr
        assert outage == "drips" or len(ended.complaints) == 1
        check_all_arrives(server, range(3_000), at_most_twice=512)


@pytest.mark.slow
@pytest.mark.parametrize("outage", _slow_but("refuses")[:-1])
def test_endpoint_that_comes_back_gets_everything_while_the_program_runs(outage: str) -> None:
    """After three seconds, in the order of their ends, without a restart, a flush or a second sentence."""
    _come_back(outage, 3)


@pytest.mark.slow
def test_endpoint_that_comes_back_after_half_a_minute_gets_everything() -> None:
    """The pauses between two attempts grow, to half a minute at most."""
    _come_back("refuses", 30)


def _come_back(outage: str, after_s: float) -> None:
    # A request that hangs is given up by the exporter, after its own timeout, which has to end first.
    variables = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    with endpoint(outage) as server:
        child = start(PRODUCER, "5000", "wait", **variables, **server.variables)
        try:
            assert child.stdout is not None
            assert json.loads(child.stdout.readline()) == {"made": 5_000}
            comes_back_s = now_s() + after_s
            while now_s() < comes_back_s:
                assert child.poll() is None
                time.sleep(0.05)
            server.recover()
            wait_until(lambda: len(set(server.span_numbers)) == len(set(server.event_numbers)) == 5_000, 65)
        finally:
            ended = end(child, stdin="\n")
    assert ended.status == 0
    assert len(ended.complaints) == 1, ended.stderr
    report = last_line(ended)
    check_sum(report)
    assert (report["exported"], report["dropped"]) == (10_000, {})
    assert server.span_numbers == sorted(server.span_numbers)
    assert repeated(server.span_numbers) == repeated(server.event_numbers) == []


TIMED = """
import resource
from time import perf_counter_ns
CALLS = 20_000

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def preemptions():
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw

def p999_ms(call):
    # Calls from which the system took the processor say how busy the machine is, not whether the call waits.
    costs = []
    for number in range(CALLS):
        before = preemptions()
        began = perf_counter_ns()
        call(number)
        cost = perf_counter_ns() - began
        if preemptions() == before:
            costs.append(cost)
    assert len(costs) > CALLS / 2
    return sorted(costs)[-max(1, len(costs) // 1_000)] / 1e6

plain = p999_ms(work)
configure()
work(-1)
before_mb = resident_mb()
ours = p999_ms(work)
say(plain=plain, ours=ours, grown_mb=resident_mb() - before_mb)
say(ended_s=time.monotonic(), **delivery_report().to_dict())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, to tell waiting from being preempted")
@pytest.mark.parametrize("outage", _slow_but("hangs"))
def test_producers_are_not_slowed_and_memory_is_bounded_during_an_outage(outage: str) -> None:
    """20,000 calls: the 99.9th percentile shows no waiting, and the process does not keep what it cannot deliver."""
    with endpoint(outage) as server:
        ended = run_work(TIMED, OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S=str(EXIT_S), **server.variables)
    measured = json.loads(ended.stdout.splitlines()[0])
    check_sum(last_line(ended))
    assert measured["ours"] <= max(MAX_P999_MS, 3 * measured["plain"]), measured
    assert measured["grown_mb"] < MAX_GROWTH_MB, measured
