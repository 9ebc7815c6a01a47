"""What is said of every request, whichever framework serves it: the verbs that the framework modules share.

`Serving.begin` is called in the start hook of an upstream instrumentor, with the span that it has just started. There
the request gets its id, and there it is decided whether it is left out. What upstream writes after that hook, or not at
all, is put right when the span ends: ``end`` and ``record_exception`` of this one span are ours from then on, because
no framework has a hook for a handler that raises, and FastAPI none for the end.

A request that is left out is not sampled, so that nothing below it is recorded, here or in the services that it calls,
and its events bear no ids of spans that nobody would find.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any
from weakref import ReferenceType

from opentelemetry.trace import Span, SpanContext, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.util.http import get_excluded_urls, parse_excluded_urls

from otel_tracker import attributes as keys
from otel_tracker import event_needs, request_context
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.frameworks.addresses import forwarded_client, host_of
from otel_tracker.frameworks.carriers import ACCEPT_LANGUAGE, COOKIE, HOST, REFERER, USER_AGENT, Carrier, header
from otel_tracker.http_rules import HttpRules, rules_in_force
from otel_tracker.redaction import Redactor, redactor
from otel_tracker.request_context import Request, Values
from otel_tracker.tracing.failures import forget_recorded, is_recorded, mark_recorded, message_of, type_name

Find = Callable[[], "Mapping[str, Any] | None"]

# What an id may be that comes in; anything else is not taken over, and so never repeated in a response.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_ERROR = StatusCode.ERROR
_NONE: Mapping[str, Any] = {}
_SESSION_DIGITS = 32
_MAX_QUERIES = 1_000
_MAX_REFERER = 2_000
_MAX_LANGUAGE = 35
_MAX_USER_AGENT = 500


class Served(Request):
    """A request that a framework serves, and what is still to be written on its span.

    ``request_id`` is the one that the client gets back. ``is_answered``: the framework has made an ordinary answer of
    whatever was raised, so that it was no error.
    """

    __slots__ = ("_facts", "_failure", "_held", "is_answered", "late", "request_id")

    def __init__(self, span: Span, request_id: str, values: Values, find: Find | None) -> None:
        self.root = ReferenceType(span)
        self.request_id = request_id
        self.values = values
        self.find = find
        self.is_answered = False
        self._held: Any = None  # the span, which no context need refer to while the body is sent
        self.late: Mapping[str, Any] = _NONE
        self._facts: dict[str, Any] = {}
        self._failure: BaseException | None = None  # kept until the span ends

    def tell(self, facts: dict[str, Any]) -> None:
        """Give these to the request's events."""
        self._facts = facts

    def facts(self) -> Mapping[str, Any]:
        """See `Request.facts`. The route is known only when the framework has found it."""
        facts = self._facts
        if facts and keys.HTTP_ROUTE not in facts and keys.HTTP_ROUTE in event_needs.of_events:
            route = (getattr(self._root(), "attributes", None) or _NONE).get(keys.HTTP_ROUTE)
            if route:
                facts[keys.HTTP_ROUTE] = route
        return facts

    def record_exception(self, exception: BaseException, *args: Any, **kwargs: Any) -> None:
        """In place of the span's own: not what a span below it has recorded, nor what became an ordinary answer."""
        span = self._root()
        if span is None:
            return
        if self.is_answered:
            span.set_status = _leave  # until the span ends, which upstream does next
            return
        try:
            trace_id = span.get_span_context().trace_id
            if not is_recorded(exception, trace_id):
                type(span).record_exception(span, exception, *args, **kwargs)
                mark_recorded(exception, trace_id)
            self._failure = exception
        except Exception as error:  # an exception of anybody's, whose text may fail
            report_internal_error("recording an exception", error)

    def see(self, exception: BaseException) -> None:
        """The framework makes an answer of failure of this, which upstream may record as well. Never raises.

        Where another span is current, an application within another's, it is recorded there.
        """
        try:
            if get_current_span() is self._root():
                self.record_exception(exception)
            else:
                self._failure = exception
        except Exception as error:
            report_internal_error("recording an exception of a request", error)

    def end(self, end_time: int | None = None) -> None:
        """In place of the span's own: write what is left to be written and end it, unless the body is still to come."""
        span = None if self.root is None else self.root()
        if span is None or self._held is not None:
            return
        try:
            del span.end
            if span.is_recording():
                self._complete(span)
            self.find = None  # it holds the framework's request
        except Exception as error:
            report_internal_error("ending a request", error)
        type(span).end(span, end_time)

    def hold(self) -> None:
        """Let the span end with the body, `finish`, and not with what upstream takes for the end of the request."""
        self._held = self._root()

    def finish(self, failure: BaseException | None = None) -> None:
        """The body is over, however often that is said; ``failure`` is what it has raised. Never raises."""
        span, self._held = self._held, None
        if span is None:
            return
        try:
            if isinstance(failure, Exception) and span.is_recording():
                self._fail(span, failure)
            self.end()
        except Exception as error:
            report_internal_error("ending a streamed request", error)

    def _fail(self, span: Any, failure: Exception) -> None:
        """The headers have promised another status, which stays what the client got."""
        self.is_answered = False
        vars(span).pop("set_status", None)
        self.record_exception(failure)
        span.set_status(Status(_ERROR, f"{type(failure).__name__}: {message_of(failure)}"))

    def _complete(self, span: Any) -> None:
        del span.record_exception
        if self.is_answered:
            vars(span).pop("set_status", None)
        if self.find is not None:
            self.look()
        for late in (self.late, self.values.attributes):
            for key, value in late.items():
                span.set_attribute(key, value)
        failure, self._failure = self._failure, None
        if failure is None:
            return
        forget_recorded(failure)
        if span.status.status_code is _ERROR:
            span.set_attribute(keys.ERROR_TYPE, type_name(failure))
            if not span.status.description:  # FastAPI's is set once more by the answer
                span.set_status(Status(_ERROR, f"{type(failure).__name__}: {message_of(failure)}"))

    def _root(self) -> Any:
        return None if self.root is None else self.root()


