"""Whatever happens to the provider between two calls, spans go where OpenTelemetry's own would go, or nowhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import _TracerConfig
from opentelemetry.trace import NonRecordingSpan
from support import run_script

from otel_tracker import attributes as keys
from otel_tracker import disable, enable, span, traced
from otel_tracker.leanspan import LeanSpan

from .helpers import REMOTE_SAMPLED, assert_equal_in_both, context_of, engine, is_child, provider, scope_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@traced("work")
def work(number: int = 3) -> int:
    return number


@traced("work")
async def async_work(number: int = 3) -> int:
    await asyncio.sleep(0)
    return number


@traced("work")
def rows() -> Iterator[int]:
    yield 3


@traced("work")
async def async_rows() -> AsyncIterator[int]:
    yield 3


async def _first(found: AsyncIterator[int]) -> int:
    everything = [one async for one in found]
    return everything[0]


def block() -> int:
    with span("work"):
        return 3


CALLS: dict[str, Callable[[], int]] = {
    "function": work,
    "coroutine": lambda: asyncio.run(async_work()),
    "generator": lambda: next(iter(rows())),
    "async generator": lambda: asyncio.run(_first(async_rows())),
    "block": block,
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(autouse=True)
def lean_engine() -> Iterator[None]:
    """Every test of this file runs with the lean engine."""
    with engine("lean"):
        yield


@every_call
def test_provider_comes_goes_and_is_replaced(call: Callable[[], int]) -> None:
    """The same decorated code: forwarded without a provider, recorded by whichever provider is set at each call."""
    assert call() == 3
    with provider() as first:
        assert call() == 3
        with provider() as second:
            assert [call(), call()] == [3, 3]
        assert call() == 3
    assert call() == 3
    assert (len(first.finished), len(second.finished)) == (2, 2)
    assert all(isinstance(found, LeanSpan) for found in first.started + second.started)


def test_resource_is_that_of_the_provider_of_the_call() -> None:
    """Two providers with different resources: each span has its own provider's."""
    with provider(resource=Resource({"service.name": "one"})) as first:
        work()
        with provider(resource=Resource({"service.name": "two"})) as second:
            work()
    assert [found.one().resource.attributes["service.name"] for found in (first, second)] == ["one", "two"]


def test_resource_that_is_updated_is_that_of_the_next_span() -> None:
    """What the SDK does to its tracers after a fork is seen by the next lean span, too."""

    def program() -> None:
        provider_now: Any = trace.get_tracer_provider()
        work()
        provider_now._update_resource(Resource({"process.pid": 5}))
        work()

    first, second = assert_equal_in_both(program)
    assert "process.pid" not in first.resource.attributes
    assert second.resource.attributes["process.pid"] == 5


def test_provider_that_is_replaced_during_a_call_gets_only_what_begins_then() -> None:
    """A span ends with the provider that it began with; its child in another provider keeps trace and parent."""
    with provider() as first, span("outer"):
        with provider() as second:
            work()
    assert (first.names, second.names) == (["outer"], ["work"])
    assert is_child(second.one(), first.one())


def test_real_set_tracer_provider_is_followed() -> None:
    """The ordinary way to set a provider, after the first call, switches recording on."""
    assert work() == 3
    with provider() as collected:
        ours = collected.provider
        trace._TRACER_PROVIDER = None
        assert work() == 3
        trace.set_tracer_provider(ours)
        assert work() == 3
        assert trace.get_tracer_provider() is ours
    assert collected.names == ["work"]
    from opentelemetry.util._once import Once

    trace._TRACER_PROVIDER_SET_ONCE = Once()


@every_call
def test_disable_and_enable_switch_lean_spans(call: Callable[[], int]) -> None:
    """After `disable()` a call is forwarded, after `enable()` it is recorded again."""
    with provider() as collected:
        call()
        disable()
        assert call() == 3
        assert trace.get_current_span() is trace.INVALID_SPAN
        enable()
        call()
    assert collected.names == ["work", "work"]


@every_call
def test_tracer_that_is_configured_off_records_nothing(call: Callable[[], int]) -> None:
    """A provider whose configurator disables our tracer forwards the call and leaves the caller's context."""
    off = provider(_tracer_configurator=lambda scope: _TracerConfig(is_enabled=scope.name != keys.SCOPE))
    with off as collected:
        assert call() == 3
        with collected.provider.get_tracer("somebody.else").start_as_current_span("theirs"):
            assert traced(lambda: trace.get_current_span().get_span_context().span_id)() != 0
            assert call() == 3
    assert [scope_name(found) for found in collected.finished] == ["somebody.else"]


