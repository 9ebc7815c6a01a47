"""`set_context` and `context`: what is known of whoever is served, on every span and event that is made for them.

What `set_context` says belongs to the request: to its local root span, which all spans of the request in this process
descend from, in whatever thread or task they run. It ends with the request because the next one has another root.
Where a trace is not recorded there is no such span, and its trace id stands for the request; outside any span it is
the thread or the task. What `context` says travels with OpenTelemetry's own context, and wins.

Spans are stamped by a processor of the SDK's (`otel_tracker.stamping`), which joins the provider at the first use.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import islice
from types import TracebackType
from typing import Any
from weakref import ReferenceType

from opentelemetry import baggage, trace
from opentelemetry.context import Context, create_key
from opentelemetry.trace import Span, SpanContext

from otel_tracker import current, event_needs, settings
from otel_tracker.attributes import REQUEST_ID, SERVER_ADDRESS, SESSION_ID, URL_PATH, USER_ID
from otel_tracker.capture import capture_tree, capture_value
from otel_tracker.diagnostics import report_internal_error, say_once

CONTEXT_KEYS = {
    "user_id": USER_ID,
    "session_id": SESSION_ID,
    "request_id": REQUEST_ID,
    "hostname": SERVER_ADDRESS,
    "path": URL_PATH,
}
"""The attributes that context values of these names become; any other keeps its name."""

MAX_STAMPED = 24
"""Values that a span or an event is stamped with: the SDK takes 128 attributes, and complains of each one beyond."""

_SDK_MODULE, _STAMPING_MODULE = "opentelemetry.sdk.trace", "otel_tracker.stamping"
_MAX_UNRECORDED = 1_000
_OVERLAY = create_key("otel-tracker-context")
_UNRECORDED = create_key("otel-tracker-request")
_BOX = "_otel_tracker_request"


class Values:
    """Context values as they were given (``given``) and as attributes; never changed, only replaced."""

    __slots__ = ("attributes", "given")

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        kept = islice(((name, value) for name, value in given.items() if name), MAX_STAMPED)
        self.attributes = {CONTEXT_KEYS.get(name, name): _attribute(value, name) for name, value in kept}

    def merged(self, values: Mapping[str, Any]) -> Values:
        """These and newer ones; None takes a value away."""
        return Values({key: value for key, value in {**self.given, **values}.items() if value is not None})


def _attribute(value: Any, name: str) -> Any:
    """A scalar, or what is shown as one text (an id that is a UUID), as it is, anything else as JSON text."""
    plain = capture_tree(value, name)
    return plain if isinstance(plain, (str, bool, int, float)) else capture_value(value, name)


_NOTHING = Values({})


class _Layer(Values):
    """What the innermost of the `context` blocks that a task is in says, with those of the blocks around it."""

    __slots__ = ("_block", "_outer", "_own")

    def __init__(self, block: object, own: Mapping[str, Any], outer: _Layer | None) -> None:
        values = {**outer.given, **own} if outer is not None else own
        super().__init__({key: value for key, value in values.items() if value is not None})
        self._block, self._own, self._outer = block, own, outer

    def without(self, block: object) -> _Layer | None:
        """These without what the block says; of one that was entered several times, without the last time."""
        if self._block is block or self._outer is None:
            return self._outer if self._block is block else self
        outer = self._outer.without(block)
        return self if outer is self._outer else _Layer(self._block, self._own, outer)


class Request:
    """What is known of one request; ``root`` is its local root span, None where there is none to be written to.

    ``find`` is asked for more whenever something is stamped, until it says what it is waiting for (a user who logs
    in); what is given goes before what is found.
    """

    __slots__ = ("find", "root", "values")

    def __init__(self, root: ReferenceType[Any] | None = None) -> None:
        self.root = root
        self.values = _NOTHING
        self.find: Callable[[], Mapping[str, Any] | None] | None = None

    def facts(self) -> Mapping[str, Any]:
        """Attributes for the request's events alone: what their destinations have asked for."""
        return _NOTHING.attributes

    def look(self) -> None:
        """Take over what is found, if it is there now; what cannot be asked for it, a user of the program's, is not."""
        try:
            found = self.find() if self.find is not None else None
        except Exception as error:  # the program's own objects, which say so themselves where the program asks them
            self.find = None
            say_once(f"Whose request it is could not be asked: {type(error).__name__}. It is recorded as nobody's.")
            return
        if not found:
            return
        self.find = None
        with _lock:
            self.values = Values({**found, **self.values.given})
        _stamp_root(self)


_NO_REQUEST: tuple[int, Request | None] = (0, None)
_ambient: ContextVar[Values] = ContextVar("otel_tracker_ambient_context", default=_NOTHING)
_unboxed: OrderedDict[object, Request] = OrderedDict()
"""Requests that are on no span, by what `_key_of` says of theirs."""
_lock = threading.RLock()
_stamped_provider: object = None
_baggage_keys: tuple[str, ...] | None = None
is_used = False
"""Whether anybody has set any context, or named baggage keys: until then nothing is looked for."""