def _leave(*status: Any) -> None:
    """A status that is not set."""


class Serving:
    """How an instrumentor's requests are served; ``excluded_urls`` are upstream's own, regular expressions.

    ``framework`` is the word in upstream's variable ``OTEL_PYTHON_<framework>_EXCLUDED_URLS``.
    """

    def __init__(self, framework: str, excluded_urls: str | None = None) -> None:
        given = get_excluded_urls(framework) if excluded_urls is None else parse_excluded_urls(excluded_urls)
        self._excluded_urls = given if given._excluded_urls else None
        self._rules: HttpRules | None = None
        self._request_id = header("X-Request-ID")

    def begin(
        self, span: Span, carrier: Carrier, *, session_cookie: str | None = None, find: Find | None = None
    ) -> Served | None:
        """Say of a span that has just begun whose request it is; None where there is no span. Never raises.

        ``session_cookie`` is the name of the cookie that tells sessions apart; ``find`` as in `Request`.
        """
        try:
            return self._begun(span, carrier, session_cookie, find)
        except Exception as error:  # carriers come from servers of anybody's
            report_internal_error("beginning a request", error)
            return None

    def _begun(self, span: Any, carrier: Carrier, session_cookie: str | None, find: Find | None) -> Served | None:
        context = span.get_span_context()
        if not context.is_valid or isinstance(request_context.known(span), Served):
            return None  # nobody traces, or an application within another: the request is the outer one's
        request_context.use()
        rules = self._rules_now()
        request_id = self._id_in(carrier) or f"{context.trace_id:032x}"
        served = Served(span, request_id, _identified(request_id, _session_of(carrier, session_cookie)), find)
        if event_needs.of_events:
            served.tell(_facts_of(carrier, rules))
        request_context.adopt(span, served)
        span.end = served.end
        if span.is_recording():
            served.late = _late(carrier, rules)
            begin_with = getattr(span, "begin_with", None)
            if begin_with is not None:  # a span of ours takes now for nothing what costs something at the end
                begin_with({**served.late, **served.values.attributes})
            span.record_exception = served.record_exception
            if self._leaves_out(carrier, rules):
                span._context = _unsampled(context)
        return served

    def _rules_now(self) -> HttpRules:
        rules = rules_in_force()
        if rules is not self._rules:
            self._rules = rules
            self._request_id = header(rules.request_id_header)
        return rules

    def _id_in(self, carrier: Carrier) -> str | None:
        given = carrier.get(self._request_id)
        if given is None or not _REQUEST_ID.fullmatch(given) or redactor().text(given) is not given:
            return None
        return given

    def _leaves_out(self, carrier: Carrier, rules: HttpRules) -> bool:
        if carrier.local_path in rules.excluded:
            return True
        return self._excluded_urls is not None and self._excluded_urls.url_disabled(carrier.url())


