"""Adds metric points up: one `MetricSeries` a metric and label set, over all processes that measured it.

Points come newest first, as readers give them, and each is looked at once: memory grows with the number of series and
processes, not with that of points. What a point adds depends on how it was told:

- a delta adds what it says;
- a cumulative counter or histogram adds what came since the point before it of the same process; where that counted
  more, or since a later moment, the process began anew, and all of it is added. Of the first point in the window all is
  added when it began to count in the window, and nothing otherwise: nobody knows how much of it came before;
- a gauge tells its newest value, and up-down counters the sum of what each process told last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_tracker.distributions import Distribution
from otel_tracker.metric_records import COUNTER, DELTA, GAUGE, NUMBER_KINDS, SUMMARY, UP_DOWN_COUNTER, MetricRecord

SLOTS = 20
"""How many parts of equal length the time of a series is cut into."""

_FIRST_WIDTH_NS = 1_000_000_000

_Stream = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """What one metric came to for one label set.

    ``value`` is the total of a counter, and the last of a gauge or an up-down counter. Histograms and summaries have
    ``count``, ``sum``, ``min`` and ``max`` (None where that is not known of all that counts); ``p50`` and ``p95`` are
    estimates from buckets, or the newest quantiles of a summary. ``slots`` are what counters and histograms counted, or
    where gauges and up-down counters stood, in equal parts of the window, oldest first; None is a part without a point.
    ``points`` is the number of points, ``time_ns`` the time of the newest.
    """

    name: str
    kind: str
    unit: str
    attributes: Mapping[str, Any]
    points: int
    time_ns: int
    value: float | int | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    p50: float | None = None
    p95: float | None = None
    slots: tuple[float | None, ...] = ()

    @property
    def avg(self) -> float | None:
        """The sum by the count, or None where one is not known."""
        return self.sum / self.count if self.count and self.sum is not None else None


def metric_series(
    points: Iterable[MetricRecord], *, since_ns: int | None = None, slots: int = SLOTS
) -> list[MetricSeries]:
    """The series of points that come newest first, by name and labels; ``since_ns`` is where the window begins."""
    window: _Window | None = None
    found: dict[tuple[str, ...], _Series] = {}
    for point in points:
        window = window or _Window(point.time_ns, since_ns, slots)
        key = (point.name, point.kind, point.unit, _text(point.attributes))
        series = found.get(key)
        if series is None:
            series = found[key] = _Series(point, window)
        series.add(point)
    return [found[key].total() for key in sorted(found)]


class _Window:
    """The time from the newest point back to ``since_ns``, or as far as points reach: then the slots grow with it."""

    def __init__(self, end_ns: int, since_ns: int | None, slots: int) -> None:
        self.end_ns = end_ns
        self.since_ns = since_ns
        self.slots = slots
        length_ns = 0 if since_ns is None else max(end_ns - since_ns, 0)
        self.width_ns = max(length_ns // slots + 1, 1) if since_ns is not None else _FIRST_WIDTH_NS

    def slot_of(self, time_ns: int) -> int:
        """The number of the slot, counted from the newest."""
        age_ns = max(self.end_ns - time_ns, 0)
        if self.since_ns is not None:
            return min(age_ns // self.width_ns, self.slots - 1)
        while age_ns // self.width_ns >= self.slots:
            self.width_ns *= 2
        return age_ns // self.width_ns


@dataclass(slots=True)
class _Slots:
    """Numbers by slot; where several meet in one they are added up, or the newest stays."""

    window: _Window
    adds_up: bool
    width_ns: int = 0
    numbers: dict[int, float] = field(default_factory=dict)

    def put(self, time_ns: int, number: float) -> None:
        slot = self.window.slot_of(time_ns)
        self._widen()
        self._put(slot, number)

    def oldest_first(self) -> tuple[float | None, ...]:
        self._widen()
        return tuple(self.numbers.get(slot) for slot in reversed(range(self.window.slots)))

    def _widen(self) -> None:
        """Follow the window, which may have grown meanwhile."""
        if self.width_ns == self.window.width_ns:
            return
        factor = self.window.width_ns // (self.width_ns or self.window.width_ns)
        before, self.numbers = self.numbers, {}
        for slot, number in sorted(before.items()):  # the newest first
            self._put(slot // factor, number)
        self.width_ns = self.window.width_ns

    def _put(self, slot: int, number: float) -> None:
        if self.adds_up:
            self.numbers[slot] = self.numbers.get(slot, 0) + number
        else:
            self.numbers.setdefault(slot, number)


class _Series:
    """One series while its points come."""

    def __init__(self, newest: MetricRecord, window: _Window) -> None:
        self._newest = newest
        self._window = window
        self._points = 0
        self._later: dict[_Stream, MetricRecord] = {}
        self._last: dict[_Stream, float | int] = {}
        self._value: float | int | None = None
        self._measured = Distribution()
        self._quantiles: Mapping[float, float] = {}
        self._slots = _Slots(window, adds_up=newest.kind not in (GAUGE, UP_DOWN_COUNTER))

    def add(self, point: MetricRecord) -> None:
        self._points += 1
        if (point.value if point.kind in NUMBER_KINDS else point.count) is None:
            return
        if point.kind == GAUGE:
            self._stands(point)
        elif point.temporality == DELTA:
            self._count(point, None)
        elif point.kind == UP_DOWN_COUNTER:
            self._stands(point)
        else:
            stream = _stream_of(point)
            later = self._later.get(stream)
            if later is not None:
                self._count(later, point)
            self._later[stream] = point

    def total(self) -> MetricSeries:
        for first in self._later.values():
            is_whole = self._window.since_ns is None or (first.start_ns or 0) >= self._window.since_ns
            self._count(first, None if is_whole else first)
        newest, measured = self._newest, self._measured
        numbers: dict[str, Any] = {"value": self._value_now()}
        if newest.kind not in NUMBER_KINDS:
            numbers = {
                "count": measured.count,
                "sum": measured.sum,
                "min": measured.min if measured.count else None,
                "max": measured.max if measured.count else None,
                "p50": self._quantiles.get(0.5, measured.percentile(0.5)),
                "p95": self._quantiles.get(0.95, measured.percentile(0.95)),
            }
        return MetricSeries(
            name=newest.name,
            kind=newest.kind,
            unit=newest.unit,
            attributes=newest.attributes,
            points=self._points,
            time_ns=newest.time_ns,
            slots=self._slots.oldest_first(),
            **numbers,
        )

    def _value_now(self) -> float | int | None:
        if not self._last:
            return self._value
        if self._newest.kind == GAUGE:
            return next(iter(self._last.values()))
        return sum(self._last.values()) + (self._value or 0)

    def _stands(self, point: MetricRecord) -> None:
        """Take note of where something stood."""
        if point.value is not None:
            self._last.setdefault(_stream_of(point), point.value)
            self._slots.put(point.time_ns, point.value)

    def _count(self, point: MetricRecord, before: MetricRecord | None) -> None:
        """Add what a point says, without what the one before it of its process said."""
        if point.kind in NUMBER_KINDS:
            increase = _increase(point, before)
            self._value = (self._value or 0) + increase
            self._slots.put(point.time_ns, increase)
            return
        if point.kind == SUMMARY and not self._quantiles:
            self._quantiles = {pair[0]: pair[1] for pair in point.quantiles}
        added = _added(point, before)
        self._measured.add(added)
        self._slots.put(point.time_ns, added.count)


def _increase(point: MetricRecord, before: MetricRecord | None) -> float | int:
    value = point.value or 0
    if before is None or _began_anew(point, before):
        return value
    increase = value - (before.value or 0)
    return value if point.kind == COUNTER and increase < 0 else increase


def _added(point: MetricRecord, before: MetricRecord | None) -> Distribution:
    now = Distribution.of(point)
    if before is None or _began_anew(point, before):
        return now
    return now.since(Distribution.of(before)) or now


def _began_anew(point: MetricRecord, before: MetricRecord) -> bool:
    return point.start_ns is not None and before.start_ns is not None and point.start_ns > before.start_ns


def _stream_of(point: MetricRecord) -> _Stream:
    """What one process tells of a series, one after the other."""
    return point.temporality, point.scope, _text(point.resource)


def _text(mapping: Mapping[str, Any]) -> str:
    return json.dumps(mapping, sort_keys=True, default=str) if mapping else ""
