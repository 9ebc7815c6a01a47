"""One destination asked by name: its exporter's package brings the question, found by entry point."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points

from otel_tracker.doctor.findings import Finding
from otel_tracker.errors import UnknownDestinationError

GROUP = "otel_tracker_doctor"
"""The entry points: functions without arguments that give pairs of verdict and sentence."""


def check_destination(name: str) -> Iterator[Finding]:
    """What the destination of this name did with a probe; raises `UnknownDestinationError` where none can be asked."""
    for point in entry_points(group=GROUP, name=name):
        for verdict, sentence in point.load()():
            yield Finding(name, verdict, sentence)
        return
    known = sorted({point.name for point in entry_points(group=GROUP)})
    close = get_close_matches(name, known, n=1)
    meant = f"Did you mean {close[0]!r}?" if close else "Leave it out to have everything examined."
    raise UnknownDestinationError(
        f"The doctor can ask no destination {name[:60]!r}; expected one of {', '.join(known)}. {meant}"
    )