def _identified(request_id: str, session_id: str | None) -> Values:
    """The request's first values, past what bounds and redacts a user's."""
    values: Values = Values.__new__(Values)
    if session_id is None:
        values.given, values.attributes = {"request_id": request_id}, {keys.REQUEST_ID: request_id}
    else:
        values.given = {"request_id": request_id, "session_id": session_id}
        values.attributes = {keys.REQUEST_ID: request_id, keys.SESSION_ID: session_id}
    return values


def _session_of(carrier: Carrier, name: str | None) -> str | None:
    """The hash of the session's cookie: who has the cookie has the session, so that it is never shown itself."""
    cookies = carrier.get(COOKIE) if name else None
    if not cookies or f"{name}=" not in cookies:
        return None
    for cookie in cookies.split(";"):
        key, _, value = cookie.strip().partition("=")
        if key == name and value:
            return sha256(value.encode("utf-8", "replace")).hexdigest()[:_SESSION_DIGITS]
    return None


def _late(carrier: Carrier, rules: HttpRules) -> dict[str, Any]:
    """What upstream's instrumentors leave out, or write otherwise than the conventions say."""
    late: dict[str, Any] = {}
    authority = carrier.get(HOST)
    if authority:
        host = host_of(authority)
        if host is not authority or carrier.lacks_host:
            late[keys.SERVER_ADDRESS] = host
    query = carrier.query
    if query:
        shown = _shown(query, redactor())
        if shown is not query or carrier.lacks_target:
            late[keys.URL_QUERY] = shown
    if carrier.lacks_target:
        late[keys.URL_PATH] = carrier.path
    if rules.trusts_forwarded:
        client = forwarded_client(carrier)
        if client:
            late[keys.CLIENT_ADDRESS] = client
    if event_needs.of_requests:
        late.update(_headers(carrier, event_needs.of_requests))
    return late


@lru_cache(maxsize=_MAX_QUERIES)
def _shown(query: str, redact: Redactor) -> str:
    """The query without secrets; the same object where there are none. Many requests have the same few."""
    return redact.text(query)


def _facts_of(carrier: Carrier, rules: HttpRules) -> dict[str, Any]:
    """What destinations of events ask of the request, as attributes."""
    asked = event_needs.of_events
    facts: dict[str, Any] = _headers(carrier, asked)
    if keys.URL_PATH in asked:
        facts[keys.URL_PATH] = carrier.path
    host = carrier.get(HOST)
    if host and keys.SERVER_ADDRESS in asked:
        facts[keys.SERVER_ADDRESS] = host_of(host)
    if keys.CLIENT_ADDRESS in asked:
        client = (forwarded_client(carrier) if rules.trusts_forwarded else None) or carrier.peer
        if client:
            facts[keys.CLIENT_ADDRESS] = client
    user_agent = carrier.get(USER_AGENT) if keys.USER_AGENT_ORIGINAL in asked else None
    if user_agent:
        facts[keys.USER_AGENT_ORIGINAL] = user_agent[:_MAX_USER_AGENT]
    return facts


def _headers(carrier: Carrier, asked: frozenset[str]) -> dict[str, Any]:
    """The page that the request comes from, without its query, and the language that is preferred, if asked for."""
    found: dict[str, Any] = {}
    referer = carrier.get(REFERER) if keys.HTTP_REQUEST_REFERER in asked else None
    if referer:
        found[keys.HTTP_REQUEST_REFERER] = [re.split(r"[?#]", referer[:_MAX_REFERER], maxsplit=1)[0]]
    languages = carrier.get(ACCEPT_LANGUAGE) if keys.HTTP_REQUEST_LANGUAGE in asked else None
    if languages:
        first = re.split(r"[,;]", languages, maxsplit=1)[0].strip()
        found[keys.HTTP_REQUEST_LANGUAGE] = [first[:_MAX_LANGUAGE]]
    return found


def _unsampled(context: SpanContext) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, context.is_remote, _NOT_SAMPLED, context.trace_state)
