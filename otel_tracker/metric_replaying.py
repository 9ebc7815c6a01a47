"""Makes of metric points what exporters of OpenTelemetry's take: `MetricsData`; the part of `replaying` for metrics.

The SDK has no words for a summary and for a point without a number, so these raise `UnfitRecordError`. Its exporters
leave out since when a gauge stood and the zero threshold of an exponential histogram.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    DataPointT,
    DataT,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_tracker.metric_records import (
    COUNTER,
    EXPONENTIAL_HISTOGRAM,
    GAUGE,
    HISTOGRAM,
    NUMBER_KINDS,
    SUMMARY,
    TEMPORALITIES,
    MetricRecord,
)
from otel_tracker.records import UnfitRecordError
from otel_tracker.replaying import sdk_resource, utf8, utf8_values
from otel_tracker.to_otel import ExemplarForm, metric_form


@dataclass(frozen=True, slots=True)
class ReadablePoint:
    """A point in the SDK's words, with what it has in common with others of its metric."""

    point: DataPointT
    resource: Resource
    scope: str
    name: str
    unit: str
    description: str
    kind: str
    temporality: str


@dataclass(slots=True)
class _Gathered:
    """The points of one metric."""

    first: ReadablePoint
    points: list[Any] = field(default_factory=list)


_Scopes = dict[str, dict[tuple[str, ...], _Gathered]]


def readable_point(record: MetricRecord) -> ReadablePoint:
    """The point whose record this is; raises ValueError or TypeError for a record that no point can have."""
    if record.kind == SUMMARY or (record.value if record.kind in NUMBER_KINDS else record.count) is None:
        raise UnfitRecordError("OpenTelemetry's exporters send no summaries, and no points without a number")
    form = metric_form(record)
    common: dict[str, Any] = {
        "attributes": utf8_values(form.attributes),
        "start_time_unix_nano": form.start_ns,
        "time_unix_nano": form.time_ns,
        "exemplars": [_exemplar(exemplar) for exemplar in form.exemplars],
    }
    return ReadablePoint(
        point=_point(record, common),
        resource=sdk_resource(form.resource),
        scope=utf8(record.scope),
        name=utf8(record.name),
        unit=utf8(record.unit),
        description=utf8(record.description),
        kind=record.kind,
        temporality=record.temporality,
    )


def metrics_data(points: Iterable[ReadablePoint]) -> MetricsData:
    """The points by resource, scope and metric, as exporters take them."""
    resources: list[tuple[Resource, _Scopes]] = []
    for found in points:
        metric = (found.name, found.unit, found.description, found.kind, found.temporality)
        metrics = _scopes_of(found.resource, resources).setdefault(found.scope, {})
        metrics.setdefault(metric, _Gathered(found)).points.append(found.point)
    return MetricsData([ResourceMetrics(resource, _scope_metrics(scopes), "") for resource, scopes in resources])


def _scopes_of(resource: Resource, resources: list[tuple[Resource, _Scopes]]) -> _Scopes:
    """What is gathered of a resource; few differ, and most points have that of the one before."""
    for known, scopes in reversed(resources):
        if known is resource or known == resource:
            return scopes
    resources.append((resource, {}))
    return resources[-1][1]


def _scope_metrics(scopes: _Scopes) -> list[ScopeMetrics]:
    return [
        ScopeMetrics(InstrumentationScope(scope), [_metric(gathered) for gathered in metrics.values()], "")
        for scope, metrics in scopes.items()
    ]


def _metric(gathered: _Gathered) -> Metric:
    first = gathered.first
    return Metric(first.name, first.description, first.unit, _data(gathered))


def _data(metric: _Gathered) -> DataT:
    kind, temporality = metric.first.kind, AggregationTemporality(TEMPORALITIES.index(metric.first.temporality))
    if kind == GAUGE:
        return Gauge(metric.points)
    if kind == HISTOGRAM:
        return Histogram(metric.points, temporality)
    if kind == EXPONENTIAL_HISTOGRAM:
        return ExponentialHistogram(metric.points, temporality)
    return Sum(metric.points, temporality, kind == COUNTER)


def _point(record: MetricRecord, common: dict[str, Any]) -> DataPointT:
    if record.value is not None:
        return NumberDataPoint(value=record.value, **common)
    common |= {"count": record.count, "sum": record.sum, "min": record.min, "max": record.max}
    if record.kind == HISTOGRAM:
        buckets: Sequence[Sequence[Any]] = record.buckets
        bounds, counts = [bound for bound, _ in buckets[:-1]], [count for _, count in buckets]
        return HistogramDataPoint(bucket_counts=counts, explicit_bounds=bounds, **common)
    fields = record.exponential
    common |= {side: Buckets(fields[side]["offset"], fields[side]["counts"]) for side in ("positive", "negative")}
    return ExponentialHistogramDataPoint(scale=fields["scale"], zero_count=fields["zero_count"], flags=0, **common)


def _exemplar(form: ExemplarForm) -> Exemplar:
    return Exemplar(
        filtered_attributes=utf8_values(form.attributes),
        value=form.value,
        time_unix_nano=form.time_ns,
        span_id=int(form.span_id, 16) if form.span_id else None,
        trace_id=int(form.trace_id, 16) if form.trace_id else None,
    )
