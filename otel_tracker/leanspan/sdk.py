"""The lean span, and all that is known here of the SDK's private parts; written against SDK 1.45.

A lean span *is* an SDK span: it inherits every method and overrides only those that would touch what it does without.
What a span rarely has (events, links, a status, a lock of its own) lies on the class until somebody writes it, what
all spans of a tracer share is read from the tracer, and its attributes are a plain dict until the SDK's container has
something to do: to clean a value, to cut a text, to drop the oldest.

Private to OpenTelemetry and relied on in this package, nowhere else; what it is of the SDK, in this file alone, and of
its samplers in `samplers`:

- of ``Span`` and ``ReadableSpan``: the fields ``_name _context _parent _kind _start_time _end_time _attributes _events
  _links _status _resource _lock _limits _sampler _span_processor _instrumentation_info _instrumentation_scope
  _record_exception _set_status_on_exception _trace_config _record_end_metrics``, and the methods ``_new_events
  _new_links _add_event _add_link _readable_span``;
- of ``Tracer``: ``_span_limits``, ``_instrumentation_scope``, ``_tracer_config``, ``_tracer_metrics``;
- of ``SynchronousMultiSpanProcessor``: ``_span_processors``; of a processor: ``_on_ending``;
- of ``BoundedAttributes``: ``_immutable``, ``_set_items``;
- of the API, in ``engine`` too: ``trace._TRACER_PROVIDER``, a span's ``_context``, and that this is a tuple of six.

`otel_tracker.leanspan.check` compares a lean span with an SDK span before the engine is used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from random import getrandbits
from time import time_ns
from types import MappingProxyType
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, Tracer, _Span, logger
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor as MultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from otel_tracker.leanspan.execution import OwnExecution
from otel_tracker.leanspan.samplers import ALWAYS, NEVER, sampling_bound, sampling_delegates
from otel_tracker.tracing.plan import CapturePlan

NATIVE_TYPES = frozenset({str, int, float, bool, bytes})
"""Values of exactly these types stay what they are in the SDK's container of attributes."""

_RANDOM = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))
FLAGS = (
    (TraceFlags(TraceFlags.DEFAULT), TraceFlags(TraceFlags.SAMPLED)),
    (TraceFlags(TraceFlags.DEFAULT | _RANDOM), TraceFlags(TraceFlags.SAMPLED | _RANDOM)),
)
"""The flags of a new span, by whether its trace id is said to be random, then by whether it is sampled."""

NO_STATE: TraceState = trace_api.span.DEFAULT_TRACE_STATE

_UNSET = Status(StatusCode.UNSET)
_UNLIMITED = 1 << 62
Lineage = tuple[int, TraceFlags, TraceState]
"""What a sampled span and its children have in common: trace id, flags and state."""

_new_tuple: Any = tuple.__new__
_new_object: Any = object.__new__


def child_context(lineage: Lineage) -> SpanContext:
    """The context of a new span with a random id, without what the constructor of `SpanContext` checks."""
    trace_id, flags, state = lineage
    context: SpanContext = _new_tuple(SpanContext, (trace_id, getrandbits(64) or 1, False, flags, state, True))
    return context


