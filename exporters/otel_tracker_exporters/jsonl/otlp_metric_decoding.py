"""Metric points from parsed OTLP JSON; the part of `otlp_decoding` for metrics, as lenient.

A number that is not finite is none, as in every record: such a point has no value, such a sum is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from otel_tracker.from_otel import metric_of
from otel_tracker.metric_records import (
    COUNTER,
    EXPONENTIAL_HISTOGRAM,
    GAUGE,
    HISTOGRAM,
    SUMMARY,
    TEMPORALITIES,
    UP_DOWN_COUNTER,
    MetricRecord,
    float_or_none,
    number_or_none,
    numbers_of,
)
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.jsonl.otlp_fields import (
    Decoded,
    entries,
    id_of,
    mappings,
    named,
    number_of,
    text_of,
    time_of,
)
from otel_tracker_exporters.jsonl.otlp_values import attributes_of, integer_of

NO_RECORDED_VALUE = 1
"""The flag of a point without a number: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#no-recorded-value."""

_KINDS = {
    "gauge": GAUGE,
    "sum": UP_DOWN_COUNTER,
    "histogram": HISTOGRAM,
    "exponentialHistogram": EXPONENTIAL_HISTOGRAM,
    "summary": SUMMARY,
}
_TEMPORALITY_NAMES = {
    f"AGGREGATION_TEMPORALITY_{name.upper()}": number for number, name in enumerate(TEMPORALITIES) if name
}


def add_points(metric: Mapping[str, Any], scope: str, resource: Mapping[str, Any], found: Decoded) -> None:
    """Add every point of a metric; one of a kind that nobody knows has none."""
    for key, kind in _KINDS.items():
        data = metric.get(key)
        if isinstance(data, dict):
            is_monotonic = kind == UP_DOWN_COUNTER and str(data.get("isMonotonic", False)).lower() == "true"
            for point in entries(data, "dataPoints", found):
                found.add(_record, COUNTER if is_monotonic else kind, (metric, data, point), scope, resource)
        else:
            found.broken += data is not None


def _record(
    kind: str, messages: tuple[Mapping[str, Any], ...], scope: str, resource: Mapping[str, Any]
) -> MetricRecord:
    """The record of a point; ``messages`` are its metric, the data that it is part of, and itself."""
    metric, data, point = messages
    numbers = {} if integer_of(point.get("flags")) & NO_RECORDED_VALUE else _numbers(kind, point)
    numbers["temporality"] = named(TEMPORALITIES, number_of(data.get("aggregationTemporality"), _TEMPORALITY_NAMES))
    exemplars = map(_exemplar, mappings(point.get("exemplars")))
    record = MetricRecord(
        name=text_of(metric.get("name")),
        time_ns=time_of(point.get("timeUnixNano")),
        kind=kind,
        unit=text_of(metric.get("unit")),
        description=text_of(metric.get("description")),
        start_ns=time_of(point.get("startTimeUnixNano")) or None,
        attributes=attributes_of(point.get("attributes")),
        exemplars=tuple(exemplar for exemplar in exemplars if exemplar is not None),
        scope=scope,
        resource=resource,
        **numbers_of(kind, numbers),
    )
    return metric_of(record)


def _numbers(kind: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a point under the keys of a record."""
    if kind not in (HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY):
        return {"value": _value(point)}
    numbers: dict[str, Any] = {"count": integer_of(point.get("count")), "sum": _double(point.get("sum"))}
    if kind == SUMMARY:
        quantiles = mappings(point.get("quantileValues"))
        return {
            **numbers,
            "quantiles": [[_double(pair.get(key, 0)) for key in ("quantile", "value")] for pair in quantiles],
        }
    numbers |= {"min": _double(point.get("min")), "max": _double(point.get("max"))}
    if kind == HISTOGRAM:
        return {**numbers, "buckets": _buckets(point)}
    return {**numbers, "exponential": _exponential(point)}


def _value(point: Mapping[str, Any]) -> int | float | None:
    if point.get("asInt") is not None:
        return number_or_none(integer_of(point["asInt"]))
    return _double(point.get("asDouble"))


def _buckets(point: Mapping[str, Any]) -> list[tuple[float | None, int]]:
    """Each count with its bound; raises ValueError where there is not one bound less than there are counts."""
    bounds = [_double(bound) for bound in point.get("explicitBounds") or ()]
    counts = [integer_of(count) for count in point.get("bucketCounts") or ()]
    if not counts and not bounds:
        return []
    if len(counts) != len(bounds) + 1 or None in bounds:
        raise ValueError("bounds and counts of buckets do not fit together")
    return list(zip_longest(bounds, counts))


def _exponential(point: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "scale": integer_of(point.get("scale")),
        "zero_count": integer_of(point.get("zeroCount")),
        "zero_threshold": _double(point.get("zeroThreshold")) or 0.0,
        **{side: _side(point.get(side) or {}) for side in ("positive", "negative")},
    }


def _side(fields: Mapping[str, Any]) -> dict[str, Any]:
    counts = [integer_of(count) for count in fields.get("bucketCounts") or ()]
    return {"offset": integer_of(fields.get("offset")), "counts": counts}


def _exemplar(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The exemplar; None for one without a number."""
    value = _value(fields)
    if value is None:
        return None
    exemplar: dict[str, Any] = {"value": value, "time": format_time(time_of(fields.get("timeUnixNano")))}
    trace_id, span_id = id_of(fields.get("traceId"), 16), id_of(fields.get("spanId"), 8)
    if trace_id and span_id:
        exemplar |= {"trace_id": trace_id, "span_id": span_id}
    attributes = attributes_of(fields.get("filteredAttributes"))
    return {**exemplar, "attributes": attributes} if attributes else exemplar


def _double(number: Any) -> float | None:
    """A float, which may be text; None for none, and for one that is not finite."""
    return float_or_none(float(number) if isinstance(number, str) else number)
