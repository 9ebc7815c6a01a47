"""Turns what leaves the SDK into records: the one place where a span or a log record is read field by field.

Exporters call `span_record` and `event_record` on their own thread and hand only records on. What capture wrote as
``otel_tracker.*`` attributes becomes the record's own fields here, and every text that did not go through capture
(exception messages, tracebacks, urls, attributes of other instrumentors) is redacted here once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

from otel_tracker import attributes as keys
from otel_tracker.records import COMPLETED, FAILED, STARTED, EventRecord, SpanRecord, plain
from otel_tracker.redaction import Redactor, redactor
from otel_tracker.timestamps import format_time

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link

_MOVED = frozenset({keys.MODULE, keys.CODE_FUNCTION_NAME, keys.RESULT, keys.RESULT_JSON})


def span_record(span: ReadableSpan) -> SpanRecord:
    """The record of a span, ended or (for a span that is still open) started."""
    redact = redactor()
    context, parent = span.get_span_context(), span.parent
    attributes = redact.mapping(plain(span.attributes or {}))
    module, function = _function_of(attributes)
    events = [_event_fields(event, redact) for event in span.events]
    return SpanRecord(
        trace_id=f"{context.trace_id:032x}" if context else "",
        span_id=f"{context.span_id:016x}" if context else "",
        parent_span_id=f"{parent.span_id:016x}" if parent else "",
        name=redact.text(span.name),
        kind=span.kind.name.lower(),
        function=function,
        module=module,
        status=_status(span),
        start_ns=span.start_time or 0,
        end_ns=span.end_time,
        args=_args_of(attributes),
        result=_result_of(attributes),
        has_result=keys.RESULT in attributes or keys.RESULT_JSON in attributes,
        error=_error_of(span, attributes, events, redact),
        attributes=_rest_of(attributes, function),
        events=events,
        links=[_link_fields(link, redact) for link in span.links],
        status_code=span.status.status_code.name,
        status_message=redact.text(span.status.description or ""),
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        resource=_resource_fields(span.resource),
    )


def event_record(readable: ReadableLogRecord) -> EventRecord | None:
    """The record of an event, or None for a log record that bears no event name."""
    log = readable.log_record
    if not log.event_name:
        return None
    redact = redactor()
    properties = dict(redact.mapping(plain(log.attributes or {})))
    return EventRecord(
        name=log.event_name,
        time_ns=log.timestamp or log.observed_timestamp or 0,
        severity=log.severity_text or (log.severity_number.name if log.severity_number else "INFO"),
        trace_id=f"{log.trace_id:032x}" if log.trace_id else "",
        span_id=f"{log.span_id:016x}" if log.span_id else "",
        error=_taken_exception(properties),
        properties=properties,
        body=redact.value(plain(log.body)),
        resource=_resource_fields(readable.resource),
    )


def _status(span: ReadableSpan) -> str:
    if span.end_time is None:
        return STARTED
    return FAILED if span.status.status_code is StatusCode.ERROR else COMPLETED


def _function_of(attributes: Mapping[str, Any]) -> tuple[str, str]:
    """Module and qualified name; ``code.function.name`` joins them, so that only the module says where to split."""
    full_name = attributes.get(keys.CODE_FUNCTION_NAME)
    module = attributes.get(keys.MODULE)
    if not isinstance(full_name, str):
        return "", ""
    if isinstance(module, str) and full_name.startswith(f"{module}."):
        return module, full_name[len(module) + 1 :]
    return "", full_name


def _args_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith(keys.ARGS_PREFIX):
            args[key[len(keys.ARGS_PREFIX) :]] = value
        elif key.startswith(keys.ARGS_JSON_PREFIX):
            args[key[len(keys.ARGS_JSON_PREFIX) :]] = _from_json(value)
    return args


def _result_of(attributes: Mapping[str, Any]) -> Any:
    if keys.RESULT_JSON in attributes:
        return _from_json(attributes[keys.RESULT_JSON])
    return attributes.get(keys.RESULT)


def _from_json(text: Any) -> Any:
    """The value of JSON text; the text itself where a limit of the SDK's has cut it."""
    try:
        return plain(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return text


def _rest_of(attributes: Mapping[str, Any], function: str) -> dict[str, Any]:
    moved = _MOVED if function else _MOVED - {keys.MODULE, keys.CODE_FUNCTION_NAME}
    prefixes = (keys.ARGS_PREFIX, keys.ARGS_JSON_PREFIX)
    return {key: value for key, value in attributes.items() if key not in moved and not key.startswith(prefixes)}


def _error_of(
    span: ReadableSpan, attributes: Mapping[str, Any], events: Iterable[Mapping[str, Any]], redact: Redactor
) -> dict[str, str]:
    """Type and message of a failed span, with the traceback where this span is the one that recorded it."""
    if span.status.status_code is not StatusCode.ERROR:
        return {}
    exception = _last_exception(events)
    error_type = str(exception.get(keys.EXCEPTION_TYPE) or attributes.get(keys.ERROR_TYPE) or "")
    message = exception.get(keys.EXCEPTION_MESSAGE)
    if message is None:
        message = _without_type(redact.text(span.status.description or ""), error_type)
    error = {"type": error_type, "message": str(message)}
    if keys.EXCEPTION_STACKTRACE in exception:
        error["traceback"] = str(exception[keys.EXCEPTION_STACKTRACE])
    return error


def _last_exception(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The attributes of the last exception event: the one that made the span fail."""
    found: Mapping[str, Any] = {}
    for event in events:
        if event["name"] == keys.EXCEPTION_EVENT:
            found = event.get("attributes", {})
    return found


def _without_type(description: str, error_type: str) -> str:
    """The message in a status description; `start_as_current_span` and ours write ``"ValueError: message"``."""
    bare_type = error_type.rpartition(".")[2]
    return description.removeprefix(f"{bare_type}: ") if bare_type else description


def _event_fields(event: Event, redact: Redactor) -> dict[str, Any]:
    fields = {"name": event.name, "time": format_time(event.timestamp)}
    attributes = redact.mapping(plain(event.attributes or {}))
    return {**fields, "attributes": dict(attributes)} if attributes else fields


def _link_fields(link: Link, redact: Redactor) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "trace_id": f"{link.context.trace_id:032x}",
        "span_id": f"{link.context.span_id:016x}",
    }
    attributes = redact.mapping(plain(link.attributes or {}))
    return {**fields, "attributes": dict(attributes)} if attributes else fields


def _taken_exception(properties: dict[str, Any]) -> dict[str, str]:
    """The ``exception.*`` attributes of an event as its error, taken out of the properties."""
    named = {
        "type": properties.pop(keys.EXCEPTION_TYPE, None),
        "message": properties.pop(keys.EXCEPTION_MESSAGE, None),
        "traceback": properties.pop(keys.EXCEPTION_STACKTRACE, None),
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _resource_fields(resource: Resource | None) -> dict[str, Any]:
    """The resource as plain values; kept per resource, because a process has one for all its spans."""
    if resource is None:
        return {}
    known = _resources.get(id(resource))
    if known is None or known[0] is not resource:
        if len(_resources) >= _MAX_RESOURCES:
            _resources.clear()
        known = _resources[id(resource)] = (resource, dict(redactor().mapping(plain(resource.attributes))))
    return known[1]


_MAX_RESOURCES = 16
_resources: dict[int, tuple[Resource, dict[str, Any]]] = {}
