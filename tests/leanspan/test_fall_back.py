"""Where a lean span would not be the right one, the portable engine takes over, and nothing is lost."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Span, TracerProvider
from support import install_fake_distribution, run_script

from otel_tracker import span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import RESOURCE, Collected, attributes, engine, is_child
from .vendor import ForwardingProvider, SubclassingProvider, WrappingProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def use_vendor() -> Iterator[Callable[[str], Collected]]:
    """Sets a vendor's provider as the global one, and gives what its processors receive."""
    made: list[TracerProvider] = []

    def use(kind: str) -> Collected:
        collected = Collected()
        inner = SubclassingProvider if kind == "subclass" else TracerProvider
        made.append(inner(resource=RESOURCE, shutdown_on_exit=False))
        made[0].add_span_processor(collected)
        outer: dict[str, Any] = {"wrapper": WrappingProvider, "forwarder": ForwardingProvider}
        trace._TRACER_PROVIDER = outer[kind](made[0]) if kind in outer else made[0]
        return collected

    with engine("lean"):
        yield use
    trace._TRACER_PROVIDER = None
    for one in made:
        one.shutdown()


@traced(capture_result=True)
def work(number: int) -> int:
    with span("block"):
        return number


@pytest.mark.parametrize("kind", ["subclass", "wrapper"])
def test_tracer_of_a_vendor_makes_the_spans(use_vendor: Callable[[str], Collected], kind: str) -> None:
    """With any tracer that is not exactly the SDK's, that tracer's own `start_span` makes every span."""
    collected = use_vendor(kind)
    assert work(3) == 3
    block, function = collected.finished
    assert is_child(block, function)
    assert [attributes(found)["vendor"] for found in collected.finished] == ["stamped"] * 2
    assert attributes(function)["otel_tracker.result"] == 3
    assert not any(isinstance(found, LeanSpan) for found in collected.started)


def test_provider_of_a_vendor_may_give_the_tracers_of_the_sdk(use_vendor: Callable[[str], Collected]) -> None:
    """A provider of another class that hands out genuine SDK tracers is served; its spans are complete."""
    collected = use_vendor("forwarder")
    assert work(3) == 3
    block, function = collected.finished
    assert is_child(block, function)
    assert all(isinstance(found, Span) for found in collected.started)


def test_vendor_may_come_after_the_sdk(use_vendor: Callable[[str], Collected]) -> None:
    """The choice is made anew when the provider changes: lean, then the vendor's, then lean again."""
    plain = use_vendor("plain")
    work(1)
    sdk = trace._TRACER_PROVIDER
    assert isinstance(sdk, TracerProvider)
    trace._TRACER_PROVIDER = WrappingProvider(sdk)
    work(2)
    trace._TRACER_PROVIDER = sdk
    work(3)
    kinds = [isinstance(found, LeanSpan) for found in plain.started]
    assert kinds == [True, True, False, False, True, True]
    assert [("vendor" in attributes(found)) for found in plain.finished] == [False, False, True, True, False, False]


SABOTAGED = """
    import logging, sys
    import opentelemetry.sdk.trace as sdk
    from opentelemetry import trace
    SABOTAGE
    lines = []
    class Lines(logging.Handler):
        def emit(self, record): lines.append((record.levelname, record.getMessage()))
    logging.getLogger("otel_tracker").addHandler(Lines(logging.DEBUG))
    logging.getLogger("otel_tracker").setLevel(logging.DEBUG)
    from otel_tracker import leanspan, span, traced
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    f = traced(trace.get_current_span, name="f")
    kinds = [isinstance(f(), leanspan.LeanSpan) for _ in range(3)]
    with span("block") as handed: kinds.append(isinstance(handed, leanspan.LeanSpan))
    found = leanspan.self_check()
    print(kinds, bool(found), all(isinstance(one, str) and one for one in found), len(lines))
    print(lines, found)
"""

