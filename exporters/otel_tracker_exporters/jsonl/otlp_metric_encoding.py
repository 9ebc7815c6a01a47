"""One metric point as one line of OTLP JSON; the part of `otlp_encoding` for metrics.

Each line is a complete ``MetricsData`` object with a single point, keys in a fixed order, absent when empty::

    {"resourceMetrics":[{"resource":{"attributes":[...]},"scopeMetrics":[{"scope":{"name":"..."},"metrics":[{
     "name","description","unit","sum":{"dataPoints":[{"attributes","startTimeUnixNano","timeUnixNano","asInt",
     "exemplars","flags"}],"aggregationTemporality","isMonotonic"}}]}]}]}

Collectors and our own reader gather the points of a metric again by its name, scope and resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otel_tracker.metric_records import (
    COUNTER,
    EXPONENTIAL_HISTOGRAM,
    GAUGE,
    HISTOGRAM,
    NUMBER_KINDS,
    SUMMARY,
    TEMPORALITIES,
    UP_DOWN_COUNTER,
    MetricRecord,
)
from otel_tracker.to_otel import ExemplarForm, PointForm, metric_form
from otel_tracker_exporters.jsonl.otlp_encoding import line_of, resource_text
from otel_tracker_exporters.jsonl.otlp_metric_decoding import NO_RECORDED_VALUE
from otel_tracker_exporters.jsonl.otlp_values import attributes_text, escaped

METRIC_LINE_HEAD = b'{"resourceMetrics":[{'
"""How each line of ours begins."""

_DATA_KEYS = {
    COUNTER: "sum",
    UP_DOWN_COUNTER: "sum",
    GAUGE: "gauge",
    HISTOGRAM: "histogram",
    EXPONENTIAL_HISTOGRAM: "exponentialHistogram",
    SUMMARY: "summary",
}
_HAVE_TEMPORALITY = frozenset({COUNTER, UP_DOWN_COUNTER, HISTOGRAM, EXPONENTIAL_HISTOGRAM})


def encode_metric_line(record: MetricRecord) -> bytes:
    """The point's line with its newline; as `otlp_encoding.encode_span_line`."""
    form = metric_form(record)
    scope = f'"scope":{{"name":{escaped(record.scope)}}},' if record.scope else ""
    return line_of(
        f'{{"resourceMetrics":[{{{resource_text(form.resource)}"scopeMetrics":[{{{scope}"metrics":[{{'
        f'"name":{escaped(record.name)}{_texts(record)},"{_DATA_KEYS[record.kind]}":{{'
        f'"dataPoints":[{{{",".join(_point(record, form))}}}]{_nature(record)}}}}}]}}]}}]}}\n'
    )


def _texts(record: MetricRecord) -> str:
    described = f',"description":{escaped(record.description)}' if record.description else ""
    return described + (f',"unit":{escaped(record.unit)}' if record.unit else "")


def _nature(record: MetricRecord) -> str:
    """What the points of a metric have in common."""
    if record.kind not in _HAVE_TEMPORALITY:
        return ""
    temporality = f',"aggregationTemporality":{TEMPORALITIES.index(record.temporality)}'
    return f'{temporality},"isMonotonic":true' if record.kind == COUNTER else temporality


def _point(record: MetricRecord, form: PointForm) -> list[str]:
    parts = [f'"attributes":{attributes_text(form.attributes)}'] if form.attributes else []
    if form.start_ns:
        parts.append(f'"startTimeUnixNano":"{form.start_ns}"')
    parts += [f'"timeUnixNano":"{form.time_ns}"', *_numbers(record)]
    if form.exemplars:
        parts.append(f'"exemplars":[{",".join(map(_exemplar_text, form.exemplars))}]')
    return parts


def _numbers(record: MetricRecord) -> list[str]:
    if record.kind in NUMBER_KINDS:
        return [_no_value() if record.value is None else _value_text(record.value)]
    if record.count is None:
        return [_no_value()]
    parts = [f'"count":"{record.count}"', *_double("sum", record.sum)]
    if record.kind == SUMMARY:
        pairs = (f'{{"quantile":{quantile!r},"value":{value!r}}}' for quantile, value in record.quantiles)
        return [*parts, f'"quantileValues":[{",".join(pairs)}]'] if record.quantiles else parts
    details = _bucket_texts(record) if record.kind == HISTOGRAM else _exponential_texts(record.exponential)
    return [*parts, *details, *_double("min", record.min), *_double("max", record.max)]


def _bucket_texts(record: MetricRecord) -> list[str]:
    if not record.buckets:
        return []
    counts = _counts(count for _, count in record.buckets)
    bounds = ",".join(repr(bound) for bound, _ in record.buckets[:-1])
    return [f'"bucketCounts":{counts}', f'"explicitBounds":[{bounds}]']


def _exponential_texts(fields: Mapping[str, Any]) -> list[str]:
    sides = (
        f'"{side}":{{"offset":{fields[side]["offset"]},"bucketCounts":{_counts(fields[side]["counts"])}}}'
        for side in ("positive", "negative")
    )
    zero = f'"zeroCount":"{fields["zero_count"]}"', *_double("zeroThreshold", fields["zero_threshold"])
    return [f'"scale":{fields["scale"]}', *zero, *sides]


def _exemplar_text(exemplar: ExemplarForm) -> str:
    parts = [f'"filteredAttributes":{attributes_text(exemplar.attributes)}'] if exemplar.attributes else []
    parts += [f'"timeUnixNano":"{exemplar.time_ns}"', _value_text(exemplar.value)]
    if exemplar.trace_id:
        parts.append(f'"spanId":"{exemplar.span_id}","traceId":"{exemplar.trace_id}"')
    return f"{{{','.join(parts)}}}"


def _value_text(value: float) -> str:
    return f'"asInt":"{value}"' if isinstance(value, int) else f'"asDouble":{value!r}'


def _counts(counts: Iterable[Any]) -> str:
    quoted = (f'"{count}"' for count in counts)
    return f"[{','.join(quoted)}]"


def _double(key: str, value: float | None) -> list[str]:
    return [] if value is None else [f'"{key}":{value!r}']


def _no_value() -> str:
    return f'"flags":{NO_RECORDED_VALUE}'
