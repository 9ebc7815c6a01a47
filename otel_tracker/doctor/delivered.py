"""What has not gone the straight way: journals, and the reports that processes have left beside them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from otel_tracker.delivery.folders import Waiting, journal_root, waiting
from otel_tracker.delivery.reports import left_reports
from otel_tracker.doctor.findings import NOTE, OK, PROBLEM, Finding

_SHOWN = 5


def check_delivery() -> Iterator[Finding]:
    """What waits on disk for a destination, and what the newest processes had to give up."""
    found = [*map(_waiting, waiting()), *islice(filter(None, map(_report, left_reports())), _SHOWN)]
    yield from found
    if not found:
        yield Finding("delivery", OK, f"Nothing waits in {journal_root()}, and no process has reported a loss.")


def _waiting(one: Waiting) -> Finding:
    return Finding(
        "delivery",
        NOTE,
        f"{one.bytes:,} bytes of {one.signal} for {one.destination} wait in {journal_root()}, the oldest since "
        f"{_time(one.since_s)} UTC. They go out when the next process sends there.",
    )


def _report(report: dict[str, Any]) -> Finding | None:
    """A sentence about a process that dropped something, or does not know what became of it."""
    parts = [part for one in report["destinations"] if (part := _loss(one))]
    if not parts:
        return None
    who = f"{report.get('program', '?')} (process {report.get('pid', '?')}, {_time(report.get('time', 0))} UTC)"
    return Finding("delivery", PROBLEM, f"{who}: {'; '.join(parts)}. docs/delivery.md says what each reason means.")


def _loss(one: dict[str, Any]) -> str:
    reasons = [f"{number:,} {reason}" for reason, number in one.get("dropped", {}).items()]
    if one.get("unknown"):
        reasons.append(f"{one['unknown']:,} unknown")
    return f"of {one['created']:,} {one['signal']} for {one['destination']}: {', '.join(reasons)}" if reasons else ""


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S}"
