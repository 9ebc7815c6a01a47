"""One span, event or log as one line of OTLP JSON, which every OpenTelemetry tool reads.

Each line is a complete ``TracesData`` or ``LogsData`` object, as the specification of the OTLP file exporter wants it
(https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/). Keys stand in a fixed order, absent when empty, so
that a reader may judge a line of ours by its bytes::

    {"resourceSpans":[{"resource":{"attributes":[...]},"scopeSpans":[{"scope":{"name":"..."},"spans":[{
     "traceId","spanId","parentSpanId","startTimeUnixNano","endTimeUnixNano","kind","name","attributes","events",
     "links","status":{"code","message"}}]}]}]}
    {"resourceLogs":[{"resource":{"attributes":[...]},"scopeLogs":[{"scope":{"name":"..."},"logRecords":[{
     "timeUnixNano","traceId","spanId","severityNumber","severityText","eventName","body","attributes"}]}]}]}

A quote inside a text is escaped, so ``"traceId":"`` is found first where the span's own begins. What a line holds of a
record is decided in `otel_tracker.to_otel`. A span takes about as long as its line in the format ``record`` (20 us
against 21); `json.dumps` alone, of objects that are ready, takes 23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_tracker.records import KINDS, EventRecord, LogRecord, SpanRecord
from otel_tracker.to_otel import STATUS_CODES, LogForm, SpanForm, event_form, log_form, span_form
from otel_tracker_exporters.jsonl.otlp_values import attributes_text, escaped, value_text

SPAN_LINE_HEAD = b'{"resourceSpans":[{'
LOG_LINE_HEAD = b'{"resourceLogs":[{'
"""How each line of ours begins; `otlp_metric_encoding` has those of metrics."""

_KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS, start=1)}
_STATUS_NUMBERS = {code: number for number, code in enumerate(STATUS_CODES)}


def encode_span_line(record: SpanRecord) -> bytes:
    """The span's line with its newline; raises ValueError, TypeError or RecursionError when there is none.

    A lone surrogate, which parsers of protobuf's refuse, becomes U+FFFD.
    """
    form = span_form(record)
    parent = f'"parentSpanId":"{form.parent_span_id}",' if form.parent_span_id else ""
    end = f'"endTimeUnixNano":"{form.end_ns}",' if form.end_ns is not None else ""
    return line_of(
        f'{{"resourceSpans":[{{{resource_text(form.resource)}"scopeSpans":[{{"scope":{{"name":{escaped(record.scope)}}},'
        f'"spans":[{{"traceId":"{record.trace_id}","spanId":"{record.span_id}",{parent}'
        f'"startTimeUnixNano":"{form.start_ns}",{end}"kind":{_KIND_NUMBERS[form.kind]},'
        f'"name":{escaped(record.name)}{_details_text(form)}}}]}}]}}]}}\n'
    )


def encode_event_line(record: EventRecord) -> bytes:
    """The event's line with its newline; as `encode_span_line`."""
    name = f'"eventName":{escaped(record.name)}' if record.name else ""
    return _log_line(record, event_form(record), f'"severityText":{escaped(record.severity)}', name)


def encode_log_line(record: LogRecord) -> bytes:
    """The log's line with its newline; as `encode_span_line`."""
    severity = f'"severityText":{escaped(record.severity)}' if record.severity else ""
    scope = f'"scope":{{"name":{escaped(record.logger)}}},' if record.logger else ""
    return _log_line(record, log_form(record), severity, "", scope)


def line_of(text: str) -> bytes:
    """The line in UTF-8; a lone surrogate becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def resource_text(resource: Mapping[str, Any]) -> str:
    """The resource with its key and a comma; kept per resource, because a process has one for all its records."""
    global _last_resource
    known, text = _last_resource
    if known is not resource:
        text = f'"resource":{{"attributes":{attributes_text(resource)}}},' if resource else ""
        _last_resource = resource, text
    return text


def _log_line(record: EventRecord | LogRecord, form: LogForm, severity: str, name: str, scope: str = "") -> bytes:
    details = [f'"timeUnixNano":"{form.time_ns}"']
    if record.trace_id:
        details.append(f'"traceId":"{record.trace_id}"')
    if record.span_id:
        details.append(f'"spanId":"{record.span_id}"')
    if form.severity_number:
        details.append(f'"severityNumber":{form.severity_number}')
    details += filter(None, (severity, name))
    if form.body is not None:
        details.append(f'"body":{value_text(form.body)}')
    if form.attributes:
        details.append(f'"attributes":{attributes_text(form.attributes)}')
    return line_of(
        f'{{"resourceLogs":[{{{resource_text(form.resource)}"scopeLogs":[{{{scope}"logRecords":[{{{",".join(details)}}}]}}]}}]}}\n'
    )


def _details_text(form: SpanForm) -> str:
    """Everything of a span that may be absent, each with the comma before it."""
    details = ""
    if form.attributes:
        details += f',"attributes":{attributes_text(form.attributes)}'
    if form.events:
        details += f',"events":[{",".join(_event_text(*event) for event in form.events)}]'
    if form.links:
        details += f',"links":[{",".join(_link_text(*link) for link in form.links)}]'
    code = _STATUS_NUMBERS[form.status_code]
    if form.status_message:
        details += f',"status":{{"code":{code},"message":{escaped(form.status_message)}}}'
    elif code:
        details += f',"status":{{"code":{code}}}'
    return details


def _event_text(name: str, time_ns: int, attributes: Mapping[str, Any]) -> str:
    said = f',"attributes":{attributes_text(attributes)}' if attributes else ""
    return f'{{"timeUnixNano":"{time_ns}","name":{escaped(name)}{said}}}'


def _link_text(trace_id: str, span_id: str, attributes: Mapping[str, Any]) -> str:
    said = f',"attributes":{attributes_text(attributes)}' if attributes else ""
    return f'{{"traceId":"{trace_id}","spanId":"{span_id}"{said}}}'


_last_resource: tuple[Mapping[str, Any], str] = ({}, "")
