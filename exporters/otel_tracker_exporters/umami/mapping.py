"""From records to analytics: what of an event, or of a span that was asked for, an analytics server is told.

Arguments, results, tracebacks, places in the code and addresses are never among it. What has a field of its own at the
server (path, host, user) is not sent as a property again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from otel_tracker import attributes as keys
from otel_tracker.records import EventRecord, SpanRecord, plain
from otel_tracker.redaction.patterns import REDACTED
from otel_tracker_exporters.umami.analytics import AnalyticsEvent, Kind
from otel_tracker_exporters.umami.options import Options
from otel_tracker_exporters.umami.places import host_of, host_of_service, logical_path, path_of, referrer_of
from otel_tracker_exporters.umami.privacy import private, private_tree, visitor_id
from otel_tracker_exporters.umami.properties import moment_text
from otel_tracker_exporters.umami.texts import clean, hash_of

IDENTIFY = "identify"
NAMELESS = "event"
"""The name of an event that has none: Umami takes a nameless one for a page view."""

_VISITORS = (keys.USER_ID, keys.ENDUSER_ID, keys.SESSION_ID)
_LANGUAGE_EARLIER = f"{keys.HTTP_REQUEST_HEADER}.accept_language"
_HIDDEN = frozenset(
    {
        *_VISITORS,
        *(keys.URL_PATH, keys.URL_QUERY, keys.HTTP_TARGET, keys.SERVER_ADDRESS, keys.RECORD),
        *(keys.HTTP_CLIENT_IP, keys.USER_AGENT_ORIGINAL, keys.HTTP_USER_AGENT),
    }
)
_HIDDEN_PREFIXES = (
    *("code.", "thread.", f"{keys.HTTP_REQUEST_HEADER}.", "http.response.header."),
    *("client.", "network.peer.", "net.peer.", "net.sock.peer."),
)
_NO_TRAITS = frozenset({keys.REQUEST_ID, keys.HTTP_ROUTE})
_MAX_NS = 2**63


def event_of(record: EventRecord, options: Options, given: Mapping[str, Any]) -> AnalyticsEvent:
    """What the server is told of an event; ``given`` are its attributes before redaction, for the visitor's id."""
    found = _Found(record.properties, record.resource, options, given)
    is_identify = record.name == IDENTIFY and keys.USER_ID in record.properties
    properties = found.properties(record.properties)
    if is_identify:
        properties = {key: value for key, value in properties.items() if key not in _NO_TRAITS}
    else:
        properties = {**_ids(record), **found.service(), **_error(record.error), **_body(record.body), **properties}
    return AnalyticsEvent(
        kind=Kind.IDENTIFY if is_identify else Kind.EVENT,
        name=private(clean(record.name)).strip() or NAMELESS,
        time_ns=_past(record.time_ns),
        path=found.path() or logical_path(private(record.name) or NAMELESS),
        title=private(found.text(keys.HTTP_ROUTE)),
        properties=properties,
        origin=_origin(record, given),
        **found.common(),
    )


def span_event_of(record: SpanRecord, options: Options, given: Mapping[str, Any]) -> AnalyticsEvent:
    """What the server is told of a span: a page view where that was asked for, else an event of the span's name."""
    found = _Found(record.attributes, record.resource, options, given)
    is_page_view = options.has_page_views and is_request(record.kind, record.attributes)
    measured = {"duration_ms": record.duration_ms, "status": record.status}
    properties = {**_ids(record), **found.service(), **_error(record.error)}
    return AnalyticsEvent(
        kind=Kind.PAGE_VIEW if is_page_view else Kind.EVENT,
        name=private(clean(record.name)).strip() or NAMELESS,
        time_ns=_past(record.start_ns),
        path=found.path() or logical_path(private(record.name) or NAMELESS),
        title=private(found.text(keys.HTTP_ROUTE) or record.name),
        properties={**properties, **measured, **found.properties(record.attributes)},
        origin=f"{record.trace_id}:{record.span_id}",
        **found.common(),
    )


def is_request(kind: str, attributes: Mapping[str, Any]) -> bool:
    """Whether a span is that of a request at a web server (and not of a WebSocket, which has no method)."""
    return kind == "server" and (keys.HTTP_REQUEST_METHOD in attributes or keys.HTTP_METHOD in attributes)


