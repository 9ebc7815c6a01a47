"""Every attribute key that this package writes or reads, in one table.

Keys come from the OpenTelemetry semantic conventions where those exist; ours share the prefix
``otel_tracker.``. No key is typed out anywhere else. The convention names are written as literals
because importing ``opentelemetry.semconv`` costs more than the decorator itself; a test compares them.
"""

from __future__ import annotations

from typing import Final

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/ (stable)
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/ and .../exception/ (stable)
ERROR_TYPE: Final = "error.type"
OTHER_ERROR_TYPE: Final = "_OTHER"  # the value for a class whose name cannot be had
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
EXCEPTION_EVENT: Final = "exception"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/telemetry/
TELEMETRY_DISTRO_NAME: Final = "telemetry.distro.name"
TELEMETRY_DISTRO_VERSION: Final = "telemetry.distro.version"
SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/ (stable)
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_QUERY: Final = "url.query"
CLIENT_ADDRESS: Final = "client.address"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
HTTP_REQUEST_HEADER: Final = "http.request.header"
HTTP_REQUEST_REFERER: Final = f"{HTTP_REQUEST_HEADER}.referer"
HTTP_REQUEST_LANGUAGE: Final = f"{HTTP_REQUEST_HEADER}.accept-language"
# What instrumentors write instead unless OTEL_SEMCONV_STABILITY_OPT_IN says otherwise.
HTTP_METHOD: Final = "http.method"
HTTP_TARGET: Final = "http.target"
HTTP_USER_AGENT: Final = "http.user_agent"
HTTP_CLIENT_IP: Final = "http.client_ip"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/enduser/ and .../deployment/ (development)
ENDUSER_ID: Final = "enduser.id"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/ user/, session/ (development) and server/ (stable)
USER_ID: Final = "user.id"
SESSION_ID: Final = "session.id"
SERVER_ADDRESS: Final = "server.address"

# Ours. Scalar arguments and results are native attribute values; everything else is JSON text.
PREFIX: Final = "otel_tracker."
MODULE: Final = "otel_tracker.module"
ARGS_PREFIX: Final = "otel_tracker.args."
ARGS_JSON_PREFIX: Final = "otel_tracker.args_json."
RESULT: Final = "otel_tracker.result"
RESULT_JSON: Final = "otel_tracker.result_json"
ITEMS: Final = "otel_tracker.items"
OUTCOME: Final = "otel_tracker.outcome"
OUTCOME_CLOSED: Final = "closed"
OUTCOME_CANCELLED: Final = "cancelled"
REQUEST_ID: Final = "otel_tracker.request_id"
# JSON text with what of a stored record OpenTelemetry cannot say; only what is written out or replayed ever has it.
RECORD: Final = "otel_tracker.record"

WEBSOCKET_MESSAGES_RECEIVED: Final = "otel_tracker.websocket.messages_received"
WEBSOCKET_MESSAGES_SENT: Final = "otel_tracker.websocket.messages_sent"

# The whole name of an event whose name was too long for a server.
EVENT_NAME: Final = "otel_tracker.event_name"
# How many texts were cut on their way to a server that bounds them.
CUT_TEXTS: Final = "otel_tracker.cut_texts"

# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute, and the durations of traced functions.
METRIC_OVERFLOW: Final = "otel.metric.overflow"
FUNCTION_DURATION: Final = "otel_tracker.function.duration"

# Which process a span runs in that has only begun; see `otel_tracker.presence`.
PROCESS: Final = "otel_tracker.process"

# What a `ProcessTracker` was told, on the span of its entry point, and the event that bears its record.
METRICS_PREFIX: Final = "otel_tracker.metrics."
IDENTIFIERS_PREFIX: Final = "otel_tracker.identifiers."
PROCESS_COMPLETED: Final = "otel_tracker.process.completed"

# What a decorator of the Firestore tracker adds: fields of one's own, as they are or as JSON text, and the folder of
# the document.
CUSTOM_FIELDS_PREFIX: Final = "otel_tracker.custom_fields."
CUSTOM_FIELDS_JSON_PREFIX: Final = "otel_tracker.custom_fields_json."
SUBCOLLECTION: Final = "otel_tracker.subcollection"
# The one exporter that a span is for; the others pass it over.
SINK: Final = "otel_tracker.sink"

SCOPE: Final = "otel_tracker"
"""The instrumentation scope of every span and event that this package creates."""