class TracerFacts:
    """What spans of a tracer share, looked up once a tracer, sampler and resource; processors' hooks once they change.

    ``records_children``: a sampled parent's children are recorded, and their ids are random.
    ``max_length`` is what a text is cut to (0: nothing is cut), ``room`` how many attributes a plain dict may hold (-1:
    none, because the SDK's container has texts to cut).
    """

    __slots__ = (
        *("decisions", "drops_children", "enders", "endings", "has_random_ids", "max_length", "multi", "processors"),
        *("records_children", "resource", "room", "root_flags", "sampler", "starters", "tracer"),
    )

    def __init__(self, tracer: Tracer) -> None:
        limits, multi = tracer._span_limits, tracer.span_processor
        self.tracer = tracer
        self.resource = tracer.resource
        self.sampler = tracer.sampler
        self.decisions = tuple(sampling_bound(sampler) for sampler in sampling_delegates(tracer.sampler))
        self.has_random_ids = type(tracer.id_generator) is RandomIdGenerator
        self.records_children = self.has_random_ids and self.decisions[3] == ALWAYS
        self.drops_children = self.decisions[4] == NEVER
        self.root_flags = FLAGS[int(tracer.id_generator.is_trace_id_random())]
        self.max_length = limits.max_span_attribute_length or 0
        max_attributes = limits.max_span_attributes
        self.room = _UNLIMITED if max_attributes is None else max_attributes
        if limits.max_span_attribute_length is not None:
            self.room = -1
        self.multi: Any = multi if type(multi) is MultiSpanProcessor else _OneProcessor(multi)
        self.processors: Sequence[SpanProcessor] | None = None
        self.starters: tuple[Callable[..., None], ...] = ()
        self.endings: tuple[Callable[[Span], None], ...] = ()
        self.enders: tuple[Callable[[ReadableSpan], None], ...] = ()

    def are_current(self) -> bool:
        """Whether the tracer still has this sampler and this resource; a fork, for one, changes the latter."""
        return self.tracer.sampler is self.sampler and self.tracer.resource is self.resource

    def is_disabled(self) -> bool:
        """Whether the provider's configurator keeps this tracer from making spans."""
        return not self.tracer._tracer_config.is_enabled

    def look_for_processors(self) -> None:
        """Take note of the processors, of which some were added; hooks that do nothing are left out."""
        processors = self.multi._span_processors
        self.starters = tuple(p.on_start for p in processors if not _is_idle(p, "on_start"))
        self.endings = tuple(p._on_ending for p in processors if not _is_idle(p, "_on_ending"))
        self.enders = tuple(p.on_end for p in processors if not _is_idle(p, "on_end"))
        self.processors = processors

    def lineage_below(self, context: SpanContext) -> Lineage | None:
        """What the children of a local span share with it, or None when that is for a sampler to say."""
        is_followed = self.records_children and context[3] & 1 and context[5]
        return (context[0], context[3], context[4]) if is_followed else None

    def drops_below(self, context: SpanContext) -> bool:
        """Whether the children of a span that is not recorded are not recorded either, and learn it from this span."""
        return self.drops_children and not (context[2] or context[3] & 1) and context[5]

    def new_trace_id(self) -> int:
        """An id that is not zero."""
        if self.has_random_ids:
            return getrandbits(128) or 1
        return self.tracer.id_generator.generate_trace_id()

    def new_context(self, trace_id: int, flags: TraceFlags, state: TraceState) -> SpanContext:
        """The context of a new span of this trace."""
        if self.has_random_ids:
            return child_context((trace_id, flags, state))
        return SpanContext(trace_id, self.tracer.id_generator.generate_span_id(), False, flags, state)

    def bounded(self, attributes: Mapping[str, Any] | None) -> BoundedAttributes:
        """The SDK's container of a span's attributes: clean, and within the limits."""
        limits = self.tracer._span_limits
        return BoundedAttributes(
            limits.max_span_attributes, attributes, immutable=False, max_value_len=limits.max_span_attribute_length
        )


class _OneProcessor:
    """Any other composite (the concurrent one, somebody's own): called as one processor."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._span_processors = (processor,)


_IDLE_HOOKS = frozenset(
    getattr(kind, hook)
    for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    for hook in ("on_start", "_on_ending")
) | {SpanProcessor.on_end}


def _is_idle(processor: SpanProcessor, hook: str) -> bool:
    """Whether the hook is one of the SDK's that do nothing."""
    return hook not in getattr(processor, "__dict__", ()) and getattr(type(processor), hook, None) in _IDLE_HOOKS


