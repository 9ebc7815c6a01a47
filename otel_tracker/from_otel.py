"""Makes records of what OpenTelemetry says, wherever it is said: by the SDK or in OTLP JSON.

A span of OTel's has attributes, events, links and a status code; a `SpanRecord` has function, arguments, result and
error as fields of their own, which capture wrote as ``otel_tracker.*`` attributes. `otel_tracker.to_otel` is the
inverse. Both are pure functions over plain values: no SDK, no redaction, no bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from otel_tracker import attributes as keys
from otel_tracker.otel_rest import said_again
from otel_tracker.records import COMPLETED, FAILED, STARTED, EventRecord, LogRecord, MetricRecord, SpanRecord, plain
from otel_tracker.severities import SEVERITIES

ERROR_KEYS = {
    "type": keys.EXCEPTION_TYPE,
    "message": keys.EXCEPTION_MESSAGE,
    "traceback": keys.EXCEPTION_STACKTRACE,
}
"""The attributes of an event or log that hold what its record keeps as its error."""

FORMER_EVENT_NAME = "event.name"
"""Where the name of an event stood before log records had one: semantic conventions up to 1.30."""

EVENT_SEVERITY = "INFO"
"""That of an event which says none."""

_RESULTS = frozenset({keys.RESULT, keys.RESULT_JSON})

_Record = TypeVar("_Record", SpanRecord, EventRecord, LogRecord, MetricRecord)


def span_of(
    *,
    trace_id: str,
    span_id: str,
    parent_span_id: str,
    name: str,
    kind: str,
    start_ns: int,
    end_ns: int | None,
    attributes: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    links: Sequence[Mapping[str, Any]],
    status_code: str,
    status_message: str,
    scope: str,
    resource: Mapping[str, Any],
) -> SpanRecord:
    """The record of a span; events and links as they lie in a record, attributes plain."""
    left, args = _split(attributes)
    module, function = _taken_function(left)
    record = SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        name=name,
        kind=kind,
        function=function,
        module=module,
        status=status_of(end_ns, status_code),
        start_ns=start_ns,
        end_ns=end_ns,
        args=args,
        result=_result_of(attributes),
        has_result=keys.RESULT in attributes or keys.RESULT_JSON in attributes,
        error=error_of(status_code, status_message, attributes, events),
        attributes=left,
        events=tuple(events),
        links=tuple(links),
        status_code=status_code,
        status_message=status_message,
        scope=scope,
        resource=resource,
    )
    return _completed(record, attributes, "attributes") if keys.RECORD in attributes else record


def event_of(
    *,
    name: str,
    time_ns: int,
    severity: str,
    trace_id: str,
    span_id: str,
    attributes: Mapping[str, Any],
    body: Any,
    resource: Mapping[str, Any],
) -> EventRecord:
    """The record of an event; attributes and body plain."""
    properties, error = _with_error_apart(attributes)
    record = EventRecord(
        name=name,
        time_ns=time_ns,
        severity=severity,
        trace_id=trace_id,
        span_id=span_id,
        properties=properties,
        body=body,
        error=error,
        resource=resource,
    )
    return _completed(record, attributes, "properties") if keys.RECORD in attributes else record


def log_of(
    *,
    time_ns: int,
    severity: str,
    body: Any,
    logger: str,
    trace_id: str,
    span_id: str,
    attributes: Mapping[str, Any],
    resource: Mapping[str, Any],
) -> LogRecord:
    """The record of a log record that is no event; attributes and body plain."""
    left, error = _with_error_apart(attributes)
    record = LogRecord(
        time_ns=time_ns,
        severity=severity,
        body=body,
        logger=logger,
        trace_id=trace_id,
        span_id=span_id,
        attributes=left,
        error=error,
        resource=resource,
    )
    return _completed(record, attributes, "attributes") if keys.RECORD in attributes else record


def metric_of(record: MetricRecord) -> MetricRecord:
    """The record of a metric point, given as OTel says it: that of ours which it was made from, if it was."""
    return _completed(record, record.attributes, "attributes") if keys.RECORD in record.attributes else record


def is_event(name: str, attributes: Mapping[str, Any]) -> bool:
    """Whether a log record is an event: it has a name, or is a record of ours that says that its name is empty."""
    if name or keys.RECORD not in attributes:
        return bool(name)
    return "name" in (said_again(attributes[keys.RECORD], EventRecord) or {})


def severity_of(text: str | None, number: int | None, default: str = EVENT_SEVERITY) -> str:
    """A record's severity: the text if there is one, else the number's name, else the default."""
    if text:
        return text
    return SEVERITIES[number - 1] if number and 1 <= number <= len(SEVERITIES) else default


def status_of(end_ns: int | None, status_code: str) -> str:
    """The status of a record: FAILED exactly when OTel says ERROR."""
    if end_ns is None:
        return STARTED
    return FAILED if status_code == "ERROR" else COMPLETED


def error_of(
    status_code: str, status_message: str, attributes: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Type and message of a failed span, with the traceback where this span is the one that recorded it."""
    if status_code != "ERROR":
        return {}
    exception = _last_exception(events)
    error_type = str(exception.get(keys.EXCEPTION_TYPE) or attributes.get(keys.ERROR_TYPE) or "")
    message = exception.get(keys.EXCEPTION_MESSAGE)
    if message is None:
        message = _without_type(status_message, error_type)
    error = {"type": error_type, "message": str(message)}
    if keys.EXCEPTION_STACKTRACE in exception:
        error["traceback"] = str(exception[keys.EXCEPTION_STACKTRACE])
    return error


