"""The record of a metric point, and its JSON form: the part of `otel_tracker.records` that measures.

A point is what one instrument came to, for one set of attributes, over a time or at a moment. Its numbers are finite
and its integers have 64 bits; whatever else a program counted is written as the nearest float, or is absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from otel_tracker.record_parts import (
    INT64_MAX,
    INT64_MIN,
    SCHEMA,
    check_type,
    checked_mapping,
    checked_text,
    plain,
    without_absent,
)
from otel_tracker.timestamps import format_time, parse_time, to_datetime

COUNTER = "counter"
UP_DOWN_COUNTER = "up_down_counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"
EXPONENTIAL_HISTOGRAM = "exponential_histogram"
SUMMARY = "summary"
METRIC_KINDS = (COUNTER, UP_DOWN_COUNTER, GAUGE, HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY)
"""What a point may be: OTel's monotonic and other sums, gauges and histograms, and the summaries of older programs."""

DELTA = "delta"
CUMULATIVE = "cumulative"
TEMPORALITIES = ("", DELTA, CUMULATIVE)
"""In the order of their numbers: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#temporality."""

NUMBER_KINDS = frozenset({COUNTER, UP_DOWN_COUNTER, GAUGE})

Bucket = Sequence["float | int | None"]
"""``(upper_bound, count)``: how many measurements were above the bound before and at most at this one; None is +Inf."""

# Absent, the name is missing and the kind is none.
_KEPT = ("name", "kind")


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """What an instrument came to for one set of attributes: a metric data point as it is stored.

    ``kind`` is one of `METRIC_KINDS` and says which numbers there are:

    - ``counter``, ``up_down_counter``, ``gauge``: ``value``;
    - ``histogram``: ``count``, ``sum``, ``min``, ``max`` and ``buckets``, which are not cumulative: ``(upper_bound,
      count)`` in ascending order, the last one with None for +Inf. Where a program made no buckets there are none;
    - ``exponential_histogram``: the same with ``exponential`` for the buckets: ``scale``, ``zero_count``,
      ``zero_threshold``, and ``positive`` and ``negative``, each an ``offset`` and ``counts``
      (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram);
    - ``summary``: ``count``, ``sum`` and ``quantiles``, pairs of a quantile from 0 to 1 and its value.

    A point may say that there is no number for its moment: then ``value`` or ``count`` is None, and so is the rest.

    ``temporality`` is ``delta`` where the point tells what came between ``start_ns`` and ``time_ns``, ``cumulative``
    where it tells all since ``start_ns``, and empty where that means nothing (gauges, summaries). Times are nanoseconds
    since the epoch; ``start_ns`` is None where nobody said. ``exemplars`` are single measurements as mappings:
    ``value``, ``time``, ``trace_id`` and ``span_id`` of the span in which it was made, and ``attributes`` that the
    point does not have.
    """

    name: str
    time_ns: int
    kind: str = GAUGE
    unit: str = ""
    description: str = ""
    start_ns: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    value: int | float | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    buckets: Sequence[Bucket] = ()
    exponential: Mapping[str, Any] = field(default_factory=dict)
    quantiles: Sequence[Sequence[float]] = ()
    temporality: str = ""
    exemplars: Sequence[Mapping[str, Any]] = ()
    scope: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """The moment that the point tells of, or its time's end, as an aware UTC datetime; ``time_ns`` is exact."""
        return to_datetime(self.time_ns)

    @property
    def start(self) -> datetime | None:
        """Since when the point counts, as an aware UTC datetime, or None where nobody said."""
        return None if self.start_ns is None else to_datetime(self.start_ns)

    def to_dict(self) -> dict[str, Any]:
        """The record's JSON object."""
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "type": "metric",
            "name": self.name,
            "kind": self.kind,
            "unit": self.unit,
            "description": self.description,
            "start": None if self.start_ns is None else format_time(self.start_ns),
            "time": format_time(self.time_ns),
            "attributes": dict(self.attributes),
            "value": self.value,
            "count": self.count,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "buckets": [list(bucket) for bucket in self.buckets],
            "exponential": dict(self.exponential),
            "quantiles": [list(pair) for pair in self.quantiles],
            "temporality": self.temporality,
            "exemplars": [dict(exemplar) for exemplar in self.exemplars],
            "scope": self.scope,
            "resource": dict(self.resource),
        }
        return without_absent(fields, _KEPT)


