"""`ProcessTracker`: how long an entry point and its parts took, as one JSON record when it ends.

It measures by itself: the record comes with or without a provider, sampled or not, with the SDK disabled too. Spans of
the same calls, and an event with the record, are an addition where there is a provider.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from opentelemetry.trace import INVALID_SPAN, Span

from otel_tracker import current
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.process_entries import Output, open_entry
from otel_tracker.process_invocations import NOTHING, RESERVED, Value, current_invocation, open_part
from otel_tracker.tracing.decorator import D, F, TracedDecorator, decorate
from otel_tracker.tracing.engine import open_block
from otel_tracker.tracing.options import WatchedOptions
from otel_tracker.tracing.spec import SpanSpec

T = TypeVar("T", bound=Callable[..., Any])


class ProcessTracker:
    """Measures entry points, such as the handler of a function in the cloud, and writes one JSON record a run.

    ``{"latencies": {name: ms}, "metrics": {}, ...identifiers}``, where ``latencies`` are in the order of completion.
    ``output`` is any callable that takes the record as one ``str``; when it raises, that is logged once and the caller
    never sees it. ``name`` is what entry points are called in the record that have no name of their own; otherwise
    that is the function's ``__name__``. One tracker serves any number of threads and tasks at once.

    Raises TypeError or ValueError for an output that cannot be called and a name that is no text or empty.

    >>> tracker = ProcessTracker(lambda record: None)
    >>> @tracker
    ... def main():
    ...     with tracker.timer("load"):
    ...         tracker.set_metric("rows", 3)
    >>> main()
    """

    def __init__(self, output: Output = print, *, name: str | None = None) -> None:
        if not callable(output) or iscoroutinefunction(output):
            raise TypeError(f"output is {output!r}; expected a function that takes one str, such as print.")
        self._output = output
        self._name = None if name is None else _checked_name(name, "name")

    @overload
    def __call__(self, target: F, /) -> F: ...
    @overload
    def __call__(self, target: D, /) -> D: ...
    @overload
    def __call__(self, name: str | None = None, /) -> TracedDecorator: ...
    def __call__(self, target: Any = None, /) -> Any:
        """Make a function an entry point: ``@tracker``, ``@tracker()`` or ``@tracker("name")``.

        Inside another entry point of this tracker it has a record of its own and is a part of the other's; inside
        itself it is one run.
        """
        return self._decorated(_EntryMeter(self, self._name), target)

    @overload
    def track(self, target: F, /) -> F: ...
    @overload
    def track(self, target: D, /) -> D: ...
    @overload
    def track(self, name: str | None = None, /) -> TracedDecorator: ...
    def track(self, target: Any = None, /) -> Any:
        """Measure a function where it runs inside an entry point: ``@tracker.track``, also with a name.

        Elsewhere it is a span, and in no record.
        """
        return self._decorated(_PartMeter(self), target)

    def timer(self, name: str) -> ProcessTimer:
        """Measure a block inside an entry point: ``with tracker.timer("load"):``, also ``async with``.

        The same name several times is summed, and ``counts`` says how often. Yields the OpenTelemetry span.
        """
        if type(name) is not str or not name or name.isspace():  # a call less than to look for a mistake at once
            _checked_name(name, "The name of a timer")
        return ProcessTimer(self, name)

    def set_metric(self, name: str, value: Value) -> None:
        """Put a number, text or truth value below ``metrics``; the last one of a name holds.

        Outside an entry point it does nothing. Raises TypeError for any other value and a name that is no text,
        ValueError for an empty name.
        """
        _check("metric", name, value)
        invocation = current_invocation(self)
        if invocation is not None:
            invocation.metrics[name] = value

    def set_identifier(self, name: str, value: Value) -> None:
        """Put a text, number or truth value beside ``latencies`` and ``metrics``; otherwise as `set_metric`.

        Raises ValueError for ``latencies``, ``metrics``, ``counts`` and ``failed`` as well.
        """
        _check("identifier", name, value)
        if name in RESERVED:
            raise ValueError(
                f"The identifier {name!r} would replace a part of the record; choose another name than "
                f"{', '.join(RESERVED)}."
            )
        invocation = current_invocation(self)
        if invocation is not None:
            invocation.identifiers[name] = value

    def _decorated(self, meter: _EntryMeter | _PartMeter, target: Any) -> Any:
        options: dict[str, Any] = {}
        if isinstance(target, str):
            name = _checked_name(target, "name")
            meter, target = replace(meter, name=name), None
            options["name"] = name
        elif target is not None and not (callable(target) or hasattr(target, "__get__")):
            raise TypeError(f"A ProcessTracker got {target!r}; expected a function to decorate, or a name for it.")
        options["meters"] = (meter,)
        given = cast(WatchedOptions, options)
        return partial(decorate, options=given) if target is None else decorate(target, options=given)


class ProcessTimer:
    """What `ProcessTracker.timer` returns; may be used again, also inside itself and in several threads and tasks."""

    __slots__ = ("_name", "_open", "_tracker")

    def __init__(self, tracker: ProcessTracker, name: str) -> None:
        self._tracker = tracker
        self._name = name
        self._open: list[tuple[Any, Any, Any]] = []

    def __enter__(self) -> Span:
        part: Any = NOTHING
        run: Any = None
        try:
            part = open_part(self._tracker, self._name)
            run = open_block(_spec_of(self._name), ())
            part.join(current.get())
        except Exception as error:
            report_internal_error("starting a timer", error)
        self._open.append((part, run, current.get()))
        span: Span = INVALID_SPAN if run is None else run.span
        part.begin()
        return span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        part, run, _ = self._open.pop(0) if len(self._open) == 1 else self._taken()
        part.end(None, exc)
        if run is not None:
            if exc is None:
                run.succeed()
            else:
                run.fail(exc)
        part.finish()

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, target: T, /) -> T:
        """The same as ``@tracker.track("name")``."""
        decorated: T = self._tracker.track(self._name)(target)
        return decorated

    def _taken(self) -> tuple[Any, Any, Any]:
        """Of the blocks that this object has open, in any thread and task, the one that is left here."""
        here = current.get()
        opened = next((entry for entry in reversed(self._open) if entry[2] is here), self._open[-1])
        self._open.remove(opened)
        return opened


@dataclass(frozen=True)
class _EntryMeter:
    """Measures an entry point; see `otel_tracker.tracing.measuring.Meter`."""

    tracker: ProcessTracker
    name: str | None = None

    def named(self, function_name: str) -> _EntryMeter:
        """See `Meter.named`."""
        return self if self.name else replace(self, name=function_name)

    def open(self) -> Any:
        """See `Meter.open`."""
        try:
            return open_entry(self.tracker, self.name or "", self.tracker._output)
        except Exception as error:
            report_internal_error("starting to measure an entry point", error)
            return NOTHING


@dataclass(frozen=True)
class _PartMeter:
    """Measures a tracked function."""

    tracker: ProcessTracker
    name: str | None = None

    def named(self, function_name: str) -> _PartMeter:
        """See `Meter.named`."""
        return self if self.name else replace(self, name=function_name)

    def open(self) -> Any:
        """See `Meter.open`."""
        try:
            return open_part(self.tracker, self.name or "")
        except Exception as error:
            report_internal_error("starting to measure a function", error)
            return NOTHING


@lru_cache(maxsize=1_024)
def _spec_of(name: str) -> SpanSpec:
    return SpanSpec(name=name, capture_args=False, capture_result=False)


def _checked_name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{what} is {name!r}; expected a text such as load_prices.")
    if not name.strip():
        raise ValueError(f"{what} is {name!r}; expected a text such as load_prices that is not empty.")
    return name


def _check(kind: str, name: object, value: object) -> None:
    _checked_name(name, f"The name of the {kind}")
    if not isinstance(value, (str, int, float)):
        raise TypeError(
            f"The {kind} {name!r} is of type {type(value).__name__}; expected a text, a number or a truth value. "
            "Give str(value), or one call for each of its parts."
        )