class _Found:
    """What the attributes of one record hold for the server's own fields."""

    def __init__(
        self,
        attributes: Mapping[str, Any],
        resource: Mapping[str, Any],
        options: Options,
        given: Mapping[str, Any],
    ) -> None:
        self._attributes = attributes
        self._resource = resource
        self._options = options
        self._given = given

    def text(self, *names: str) -> str:
        """The first of these attributes that is there, as text; of a list its first item."""
        for name in names:
            value = self._attributes.get(name)
            if isinstance(value, (list, tuple)):
                value = value[0] if value else None
            if value is not None and value != "":
                return str(value)
        return ""

    def path(self) -> str:
        """The path of the request, empty outside any."""
        given = self.text(keys.URL_PATH, keys.HTTP_TARGET)
        return path_of(given) if given else ""

    def common(self) -> dict[str, str]:
        """The fields that events and spans fill alike."""
        is_forwarded = self._options.forwards_client
        return {
            "hostname": self._hostname(),
            "referrer": referrer_of(self.text(keys.HTTP_REQUEST_REFERER)),
            "language": self.text(keys.HTTP_REQUEST_LANGUAGE, _LANGUAGE_EARLIER).split(",")[0].split(";")[0].strip(),
            "visitor": self._visitor(),
            "tag": private(str(self._resource.get(keys.DEPLOYMENT_ENVIRONMENT_NAME) or "")),
            "client_ip": self.text(keys.CLIENT_ADDRESS, keys.HTTP_CLIENT_IP) if is_forwarded else "",
            "client_user_agent": self.text(keys.USER_AGENT_ORIGINAL, keys.HTTP_USER_AGENT) if is_forwarded else "",
        }

    def service(self) -> dict[str, Any]:
        """The service's name, under its own key."""
        name = self._resource.get(keys.SERVICE_NAME)
        return {keys.SERVICE_NAME: private(str(name))} if name else {}

    def properties(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes that are sent as properties, with nothing private in them."""
        options = self._options
        return {
            private(key): private_tree(value)
            for key, value in attributes.items()
            if key not in _HIDDEN and not key.startswith(_HIDDEN_PREFIXES) and options.takes_attribute(key)
        }

    def _hostname(self) -> str:
        candidates = (host_of(self._options.hostname or ""), host_of(self.text(keys.SERVER_ADDRESS)))
        return next(filter(None, candidates), "") or host_of_service(str(self._resource.get(keys.SERVICE_NAME) or ""))

    def _visitor(self) -> str:
        """The visitor's id. One that redaction has changed is hashed as it was, so that visitors stay apart."""
        options = self._options
        for name in _VISITORS:
            shown = self._attributes.get(name)
            if shown is None or shown == "":
                continue
            as_given = str(self._given.get(name, shown))
            hash_key = options.hash_key
            if REDACTED in str(shown) and as_given != str(shown):
                hash_key = hash_key or options.website_id
            return visitor_id(as_given, hash_key, options.website_id)
        instance = str(self._resource.get(keys.SERVICE_INSTANCE_ID) or "") if options.has_instance_visitor else ""
        return visitor_id(instance, options.hash_key, options.website_id) if instance else ""


def _ids(record: EventRecord | SpanRecord) -> dict[str, Any]:
    time_ns = record.time_ns if isinstance(record, EventRecord) else record.start_ns
    ids = {"trace_id": record.trace_id, "span_id": record.span_id} if record.trace_id else {}
    return {**ids, "time": moment_text(_past(time_ns))}


def _error(error: Mapping[str, str]) -> dict[str, Any]:
    """Type and message; a traceback is no property."""
    found = {keys.EXCEPTION_TYPE: error.get("type"), keys.EXCEPTION_MESSAGE: error.get("message")}
    return {key: private(value) for key, value in found.items() if value}


def _body(body: Any) -> dict[str, Any]:
    return {} if body is None else {"body": private_tree(body)}


def _past(time_ns: int) -> int:
    """The time, or now where it is none or lies ahead: a clock that was put back has made it."""
    now_ns = time.time_ns()
    return time_ns if 0 < time_ns <= min(now_ns, _MAX_NS) else now_ns


def _origin(record: EventRecord, given: Mapping[str, Any]) -> str:
    """Ids and time are the same for events of one instant, so all that they hold belongs to it."""
    content = hash_of(json.dumps(plain(given), sort_keys=True))  # the same when it comes back from a journal
    return f"{record.trace_id}:{record.span_id}:{record.time_ns}:{record.name}:{content}"
