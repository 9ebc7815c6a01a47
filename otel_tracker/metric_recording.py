"""Turns the metric points that leave the SDK into records, as `otel_tracker.recording` does spans and log records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otel_tracker.diagnostics import report_internal_error
from otel_tracker.from_otel import metric_of
from otel_tracker.metric_records import (
    COUNTER,
    EXPONENTIAL_HISTOGRAM,
    GAUGE,
    HISTOGRAM,
    TEMPORALITIES,
    UP_DOWN_COUNTER,
    MetricRecord,
    number_or_none,
    numbers_of,
)
from otel_tracker.recording import attribute_fields, resource_fields
from otel_tracker.redaction import Redactor, redactor
from otel_tracker.timestamps import format_time

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import DataT, Metric, MetricsData


def metric_records(metrics_data: MetricsData) -> Iterator[MetricRecord]:
    """The records of all points, in their order; one that cannot be recorded is said and costs no other."""
    redact = redactor()
    for of_resource in metrics_data.resource_metrics:
        resource = resource_fields(of_resource.resource)
        for of_scope in of_resource.scope_metrics:
            scope = of_scope.scope.name if of_scope.scope else ""
            for metric in of_scope.metrics:
                yield from _records_of(metric, scope, resource, redact)


def _records_of(metric: Metric, scope: str, resource: Mapping[str, Any], redact: Redactor) -> Iterator[MetricRecord]:
    for point in metric.data.data_points:
        try:
            yield _record_of(metric, point, scope, resource, redact)
        except Exception as error:
            report_internal_error("recording a metric point", error)


def _record_of(metric: Metric, point: Any, scope: str, resource: Mapping[str, Any], redact: Redactor) -> MetricRecord:
    kind = _kind_of(metric.data)
    temporality = getattr(metric.data, "aggregation_temporality", 0)
    record = MetricRecord(
        name=redact.text(metric.name),
        time_ns=point.time_unix_nano or 0,
        kind=kind,
        unit=redact.text(metric.unit or ""),
        description=redact.text(metric.description or ""),
        start_ns=point.start_time_unix_nano or None,
        attributes=attribute_fields(point.attributes, redact),
        exemplars=tuple(_exemplar_fields(exemplar, redact) for exemplar in point.exemplars or ()),
        scope=scope,
        resource=resource,
        **numbers_of(kind, {**_numbers(kind, point), "temporality": TEMPORALITIES[temporality]}),
    )
    return metric_of(record)


def _kind_of(data: DataT) -> str:
    if hasattr(data, "is_monotonic"):
        return COUNTER if data.is_monotonic else UP_DOWN_COUNTER
    return _KINDS[type(data).__name__]


# By name, so that whoever reads this module does not load the SDK's metrics.
_KINDS = {"Gauge": GAUGE, "Histogram": HISTOGRAM, "ExponentialHistogram": EXPONENTIAL_HISTOGRAM}


def _numbers(kind: str, point: Any) -> dict[str, Any]:
    """The numbers of a point under the keys of a record."""
    if kind == HISTOGRAM:
        return {**_measured(point), "buckets": _buckets(point.explicit_bounds, point.bucket_counts)}
    if kind == EXPONENTIAL_HISTOGRAM:
        sides = {"positive": point.positive, "negative": point.negative}
        return {
            **_measured(point),
            "exponential": {
                "scale": point.scale,
                "zero_count": point.zero_count,
                **{name: {"offset": side.offset, "counts": side.bucket_counts} for name, side in sides.items()},
            },
        }
    return {"value": point.value}


def _measured(point: Any) -> dict[str, Any]:
    return {"count": point.count, "sum": point.sum, "min": point.min, "max": point.max}


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[float | None, int]]:
    """Each count with its bound; the last has none. A point without buckets has no counts."""
    return list(zip((*bounds, None), counts, strict=True)) if counts else []


def _exemplar_fields(exemplar: Exemplar, redact: Redactor) -> dict[str, Any]:
    fields: dict[str, Any] = {"value": number_or_none(exemplar.value), "time": format_time(exemplar.time_unix_nano)}
    if exemplar.trace_id and exemplar.span_id:
        fields |= {"trace_id": f"{exemplar.trace_id:032x}", "span_id": f"{exemplar.span_id:016x}"}
    attributes = attribute_fields(exemplar.filtered_attributes, redact)
    return {**fields, "attributes": dict(attributes)} if attributes else fields
