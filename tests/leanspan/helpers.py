"""What the tests of this folder share: both engines, real providers, and a span as plain data that can be compared."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from otel_tracker import attributes as keys
from otel_tracker import lifecycle
from otel_tracker.leanspan import LeanSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.context import Context

_HERE = os.path.join("tests", "leanspan", "")
VARIABLE = "OTEL_TRACKER_SPAN_ENGINE"
RESOURCE = Resource({"service.name": "shop"})
REMOTE_SAMPLED = SpanContext(0x5E0, 0x5E1, True, TraceFlags(1), TraceState([("vendor", "a")]))
REMOTE_UNSAMPLED = SpanContext(0x5E0, 0x5E2, True, TraceFlags(0), TraceState([("vendor", "b")]))


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Inside, the next traced call uses the engine of that name."""
    os.environ[VARIABLE] = name
    lifecycle.forget_cached_settings()
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        lifecycle.forget_cached_settings()


@contextmanager
def provider(**settings: Any) -> Iterator[Collected]:
    """Inside, a fresh SDK provider is the global one; gives what its processors received, recorded-only spans too."""
    settings.setdefault("resource", RESOURCE)
    collected = Collected()
    made = TracerProvider(shutdown_on_exit=False, **settings)
    made.add_span_processor(collected)
    collected.provider = made
    before, trace._TRACER_PROVIDER = trace._TRACER_PROVIDER, made
    try:
        yield collected
    finally:
        trace._TRACER_PROVIDER = before
        made.shutdown()


class Collected(SpanProcessor):
    """A processor that keeps every span as it was handed over, at the start and at the end."""

    provider: TracerProvider

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.finished: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.finished.append(span)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.finished]

    def one(self) -> ReadableSpan:
        assert len(self.finished) == 1, self.names
        return self.finished[0]

    def __getitem__(self, name: str) -> ReadableSpan:
        found = [span for span in self.finished if span.name == name]
        assert len(found) == 1, f"{name!r} in {self.names}"
        return found[0]

    @property
    def ours(self) -> list[Span]:
        """The started spans that this package made."""
        return [span for span in self.started if scope_name(span) == keys.SCOPE]


class CountingIds(IdGenerator):
    """Ids 1, 2, 3 ...: the same in every run."""

    def __init__(self, first: int = 1) -> None:
        self.trace_id = self.span_id = first - 1

    def generate_trace_id(self) -> int:
        self.trace_id += 1
        return self.trace_id

    def generate_span_id(self) -> int:
        self.span_id += 1
        return self.span_id


def run_with(name: str, program: Callable[[], object], **settings: Any) -> list[ReadableSpan]:
    """The finished spans of a program that ran with one engine; every span of ours was really made by that engine."""
    with engine(name), provider(**settings) as collected:
        program()
        is_lean = [isinstance(span, LeanSpan) for span in collected.ours]
    assert is_lean == [name == "lean"] * len(is_lean)
    return collected.finished


def assert_equal_in_both(
    program: Callable[[], object], settings: Callable[[], dict[str, Any]] = dict
) -> list[ReadableSpan]:
    """Run a program with both engines, each with its own provider; what arrives is equal. Gives the lean spans."""
    lean = run_with("lean", program, **settings())
    sdk = run_with("sdk", program, **settings())
    assert described(lean) == described(sdk)
    return lean


def described(spans: Sequence[ReadableSpan]) -> list[dict[str, Any]]:
    """Spans as plain data without times; ids are replaced by their order, so that two runs can be compared."""
    order = _Order(spans)
    return [_described(span, order) for span in spans]


class _Order:
    """Ids of this run by the order in which they appear; ids that come from elsewhere stay what they are."""

    def __init__(self, spans: Sequence[ReadableSpan]) -> None:
        contexts = [span.get_span_context() for span in spans]
        known = [context for context in contexts if context is not None]
        self._spans = {context.span_id: f"span {index}" for index, context in enumerate(known)}
        self._traces: dict[int, str] = {}
        for context in known:
            if context.trace_id != REMOTE_SAMPLED.trace_id:
                self._traces.setdefault(context.trace_id, f"trace {len(self._traces)}")

    def __call__(self, context: SpanContext | None) -> Any:
        if context is None:
            return None
        return (
            self._traces.get(context.trace_id, context.trace_id),
            self._spans.get(context.span_id, context.span_id),
            context.is_remote,
            int(context.trace_flags),
            list(context.trace_state.items()),
        )


def _described(span: ReadableSpan, order: _Order) -> dict[str, Any]:
    assert span.start_time is not None
    assert span.end_time is not None
    scope = span.instrumentation_scope
    return {
        "name": span.name,
        "context": order(span.get_span_context()),
        "parent": order(span.parent),
        "kind": span.kind,
        "attributes": items(span.attributes),
        "events": [(event.name, items(event.attributes), event.dropped_attributes) for event in span.events],
        "links": [(order(link.context), items(link.attributes), link.dropped_attributes) for link in span.links],
        "status": (span.status.status_code, span.status.description),
        "resource": (items(span.resource.attributes), span.resource.schema_url),
        "scope": scope and (scope.name, scope.version, scope.schema_url, items(scope.attributes)),
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
    }


def items(attributes: Any) -> list[tuple[str, str]]:
    """Attributes in their order, values with their types; of a traceback only what lies outside this package."""
    return [(key, _shown(key, value)) for key, value in dict(attributes or {}).items()]


def _shown(key: str, value: object) -> str:
    if key != keys.EXCEPTION_STACKTRACE or not isinstance(value, str):
        return repr(value)
    lines = value.splitlines()
    frames = [line for line in lines if line.lstrip().startswith("File ") and _HERE in line]
    return "\n".join([*frames, *lines[-1:]])


def scope_name(span: ReadableSpan) -> str | None:
    return span.instrumentation_scope.name if span.instrumentation_scope else None


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    return (
        child.parent is not None
        and child.parent.span_id == context_of(parent).span_id
        and context_of(child).trace_id == context_of(parent).trace_id
    )


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
