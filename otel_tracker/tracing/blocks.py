"""`span`: a span around a block of code, or around a function when used as a decorator."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar

from opentelemetry.trace import INVALID_SPAN, Span

from otel_tracker.tracing.decorator import wrap
from otel_tracker.tracing.engine import open_execution
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
    return SpanBlock(checked_name(name), attributes)


class SpanBlock:
    """What `span` returns."""

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        self._spec = SpanSpec(name=name, attributes=attributes)
        self._opened: list[Execution | None] = []

    def __enter__(self) -> Span:
        run = open_execution(self._spec, ())
        self._opened.append(run)
        still_open = [entry for entry in _open_blocks.get() if entry[0]._opened]
        _open_blocks.set((*still_open, (self, run)))
        return INVALID_SPAN if run is None else run.span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run = self._take_open()
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
            "attributes": self._spec.attributes or {},
            "capture_args": False,
            "capture_result": False,
        }
        wrapper: F = wrap(target, options)
        return wrapper

    def _take_open(self) -> Execution | None:
        """The execution that this object opened last in this thread or task."""
        run = self._opened[-1]
        if len(self._opened) > 1:
            run = next((run for block, run in reversed(_open_blocks.get()) if block is self), run)
        self._opened.remove(run)
        blocks = list(_open_blocks.get())
        if (self, run) in blocks:
            blocks.remove((self, run))
            _open_blocks.set(tuple(blocks))
        return run


# One object may be open in several threads and tasks at once; this says which execution is whose. The list in the
# object itself finds the one that was entered in another context than it is left in (asynchronous fixtures do that).
_open_blocks: ContextVar[tuple[tuple[SpanBlock, Execution | None], ...]] = ContextVar(
    "otel_tracker_open_blocks", default=()
)