def _with_error_apart(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What is left of the attributes of a log record, and the error that was in them."""
    error = {field: str(attributes[key]) for field, key in ERROR_KEYS.items() if attributes.get(key) is not None}
    moved = {ERROR_KEYS[field] for field in error}
    return {key: value for key, value in attributes.items() if key not in moved}, error


def _split(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stays attributes, and the arguments; the result is in neither."""
    left: dict[str, Any] = {}
    args: dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(keys.PREFIX):
            left[key] = value
        elif key.startswith(keys.ARGS_PREFIX):
            args[key[len(keys.ARGS_PREFIX) :]] = value
        elif key.startswith(keys.ARGS_JSON_PREFIX):
            args[key[len(keys.ARGS_JSON_PREFIX) :]] = from_json(value)
        elif key not in _RESULTS:
            left[key] = value
    return left, args


def _taken_function(left: dict[str, Any]) -> tuple[str, str]:
    """Module and qualified name, taken out of the attributes; a module that fits no function stays there.

    ``code.function.name`` joins the two, so that only the module says where to split.
    """
    full_name = left.get(keys.CODE_FUNCTION_NAME)
    if not (isinstance(full_name, str) and full_name):
        return "", ""
    del left[keys.CODE_FUNCTION_NAME]
    module = left.get(keys.MODULE)
    if module and isinstance(module, str) and full_name.startswith(f"{module}.") and len(full_name) > len(module) + 1:
        del left[keys.MODULE]
        return module, full_name[len(module) + 1 :]
    return "", full_name


def _result_of(attributes: Mapping[str, Any]) -> Any:
    if keys.RESULT_JSON in attributes:
        return from_json(attributes[keys.RESULT_JSON])
    return attributes.get(keys.RESULT)


def from_json(text: Any) -> Any:
    """The value of JSON text; the text itself where a limit of the SDK's has cut it."""
    try:
        return plain(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return text


def _last_exception(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The attributes of the last exception event: the one that made the span fail."""
    for event in reversed(events):
        if event["name"] == keys.EXCEPTION_EVENT:
            found: Mapping[str, Any] = event.get("attributes", {})
            return found
    return {}


def _without_type(description: str, error_type: str) -> str:
    """The message in a status description; `start_as_current_span` and ours write ``"ValueError: message"``."""
    bare_type = error_type.rpartition(".")[2]
    return description.removeprefix(f"{bare_type}: ") if bare_type else description


def _completed(record: _Record, attributes: Mapping[str, Any], open_field: str) -> _Record:
    """The record with the fields that its attribute `RECORD` holds; unchanged where that is none of ours."""
    said = said_again(attributes[keys.RECORD], type(record))
    if said is None:
        return record
    left = {key: value for key, value in getattr(record, open_field).items() if key != keys.RECORD}
    said[open_field] = {**left, **said.get(open_field, {})}
    if isinstance(record, SpanRecord):
        said["args"] = {**record.args, **said.get("args", {})}
        said["has_result"] = record.has_result or "result" in said
    return replace(record, **said)
