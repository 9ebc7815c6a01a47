"""Calls that are measured whether or not there is a span: meters, and what a wrapper talks to where it has some.

A meter takes part in every call of its function, with tracing switched off and the SDK disabled too. What it opens for
one call is its own: it may stand in the context that the call runs in, and says what it knows on the call's span.
"""

from __future__ import annotations

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span

from otel_tracker import current, switch
from otel_tracker.tracing.execution import UNRECORDED, SteppedExecution
from otel_tracker.tracing.failures import is_failure

if TYPE_CHECKING:
    from otel_tracker.tracing.spec import SpanSpec

ALWAYS_ON = SimpleNamespace(is_on=True)
"""Stands in the switch's place in the wrapper of a measured function."""


class Measurement(Protocol):
    """One call as its meter sees it; none of its methods raises."""

    def enter(self) -> None:
        """Make the context of the call current; its span is opened after that."""

    def begin(self) -> None:
        """The call begins now: opening its span is no part of it."""

    def leave(self) -> None:
        """Make current what was current before."""

    def end(self, span: Span | None, error: BaseException | None) -> None:
        """The call has ended, failed with ``error`` where there is one; its recorded span, if any, is current."""

    def finish(self) -> None:
        """Its span has ended as well."""


class Meter(Protocol):
    """Measures the calls of a function."""

    def named(self, function_name: str) -> Meter:
        """The same for a function of that bare name."""

    def open(self) -> Measurement:
        """The measurement of a call that begins; never raises."""


class MeasuredExecution:
    """What a generated wrapper talks to in place of an `Execution`, where a call is measured."""

    __slots__ = ("_measurements", "_run", "_spec", "enter", "suspend", "thrown")
    is_recorded = True

    def __init__(self, spec: SpanSpec, run: Any, measurements: list[Measurement]) -> None:
        self._spec = spec
        self._run = run
        self._measurements = measurements
        # Its own methods, because one that looks at its caller counts frames.
        self.enter = getattr(run, "enter", None)
        self.suspend = getattr(run, "suspend", None)
        self.thrown = getattr(run, "thrown", None)
        for measurement in measurements:
            measurement.begin()

    def leave(self) -> None:
        """See `Execution.leave`."""
        self._run.leave()
        for measurement in reversed(self._measurements):
            measurement.leave()

    def succeed(self, result: object = None) -> None:
        """See `Execution.succeed`."""
        self._end(None)
        self._run.succeed(result)
        self._finish()

    def fail(self, error: BaseException) -> None:
        """See `Execution.fail`."""
        self._end(error)
        self._run.fail(error)
        self._finish()

    async def wait_for(self, result: Awaitable[Any]) -> Any:
        """See `Execution.wait_for`."""
        for measurement in self._measurements:
            measurement.enter()
        try:
            return await self._run.wait_for(self._awaited(result))
        finally:
            self._finish()

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        try:
            awaited = await result
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return awaited

    def _end(self, error: BaseException | None) -> None:
        failure = error if error is not None and is_failure(error, self._spec) else None
        span = getattr(self._run, "span", None)
        for measurement in reversed(self._measurements):
            measurement.end(span, failure)

    def _finish(self) -> None:
        for measurement in reversed(self._measurements):
            measurement.finish()


class MeasuringEngine:
    """Stands in the engine's place in the wrapper of a measured function; ``spec.meters`` is not empty there."""

    UNRECORDED = UNRECORDED

    def __init__(self, engine: Any) -> None:
        self._engine = engine  # what would stand there otherwise

    def open_call(self, spec: SpanSpec, values: tuple[Any, ...]) -> MeasuredExecution:
        """See `Engine.open_call`."""
        measurements = _entered(spec)
        run = self._engine.open_call(spec, values) if switch.is_on else None
        return MeasuredExecution(spec, UNRECORDED if run is None else run, measurements)

    def open_steps(self, spec: SpanSpec, values: tuple[Any, ...]) -> MeasuredExecution:
        """See `Engine.open_steps`; the context of the measurements becomes current with the first step."""
        measurements = _entered(spec)
        run = self._engine.open_steps(spec, values) if switch.is_on else UNRECORDED
        if getattr(run, "span", None) is None:  # its steps need a context all the same
            run = _Unspanned(run, spec, current.get())
        for measurement in reversed(measurements):
            measurement.leave()
        return MeasuredExecution(spec, run, measurements)


class _Unspanned(SteppedExecution):
    """A generator without a span, whose body runs in a context of its own."""

    __slots__ = ("_told",)

    def __init__(self, told: Any, spec: SpanSpec, context: Context) -> None:
        super().__init__(spec, INVALID_SPAN, context)
        self._context = context
        self._told = told  # the execution without a span, behind which watches may stand

    def thrown(self, error: BaseException) -> None:
        """Note it where watches see it as well."""
        super().thrown(error)
        self._told.thrown(error)

    def succeed(self, result: object = None) -> None:
        """Run no more steps."""
        self.leave()
        self._told.succeed(result)

    def fail(self, exception: BaseException) -> None:
        """See `succeed`."""
        self.leave()
        self._told.fail(exception)


def _entered(spec: SpanSpec) -> list[Measurement]:
    opened: list[Measurement] = []
    for meter in spec.meters:
        measurement = meter.open()
        measurement.enter()
        opened.append(measurement)
    return opened