class LeanSpan(OwnExecution, Span):
    """An SDK span at a fifth of its cost; made by `new_span` only."""

    _facts: TracerFacts
    _lineage: Lineage | None  # None where children have to ask a sampler
    _attributes: Any  # a dict of native values within the limits, or the SDK's container
    _static: Mapping[str, Any]  # those of the attributes that every span of the function has
    _context: SpanContext
    _parent: SpanContext | None
    _start_time: int
    # Whether every attribute is as capture wrote it, so that an exporter need not redact or parse it again.
    is_captured = True
    # Taking the one item out is a single step of the interpreter: of several threads that end the span, one gets it.
    _unended: list[bool]

    # What `Span.__init__` stores in each span, here once for all until somebody writes it.
    _end_time: int | None = None
    _kind = SpanKind.INTERNAL
    _status = _UNSET
    _record_exception = True
    _set_status_on_exception = True
    _trace_config = None
    _record_end_metrics = None
    _own_events: BoundedList[Any] | None = None
    _own_links: BoundedList[Link] | None = None

    _has_writers = False

    @property
    def _lock(self) -> Any:  # type: ignore[override]
        """What whoever writes on the span holds meanwhile; `end_once` says why it is noted that somebody asked."""
        self._has_writers = True
        return _write_lock

    @property
    def _limits(self) -> SpanLimits:
        return self._facts.tracer._span_limits

    @property
    def _resource(self) -> Resource:  # type: ignore[override]
        return self._facts.resource

    @property
    def _sampler(self) -> Sampler:  # type: ignore[override]
        return self._facts.sampler

    @property
    def _span_processor(self) -> SpanProcessor:  # type: ignore[override]
        return self._facts.tracer.span_processor

    @property
    def _instrumentation_info(self) -> Any:  # type: ignore[override]
        return self._facts.tracer.instrumentation_info

    @property
    def _instrumentation_scope(self) -> InstrumentationScope:  # type: ignore[override]
        return self._facts.tracer._instrumentation_scope

    @property
    def _events(self) -> Any:  # type: ignore[override]
        if self._own_events is None and self._end_time is None:
            with self._lock:
                if self._own_events is None:
                    self._own_events = self._new_events()  # type: ignore[no-untyped-call]
        return () if self._own_events is None else self._own_events

    @property
    def _links(self) -> Any:  # type: ignore[override]
        if self._own_links is None and self._end_time is None:
            with self._lock:
                if self._own_links is None:
                    self._own_links = self._new_links(())
        return () if self._own_links is None else self._own_links

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes; of a span that is open as they are at this moment."""
        found = self._attributes
        return MappingProxyType(found.copy() if self._end_time is None else found)

    def parts(self) -> tuple[Any, ...]:
        """What an exporter wants to know of an ended span, in the order of `otel_tracker.span_texts.Parts`."""
        tracer = self._facts.tracer
        return (
            self._context,
            self._parent,
            self._name,
            self._kind,
            self._attributes,
            self._start_time,
            self._end_time,
            self._status,
            self._own_events,
            self._own_links,
            tracer._instrumentation_scope,
            self._facts.resource,
            self._static if self.is_captured else None,
        )

    def set_attribute(self, key: str, value: Any) -> None:
        """See the API; as `Span.set_attribute`, but that what is there already stays in its place."""
        known = self._attributes
        if type(known) is dict and type(key) is str and known.get(key, known) is value and self._end_time is None:
            return  # instrumentors set what they have begun the span with once more
        self._has_writers = True  # as `_lock`, whose call would cost a tenth of this one
        with _write_lock:
            if self._end_time is None:
                self.is_captured = False
                self._write(key, value)
                return
        logger.warning("Setting attribute on ended span.")

    def begin_with(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes to a span that has just begun; as `set_attributes`, for the thread that has begun it alone."""
        known = self._attributes
        if type(known) is dict and are_native(attributes) and len(known) + len(attributes) <= self._facts.room:
            self.is_captured = False
            known.update(attributes)
        else:
            self.set_attributes(attributes)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """See the API; as `Span.set_attributes`."""
        with self._lock:
            if self._end_time is None:
                self.is_captured = False
                if are_native(attributes) and _TEXT.issuperset(map(type, attributes)):
                    for key, value in attributes.items():
                        self._write(key, value)
                else:
                    self._in_container()._set_items(attributes)
                return
        logger.warning("Setting attribute on ended span.")

    def end(self, end_time: int | None = None) -> None:
        """See the API; as `Span.end`. What processors get is the span itself: it refuses to be written from now on."""
        if not self.end_once(end_time):
            logger.warning("Calling end() on an ended span.")

    def end_once(self, end_time: int | None = None, key: str = "", value: Any = None) -> bool:
        """End the span, with one more attribute if there is a key, and show it to the processors.

        False, with nothing done, when it has ended before.

        A lock would cost as much as all the rest, and hardly any span is written by two threads. So a writer first
        leaves word that it is there and then looks whether the span has ended; who ends it does the two the other way
        round, and one of them sees the other: the writer stays away, or the end waits for it.
        """
        try:
            self._unended.pop()
        except IndexError:
            return False
        self._unended = _ENDED
        self._end_time = time_ns() if end_time is None else end_time
        if self._has_writers:
            _write_lock.acquire()
            _write_lock.release()
        attributes = self._attributes
        if type(attributes) is dict and len(attributes) < self._facts.room:
            if key:
                attributes[key] = value
        else:
            if key:
                self._write(key, value)
            if type(self._attributes) is not dict:
                self._attributes._immutable = True
        facts = self._facts
        if facts.multi._span_processors is not facts.processors:
            facts.look_for_processors()
        for on_ending in facts.endings:
            on_ending(self)
        for on_end in facts.enders:
            on_end(self)
        return True

    def _write(self, key: str, value: Any) -> None:
        attributes = self._attributes
        if type(attributes) is dict and type(value) in NATIVE_TYPES and type(key) is str and key:
            attributes.pop(key, None)  # as the SDK's container has it: what is set again comes last
            if len(attributes) < self._facts.room:
                attributes[key] = value
                return
        self._in_container()[key] = value

    def _in_container(self) -> Any:
        """The attributes in the SDK's container, from now on."""
        attributes = self._attributes
        if type(attributes) is dict:
            attributes = self._attributes = self._facts.bounded(attributes)
        return attributes

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if self._end_time is None:
                if self._own_events is None:
                    self._own_events = self._new_events()  # type: ignore[no-untyped-call]
                self._own_events.append(event)
                return
        logger.warning("Tried calling %s on an ended span.", "_add_event")

    def _add_link(self, link: Link) -> None:
        with self._lock:
            if self._end_time is None:
                if self._own_links is None:
                    self._own_links = self._new_links(())
                self._own_links.append(link)
                return
        logger.warning("Tried calling %s on an ended span.", "_add_link")

    def _readable_span(self) -> ReadableSpan:
        if self._end_time is not None:
            return self
        snapshot = super()._readable_span()
        snapshot._attributes = self.attributes  # the others are safe to be read while somebody writes
        return snapshot

    def to_json(self, indent: int | None = 4) -> str:
        """See `ReadableSpan.to_json`."""
        return str(ReadableSpan.to_json(self._readable_span(), indent))