SABOTAGES = {
    "a span has a new field": """
    original = sdk.Span.__init__
    def changed(self, *given, **named):
        original(self, *given, **named)
        self._brand_new = 1
    sdk._Span.__init__ = changed
    """,
    "the tracer makes another kind": """
    original = sdk.Tracer.start_span
    def changed(self, *given, **named):
        found = original(self, *given, **named)
        found._kind = trace.SpanKind.SERVER
        return found
    sdk.Tracer.start_span = changed
    """,
    "the status begins otherwise": """
    original = sdk.Span.__init__
    def changed(self, *given, **named):
        original(self, *given, **named)
        self._status = trace.Status(trace.StatusCode.OK)
    sdk._Span.__init__ = changed
    """,
    "attributes are kept otherwise": """
    original = sdk.Span.__init__
    def changed(self, *given, **named):
        original(self, *given, **named)
        upper = {key.upper(): value for key, value in self._attributes.items()}
        self._attributes = sdk.BoundedAttributes(None, upper, immutable=False)
    sdk._Span.__init__ = changed
    """,
    "a private field has another name": """
    original = sdk.Tracer.__init__
    def changed(self, *given, **named):
        original(self, *given, **named)
        self._new_limits = self.__dict__.pop("_span_limits")
    sdk.Tracer.__init__ = changed
    sdk.Tracer.__getattr__ = lambda self, name: self._new_limits if name == "_span_limits" and (
        sys._getframe(1).f_globals["__name__"].startswith("opentelemetry")) else object.__getattribute__(self, name)
    """,
}


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=SABOTAGES)
def test_sdk_that_has_changed_is_noticed(sabotage: str) -> None:
    """When the installed SDK's span is not what ours imitates, its own is used; one debug line says so."""
    script = textwrap.dedent(SABOTAGED).replace("SABOTAGE\n", textwrap.dedent(sabotage))
    ended = run_script(script)
    assert ended.status == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[0] == f"{[False] * 4} True True 1", ended.stdout
    assert "DEBUG" in ended.stdout


def test_self_check_is_quiet_when_all_is_well() -> None:
    """In a fresh process the first traced call logs nothing, even at debug level, and the spans are lean."""
    ended = run_script(textwrap.dedent(SABOTAGED).replace("SABOTAGE\n", "\n"))
    assert ended.stdout == f"{[True] * 4} False True 0\n[] []\n"
    assert ended.stderr == ""


CONTEXT_MODULE = """
    import threading
    from opentelemetry.context.context import Context, _RuntimeContext

    class ThreadContext(_RuntimeContext):
        def __init__(self):
            self._held = threading.local()
        def attach(self, context):
            before = self.get_current()
            self._held.value = context
            return before
        def get_current(self):
            return getattr(self._held, "value", Context())
        def detach(self, token):
            self._held.value = token
"""


def test_runtime_context_of_ones_own_is_used(tmp_path: Path) -> None:
    """With OTEL_PYTHON_CONTEXT another context holds the current span; traced code nests in it all the same."""
    folder = install_fake_distribution(
        tmp_path / "site",
        "thread-context",
        {"thread_context": CONTEXT_MODULE},
        """
        [opentelemetry_context]
        thread_context = thread_context:ThreadContext
        """,
    )
    script = """
        from opentelemetry import context, trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_tracker import span, traced
        import contextvars
        provider = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
        theirs = provider.get_tracer("somebody.else")
        print(type(context._RUNTIME_CONTEXT).__name__)

        @traced
        def function():
            current = trace.get_current_span()
            with theirs.start_as_current_span("theirs") as inner: return current, inner

        with theirs.start_as_current_span("theirs") as outer:
            current, inner = function()
            print(current.parent.span_id == outer.context.span_id, inner.parent.span_id == current.context.span_id)
            print(trace.get_current_span() is outer)
            with span("block") as handed:
                print(contextvars.Context().run(trace.get_current_span) is handed, handed.parent == outer.context)
        print(trace.get_current_span() is trace.INVALID_SPAN)
    """
    ended = run_script(script, OTEL_PYTHON_CONTEXT="thread_context", PYTHONPATH=str(folder))
    assert ended.stderr == ""
    assert ended.stdout == "ThreadContext\nTrue True\nTrue\nTrue True\nTrue\n"
