"""Hypothesis strategies for records that are as odd as a record may be. Every store and format holds each unchanged.

Values are plain as `otel_tracker.records.plain` makes them, except that some are nested deeper, as lines of other
programs may be; they hold no lone surrogates, which UTF-8 cannot say. Ids are never zero. Otherwise nothing is ruled
out: status, end, error and exception events need not fit together, and attributes may bear the keys that this package
keeps for itself.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from otel_tracker import attributes as keys
from otel_tracker.metric_records import GAUGE, METRIC_KINDS, NUMBER_KINDS, SUMMARY
from otel_tracker.records import (
    INT64_MAX,
    INT64_MIN,
    KINDS,
    STATUSES,
    EventRecord,
    LogRecord,
    MetricRecord,
    SpanRecord,
)
from otel_tracker.timestamps import format_time

NOON_NS = 1_795_348_800_000_000_000

texts = st.text(max_size=12)
"""Any text that UTF-8 can say: NUL, quotes, line separators and characters beyond 16 bits included."""

times = st.integers(NOON_NS, NOON_NS + 10**12) | st.integers(INT64_MIN, INT64_MAX)
"""Nanoseconds since the epoch, most of them near each other."""

trace_ids = st.integers(1, 2**128 - 1).map("{:032x}".format)
span_ids = st.integers(1, 2**64 - 1).map("{:016x}".format)

integers = st.integers(-10, 10) | st.integers(INT64_MIN, INT64_MAX)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | integers | floats | texts

_OWN_KEYS = (
    *(keys.MODULE, keys.CODE_FUNCTION_NAME, keys.RESULT, keys.RESULT_JSON, keys.ARGS_PREFIX, keys.ARGS_JSON_PREFIX),
    *(keys.ARGS_PREFIX + "x", keys.ARGS_JSON_PREFIX + "x", keys.RECORD, "event.name", "schema", "..."),
    *(keys.ERROR_TYPE, keys.EXCEPTION_TYPE, keys.EXCEPTION_MESSAGE, keys.EXCEPTION_STACKTRACE),
)
names = texts | st.sampled_from(_OWN_KEYS)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)


def _nested(innermost: Any, keys_outwards: list[str | None]) -> Any:
    for key in keys_outwards:
        innermost = [innermost] if key is None else {key: innermost}
    return innermost


_shallow_values = st.recursive(scalars, _containers, max_leaves=6)
_deep_values = st.builds(_nested, scalars, st.lists(st.none() | st.sampled_from(["", "k"]), min_size=20, max_size=60))
plain_values = st.integers(0, 9).flatmap(lambda chance: _shallow_values if chance else _deep_values)
"""None, bool, 64-bit int, finite float, text, and lists and dicts of those."""

mappings = st.dictionaries(names, plain_values, max_size=3)
"""Attributes, arguments, properties."""

resources = st.dictionaries(st.sampled_from(["service.name", "host.name", "k8s.labels", ""]), plain_values, max_size=2)
errors = st.dictionaries(st.sampled_from(["type", "message", "traceback"]), texts, max_size=3)


@st.composite
def span_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of a span, as it lies in a record: name, time, and attributes where there are any."""
    event: dict[str, Any] = {"name": draw(st.just("exception") | texts), "time": format_time(draw(times))}
    attributes = draw(mappings)
    return {**event, "attributes": attributes} if attributes else event


@st.composite
def span_links(draw: st.DrawFn) -> dict[str, Any]:
    """A link to another span, as it lies in a record."""
    link: dict[str, Any] = {"trace_id": draw(trace_ids), "span_id": draw(span_ids)}
    attributes = draw(mappings)
    return {**link, "attributes": attributes} if attributes else link


@st.composite
def span_records(draw: st.DrawFn) -> SpanRecord:
    """A span; draw lists of them with ``unique_by=lambda span: (span.trace_id, span.span_id)`` for a store."""
    has_result = draw(st.booleans())
    return SpanRecord(
        trace_id=draw(trace_ids),
        span_id=draw(span_ids),
        parent_span_id=draw(st.just("") | span_ids),
        name=draw(texts),
        kind=draw(st.sampled_from(KINDS)),
        function=draw(texts),
        module=draw(texts),
        status=draw(st.sampled_from(STATUSES)),
        start_ns=draw(times),
        end_ns=draw(st.none() | times),
        args=draw(mappings),
        result=draw(plain_values) if has_result else None,
        has_result=has_result,
        error=draw(errors),
        attributes=draw(mappings),
        events=tuple(draw(st.lists(span_events(), max_size=2))),
        links=tuple(draw(st.lists(span_links(), max_size=2))),
        status_code=draw(st.sampled_from(["UNSET", "OK", "ERROR"])),
        status_message=draw(texts),
        scope=draw(st.just("otel_tracker") | texts),
        resource=draw(resources),
    )


