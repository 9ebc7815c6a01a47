"""Limits on attributes, events and links hold for lean spans, whether code or the environment sets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from support import run_script

from otel_tracker import span, traced

from .helpers import REMOTE_SAMPLED, assert_equal_in_both, attributes, run_with

CHILD = """
import json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext, TraceFlags
from otel_tracker import lifecycle, span, traced
from otel_tracker.leanspan import LeanSpan

class Describes(SpanProcessor):
    def on_start(self, found, parent_context=None):
        kinds.append(isinstance(found, LeanSpan))
    def on_end(self, found):
        spans.append({
            "attributes": list(found.attributes.items()),
            "events": [[one.name, list(one.attributes.items()), one.dropped_attributes] for one in found.events],
            "links": [[list(link.attributes.items()), link.dropped_attributes] for link in found.links],
            "dropped": [found.dropped_attributes, found.dropped_events, found.dropped_links],
        })

@traced(capture_args=["text"], capture_result=True, attributes={"c": 1, "d": 2})
def work(text, *others):
    current = trace.get_current_span()
    for number in range(3):
        current.set_attribute(f"set.{number}", "abcdefgh")
        current.add_event(f"event {number}", {"a": "abcdefgh", "b": 2, "c": 3})
        current.add_link(SpanContext(1, number + 1, True, TraceFlags(1)), {"a": "abcdefgh", "b": 2, "c": 3})
    return "abcdefgh"

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(Describes())
trace.set_tracer_provider(provider)
printed = {}
for name in ("lean", "sdk"):
    os.environ["OTEL_TRACKER_SPAN_ENGINE"] = name
    lifecycle.forget_cached_settings()
    spans, kinds = [], []
    work("abcdefgh")
    with span("block", a="abcdefgh", b=["abcdefgh"], c=3): pass
    assert kinds == [name == "lean"] * 2, kinds
    printed[name] = spans
print(json.dumps(printed))
"""


def recorded_in_child(**variables: str) -> list[dict[str, Any]]:
    """What a process with these variables records, with either engine: the function's span, then the block's."""
    ended = run_script(CHILD, **variables)
    assert ended.status == 0, ended.stderr
    printed: dict[str, list[dict[str, Any]]] = json.loads(ended.stdout)
    assert printed["lean"] == printed["sdk"]
    return printed["lean"]


@pytest.mark.parametrize("variable", ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
def test_number_of_attributes_is_limited_by_the_environment(variable: str) -> None:
    """The newest attributes are kept, the others are counted."""
    function, block = recorded_in_child(**{variable: "2"})
    assert len(function["attributes"]) == len(block["attributes"]) == 2
    assert function["attributes"][-1][0] == "otel_tracker.result"
    assert function["dropped"][0] > 2
    assert block["dropped"][0] == 1
    is_for_all = variable == "OTEL_ATTRIBUTE_COUNT_LIMIT"
    assert [event[2] for event in function["events"]] == [1 if is_for_all else 0] * 3


@pytest.mark.parametrize("variable", ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"])
def test_length_of_values_is_limited_by_the_environment(variable: str) -> None:
    """Texts on the span are cut; on events and links only by the limit for all attributes."""
    function, block = recorded_in_child(**{variable: "5"})
    texts = [value for found in (function, block) for _, value in found["attributes"] if isinstance(value, str)]
    assert texts
    assert all(len(text) <= 5 for text in texts)
    is_for_all = variable == "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
    assert function["events"][0][1][0] == ["a", "abcde" if is_for_all else "abcdefgh"]
    assert function["links"][0][0][0] == ["a", "abcde" if is_for_all else "abcdefgh"]


def test_number_of_events_and_links_is_limited_by_the_environment() -> None:
    """The newest events and links are kept, the others are counted."""
    function, _ = recorded_in_child(OTEL_SPAN_EVENT_COUNT_LIMIT="2", OTEL_SPAN_LINK_COUNT_LIMIT="1")
    assert [event[0] for event in function["events"]] == ["event 1", "event 2"]
    assert len(function["links"]) == 1
    assert function["dropped"] == [0, 1, 2]


def test_attributes_of_events_and_links_are_limited_by_the_environment() -> None:
    """Each has its own limit for the number of attributes."""
    function, _ = recorded_in_child(OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT="1", OTEL_LINK_ATTRIBUTE_COUNT_LIMIT="2")
    assert [len(event[1]) for event in function["events"]] == [1] * 3
    assert [event[2] for event in function["events"]] == [2] * 3
    assert [len(link[0]) for link in function["links"]] == [2] * 3
    assert [link[1] for link in function["links"]] == [1] * 3


def test_empty_variable_means_no_limit() -> None:
    """An empty variable is no limit, as the SDK reads it; without any variable 128 holds."""
    script = CHILD.replace("range(3)", "range(200)")
    ended = run_script(script, OTEL_SPAN_EVENT_COUNT_LIMIT="", OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="")
    assert ended.status == 0, ended.stderr
    printed = json.loads(ended.stdout)
    assert printed["lean"] == printed["sdk"]
    function = printed["lean"][0]
    assert (len(function["events"]), len(function["links"])) == (200, 128)
    assert function["dropped"] == [0, 0, 72]
    assert len(function["attributes"]) > 200


def many_of_everything() -> None:
    @traced(capture_result=True, attributes={f"static.{n}": n for n in range(100)})
    def function(a: int, b: str, c: list[int]) -> str:
        current = trace.get_current_span()
        for number in range(150):
            current.set_attribute(f"set.{number}", number)
            current.add_event(f"event {number}", {f"key.{n}": n for n in range(number)})
            current.add_link(REMOTE_SAMPLED, {f"key.{n}": "x" * n for n in range(number)})
        return "done"

    function(1, "x" * 2000, list(range(200)))
    with span("block", **{f"key.{n}": n for n in range(200)}):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        {},
        dict.fromkeys(
            ["max_attributes", "max_events", "max_links", "max_attribute_length", "max_span_attribute_length"], 0
        ),
        {"max_span_attributes": 0},
        {"max_span_attributes": 1, "max_event_attributes": 0, "max_link_attributes": 1},
        {"max_events": SpanLimits.UNSET, "max_links": SpanLimits.UNSET, "max_attributes": SpanLimits.UNSET},
        {"max_span_attributes": 3, "max_span_attribute_length": 10, "max_attribute_length": 2},
    ],
    ids=["default", "nothing", "no attributes", "one attribute", "no limit", "short"],
)
def test_limits_of_the_provider_hold_as_for_the_sdk(limits: dict[str, int]) -> None:
    """Kept and dropped are the same as on the SDK's span, for limits that are given in code."""
    assert_equal_in_both(many_of_everything, lambda: {"span_limits": SpanLimits(**limits)})


