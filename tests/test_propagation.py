"""The current context goes where it is sent: into threads, executors, processes and subprocesses, by hand."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from inspect import iscoroutinefunction

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from support import run_script, stored_spans

import otel_tracker
from otel_tracker.propagation import adopt_environment, child_environment

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def current_ids() -> tuple[str, str]:
    """Trace and span id of the span that is current where this runs."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}", f"{found.span_id:016x}"


def remember(item: object, *, key: str = "") -> tuple[object, str, tuple[str, str], object]:
    """What a worker sees."""
    return item, key, current_ids(), baggage.get_baggage("tenant")


@pytest.fixture
def ids() -> Iterator[tuple[str, str]]:
    """A current span, with baggage; gives its ids."""
    token = context.attach(baggage.set_baggage("tenant", "a b"))
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("here"):
        yield current_ids()
    context.detach(token)


@pytest.fixture
def no_context() -> Iterator[None]:
    """An empty context, to which the test may attach what it likes."""
    token = context.attach(context.Context())
    yield
    context.detach(token)


def test_bound_function_runs_in_the_context_in_which_it_was_bound(ids: tuple[str, str]) -> None:
    """In a plain thread, which begins with an empty context, with arguments, result and what else the context holds."""
    seen = []
    bound = otel_tracker.propagate(remember)
    thread = threading.Thread(target=lambda: seen.extend([bound(1, key="k"), current_ids()]))
    thread.start()
    thread.join()
    assert seen == [(1, "k", ids, "a b"), ("0" * 32, "0" * 16)]


def test_bound_function_can_run_many_times_at_once(ids: tuple[str, str]) -> None:
    """One binding for all items of an executor's map."""
    barrier = threading.Barrier(4, timeout=10)

    def meet(_: int) -> tuple[str, str]:
        barrier.wait()
        return current_ids()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(otel_tracker.propagate(meet), range(8))) == {ids}


def test_context_is_bound_when_the_function_is_not_when_it_is_called(ids: tuple[str, str], no_context: None) -> None:
    """The place of the call gets its own context back, also when the function raises."""
    assert current_ids() == ("0" * 32, "0" * 16)
    bound = otel_tracker.propagate(current_ids)
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))):
        assert bound() == ("0" * 32, "0" * 16)
        with pytest.raises(ZeroDivisionError):
            otel_tracker.propagate(lambda: 1 / 0)()
        assert current_ids() == (f"{1:032x}", f"{2:016x}")


def test_bound_function_looks_like_the_function() -> None:
    """Name, documentation and `__wrapped__`, and a partial or a builtin is bound as well."""
    bound = otel_tracker.propagate(remember)
    assert (bound.__name__, bound.__doc__) == ("remember", remember.__doc__)
    assert bound.__wrapped__ is remember  # type: ignore[attr-defined]
    assert otel_tracker.propagate(max)(1, 2) == 2


def test_bound_coroutine_function_runs_in_its_context_to_the_end(ids: tuple[str, str]) -> None:
    """It stays a coroutine function, and tasks at once do not see one another's context."""

    async def later() -> list[tuple[str, str]]:
        before = current_ids()
        await asyncio.sleep(0)
        return [before, current_ids()]

    bound = otel_tracker.propagate(later)

    async def main() -> list[list[tuple[str, str]]]:
        return await asyncio.gather(bound(), later(), bound())

    outside = [("0" * 32, "0" * 16)] * 2
    assert iscoroutinefunction(bound)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, main()).result() == [[ids] * 2, outside, [ids] * 2]


def test_bound_coroutine_that_is_closed_elsewhere_says_nothing(
    ids: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """No "Failed to detach context" of OpenTelemetry's."""
    coroutine = otel_tracker.propagate(_endless)()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(coroutine.send, None).result()
    coroutine.close()
    assert caplog.records == []


async def _endless() -> None:
    future: asyncio.Future[None] = asyncio.Future(loop=asyncio.new_event_loop())
    future.get_loop().close()
    await future


def test_bound_function_can_be_pickled_with_trace_and_baggage(ids: tuple[str, str], no_context: None) -> None:
    """What a process pool does with it; the copy runs in the trace although the context object stayed behind."""
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(int(ids[0], 16), int(ids[1], 16), is_remote=False))):
        context.attach(baggage.set_baggage("tenant", "a b"))
        sent = pickle.dumps(otel_tracker.propagate(remember))
    assert current_ids() == ("0" * 32, "0" * 16)
    assert pickle.loads(sent)(1, key="k") == (1, "k", ids, "a b")
    assert pickle.loads(pickle.dumps(pickle.loads(sent)))(2) == (2, "", ids, "a b")


def test_function_that_cannot_be_pickled_says_so_as_ever() -> None:
    """The error is pickle's own."""
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(otel_tracker.propagate(lambda: 1))


