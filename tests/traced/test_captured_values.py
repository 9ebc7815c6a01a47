"""How captured values look: bounded, valid, safe to encode; and the settings of a process that change it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tracker import attributes as keys
from otel_tracker import span, traced

from .helpers import REDACTED, Recorder, args, attributes, decode, result


def test_long_text_is_cut_with_a_mark(spans: Recorder) -> None:
    """Text beyond the limit of 1,000 characters is cut and ends in three dots."""
    traced(lambda x: x)("a" * 5000)
    value = args(spans.one())["x"]
    assert value.endswith("...")
    assert value.startswith("a" * 900)
    assert len(value) <= 1003


def test_long_lists_and_maps_are_cut_with_a_mark(spans: Recorder) -> None:
    """Of a container 50 items are kept, and a mark tells how many more there were."""
    traced(lambda x, y: x)(list(range(60)), {f"k{n}": n for n in range(60)})
    found = args(spans.one())
    assert found["x"] == [*range(50), "... 10 more"]
    assert found["y"] == {**{f"k{n}": n for n in range(50)}, "...": "10 more"}


def test_large_values_are_cut_and_stay_valid_json(spans: Recorder) -> None:
    """A value's whole JSON text has at most four times the limit of a string, and is valid."""
    value = [{"name": "x" * 900, "tags": ["y" * 900] * 30} for _ in range(50)]
    traced(lambda x: x)(value)
    text = attributes(spans.one())[f"{keys.ARGS_JSON_PREFIX}x"]
    assert len(text) <= 4000
    decode(text)


def test_deep_values_are_cut(spans: Recorder) -> None:
    """Six levels of nesting are kept at most."""
    value: Any = "core"
    for _ in range(20):
        value = [value]
    traced(lambda x: x)(value)
    text = attributes(spans.one())[f"{keys.ARGS_JSON_PREFIX}x"]
    decode(text)
    assert text.count("[") <= 7