@st.composite
def event_records(draw: st.DrawFn) -> EventRecord:
    """An event, inside a span or outside of any."""
    is_in_span = draw(st.booleans())
    return EventRecord(
        name=draw(st.just("checkout.completed") | texts.filter(bool)),
        time_ns=draw(times),
        severity=draw(st.sampled_from(["INFO", "WARN", "ERROR"]) | texts),
        trace_id=draw(trace_ids) if is_in_span else "",
        span_id=draw(span_ids) if is_in_span else "",
        properties=draw(mappings),
        body=draw(plain_values),
        error=draw(errors),
        resource=draw(resources),
    )


@st.composite
def log_records(draw: st.DrawFn) -> LogRecord:
    """A log record without an event name, inside a span or outside of any."""
    is_in_span = draw(st.booleans())
    return LogRecord(
        time_ns=draw(times),
        severity=draw(st.sampled_from(["", "INFO", "WARNING", "ERROR"]) | texts),
        body=draw(texts | plain_values),
        logger=draw(st.sampled_from(["", "shop.db"]) | texts),
        trace_id=draw(trace_ids) if is_in_span else "",
        span_id=draw(span_ids) if is_in_span else "",
        attributes=draw(mappings),
        error=draw(errors),
        resource=draw(resources),
    )


numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
"""Floats as records have them: finite, and never -0.0."""

counts = st.integers(0, 5) | st.integers(0, INT64_MAX)
_small = st.integers(-(2**31), 2**31 - 1)
_sides = st.fixed_dictionaries({"offset": _small, "counts": st.lists(counts, max_size=3)})
_exponentials = st.fixed_dictionaries(
    {"scale": _small, "zero_count": counts, "zero_threshold": numbers, "positive": _sides, "negative": _sides}
)


@st.composite
def exemplars(draw: st.DrawFn) -> dict[str, Any]:
    """A single measurement, as it lies in the record of a point."""
    exemplar: dict[str, Any] = {"value": draw(integers | numbers), "time": format_time(draw(times))}
    if draw(st.booleans()):
        exemplar |= {"trace_id": draw(trace_ids), "span_id": draw(span_ids)}
    attributes = draw(mappings)
    return {**exemplar, "attributes": attributes} if attributes else exemplar


@st.composite
def _buckets(draw: st.DrawFn) -> tuple[tuple[float | None, int], ...]:
    bounds = sorted(draw(st.sets(numbers, max_size=4)))
    return tuple((bound, draw(counts)) for bound in (*bounds, None)) if draw(st.booleans()) else ()


@st.composite
def _measured(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """The numbers of a point of this kind."""
    if draw(st.integers(0, 9)) == 0:
        return {}
    if kind in NUMBER_KINDS:
        return {"value": draw(integers | numbers)}
    found: dict[str, Any] = {"count": draw(counts), "sum": draw(numbers)}
    if kind == SUMMARY:
        return {**found, "quantiles": tuple(draw(st.lists(st.tuples(numbers, numbers), max_size=3)))}
    found |= {"sum": draw(st.none() | numbers), "min": draw(st.none() | numbers), "max": draw(st.none() | numbers)}
    if kind == "histogram":
        return {**found, "buckets": draw(_buckets())}
    return {**found, "exponential": draw(_exponentials)}


@st.composite
def metric_records(draw: st.DrawFn) -> MetricRecord:
    """A metric point of any kind."""
    kind = draw(st.sampled_from(METRIC_KINDS))
    has_temporality = kind not in (GAUGE, SUMMARY)
    return MetricRecord(
        name=draw(st.just("shop.orders") | texts),
        time_ns=draw(times),
        kind=kind,
        unit=draw(st.sampled_from(["", "s"]) | texts),
        description=draw(texts),
        start_ns=draw(st.none() | times),
        attributes=draw(mappings),
        temporality=draw(st.sampled_from(["", "delta", "cumulative"])) if has_temporality else "",
        exemplars=tuple(draw(st.lists(exemplars(), max_size=2))),
        scope=draw(st.just("shop") | texts),
        resource=draw(resources),
        **draw(_measured(kind)),
    )


records = span_records() | event_records() | log_records() | metric_records()
"""Spans, events, logs and metric points, mixed."""
