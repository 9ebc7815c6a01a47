"""Says a record in OpenTelemetry's own terms, for OTLP JSON and for replay; the inverse of `otel_tracker.from_otel`.

There and back a record comes out equal, however odd it is: what OTel's terms cannot say, or would say differently
(status ``aborted``, a time before 1970, an attribute that bears one of our own keys), goes along as JSON text in the
one attribute `otel_tracker.attributes.RECORD`, which holds just those fields. An ordinary span has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from otel_tracker import attributes as keys
from otel_tracker.from_otel import ERROR_KEYS, FORMER_EVENT_NAME, error_of, status_of
from otel_tracker.otel_rest import checked_time, is_deep, is_id, json_text, rest_text
from otel_tracker.records import (
    INT64_MAX,
    INT64_MIN,
    KINDS,
    MAX_DEPTH,
    EventRecord,
    LogRecord,
    MetricRecord,
    SpanRecord,
    UnfitRecordError,
)
from otel_tracker.severities import severity_number
from otel_tracker.timestamps import format_time, parse_time

MAX_TIME_NS = 2**64 - 1
"""The latest time that OTLP can say: its times are unsigned 64-bit integers, and 0 means that there is none."""

STATUS_CODES = ("UNSET", "OK", "ERROR")
"""In the order of their numbers: https://opentelemetry.io/docs/specs/otel/trace/api/#set-status."""

_ARGS_PREFIXES = (keys.ARGS_PREFIX, keys.ARGS_JSON_PREFIX)
_RESERVED = frozenset({keys.MODULE, keys.CODE_FUNCTION_NAME, keys.RESULT, keys.RESULT_JSON, keys.RECORD})
_RESERVED_IN_EVENTS = frozenset({*ERROR_KEYS.values(), keys.RECORD})
_RESERVED_IN_LOGS = _RESERVED_IN_EVENTS | {FORMER_EVENT_NAME}
_RESERVED_IN_POINTS = frozenset({keys.RECORD})
_SCALARS = frozenset({str, int, float, bool})
_CONTAINERS = frozenset({dict, list, tuple})


class SpanForm(NamedTuple):
    """A span in OTel's terms; times are 0 to `MAX_TIME_NS`, ``kind`` is one of `KINDS`.

    ``events`` are (name, time in ns, attributes), ``links`` are (trace id, span id, attributes).
    """

    attributes: dict[str, Any]
    parent_span_id: str
    kind: str
    start_ns: int
    end_ns: int | None
    events: Sequence[tuple[str, int, Mapping[str, Any]]]
    links: Sequence[tuple[str, str, Mapping[str, Any]]]
    status_code: str
    status_message: str
    resource: Mapping[str, Any]


class LogForm(NamedTuple):
    """An event or a log in OTel's terms, a log record; ``severity_number`` is 1 to 24, or 0 for a text of nobody's."""

    attributes: dict[str, Any]
    time_ns: int
    severity_number: int
    body: Any
    resource: Mapping[str, Any]


class ExemplarForm(NamedTuple):
    """One measurement of a metric point; the ids are both there or both empty."""

    value: int | float
    time_ns: int
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


class PointForm(NamedTuple):
    """A metric point in OTel's terms, without its numbers, which are those of the record; ``start_ns`` 0 is none."""

    attributes: dict[str, Any]
    start_ns: int
    time_ns: int
    exemplars: Sequence[ExemplarForm]
    resource: Mapping[str, Any]


def span_form(record: SpanRecord) -> SpanForm:
    """The inverse of `span_of`.

    Raises `UnfitRecordError` for ids that are none and for what is too deep, TypeError or ValueError for other values.
    """
    _check_ids(record)
    rest: dict[str, Any] = {}
    attributes = _sayable(record.attributes, rest, "attributes", _RESERVED, _ARGS_PREFIXES)
    _say_call(record, attributes, rest)
    events = _said(map(_event_parts, record.events), record.events, rest, "events") if record.events else ()
    links = _said(map(_link_parts, record.links), record.links, rest, "links") if record.links else ()
    form = SpanForm(
        attributes=attributes,
        parent_span_id=record.parent_span_id,
        kind=record.kind if record.kind in KINDS else KINDS[0],
        start_ns=_said_time(record.start_ns, 0),
        end_ns=None if record.end_ns is None else _said_time(record.end_ns, 1),
        events=events,
        links=links,
        status_code=record.status_code if record.status_code in STATUS_CODES else STATUS_CODES[0],
        status_message=record.status_message,
        resource=_sayable_resource(record.resource, rest),
    )
    _add_differences(record, form, rest)
    if rest:
        attributes[keys.RECORD] = rest_text(rest)
    return form


