"""Between metric points and rows: the part of `rows` for the table of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_tracker.metric_records import MetricRecord, numbers_of
from otel_tracker_exporters.sqlite.rows import (
    Row,
    checked_time_ns,
    json_object,
    json_text,
    resource_of,
    text,
    value_of,
)

METRIC_COLUMNS = (
    "m.name, m.time_ns, m.kind, m.unit, m.description, m.start_ns, m.attributes, m.value, m.count, m.sum, m.min, "
    "m.max, m.buckets, m.exponential, m.quantiles, m.temporality, m.exemplars, m.scope, r.attributes"
)
"""The columns that `metric_of` takes, in its order."""

METRIC_LENGTH = 19
"""How many values `metric_row` gives; no row of another kind has so many."""

INSERT_METRIC = f"""
    INSERT INTO stored_metrics (
        id, name, time_ns, kind, unit, description, start_ns, attributes, value, count, sum, min, max, buckets,
        exponential, quantiles, temporality, exemplars, scope, resource_id
    ) VALUES ({", ".join("?" * (METRIC_LENGTH + 1))})
"""  # noqa: S608


def metric_row(record: MetricRecord, resource_id: int | None) -> Row:
    """The values of `INSERT_METRIC` that follow the id."""
    return (
        text(record.name),
        checked_time_ns(record.time_ns),
        record.kind,
        text(record.unit),
        text(record.description),
        None if record.start_ns is None else checked_time_ns(record.start_ns),
        json_object(record.attributes),
        record.value,
        record.count,
        record.sum,
        record.min,
        record.max,
        json_text([list(bucket) for bucket in record.buckets]) if record.buckets else None,
        json_object(record.exponential),
        json_text([list(pair) for pair in record.quantiles]) if record.quantiles else None,
        record.temporality,
        json_text([dict(exemplar) for exemplar in record.exemplars]) if record.exemplars else None,
        text(record.scope),
        resource_id,
    )


def metric_of(row: Sequence[Any]) -> MetricRecord:
    """The record of a row of `METRIC_COLUMNS`; raises ValueError or TypeError for what is none of ours."""
    numbers = {
        **dict(zip(("value", "count", "sum", "min", "max"), row[7:12], strict=True)),
        "buckets": value_of(row[12], ()),
        "exponential": value_of(row[13], {}),
        "quantiles": value_of(row[14], ()),
        "temporality": row[15],
    }
    return MetricRecord(
        name=row[0],
        time_ns=row[1],
        kind=row[2],
        unit=row[3],
        description=row[4],
        start_ns=row[5],
        attributes=value_of(row[6], {}),
        exemplars=tuple(value_of(row[16], ())),
        scope=row[17],
        resource=resource_of(row[18]),
        **numbers_of(row[2], numbers),
    )