def test_child_environment_carries_the_current_context(ids: tuple[str, str]) -> None:
    """A copy: this process keeps its own variables."""
    before = dict(os.environ)
    made = child_environment()
    assert made.pop("TRACEPARENT").startswith(f"00-{ids[0]}-{ids[1]}-")
    assert made.pop("BAGGAGE") == "tenant=a+b"
    assert made == {name: value for name, value in before.items() if name not in ("TRACEPARENT", "BAGGAGE")}
    assert dict(os.environ) == before


def test_child_environment_hands_on_what_it_got_where_nothing_is_current(
    no_context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that traces nothing stands in nobody's way."""
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    monkeypatch.setenv("TRACESTATE", "vendor=1")
    assert child_environment() == dict(os.environ)


def test_child_environment_leaves_no_state_of_another_trace(
    ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`TRACESTATE` belongs to the `TRACEPARENT` that it came with."""
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    monkeypatch.setenv("TRACESTATE", "vendor=1")
    made = child_environment()
    assert made["TRACEPARENT"].startswith(f"00-{ids[0]}-{ids[1]}-")
    assert "TRACESTATE" not in made


def test_environment_is_adopted_as_the_current_context(no_context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace, its state and baggage; and it goes on to children unchanged."""
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    monkeypatch.setenv("TRACESTATE", "vendor=1")
    monkeypatch.setenv("BAGGAGE", "tenant=a+b")
    adopt_environment()
    assert remember(1) == (1, "", (TRACE_ID, SPAN_ID), "a b")
    assert trace.get_current_span().get_span_context().is_remote
    assert child_environment() == dict(os.environ)


def test_span_that_is_current_goes_before_the_environment(
    ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls `configure()` inside a span of somebody else's stays in it."""
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    adopt_environment()
    assert current_ids() == ids


@pytest.mark.parametrize(
    "value", ["", "nonsense", f"00-{'0' * 32}-{SPAN_ID}-01", f"ff-{TRACE_ID}-{SPAN_ID}-01", "\udcff"]
)
def test_environment_that_is_no_context_is_ignored(
    value: str, no_context: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As the specification of trace context asks; nothing is said."""
    monkeypatch.setenv("TRACEPARENT", value)
    adopt_environment()
    assert current_ids() == ("0" * 32, "0" * 16)
    assert caplog.records == []


class _Broken(TextMapPropagator):
    fields = {"x-broken"}

    def inject(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError("no luck")

    def extract(self, *args: object, **kwargs: object) -> context.Context:
        raise RuntimeError("no luck")


def test_propagator_that_raises_breaks_nothing(ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A propagator can be anybody's."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", _Broken())
    assert child_environment() == dict(os.environ)
    assert pickle.loads(pickle.dumps(otel_tracker.propagate(len)))("abc") == 3
    adopt_environment()


class _Hyphenated(TextMapPropagator):
    fields = {"X-Trace-Id"}

    def inject(self, carrier, context=None, setter=None):  # type: ignore[no-untyped-def]
        setter.set(carrier, "X-Trace-Id", "7")

    def extract(self, carrier, context=None, getter=None):  # type: ignore[no-untyped-def]
        return baggage.set_baggage("seen", getter.get(carrier, "x-trace-id"), context)


def test_header_names_become_names_of_variables(no_context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upper case, with an underscore for a hyphen, in both directions and for any propagator."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", _Hyphenated())
    made = child_environment()
    assert made["X_TRACE_ID"] == "7"
    monkeypatch.setenv("X_TRACE_ID", "8")
    adopt_environment()
    assert baggage.get_baggage("seen") == ["8"]


def test_configure_continues_the_trace_of_the_environment() -> None:
    """Every root span of the main thread is a child of the remote one, and a new trace is still a new one."""
    code = """
    from otel_tracker import configure, traced

    @traced
    def first(): ...
    @traced
    def second(): first()
    @traced(new_trace=True)
    def apart(): ...

    configure(); configure()
    first(); second(); apart()
    """
    ended = run_script(code, TRACEPARENT=TRACEPARENT)
    assert (ended.status, ended.stderr) == (0, "")
    found = {(span.function, span.trace_id == TRACE_ID, span.parent_span_id) for span in stored_spans()}
    second = next(span for span in stored_spans() if span.function == "second")
    assert found == {
        ("first", True, SPAN_ID),
        ("second", True, SPAN_ID),
        ("first", True, second.span_id),
        ("apart", False, ""),
    }


def test_unsampled_parent_in_the_environment_is_followed() -> None:
    """The default sampler asks the parent, wherever that is."""
    ended = run_script(
        "from otel_tracker import configure, traced\nconfigure()\ntraced(len)([])", TRACEPARENT=TRACEPARENT[:-1] + "0"
    )
    assert (ended.status, ended.stderr) == (0, "")
    assert not os.path.exists("otel-tracker.db") or stored_spans() == []