def event_form(record: EventRecord) -> LogForm:
    """The inverse of `event_of`; raises as `span_form`."""
    rest: dict[str, Any] = {}
    attributes = _sayable(record.properties, rest, "properties", _RESERVED_IN_EVENTS)
    rest.update({field: "" for field in ("name", "severity") if not getattr(record, field)})
    return _log_form(record, attributes, rest)


def log_form(record: LogRecord) -> LogForm:
    """The inverse of `log_of`; raises as `span_form`."""
    rest: dict[str, Any] = {}
    attributes = _sayable(record.attributes, rest, "attributes", _RESERVED_IN_LOGS)
    return _log_form(record, attributes, rest)


def metric_form(record: MetricRecord) -> PointForm:
    """The inverse of `metric_of`, together with the numbers of the record; raises as `span_form`."""
    rest: dict[str, Any] = {}
    attributes = _sayable(record.attributes, rest, "attributes", _RESERVED_IN_POINTS)
    exemplars = _said(map(_exemplar_parts, record.exemplars), record.exemplars, rest, "exemplars")
    time_ns = _said_time(record.time_ns, 0)
    start_ns = 0 if record.start_ns is None else _said_time(record.start_ns, 1)
    if time_ns != record.time_ns:
        rest["time_ns"] = record.time_ns
    if start_ns != (record.start_ns or 0) or record.start_ns == 0:
        rest["start_ns"] = record.start_ns
    resource = _sayable_resource(record.resource, rest)
    if rest:
        attributes[keys.RECORD] = rest_text(rest)
    return PointForm(attributes, start_ns, time_ns, exemplars, resource)


def _log_form(record: EventRecord | LogRecord, attributes: dict[str, Any], rest: dict[str, Any]) -> LogForm:
    for identifier, length in ((record.trace_id, 32), (record.span_id, 16)):
        if identifier and not is_id(identifier, length):
            raise UnfitRecordError(f"{identifier[:60]!r} is no id of {length} hexadecimal digits")
    _say_error(record, attributes, rest)
    time_ns = _said_time(record.time_ns, 1)
    is_body_said = not (type(record.body) in _CONTAINERS and is_deep(record.body))
    if time_ns != record.time_ns:
        rest["time_ns"] = record.time_ns
    if not is_body_said:
        rest["body"] = record.body
    resource = _sayable_resource(record.resource, rest)
    if rest:
        attributes[keys.RECORD] = rest_text(rest)
    return LogForm(
        attributes, time_ns, severity_number(record.severity), record.body if is_body_said else None, resource
    )


def _check_ids(record: SpanRecord) -> None:
    has_parent = record.parent_span_id != ""
    if not (is_id(record.trace_id, 32) and is_id(record.span_id, 16)) or (
        has_parent and not is_id(record.parent_span_id, 16)
    ):
        raise UnfitRecordError("the ids of a span are lower-case hexadecimal digits and not all zero")


