"""The proof: a small program under the real launcher, in this environment.

Every destination has to take its span, and from the store that commands read it is read back.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from otel_tracker.doctor.findings import NOTE, OK, PROBLEM, Finding
from otel_tracker.errors import OtelTrackerError
from otel_tracker.launch import instrumented
from otel_tracker.stores import Place, default_place

PROBE_NAME = "otel_tracker.doctor.probe"
_TIMEOUT_S = 30
_PROGRAM = f"""
import json
import os
from otel_tracker import delivery_report, flush, span
from otel_tracker.process_role import current_role
with span({PROBE_NAME!r}) as probe:
    context = probe.get_span_context()
flush()
print("probe", format(context.trace_id, "032x"), int(context.trace_flags.sampled))
print("process", os.getpid(), current_role())
print("delivery", json.dumps(delivery_report().to_dict()))
"""


def check_probe() -> Iterator[Finding]:
    """Start the probe and look for its span."""
    printed, complaint = _run()
    yield from _processes(printed)
    yield from _deliveries(printed, complaint)
    place = default_place()
    if place is None:
        yield Finding("probe", NOTE, "There is nothing to read a probe span back from.")
    else:
        yield _verdict(place, printed, complaint)


def _run() -> tuple[str, str]:
    """What the probe printed on stdout and on stderr."""
    command, environment = instrumented([sys.executable, "-c", _PROGRAM], os.environ)
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    return done.stdout, done.stderr


def _processes(printed: str) -> Iterator[Finding]:
    """In which process tracing was set up, and in which it would not be."""
    match = re.search(r"^process (\d+) (.*)$", printed, re.MULTILINE)
    if match:
        yield Finding(
            "process",
            OK,
            f"The probe ran in process {match[1]}, which was set up as an {match[2]}. Helpers of multiprocessing and "
            "the watching parents of reloaders and workers, where they can be told, are not set up.",
        )


def _deliveries(printed: str, complaint: str) -> Iterator[Finding]:
    """Whether each destination took the probe's span."""
    match = re.search(r"^delivery (\{.*\})$", printed, re.MULTILINE)
    for one in json.loads(match[1])["destinations"] if match else ():
        if one["signal"] != "spans" or not one["created"]:
            continue
        if one["exported"]:
            yield Finding("probe", OK, f"{one['destination']} took the probe span.")
        else:
            yield Finding(
                "probe", PROBLEM, f"{one['destination']} did not take the probe span: {_last_line(complaint)}."
            )


def _verdict(place: Place, printed: str, complaint: str) -> Finding:
    match = re.search(r"^probe ([0-9a-f]{32}) ([01])$", printed, re.MULTILINE)
    if match is None:
        return Finding(
            "probe", PROBLEM, f"A program under opentelemetry-instrument did not run: {_last_line(complaint)}."
        )
    trace_id, is_sampled = match[1], match[2] == "1"
    if not int(trace_id, 16):
        reason = _last_line(complaint) if complaint.strip() else "see the lines about distro and configurator"
        return Finding("probe", PROBLEM, f"The launcher set up no tracing: {reason}.")
    if not is_sampled:
        return Finding("probe", NOTE, "The probe was not sampled (OTEL_TRACES_SAMPLER), so there is none to read back.")
    return _read_back(place, trace_id, complaint)


def _read_back(place: Place, trace_id: str, complaint: str) -> Finding:
    location = place.location
    try:
        with place.open_reader() as reader:
            names = [record.name for record in reader.get_trace(trace_id)]
    except OtelTrackerError as error:
        return Finding("probe", PROBLEM, str(error))
    if PROBE_NAME in names:
        return Finding("probe", OK, f"A span made under opentelemetry-instrument was read back from {location}.")
    reason = f" It said: {_last_line(complaint)}." if complaint.strip() else ""
    return Finding("probe", PROBLEM, f"A span was made, but it did not arrive in {location}.{reason}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".")[:300] if lines else "it printed nothing"