def values_of_every_length() -> None:
    function = traced(lambda value, other=None: value, name="f", capture_result=True)
    for value in ("abcd", "abcdefgh", "x" * 30, None, True, object, 10**12, [1, 2, 3, 4], {"a": "bcdefgh"}, ["x" * 30]):
        function(value, "abcdef")
        with span("block", value=value):
            pass


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 7, 10, 25])
def test_captured_values_are_cut_alike_by_a_limit_in_code(length: int) -> None:
    """Arguments and results are cut to the provider's length with a mark, whatever their length, by both engines."""
    spans = assert_equal_in_both(
        values_of_every_length, lambda: {"span_limits": SpanLimits(max_span_attribute_length=length)}
    )
    texts = [attributes(found).get("otel_tracker.args.value") for found in spans if found.name == "f"]
    assert texts[2] == ("x" * max(length - 3, 0) + "...")[:length] if length < 30 else "x" * 30


def test_result_is_kept_when_the_attributes_are_full() -> None:
    """The newest attribute pushes out the oldest one, so the result stands on a span that is full."""
    limits = SpanLimits(max_span_attributes=4)
    found = run_with("lean", lambda: traced(len, capture_result=True)([1, 2]), span_limits=limits)
    assert attributes(found[0])["otel_tracker.result"] == 2
    assert len(attributes(found[0])) <= 4


def test_providers_with_different_limits_do_not_mix() -> None:
    """One decorated function is limited by the provider that is set when it is called."""
    function = traced(lambda: trace.get_current_span().set_attribute("text", "abcdef"), name="f")
    cut = run_with("lean", function, span_limits=SpanLimits(max_span_attribute_length=3))
    whole = run_with("lean", function)
    again = run_with("lean", function, span_limits=SpanLimits(max_span_attribute_length=2))
    assert [attributes(found[0])["text"] for found in (cut, whole, again)] == ["abc", "abcdef", "ab"]
