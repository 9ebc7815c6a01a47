"""One call that is watched: tells its watches how it goes, inside the call's span and also where there is no span."""

from __future__ import annotations

from collections.abc import Awaitable
from random import getrandbits
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from otel_tracker import attributes as keys
from otel_tracker import current
from otel_tracker.pairing import told_call
from otel_tracker.tracing import engine
from otel_tracker.tracing.execution import UNRECORDED
from otel_tracker.tracing.failures import is_failure, outcome_of
from otel_tracker.tracing.watches import Ending

if TYPE_CHECKING:
    from otel_tracker.tracing.spec import SpanSpec

_NS_PER_MS = 1e6


class WatchedExecution:
    """What a generated wrapper talks to in place of an `Execution`, where a call is watched."""

    __slots__ = ("_begin_ns", "_call", "_is_closing", "_run", "_spec", "enter", "span", "suspend")
    is_recorded = True

    def __init__(self, spec: SpanSpec, run: Any, call: int) -> None:
        self._spec = spec
        self._run = run
        self._call = call
        self.span = getattr(run, "span", None)
        # Their own methods, because one that looks at its caller counts frames.
        self.enter = getattr(run, "enter", None)
        self.suspend = getattr(run, "suspend", None)
        self._is_closing = False
        self._begin_ns = perf_counter_ns()

    def leave(self) -> None:
        """See `Execution.leave`."""
        self._run.leave()

    def thrown(self, error: BaseException) -> None:
        """See `SteppedExecution.thrown`; also noted where there is no span."""
        self._is_closing = isinstance(error, GeneratorExit)
        self._run.thrown(error)

    def succeed(self, result: object = None) -> None:
        """See `Execution.succeed`; the watches are told while the span is current."""
        self._tell(Ending(self._duration_ms(), outcome=keys.OUTCOME_CLOSED if self._is_closing else ""))
        self._run.succeed(result)

    def fail(self, error: BaseException) -> None:
        """See `Execution.fail`."""
        self._tell_failure(error)
        self._run.fail(error)

    def wait_for(self, result: Awaitable[Any]) -> Awaitable[Any]:
        """See `Execution.wait_for`."""
        return self._run.wait_for(self._awaited(result))  # type: ignore[no-any-return]

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        try:
            awaited = await result
        except BaseException as error:
            self._tell_failure(error)
            raise
        self._tell(Ending(self._duration_ms()))
        return awaited

    def _duration_ms(self) -> float:
        return round((perf_counter_ns() - self._begin_ns) / _NS_PER_MS, 3)

    def _tell_failure(self, error: BaseException) -> None:
        failed = is_failure(error, self._spec)
        self._tell(Ending(self._duration_ms(), error if failed else None, outcome_of(error)))

    def _tell(self, ending: Ending) -> None:
        _tell(self._spec, self._call, ending)


class WatchingEngine:
    """Stands in the engine's place in the wrapper of a watched function; ``spec.watches`` is not empty there."""

    UNRECORDED = UNRECORDED

    @staticmethod
    def open_call(spec: SpanSpec, values: tuple[Any, ...]) -> WatchedExecution:
        """See `Engine.open_call`."""
        run = engine.open_call(spec, values)
        call = _new_call() if run is None else 0
        _tell(spec, call)
        return WatchedExecution(spec, UNRECORDED if run is None else run, call)

    @staticmethod
    def open_steps(spec: SpanSpec, values: tuple[Any, ...]) -> WatchedExecution:
        """See `Engine.open_steps`."""
        run = engine.open_steps(spec, values)
        if run.is_recorded:  # its span becomes current with the first step
            token = current.attach(current.with_span(run.span, current.get()))
            _tell(spec, 0)
            current.restore(token)
            return WatchedExecution(spec, run, 0)
        call = _new_call()
        _tell(spec, call)
        return WatchedExecution(spec, run, call)


def _new_call() -> int:
    """What stands for a call without a span: the trace that it begins in, if any."""
    span: Any = current.get().get(current.SPAN_KEY)
    try:
        return (span is not None and span.get_span_context().trace_id) or getrandbits(64)
    except Exception:  # a span of anybody's
        return getrandbits(64)


def _tell(spec: SpanSpec, call: int, ending: Ending | None = None) -> None:
    token = told_call.set(call) if call else None
    try:
        for watch in spec.watches:
            if ending is None:
                watch.started()
            else:
                watch.ended(ending)
    finally:
        if token is not None:
            told_call.reset(token)