def _sayable(
    mapping: Mapping[str, Any],
    rest: dict[str, Any],
    field: str,
    moved: frozenset[str],
    prefixes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The attributes that mean to a reader what they mean here; the others go into the rest."""
    attributes: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for key, value in mapping.items():
        is_odd = key in moved or key.startswith(prefixes) or (type(value) in _CONTAINERS and is_deep(value))
        (left if is_odd else attributes)[key] = value
    if left:
        rest[field] = left
    return attributes


def _say_call(record: SpanRecord, attributes: dict[str, Any], rest: dict[str, Any]) -> None:
    """Function, arguments and result as attributes; arguments and a result that are too deep for a reader go along."""
    if record.function:
        attributes[keys.CODE_FUNCTION_NAME] = f"{record.module}.{record.function}" if record.module else record.function
        if record.module:
            attributes[keys.MODULE] = record.module
    for name, value in record.args.items():
        if type(value) in _SCALARS:
            attributes[keys.ARGS_PREFIX + name] = value
        elif _is_kept_whole(value):
            attributes[keys.ARGS_JSON_PREFIX + name] = json_text(value)
        else:
            rest.setdefault("args", {})[name] = value
    if record.has_result:
        if type(record.result) in _SCALARS:
            attributes[keys.RESULT] = record.result
        elif _is_kept_whole(record.result):
            attributes[keys.RESULT_JSON] = json_text(record.result)
        else:
            rest["result"] = record.result


def _is_kept_whole(value: Any) -> bool:
    """Whether a reader of JSON text makes the same value of it, and not text of its innermost part."""
    return not (type(value) in _CONTAINERS and is_deep(value, MAX_DEPTH))


def _say_error(record: EventRecord | LogRecord, attributes: dict[str, Any], rest: dict[str, Any]) -> None:
    error = record.error
    if all(field in ERROR_KEYS and type(value) is str for field, value in error.items()):
        attributes.update((ERROR_KEYS[field], value) for field, value in error.items())
    else:
        rest["error"] = dict(error)


def _add_differences(record: SpanRecord, form: SpanForm, rest: dict[str, Any]) -> None:
    """Put the fields into the rest that a reader of the form would take for something else."""
    if record.module and not record.function:
        rest["module"] = record.module
    if record.start_ns != form.start_ns:
        rest["start_ns"] = record.start_ns
    if record.end_ns != form.end_ns:
        rest["end_ns"] = record.end_ns
    if record.kind != form.kind:
        rest["kind"] = record.kind
    if record.status_code != form.status_code:
        rest["status_code"] = record.status_code
    if record.status != status_of(form.end_ns, form.status_code):
        rest["status"] = record.status
    if record.status_message and form.status_code != "ERROR":  # the SDK keeps a description with an ERROR only
        rest["status_message"] = record.status_message
    if form.status_code == "ERROR" or record.error:
        events = () if "events" in rest else record.events
        if record.error != error_of(form.status_code, form.status_message, form.attributes, events):
            rest["error"] = dict(record.error)


def _said_time(time_ns: int, earliest_ns: int) -> int:
    """The nearest time that can be said; raises ValueError for one that not even a date can say."""
    if earliest_ns <= time_ns <= MAX_TIME_NS:
        return time_ns
    return max(earliest_ns, min(checked_time(time_ns), MAX_TIME_NS))


def _said(parts: Iterable[Any], given: Sequence[Mapping[str, Any]], rest: dict[str, Any], field: str) -> list[Any]:
    """The parts of all events or links, or none, and all of them in the rest, when one is odd."""
    said = list(parts)
    if None not in said:
        return said
    rest[field] = [dict(item) for item in given]
    return []


def _event_parts(event: Mapping[str, Any]) -> tuple[str, int, Mapping[str, Any]] | None:
    name, time_ns, attributes = event.get("name"), _usual_time(event.get("time")), event.get("attributes")
    if type(name) is not str or time_ns is None or not _are_parts(event, attributes):
        return None
    return name, time_ns, attributes or {}


def _link_parts(link: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]] | None:
    trace_id, span_id, attributes = link.get("trace_id"), link.get("span_id"), link.get("attributes")
    if is_id(trace_id, 32) and is_id(span_id, 16) and _are_parts(link, attributes):
        return str(trace_id), str(span_id), attributes or {}
    return None


def _exemplar_parts(exemplar: Mapping[str, Any]) -> ExemplarForm | None:
    trace_id, span_id = exemplar.get("trace_id", ""), exemplar.get("span_id", "")
    has_ids = is_id(trace_id, 32) and is_id(span_id, 16)
    attributes = exemplar.get("attributes", {})
    if len(exemplar) != 2 + 2 * has_ids + bool(attributes) or not isinstance(attributes, dict) or is_deep(attributes):
        return None
    value: Any = exemplar.get("value")
    time_ns = _usual_time(exemplar.get("time"))
    if not _is_number(value) or time_ns is None:
        return None
    return ExemplarForm(value, time_ns, trace_id, span_id, attributes)


def _is_number(value: Any) -> bool:
    """Whether a measurement may be that: a finite float, or an integer of 64 bits."""
    return isfinite(value) if type(value) is float else type(value) is int and INT64_MIN <= value <= INT64_MAX


def _usual_time(text: Any) -> int | None:
    """The nanoseconds of a time that is written as records have it; None for any other."""
    if type(text) is not str:
        return None
    try:
        time_ns = parse_time(text)
        is_usual = 0 <= time_ns <= MAX_TIME_NS and format_time(time_ns) == text
    except (ValueError, OverflowError):
        return None
    return time_ns if is_usual else None


def _are_parts(item: Mapping[str, Any], attributes: Any) -> bool:
    """Whether an event or link has its two keys, and attributes that are neither odd nor empty, and nothing else."""
    if attributes is None:
        return len(item) == 2
    return len(item) == 3 and isinstance(attributes, dict) and bool(attributes) and not is_deep(attributes)


def _sayable_resource(resource: Mapping[str, Any], rest: dict[str, Any]) -> Mapping[str, Any]:
    """The resource, or none, and all of it in the rest, when the SDK would change it: it drops empty keys."""
    if is_deep(resource, empty_keys=True):
        rest["resource"] = dict(resource)
        return {}
    return resource