def metric_from_dict(fields: Mapping[str, Any]) -> MetricRecord:
    """The record whose `to_dict()` this is; keys that are unknown, or that its kind does not have, are ignored.

    Raises ValueError, KeyError or TypeError when it is none.
    """
    check_type(fields, "metric")
    kind = checked_text(fields["kind"])
    if kind not in METRIC_KINDS:
        raise ValueError(f"the kind is {kind[:60]!r}; expected one of {', '.join(METRIC_KINDS)}")
    start = fields.get("start")
    return MetricRecord(
        name=checked_text(fields["name"]),
        time_ns=parse_time(fields["time"]),
        kind=kind,
        unit=checked_text(fields.get("unit", "")),
        description=checked_text(fields.get("description", "")),
        start_ns=None if start is None else parse_time(start),
        attributes=checked_mapping(fields.get("attributes", {})),
        exemplars=tuple(checked_mapping(exemplar) for exemplar in fields.get("exemplars", ())),
        scope=checked_text(fields.get("scope", "")),
        resource=checked_mapping(fields.get("resource", {})),
        **numbers_of(kind, fields),
    )


def numbers_of(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that bear the numbers of a point of this kind, from those of a JSON object.

    Raises ValueError or TypeError for numbers that are none.
    """
    numbers: dict[str, Any] = {}
    if kind not in (GAUGE, SUMMARY):
        numbers["temporality"] = _temporality(fields.get("temporality", ""))
    if kind in NUMBER_KINDS:
        return {**numbers, "value": number_or_none(fields.get("value"))}
    if fields.get("count") is None:
        return numbers
    numbers |= {"count": checked_count(fields["count"]), "sum": float_or_none(fields.get("sum"))}
    if kind == SUMMARY:  # whose sum OTLP cannot leave out
        return {
            **numbers,
            "sum": numbers["sum"] or 0.0,
            "quantiles": tuple(map(_quantile, fields.get("quantiles", ()))),
        }
    numbers |= {"min": float_or_none(fields.get("min")), "max": float_or_none(fields.get("max"))}
    if kind == HISTOGRAM:
        return {**numbers, "buckets": _buckets(fields.get("buckets", ()))}
    return {**numbers, "exponential": _exponential(fields.get("exponential", {}))}


def number_or_none(value: Any) -> int | float | None:
    """An integer of 64 bits as it is, any other number as a float; None for one that is not finite, or for None."""
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        return value
    return float_or_none(value)


def float_or_none(value: Any) -> float | None:
    """The number as a float; None for one that is not finite, and for None. Raises TypeError for what is no number."""
    if type(value) is float:
        return value + 0.0 if math.isfinite(value) else None  # SQLite makes 0.0 of -0.0
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a number, found {type(value).__name__}")
    try:
        return float_or_none(float(value))
    except OverflowError:
        return None


def checked_count(value: Any) -> int:
    """The integer itself; raises TypeError or ValueError for what is none from 0 on within 64 bits."""
    if type(value) is not int:
        raise TypeError(f"expected an integer, found {type(value).__name__}")
    if not 0 <= value <= INT64_MAX:
        raise ValueError("a count beyond 64 bits")
    return value


def _checked_float(value: Any) -> float:
    number = float_or_none(value)
    if number is None:
        raise ValueError("expected a finite number")
    return number


def _temporality(value: Any) -> str:
    if value not in TEMPORALITIES:
        raise ValueError(f"the temporality is {str(value)[:60]!r}; expected {DELTA} or {CUMULATIVE}")
    return str(value)


def _buckets(pairs: Any) -> tuple[Bucket, ...]:
    """The buckets; raises ValueError when their bounds do not ascend, or when the last one has any."""
    if not pairs:
        return ()
    *bounded, (last_bound, last_count) = pairs
    buckets = tuple((_checked_float(bound), checked_count(count)) for bound, count in bounded)
    if last_bound is not None or any(one[0] >= other[0] for one, other in pairwise(buckets)):
        raise ValueError("the bounds of buckets ascend, and the last one is null")
    return *buckets, (None, checked_count(last_count))


def _quantile(pair: Any) -> tuple[float, float]:
    quantile, value = pair
    return _checked_float(quantile), _checked_float(value)


def _exponential(fields: Any) -> dict[str, Any]:
    """The buckets of an exponential histogram, complete and in the order in which they are written."""
    found = checked_mapping(fields)
    return {
        "scale": _integer(found.get("scale", 0)),
        "zero_count": checked_count(found.get("zero_count", 0)),
        "zero_threshold": _checked_float(found.get("zero_threshold", 0.0)),
        **{side: _side(checked_mapping(found.get(side, {}))) for side in ("positive", "negative")},
    }


def _side(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"offset": _integer(fields.get("offset", 0)), "counts": [checked_count(n) for n in fields.get("counts", ())]}


def _integer(value: Any) -> int:
    """Scales and offsets have 32 bits."""
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise ValueError(f"expected an integer of 32 bits, found {plain(value)!r:.60}")
    return value