def set_context(**values: Any) -> None:
    """Say what is known of this request: ``set_context(user_id="u1", plan="pro")``.

    It is stamped on the request's local root span and on every span and event that is made for the request from now
    on, in all of its threads and tasks, until the request ends or `clear_context`. Later values are added to earlier
    ones; None takes one away. ``user_id``, ``session_id``, ``request_id``, ``hostname`` and ``path`` become
    ``user.id``, ``session.id``, ``otel_tracker.request_id``, ``server.address`` and ``url.path``; any other key keeps
    its name. Outside any span the values belong to the running thread or task. Never raises.
    """
    try:
        use()
        request = request_of(current.get(), makes=True)
        if request is None:
            _ambient.set(_ambient.get().merged(values))
            return
        with _lock:
            request.values = request.values.merged(values)
        _stamp_root(request)
    except Exception as error:  # spans may be anybody's
        report_internal_error("setting context", error)


def get_context() -> dict[str, Any]:
    """What is known here, under the names and with the values that it was given by; a copy."""
    context = current.get()
    request = request_of(context)
    overlay = _overlay_of(context)
    return {
        **_ambient.get().given,
        **(request.values.given if request else {}),
        **(overlay.given if overlay else {}),
    }


def clear_context() -> None:
    """Forget what `set_context` has said for this request, thread or task; `context` blocks keep theirs."""
    _ambient.set(_NOTHING)
    request = request_of(current.get())
    if request is not None:
        with _lock:
            request.values = _NOTHING


class context:  # noqa: N801 - used like a function
    """Say what is known within a block: ``with context(user_id="u1"):``, also ``async with``.

    For concurrent tasks of one request: the values hold for this task or thread and what it starts with its context,
    nest, and win over those of `set_context`. Keys as there.
    """

    __slots__ = ("_values",)

    def __init__(self, /, **values: Any) -> None:
        self._values = values

    def __enter__(self) -> None:
        try:
            use()
            now = current.get()
            current.attach(Context({**now, _OVERLAY: _Layer(self, self._values, _overlay_of(now))}))
        except Exception as error:
            report_internal_error("entering a context block", error)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # No token: what the block says is taken out of whatever is current, so that blocks may end in any order, be
        # entered by several threads at once, or be left where they were never entered (generators do all of that).
        try:
            now = current.get()
            overlay = _overlay_of(now)
            left = overlay.without(self) if overlay is not None else None
            if left is not overlay:
                values = {key: value for key, value in now.items() if key != _OVERLAY}
                current.attach(Context(values if left is None else {**values, _OVERLAY: left}))
        except Exception as error:
            report_internal_error("leaving a context block", error)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


def attributes_of(context: Context) -> Mapping[str, Any]:
    """What a span or event that is made in this context is stamped with; not to be changed."""
    if not is_used:
        return _NOTHING.attributes
    ambient, request, overlay = _ambient.get(), request_of(context), _overlay_of(context)
    found = [] if ambient is _NOTHING else [ambient.attributes]
    if request is not None:
        if request.find is not None:
            request.look()
        if request.values is not _NOTHING:
            found.append(request.values.attributes)
    if overlay is not None:
        found.append(overlay.attributes)
    if _baggage_keys:
        found.insert(0, _from_baggage(context))
    if len(found) < 2:
        return found[0] if found else _NOTHING.attributes
    merged = {key: value for attributes in found for key, value in attributes.items()}
    return merged if len(merged) <= MAX_STAMPED else dict(islice(merged.items(), MAX_STAMPED))


def span_attributes_of(context: Context) -> Mapping[str, Any]:
    """The same for a span, with what destinations of spans ask of its request; not to be changed."""
    stamped = attributes_of(context)
    asked = event_needs.of_spans
    if asked and is_used:
        request = request_of(context)
        if request is not None:
            return {**{key: value for key, value in request.facts().items() if key in asked}, **stamped}
    return stamped


def event_attributes_of(context: Context) -> Mapping[str, Any]:
    """The same for an event, with what destinations of events ask of its request; not to be changed."""
    stamped = attributes_of(context)
    if event_needs.of_events and is_used:
        request = request_of(context)
        if request is not None:
            return {**request.facts(), **stamped}
    return stamped


def known(span: Span) -> Request | None:
    """The request that a span was begun for, as far as the span knows it."""
    request: Request | None = getattr(span, _BOX, None)
    return request


def adopt(span: Span, request: Request) -> None:
    """Let ``request`` be that of a span which has just begun, and of all below it; what was said of it stays.

    Of a span that is not recorded nothing was said: it shares its trace id with other requests of the same caller. The
    spans below it are made of nothing but ids, so that the context which they are made in tells whose they are. It is
    left with the span, by whoever has begun that.
    """
    earlier = known(span)
    if span.is_recording():
        earlier = earlier or _unboxed.get(_key_of(span))
    else:
        current.attach(Context({**current.get(), _UNRECORDED: (span.get_span_context().trace_id, request)}))
    if earlier is not None and earlier.values.given:
        request.values = request.values.merged(earlier.values.given)
    setattr(span, _BOX, request)


