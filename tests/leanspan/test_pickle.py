"""Decorated functions that were already called with the lean engine can still be sent to another process."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from support import run_script

from otel_tracker import span, traced

from .helpers import Collected

LOADS = """
    import pickle, sys
    from pathlib import Path
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from otel_tracker.leanspan import LeanSpan
    function = pickle.loads(Path("function.pickle").read_bytes())
    print(function(2))
    trace.set_tracer_provider(TracerProvider())
    print(function(2), isinstance(trace.get_current_span(), LeanSpan))
"""


@traced(capture_result=True, attributes={"a": 1})
def module_level(number: int) -> int:
    return number + 1


@span("module level block")
def module_level_block(number: int) -> int:
    return number + 1


class Cart:
    @traced
    def total(self, number: int) -> int:
        return number + 1


@pytest.mark.parametrize(
    "function", [module_level, module_level_block, Cart().total], ids=["function", "block", "method"]
)
def test_called_function_is_pickled_by_its_name(lean: Collected, function: Any) -> None:
    """After calls under the lean engine a pickle still names the function; it works when it is loaded."""
    assert function(2) == 3
    assert pickle.loads(pickle.dumps(function))(2) == 3
    assert copy.deepcopy(function)(2) == 3
    assert len(lean.finished) == 3


@pytest.mark.parametrize("shape", ["closure", "options", "lambda", "inside a span", "block"])
def test_called_function_is_pickled_by_value(lean: Collected, shape: str) -> None:
    """A local function that was called is sent by cloudpickle, and works in a process without and with a provider."""
    cloudpickle = pytest.importorskip("cloudpickle")
    offset = 1

    @traced
    def closure(number: int) -> int:
        return number + offset

    options = traced(name="n", capture_result=True, attributes={"a": 1})(lambda number: number + 1)
    block = span("block", rows=3)(lambda number: number + 1)
    functions: dict[str, Any] = {"closure": closure, "options": options, "block": block}
    function = functions.get(shape, traced(lambda number: number + 1))
    assert function(2) == 3
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        if shape == "inside a span":
            with span("outer"):
                data = cloudpickle.dumps(function)
        else:
            data = cloudpickle.dumps(function)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    Path("function.pickle").write_bytes(data)
    ended = run_script(LOADS)
    assert (ended.stdout, ended.stderr) == ("3\n3 False\n", "")
    assert len(lean.finished) >= 1


def test_pickle_holds_no_span_and_no_provider(lean: Collected) -> None:
    """What is sent names neither the SDK's classes nor the lean span's."""
    cloudpickle = pytest.importorskip("cloudpickle")
    function = traced(lambda number: number)
    function(1)
    data = cloudpickle.dumps(function)
    for name in (b"TracerProvider", b"LeanSpan", b"opentelemetry.sdk", b"_thread"):
        assert name not in data
