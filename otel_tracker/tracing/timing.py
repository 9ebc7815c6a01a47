"""Calls that are measured by metrics: what a wrapper talks to where its function has timings, with a span or without.

The measurement is made when the call ends and before its span does, so that its exemplar is that span.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from otel_tracker.tracing.execution import UNRECORDED
from otel_tracker.tracing.failures import is_failure

if TYPE_CHECKING:
    from otel_tracker.tracing.spec import SpanSpec


class TimedExecution:
    """What a generated wrapper talks to in place of an `Execution`, where a call is timed."""

    __slots__ = ("_begin_s", "_run", "_spec", "span")

    def __init__(self, spec: SpanSpec, run: Any) -> None:
        self._spec = spec
        self._run = run
        self.span = None if run is UNRECORDED else getattr(run, "span", None)
        self._begin_s = perf_counter()

    def leave(self) -> None:
        """See `Execution.leave`."""
        self._run.leave()

    def succeed(self, result: object = None) -> None:
        """See `Execution.succeed`."""
        duration_s = perf_counter() - self._begin_s
        for timing in self._spec.timings:
            timing.ended(duration_s, None)
        run = self._run
        if run is not UNRECORDED:
            run.succeed(result)

    def fail(self, error: BaseException) -> None:
        """See `Execution.fail`."""
        self._failed(error)
        self._run.fail(error)

    def wait_for(self, result: Awaitable[Any]) -> Awaitable[Any]:
        """See `Execution.wait_for`."""
        return self._run.wait_for(self._awaited(result))  # type: ignore[no-any-return]

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        try:
            awaited = await result
        except BaseException as error:
            self._failed(error)
            raise
        duration_s = perf_counter() - self._begin_s
        for timing in self._spec.timings:
            timing.ended(duration_s, None)
        return awaited

    def _failed(self, error: BaseException) -> None:
        duration_s = perf_counter() - self._begin_s
        failure = error if is_failure(error, self._spec) else None
        for timing in self._spec.timings:
            timing.ended(duration_s, failure)


class TimedSteps(TimedExecution):
    """The same for a generator: the whole iteration is timed."""

    __slots__ = ("enter", "suspend", "thrown")
    is_recorded = True

    def __init__(self, spec: SpanSpec, run: Any) -> None:
        super().__init__(spec, run)
        # Its own methods, because one that looks at its caller counts frames.
        self.enter = run.enter
        self.suspend = run.suspend
        self.thrown = run.thrown


class TimingEngine:
    """Stands in the engine's place in the wrapper of a timed function; ``spec.timings`` is not empty there."""

    UNRECORDED = UNRECORDED

    def __init__(self, engine: Any) -> None:
        self._engine = engine  # what would stand there otherwise

    def open_call(self, spec: SpanSpec, values: tuple[Any, ...]) -> TimedExecution:
        """See `Engine.open_call`."""
        run = self._engine.open_call(spec, values)
        return TimedExecution(spec, UNRECORDED if run is None else run)

    def open_steps(self, spec: SpanSpec, values: tuple[Any, ...]) -> TimedSteps:
        """See `Engine.open_steps`."""
        return TimedSteps(spec, self._engine.open_steps(spec, values))


class Spanless:
    """Stands in the engine's place where a function is to have no span."""

    UNRECORDED = UNRECORDED

    @staticmethod
    def open_call(spec: SpanSpec, values: tuple[Any, ...]) -> None:
        """See `Engine.open_call`."""

    @staticmethod
    def open_steps(spec: SpanSpec, values: tuple[Any, ...]) -> Any:
        """See `Engine.open_steps`."""
        return UNRECORDED
