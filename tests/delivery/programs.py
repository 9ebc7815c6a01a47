"""Child programs that number what they trace, so that a test can say what is missing and what is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import dedent
from typing import Any

from support import Ended, child_environment, run, stored_events, stored_spans, wait_until

from otel_tracker.delivery.reports import left_reports

WORK = """\
import gc, json, os, signal, sys, threading, time
from otel_tracker import configure, delivery_report, flush, shutdown, span, track, traced

def say(**values):
    print(json.dumps(values), flush=True)

@traced
def work(number):
    return number + 1

def work_and_track(numbers):
    for number in numbers:
        work(number)
        track("work.done", number=number)

"""


def run_work(code: str, *arguments: str, **variables: str) -> Ended:
    """Run a program that starts with `WORK`; it must end well."""
    ended = run(sys.executable, script(code), *arguments, **variables)
    assert ended.status == 0, ended
    return ended


def script(code: str) -> Path:
    """The program, in a file that only its text names, so that several can lie side by side."""
    text = WORK + dedent(code)
    path = Path(f"program_{abs(hash(text))}.py")
    if not path.exists():  # one that was just started may still be reading it
        path.write_text(text, encoding="utf-8")
    return path


def start(code: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start such a program; whoever starts it ends it, with `end`."""
    return subprocess.Popen(
        [sys.executable, str(script(code)), *arguments],
        env=child_environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(child: subprocess.Popen[str], number: int | None = None, stdin: str = "", timeout_s: float = 30.0) -> Ended:
    """Send it a signal, if any, say the last word and wait for its end; one that hangs is killed and fails the test."""
    if number is not None:
        child.send_signal(number)
    try:
        stdout, stderr = child.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        stdout, stderr = child.communicate()
        raise AssertionError(f"did not end within {timeout_s} s\n{stdout}\n{stderr}") from None
    return Ended(child.returncode, stdout, stderr)


def wait_for(path: Path, is_so: Callable[[str], bool], timeout_s: float = 30.0) -> None:
    """Poll a file that a child appends to."""
    wait_until(lambda: path.exists() and is_so(path.read_text(encoding="utf-8")), timeout_s)


def stored_numbers(location: str | Path = "otel-tracker.db") -> list[int]:
    """The number of every span of a store."""
    return [int(span.args["number"]) for span in stored_spans(location) if "number" in span.args]


def stored_event_numbers(location: str | Path = "otel-tracker.db") -> list[int]:
    """The number of every event of a store."""
    return [int(event.properties["number"]) for event in stored_events(location)]


def missing(numbers: Iterable[int], found: Iterable[int]) -> list[int]:
    """What was made and is nowhere."""
    return sorted(set(numbers) - set(found))


def repeated(found: Iterable[int]) -> list[int]:
    """What is there more than once."""
    return sorted(number for number, times in Counter(found).items() if times > 1)


def check_left_sums() -> list[dict[str, Any]]:
    """Every report that a process has left adds up; the reports."""
    reports = list(left_reports())
    for report in reports:
        parts = report["exported"] + report["in_journal"] + sum(report["dropped"].values()) + report["unknown"]
        assert report["created"] == parts + report.get("queued", 0), report
    return reports


def now_s() -> float:
    """The clock that all processes of the machine share."""
    return time.monotonic()