def are_native(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK's container would take these attributes as they are."""
    return "" not in attributes and NATIVE_TYPES.issuperset(map(type, attributes.values()))


_TEXT = frozenset({str})
_ENDED: list[bool] = []  # the one that a span had for itself would be a tenth of what it takes in a queue


def new_span(  # noqa: PLR0917 - by name they would cost more than the span
    facts: TracerFacts,
    plan: CapturePlan,
    own: SpanContext,
    parent: SpanContext | None,
    lineage: Lineage | None,
    attributes: dict[str, Any] | BoundedAttributes,
    context: Context,
    links: Sequence[Link] = (),
    start_ns: int | None = None,
) -> LeanSpan:
    """A span that the processors have seen start in this context; it takes over the attributes (see `LeanSpan`)."""
    span: LeanSpan = _new_object(LeanSpan)
    spec = plan.spec
    span._facts = facts
    span._plan = plan
    span._lineage = lineage
    span._caller = context
    span._name = spec.name
    span._context = own
    span._parent = parent
    span._attributes = attributes
    span._static = plan.static
    span._unended = [True]
    if spec.kind is not SpanKind.INTERNAL:
        span._kind = spec.kind
    if links:
        span._own_links = span._new_links(links)
    span._start_time = time_ns() if start_ns is None else start_ns
    if facts.multi._span_processors is not facts.processors:
        facts.look_for_processors()
    for on_start in facts.starters:
        on_start(span, parent_context=context)
    return span


SdkSpan = _Span
"""What the SDK's own tracer makes."""


def has_metrics(tracer: Tracer) -> bool:
    """Whether the SDK counts this tracer's spans (``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED``)."""
    return type(tracer._tracer_metrics).__name__ != "NoOpTracerMetrics"


# One for all lean spans, because it is held for a few assignments only. It is reentrant: a signal handler or a
# finalizer may come in between with a span of its own.
_write_lock = threading.RLock()


_FORK_WAIT_S = 1.0


def _keep_writers_out() -> None:
    """Before a fork: a writer also holds locks of the SDK's containers, which nobody would release in the child."""
    if _write_lock.acquire(timeout=_FORK_WAIT_S):
        _forking_threads.add(threading.get_ident())


def _let_writers_in() -> None:
    if threading.get_ident() in _forking_threads:
        _forking_threads.discard(threading.get_ident())
        _write_lock.release()


def _renew_lock() -> None:
    """In the child the lock is another one, in case that a writer could not be kept out in time."""
    global _write_lock
    _forking_threads.clear()
    _write_lock = threading.RLock()


_forking_threads: set[int] = set()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_keep_writers_out, after_in_parent=_let_writers_in, after_in_child=_renew_lock)