def begun(span: Span, parent: Context | None) -> None:
    """A recorded span has begun: it belongs to its parent's request, or is the root of a new one."""
    if parent is not None and parent.get(current.SPAN_KEY) is None:  # as of nearly every request
        setattr(span, _BOX, Request(ReferenceType(span)))
        return
    above = trace.get_current_span(parent)
    request = getattr(above, _BOX, None)
    if request is None:
        is_root = not above.get_span_context().is_valid or above.get_span_context().is_remote
        if not is_root:
            return
        request = Request(ReferenceType(span))
        if _is_remote_and_sampled(above.get_span_context()):  # what was said below it, before there was a root here
            request.values = _unboxed.get(_key_of(above), request).values
    setattr(span, _BOX, request)


def reset() -> None:
    """Read the settings again at the next use."""
    global _baggage_keys
    _baggage_keys = None


def use() -> None:
    """Somebody sets context now, or will."""
    global is_used
    is_used = True
    if _baggage_keys is None or trace.get_tracer_provider() is not _stamped_provider:
        join_provider()


def prepare() -> None:
    """Load now what the first use of context would, as `otel_tracker.emitting.prepare`; the SDK is loaded."""
    importlib.import_module(_STAMPING_MODULE)
    join_provider()


def join_provider() -> None:
    """Where context is used, let the provider in force stamp its spans; one of another kind than the SDK's cannot."""
    global _baggage_keys, _stamped_provider, is_used
    if _baggage_keys is None:
        _baggage_keys = settings.CONTEXT_BAGGAGE_KEYS.read()
        is_used = is_used or bool(_baggage_keys)
    if not is_used or _SDK_MODULE not in sys.modules:
        return
    with _lock:
        provider = trace.get_tracer_provider()
        if provider is not _stamped_provider:
            importlib.import_module(_STAMPING_MODULE).stamp_spans_of(provider)
            _stamped_provider = provider


def _overlay_of(context: Context) -> _Layer | None:
    layer = context.get(_OVERLAY)
    return layer if isinstance(layer, _Layer) else None


def request_of(context: Context, *, makes: bool = False) -> Request | None:
    """The request that the context's span belongs to; None outside any, or where nothing is known of it."""
    span: Any = context.get(current.SPAN_KEY)
    if span is None:
        return None
    request: Request | None = getattr(span, _BOX, None)
    if request is not None:
        return request
    trace_id, request = context.get(_UNRECORDED, _NO_REQUEST)  # type: ignore[misc]
    if request is not None and span.get_span_context().trace_id == trace_id:
        return request
    return _request_of_unboxed(span, makes=makes)


def _request_of_unboxed(span: Any, *, makes: bool) -> Request | None:
    """That of a span which is not recorded, or has begun before anybody had set any context."""
    root, request = _root_above(span), None
    if root is not None:
        request = getattr(root, _BOX, None)
        if request is None and makes:
            request = root.__dict__.setdefault(_BOX, Request(ReferenceType(root)))  # another thread may be here, too
            if root.parent is None:  # the trace is its own: it tells spans below whose root cannot be found
                _kept(root.get_span_context().trace_id, request)
    if request is None:
        request = _unboxed.get(_key_of(span))
    if request is None and makes and span.get_span_context().trace_id:
        request = _kept(_key_of(span), Request(ReferenceType(span) if span.is_recording() else None))
    return request


def _kept(key: object, request: Request) -> Request:
    """The request that is known by this key, now this one if there was none."""
    request = _unboxed.setdefault(key, request)
    while len(_unboxed) > _MAX_UNRECORDED:
        _unboxed.popitem(last=False)
    return request


def _root_above(span: Any) -> Any:
    """The SDK's local root span above a recorded one, or this one itself; None where that cannot be found.

    A span of the SDK's knows no more than the id of its parent; a lean one the context that it was made in.
    """
    while not _is_recorded_root(span):
        caller = getattr(span, "_caller", None)
        span = caller.get(current.SPAN_KEY) if caller else None
        if span is None:
            return None
    return span


def _key_of(span: Any) -> object:
    """The trace; of a sampled remote span that one span, because requests of one trace come from many."""
    ids = span.get_span_context()
    return (ids.trace_id, ids.span_id) if _is_remote_and_sampled(ids) else ids.trace_id


def _is_remote_and_sampled(ids: SpanContext) -> bool:
    return ids.is_remote and bool(ids.trace_flags & 1)


def _is_recorded_root(span: Any) -> bool:
    """Whether this is the SDK's local root span: others below the same remote span have the same trace id."""
    parent = getattr(span, "parent", span)
    return span.is_recording() and (parent is None or (parent is not span and parent.is_remote))


def _stamp_root(request: Request) -> None:
    root = request.root() if request.root is not None else None
    if root is not None and root.is_recording():
        for key, value in request.values.attributes.items():
            root.set_attribute(key, value)


def _from_baggage(context: Context) -> dict[str, Any]:
    entries = baggage.get_all(context)
    return {key: _attribute(entries[key], key) for key in _baggage_keys or () if key in entries}


def _renew_lock() -> None:
    """In a forked child: another thread of the parent may have held it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
