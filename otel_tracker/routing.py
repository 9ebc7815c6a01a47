"""Sends events to destinations by name, level and sample: one processor in front of all destinations.

A destination that no route names gets every event. One that is named gets those that its globs fit; events that fit
no route at all go to the default destination too, if there is one. Log records that are no events go to every
destination that stores them.

All events of a trace are kept, or none: its id decides, as it does for spans (`TraceIdRatioBased`). Outside any trace
those of a decorated call are; what `track` names ``x.completed`` or ``x.failed`` follows the ``x.started`` before it in
the same thread or task.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord

from otel_tracker import current
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.event_routes import Route
from otel_tracker.feeding import fed_destination
from otel_tracker.pairing import told_call
from otel_tracker.processors import snapshot_of

_LOW_64_BITS = (1 << 64) - 1
_MAX_NAMES = 4_096
_MAX_NAME_LENGTH = 256
_MAX_OPEN = 64
_MAX_DEPTH = 32
# The least severity number of a level: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The way to one destination: its route, None where none names it, and the processor that delivers to it.

    ``takes_every_event``: it is active beside the routes, and none names it. ``takes_logs``: it also gets log records
    that are no events. ``level_is_own``: the level of the route says how the destination writes, not what it gets.
    """

    destination: str
    processor: LogRecordProcessor
    route: Route | None = None
    takes_every_event: bool = False
    is_default: bool = False
    takes_logs: bool = True
    level_is_own: bool = False

    @property
    def least_severity(self) -> int:
        """The severity number that an event must have at least."""
        level = self.route.level if self.route is not None and not self.level_is_own else ""
        return _SEVERITIES.get(level, 0)


class _Way(NamedTuple):
    """A branch with what is known of it beforehand; ``put`` takes a snapshot that ways can share, None if none does.

    ``takes_all``: whatever is named so, at any severity and unsampled.
    """

    branch: Branch
    put: Callable[[ReadableLogRecord], None] | None
    ratio: float
    takes_all: bool


class EventRouter(LogRecordProcessor):
    """Hands every event to the branches that it belongs to; ``ratio`` is for those whose route says no other."""

    def __init__(self, branches: Sequence[Branch], ratio: float = 1.0) -> None:
        self.branches = tuple(branches)
        self._ways = tuple(_way_of(branch, ratio) for branch in branches)
        self._by_name: dict[str, tuple[_Way, ...]] = {}
        self._for_logs = tuple(way for way in self._ways if way.branch.takes_logs)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand on an event, or another log record; never raises."""
        try:
            log = log_record.log_record
            name, fed = log.event_name, fed_destination()
            ways = (self._by_name.get(name) or self._ways_for(name)) if name else self._ways_for_logs()
            snapshot = draw = None
            for way in ways:
                if fed and way.branch.destination == fed:
                    continue
                if name and not way.takes_all:
                    draw = draw_for(log.trace_id, name) if draw is None and way.ratio < 1 else draw
                    if _severity_of(log) < way.branch.least_severity or (draw or 0.0) >= way.ratio:
                        continue
                if way.put is None:
                    _handed(way.branch, log_record)
                else:
                    snapshot = snapshot or snapshot_of(log_record)
                    way.put(snapshot)
        except Exception as error:
            report_internal_error("routing an event", error)

    def enabled(self, *, event_name: str | None = None, **kwargs: Any) -> bool:
        """Whether a log record of this name would go anywhere."""
        return bool(self._ways_for(event_name) if event_name else self._ways_for_logs())

    def shutdown(self) -> None:
        """Shut down every branch; never raises."""
        for branch in self.branches:
            try:
                branch.processor.shutdown()
            except Exception as error:
                report_internal_error("shutting down a destination of events", error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush every branch within this time altogether; False when one has not delivered everything. Never raises."""
        deadline_s = monotonic() + timeout_millis / 1e3
        is_flushed = True
        for branch in self.branches:
            left_ms = max(1, int((deadline_s - monotonic()) * 1e3))
            try:
                is_flushed = branch.processor.force_flush(left_ms) and is_flushed
            except Exception as error:
                is_flushed = False
                report_internal_error("flushing a destination of events", error)
        return is_flushed

    def _ways_for(self, name: str) -> tuple[_Way, ...]:
        found = self._by_name.get(name)
        if found is None:
            found = self._decided(name)
            if len(name) <= _MAX_NAME_LENGTH:
                if len(self._by_name) >= _MAX_NAMES:
                    self._by_name.clear()
                self._by_name[name] = found
        return found

    def _ways_for_logs(self) -> tuple[_Way, ...]:
        """Those of log records that are no events: none for what is logged while something is delivered."""
        if self._for_logs and current.get().get(current.SUPPRESS_KEY):
            return ()
        return self._for_logs

    def _decided(self, name: str) -> tuple[_Way, ...]:
        routed = {branch for branch in self.branches if branch.route is not None and branch.route.matches(name)}
        return tuple(
            way
            for way in self._ways
            if way.branch in routed or way.branch.takes_every_event or (way.branch.is_default and not routed)
        )


def _way_of(branch: Branch, ratio: float) -> _Way:
    own = branch.route.sample_ratio if branch.route is not None else None
    used = ratio if own is None else own
    takes_all = used >= 1 and not branch.least_severity
    return _Way(branch, getattr(branch.processor, "put", None), used, takes_all)


def _severity_of(log: LogRecord) -> int:
    return 0 if log.severity_number is None else log.severity_number.value


def _handed(branch: Branch, log_record: ReadWriteLogRecord) -> None:
    try:
        branch.processor.on_emit(log_record)
    except Exception as error:  # the other destinations get it all the same
        report_internal_error("handing an event to a destination", error)


_Open = Mapping[str, "tuple[float, int]"]
_open: ContextVar[_Open] = ContextVar("otel_tracker_open_events", default=MappingProxyType({}))


def draw_for(trace_id: int | None, name: str) -> float:
    """A number from 0 to 1 that is the same for all events that are to be kept or dropped together."""
    if not trace_id:
        trace_id = told_call.get() or trace.get_current_span().get_span_context().trace_id
    if trace_id:
        return (trace_id & _LOW_64_BITS) / (_LOW_64_BITS + 1)
    prefix, _, stage = name.rpartition(".")
    if stage not in ("started", "completed", "failed"):
        return random.random()  # noqa: S311 - a sample, no secret
    return _draw_of_a_pair(prefix, is_start=stage == "started")


def _draw_of_a_pair(prefix: str, *, is_start: bool) -> float:
    opened = _open.get()
    draw, depth = opened.get(prefix, (random.random(), 0))  # noqa: S311
    if is_start and depth >= _MAX_DEPTH:  # nobody tells of their ends: all that begin would share one draw for ever
        draw, depth = random.random(), 0  # noqa: S311
    depth += 1 if is_start else -1
    left = {key: value for key, value in opened.items() if key != prefix}
    if depth > 0:
        left[prefix] = (draw, depth)
        if len(left) > _MAX_OPEN:
            del left[next(iter(left))]
    _open.set(left)
    return draw
