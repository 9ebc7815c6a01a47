"""All lanes of this process: what a fork, the end of the process and a report have to ask each of them.

Knows nothing of the SDK, so that a report costs no import of it.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from otel_tracker.delivery import forking
from otel_tracker.delivery.counts import DeliveryReport, summed
from otel_tracker.delivery.reports import leave_report as write_report
from otel_tracker.delivery.turns import short_turns
from otel_tracker.diagnostics import logger, report_internal_error

if TYPE_CHECKING:
    from otel_tracker.delivery.counts import DestinationReport


class AnyLane(Protocol):
    """What is asked of a lane here; see `otel_tracker.delivery.lane.Lane`."""

    def hurry(self) -> None:
        """Begin to deliver what waits."""

    def park(self) -> None:
        """Put on disk what waits in memory."""

    def go_on(self) -> None:
        """Work again after that."""

    def begin_pause(self) -> None:
        """Begin to stop for a fork."""

    def pause(self, end_by_s: float) -> None:
        """Have stopped for a fork, or go on regardless, by ``end_by_s`` of `time.monotonic`."""

    def resume(self) -> None:
        """Go on after it."""

    def start_anew(self) -> None:
        """Be a forked child's."""

    def report(self) -> DestinationReport:
        """Say what has become of everything that was put in."""
        ...


FORK_WAIT_S = 0.1
"""How long a fork waits for deliveries that are under way, whatever they are to."""

LOCAL_FORK_WAIT_S = 1.0
"""The same for a store of this machine. A child that inherits a transaction of SQLite's in the midst of it can never
write that store: the library goes on believing that the process holds the lock."""

_REST_S = 1.0
_REPORT_REST_S = 5.0

_lanes: weakref.WeakSet[AnyLane] = weakref.WeakSet()
_closed: deque[AnyLane] = deque(maxlen=1_000)
_wave: weakref.WeakSet[AnyLane] = weakref.WeakSet()
_wave_until_s = _budget_s = 0.0
_is_watching_forks = False
_told: Mapping[str, int] = {}
_tell_again_s = 0.0


def add(lane: AnyLane) -> None:
    """A lane that has been made."""
    global _is_watching_forks
    _lanes.add(lane)
    if not _is_watching_forks and hasattr(os, "register_at_fork"):
        _is_watching_forks = True
        os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_start_anew)


def remove(lane: AnyLane) -> None:
    """A lane that has been shut down; its numbers stay."""
    _lanes.discard(lane)
    _closed.append(lane)
    if not _lanes:
        leave_report()


def alive() -> list[AnyLane]:
    """The lanes that have not been shut down."""
    return list(_lanes)


def delivery_report() -> DeliveryReport:
    """What has become of the spans and events that this process has created; see `DeliveryReport`."""
    return summed(lane.report() for lane in (*_closed, *alive()))


def park() -> None:
    """Put on disk what waits in memory; the process is about to be killed."""
    _each(lambda lane: lane.park(), "putting telemetry on disk")


def leave_report() -> None:
    """Leave the report where `otel-tracker doctor` finds it, if there is anything to tell."""
    global _told, _tell_again_s
    report = delivery_report()
    if all(one.is_clean for one in report.destinations):
        return
    try:
        write_report(report)
        _told, _tell_again_s = report.dropped, time.monotonic() + _REPORT_REST_S
    except OSError as error:
        logger.debug("the report of delivery cannot be written: %s", error)


def leave_report_now_and_then() -> None:
    """Tell of losses from time to time: the process may be killed before it has told all."""
    if time.monotonic() >= _tell_again_s and delivery_report().dropped != _told:
        leave_report()


def grant(timeout_s: float) -> None:
    """Give the shutdowns that follow so many seconds, instead of what the settings say."""
    _begin_wave(timeout_s)


def go_on() -> None:
    """Deliver again after `park`: the process was not killed."""
    _each(lambda lane: lane.go_on(), "going on")


@contextmanager
def exit_time(lane: AnyLane, timeout_s: float) -> Iterator[float]:
    """A block that shuts a lane down; gives the moment of `time.monotonic` by which it has to be done.

    Lanes are shut down one after another, by the SDK, but the time is for all of them together: they begin to deliver
    with the first, and what one has used up the next has no longer.
    """
    global _budget_s, _wave_until_s
    began_s = time.monotonic()
    if lane not in _wave or began_s > _wave_until_s:
        _begin_wave(timeout_s)
    try:
        yield began_s + _budget_s
    finally:
        now_s = time.monotonic()
        _budget_s = max(0.0, _budget_s - (now_s - began_s))
        _wave_until_s = now_s + _REST_S


def _begin_wave(timeout_s: float) -> None:
    global _wave, _budget_s, _wave_until_s
    _wave = weakref.WeakSet(alive())
    _budget_s, _wave_until_s = timeout_s, time.monotonic() + timeout_s + _REST_S
    _each(lambda lane: lane.hurry(), "flushing at the end")


def forget_closed() -> None:
    """Forget the numbers of lanes that have been shut down, and that they were told."""
    global _told, _tell_again_s
    _closed.clear()
    _told, _tell_again_s = {}, 0.0


def _pause() -> None:
    """All lanes stop at the same time, so that several which cannot cost no more than one."""
    forking.begin()
    _each(lambda lane: lane.begin_pause(), "beginning to pause for a fork")
    end_by_s = time.monotonic() + FORK_WAIT_S
    with short_turns():
        _each(lambda lane: lane.pause(end_by_s), "pausing for a fork")


def _resume() -> None:
    forking.end()
    _each(lambda lane: lane.resume(), "going on after a fork")


def _start_anew() -> None:
    forking.forget()
    _wave.clear()
    forget_closed()
    _each(lambda lane: lane.start_anew(), "starting anew after a fork")


def _each(act: Callable[[AnyLane], None], what: str) -> None:
    for lane in alive():
        try:
            act(lane)
        except Exception as error:
            report_internal_error(what, error)
