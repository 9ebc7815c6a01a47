"""`span`: a span around a block of code, or around a function when used as a decorator."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeVar

from opentelemetry.trace import INVALID_SPAN, Span

from otel_tracker import current
from otel_tracker.tracing.decorator import wrap
from otel_tracker.tracing.engine import open_block
from otel_tracker.tracing.execution import Execution
from otel_tracker.tracing.options import TracedOptions, checked_name
from otel_tracker.tracing.spec import SpanSpec

F = TypeVar("F", bound=Callable[..., Any])


def span(name: str, /, **attributes: Any) -> SpanBlock:
    """Record a span around a block of code, or around every call of a function that it decorates.

    ``with span("load", rows=3) as s:``, ``async with span("load"):`` or ``@span("load")``. Yields the OpenTelemetry
    span, which takes more attributes (``s.set_attribute``); where nothing is recorded it is one that ignores them.
    Attribute values are bounded and redacted. An exception that leaves the block is recorded and goes on. One object
    may be used again, also inside itself and from several threads and tasks.

    Raises ValueError for an empty name.
    """
    takes_attributes = bool(attributes)
    spec = _spec_of(name, takes_attributes) if type(name) is str else _new_spec(name, takes_attributes)
    return SpanBlock(spec, attributes)


class SpanBlock:
    """What `span` returns."""

    __slots__ = ("_attributes", "_open", "_spec")

    def __init__(self, spec: SpanSpec, attributes: dict[str, Any]) -> None:
        self._spec = spec
        self._attributes = attributes
        self._open: list[Execution | None] = []

    def __enter__(self) -> Span:
        run = open_block(self._spec, (self._attributes,))
        self._open.append(run)
        return INVALID_SPAN if run is None else run.span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run = self._open.pop(0) if len(self._open) == 1 else self._taken()
        if run is None:
            return
        if exc is None:
            run.succeed()
        else:
            run.fail(exc)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, target: F, /) -> F:
        """Decorate a function: every call gets the span, beside any that the function has already."""
        options: TracedOptions = {
            "name": self._spec.name,
            "attributes": self._attributes,
            "capture_args": False,
            "capture_result": False,
        }
        wrapper: F = wrap(target, options)
        return wrapper

    def _taken(self) -> Execution | None:
        """Of the executions that this object has open, in any thread and task, the one that is left here.

        It is the one whose span is current. Where none is, the block was not recorded, or is left in another context
        than it was entered in (asynchronous fixtures do that).
        """
        here = current.get().get(current.SPAN_KEY)
        mine = [run for run in self._open if run is not None and run.span is here]
        unrecorded = [run for run in self._open if run is None]
        run = (mine or unrecorded or self._open)[-1]
        self._open.remove(run)
        return run


@lru_cache(maxsize=1_024)
def _spec_of(name: str, takes_attributes: bool) -> SpanSpec:
    """The one plan of all blocks of a name: programs have few names, and making a plan costs more than a span."""
    return _new_spec(name, takes_attributes)


def _new_spec(name: str, takes_attributes: bool) -> SpanSpec:
    described = checked_name(name)
    return SpanSpec(name=described, capture_args=False, capture_result=False, takes_attributes=takes_attributes)