def test_tracer_may_be_configured_off_and_on_while_the_program_runs() -> None:
    """The configurator is exchanged between calls: the next call obeys."""

    def program() -> None:
        provider_now: Any = trace.get_tracer_provider()
        for is_enabled in (True, False, True, False):
            provider_now._set_tracer_configurator(
                tracer_configurator=lambda _, is_enabled=is_enabled: _TracerConfig(is_enabled=is_enabled)
            )
            work()
            with trace.use_span(NonRecordingSpan(REMOTE_SAMPLED)):
                work()

    assert len(assert_equal_in_both(program)) == 4


@every_call
def test_call_after_the_providers_shutdown_is_the_programs_own(call: Callable[[], int]) -> None:
    """After `provider.shutdown()` calls go on, and nothing is raised or left in the context."""
    with provider() as collected:
        call()
        collected.provider.shutdown()
        assert call() == 3
        assert trace.get_current_span() is trace.INVALID_SPAN


def test_span_that_is_open_at_the_shutdown_ends() -> None:
    """A span that was open when the provider was shut down can be written on and ended."""
    with provider() as collected, span("open") as handed:
        collected.provider.shutdown()
        handed.set_attribute("late", 1)
    assert not handed.is_recording()


def test_provider_that_is_disabled_by_the_environment_forwards() -> None:
    """OTEL_SDK_DISABLED, set when the provider is made, gives a tracer that does nothing: calls are forwarded."""
    ended = run_script(
        """
        import os
        from otel_tracker import span, traced
        f = traced(lambda: 3)
        os.environ["OTEL_SDK_DISABLED"] = "true"
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        with span("block") as handed:
            print(f(), handed.is_recording())
        """
    )
    assert (ended.stdout, ended.stderr) == ("3 False\n", "")


def test_disabled_at_import_gives_the_same_function() -> None:
    """With OTEL_SDK_DISABLED=true decorators return what they got, whichever engine is named."""
    script = """
        from otel_tracker import span, traced
        def f(): return 3
        async def c(): return 3
        def g(): yield 3
        class C:
            def m(self): return 3
        print(traced(f) is f, traced("n", capture_result=True)(c) is c, traced(g) is g, traced(C) is C)
        with span("block") as handed: print(handed.is_recording())
    """
    ended = run_script(script, OTEL_SDK_DISABLED="true", OTEL_TRACKER_SPAN_ENGINE="lean")
    assert (ended.stdout, ended.stderr) == ("True True True True\nFalse\n", "")


def test_engine_is_found_when_the_sdk_comes_after_decoration() -> None:
    """In a fresh process: decorate, call, import the SDK, set a provider, call; the last call's span is lean."""
    ended = run_script(
        """
        import sys
        from otel_tracker import traced
        from opentelemetry import trace
        f = traced(trace.get_current_span)
        f()
        print("opentelemetry.sdk" in sys.modules)
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        from otel_tracker.leanspan import LeanSpan
        print(isinstance(f(), LeanSpan))
        """
    )
    assert (ended.stdout, ended.stderr) == ("False\nTrue\n", "")


def test_engine_of_the_launcher_and_of_configure_is_lean() -> None:
    """`configure()` sets a provider of its own; traced code behind it makes lean spans that are stored."""
    ended = run_script(
        """
        from otel_tracker import configure, open_store, shutdown, span
        from otel_tracker.leanspan import LeanSpan
        configure()
        with span("block", rows=3) as handed: print(isinstance(handed, LeanSpan))
        shutdown()
        with open_store("otel-tracker.db") as store:
            print([(found.name, found.attributes) for found in store.query_executions()])
        """
    )
    assert (ended.stdout, ended.stderr) == ("True\n[('block', {'rows': 3})]\n", "")


def test_many_providers_are_not_kept_alive() -> None:
    """A provider that was replaced can be freed: decorated functions do not hold on to it."""
    import gc
    import weakref

    with provider() as collected:
        work()
        assert context_of(collected.one()).is_valid
        reference = weakref.ref(collected.provider)
        del collected.provider
    with provider():
        work()
        collected.started.clear()
        collected.finished.clear()
        gc.collect()
        assert reference() is None
