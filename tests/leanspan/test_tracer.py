"""What an instrumentor of anybody's starts through `LeanProvider` is what the SDK's own tracer would have started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, set_span_in_context

from otel_tracker import traced
from otel_tracker.leanspan import LeanSpan
from otel_tracker.leanspan.tracer import LeanProvider

from .helpers import REMOTE_SAMPLED, REMOTE_UNSAMPLED, described, provider

if TYPE_CHECKING:
    from collections.abc import Sequence

GIVEN: dict[str, Any] = {"http.request.method": "GET", "server.port": 80, "tags": ["a", "b"], "nothing": None}


class Asked(Sampler):
    """One that wants to see every span, and adds to it."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {"sampler.says": "yes"})

    def get_description(self) -> str:
        return "Asked"


@traced
def below() -> None: ...


def serve(tracer: trace.Tracer, parent: trace.SpanContext | None, links: Sequence[Link] = ()) -> None:
    """As an instrumentor does it."""
    context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
    span = tracer.start_span("GET /", context, SpanKind.SERVER, GIVEN, links, 7)
    with trace.use_span(span, end_on_exit=True):
        for key, value in GIVEN.items():
            span.set_attribute(key, value)
        span.set_attribute("http.response.status_code", 200)
        below()


@pytest.mark.parametrize("parent", [None, REMOTE_SAMPLED, REMOTE_UNSAMPLED], ids=["root", "sampled", "unsampled"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sampler": ALWAYS_OFF},
        {"sampler": ALWAYS_ON},
        {"sampler": ParentBased(TraceIdRatioBased(0.0))},
        {"sampler": Asked()},
        {"span_limits": SpanLimits(max_span_attributes=3)},
        {"span_limits": SpanLimits(max_span_attribute_length=2)},
    ],
    ids=["default", "off", "on", "ratio", "asked", "few", "short"],
)
def test_span_is_what_the_sdks_tracer_starts(settings: dict[str, Any], parent: Any) -> None:
    """With the given start, attributes, kind and parent, whatever samples it, and its children below it."""
    found = []
    for wrap in (LeanProvider, lambda made: made):
        with provider(**settings) as collected:
            serve(wrap(collected.provider).get_tracer("instrumentor", "1"), parent)
            assert all(span.start_time == 7 for span in collected.finished if span.kind is SpanKind.SERVER)
            found.append(described(collected.finished))
    assert found[0] == found[1]


def test_span_is_a_lean_one_and_its_children_are_its_children() -> None:
    """Of the global provider that is set when it starts."""
    tracer = LeanProvider(None).get_tracer("instrumentor")
    with provider() as collected:
        serve(tracer, None)
    assert [type(span) for span in collected.started] == [LeanSpan, LeanSpan]
    child, server = collected.finished
    assert child.parent.span_id == server.context.span_id
    assert (server.instrumentation_scope.name, child.instrumentation_scope.name) == ("instrumentor", "otel_tracker")


def test_links_are_left_to_the_sdk() -> None:
    """They are rare, and cleaned by it."""
    with provider() as collected:
        serve(LeanProvider(None).get_tracer("instrumentor"), None, [Link(REMOTE_SAMPLED)])
    assert type(collected.started[0]) is not LeanSpan
    assert collected.finished[-1].links[0].context == REMOTE_SAMPLED


def test_without_a_provider_nothing_is_recorded() -> None:
    """What the API's own tracer starts."""
    span = LeanProvider(None).get_tracer("instrumentor").start_span("GET /")
    assert not span.is_recording()


@pytest.mark.parametrize("room", [None, 4, 2])
@pytest.mark.parametrize("given", [{"c": "3", "d": "4"}, {"c": ["3", "4"], "d": "4"}], ids=["texts", "list"])
@pytest.mark.parametrize("verb", ["set_attributes", "begin_with"])
def test_attributes_that_a_span_has_just_begun_with_are_as_the_sdk_sets_them(
    verb: str, room: int | None, given: dict[str, Any]
) -> None:
    """At once and without a lock, but cleaned and within the same limits, also when they are set once more."""
    found = []
    for wrap in (LeanProvider, lambda made: made):
        with provider(span_limits=SpanLimits(max_span_attributes=room)) as collected:
            span = (
                wrap(collected.provider).get_tracer("instrumentor").start_span("GET /", attributes={"a": "1", "b": 2})
            )
            getattr(span, verb, span.set_attributes)(given)
            for key, value in given.items():
                span.set_attribute(key, value)
            span.end()
            assert isinstance(collected.finished[0], LeanSpan) is (wrap is LeanProvider)
            found.append(described(collected.finished))
    assert found[0] == found[1]