@pytest.mark.parametrize("value", [2**70, -(2**63) - 1, 10**5000], ids=["2**70", "below int64", "5001 digits"])
def test_integers_beyond_64_bits_are_no_integers(spans: Recorder, value: int) -> None:
    """An integer that no back-end can hold is recorded in another form."""
    traced(lambda x, y: x)(value, [value])
    found = attributes(spans.one())
    recorded = found.get(f"{keys.ARGS_PREFIX}x", "")
    assert isinstance(recorded, str)
    assert all(isinstance(item, str) for item in args(spans.one())["y"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_json_text_holds_no_nan(spans: Recorder, value: float) -> None:
    """Numbers that JSON has no word for do not make the text invalid."""
    traced(lambda x: x)([value, {"a": value}])
    assert len(args(spans.one())["x"]) == 2


@pytest.mark.parametrize(
    "value",
    [b"bytes", {1, 2}, object(), len, Recorder, range(3), {1: "a", None: "b"}, complex(1, 2), iter([1]), "\ud800"],
    ids=["bytes", "set", "object", "builtin", "class", "range", "odd keys", "complex", "iterator", "surrogate"],
)
def test_any_object_is_recorded_in_some_form(spans: Recorder, value: Any) -> None:
    """Whatever is given, the call works, the text is valid, and the attribute is there."""
    assert traced(lambda x, y: x)(value, [value]) is value
    found = args(spans.one())
    assert set(found) == {"x", "y"}
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")


def test_iterators_are_not_consumed(spans: Recorder) -> None:
    """Capturing never takes an item from an iterator or a generator."""
    iterator = iter([1, 2, 3])
    generator = (n for n in range(3))
    traced(lambda x, y: None)(iterator, [generator])
    assert list(iterator) == [1, 2, 3]
    assert list(generator) == [0, 1, 2]


def test_heavy_arrays_are_summarised(spans: Recorder) -> None:
    """An array is recorded by type, shape and element type, not by its items."""
    numpy = pytest.importorskip("numpy")
    traced(lambda x: None)(numpy.full((1000, 20), 0.125))
    text = str(args(spans.one())["x"])
    assert "ndarray" in text
    assert "float64" in text
    assert "1000" in text
    assert "0.125" not in text


def test_heavy_tables_are_summarised(spans: Recorder) -> None:
    """A data frame is recorded by type and shape, not by its rows."""
    pandas = pytest.importorskip("pandas")
    traced(lambda x: None)(pandas.DataFrame({"a": ["cell"] * 1000}))
    text = str(args(spans.one())["x"])
    assert "DataFrame" in text
    assert "1000" in text
    assert "cell" not in text


def test_more_arguments_than_the_sdk_keeps(spans: Recorder) -> None:
    """A function with more parameters than a span may have attributes still runs and keeps its code attributes."""
    names = [f"p{number}" for number in range(200)]
    namespace: dict[str, Any] = {}
    namespace["__name__"] = __name__
    exec(f"def wide({', '.join(names)}): return p199", namespace)
    assert traced(namespace["wide"])(*range(200)) == 199
    assert len(args(spans.one())) > 50
    assert attributes(spans.one())[keys.CODE_FUNCTION_NAME] == f"{__name__}.wide"
    assert attributes(spans.one())[keys.MODULE] == __name__


@pytest.mark.parametrize("limit", [10, 60, 300])
def test_length_limit_of_the_sdk_leaves_valid_json(limit: int) -> None:
    """Where the SDK would cut shorter than we do, we cut to its limit, and the text stays valid."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attribute_length=limit), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    traced(capture_result=True)(lambda x, y: x)([f"item {number}" for number in range(40)], "a" * 500)
    (found,) = exporter.get_finished_spans()
    json_text = [attributes(found)[key] for key in (f"{keys.ARGS_JSON_PREFIX}x", keys.RESULT_JSON)]
    assert all(len(text) <= limit for text in json_text)
    assert all(decode(text) is not None for text in json_text)
    assert len(attributes(found)[f"{keys.ARGS_PREFIX}y"]) <= limit


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('abcö\n"', max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("uvwxyz"), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON_VALUES)
def test_small_values_are_kept_exactly(make_recorder: Callable[..., Recorder], value: Any) -> None:
    """What JSON can express and the bounds allow is recorded without loss."""
    assume(_depth(value) <= 5)
    recorder = make_recorder()
    trace._TRACER_PROVIDER = recorder.provider
    traced(capture_result=True)(lambda x: x)(value)
    assert args(recorder.one()) == {"x": value}
    assert result(recorder.one()) == value


ANY_VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3000) | st.binary(max_size=20) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=80) | st.dictionaries(st.text(max_size=20), inner, max_size=80) | st.tuples(inner)
    ),
    max_leaves=120,
)


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(value=ANY_VALUES)
def test_any_value_is_bounded_and_valid(make_recorder: Callable[..., Recorder], value: Any) -> None:
    """Whatever its size, what is recorded of a value has its bound, is valid JSON, and can be encoded."""
    recorder = make_recorder()
    trace._TRACER_PROVIDER = recorder.provider
    traced(lambda x: x)(value)
    ((key, recorded),) = [item for item in attributes(recorder.one()).items() if "args" in item[0]]
    if key.startswith(keys.ARGS_JSON_PREFIX):
        decode(recorded)
        assert len(recorded) <= 4000
    if isinstance(recorded, str):
        recorded.encode("utf-8")
        assert len(recorded) <= 4003


def _depth(value: Any) -> int:
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return 1 + max(map(_depth, inner), default=0)


@pytest.mark.parametrize(
    "text",
    [
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "4111 1111 1111 1111",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
    ],
    ids=["JWT", "card number", "GitHub token", "AWS key"],
)
def test_values_that_look_secret_are_redacted(spans: Recorder, text: str) -> None:
    """Well-known forms of secrets are made unreadable under any name, alone, inside text and inside containers."""
    traced(capture_result=True)(lambda x, y, z: y)(text, [{"note": text}], f"before {text} after")
    assert text not in str(attributes(spans.one()))
    with span("block", x=text):
        pass
    assert text not in str(attributes(spans["block"]))


CHILD = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_tracker import traced
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
@traced
def f(x, password, shoe_size): return [1]
f("a" * 100, "p", 42)
(span,) = exporter.get_finished_spans()
found = {key.removeprefix("otel_tracker."): value for key, value in span.attributes.items()}
print(json.dumps({key: value for key, value in found.items() if key.startswith(("args", "result"))}))
"""


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CAPTURE_ARGS", "false", {}),
        ("CAPTURE_RESULT", "true", {"result_json": "[1]"}),
        ("REDACT_ENABLED", "false", {"args.password": "p"}),
        ("REDACT_KEYS", "shoe_size", {"args.shoe_size": REDACTED}),
        ("REDACT_VALUES", "a{100}", {"args.x": REDACTED}),
        ("CAPTURE_MAX_LENGTH", "nonsense", {"args.x": "a" * 100}),
    ],
)
def test_environment_sets_the_defaults(variable: str, value: str, expected: dict[str, Any]) -> None:
    """What is captured can be set for a whole process, and a bad value does not stop the program."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    environment = {**clean, f"OTEL_TRACKER_{variable}": value}
    done = subprocess.run([sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {key: found.get(key) for key in expected} == expected
    if variable == "CAPTURE_ARGS":
        assert found == {}


def test_environment_sets_the_length() -> None:
    """A shorter limit cuts text and containers accordingly."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    environment = {**clean, "OTEL_TRACKER_CAPTURE_MAX_LENGTH": "20"}
    done = subprocess.run([sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True)
    text = json.loads(done.stdout)["args.x"]
    assert len(text) <= 23
    assert text.endswith("...")
