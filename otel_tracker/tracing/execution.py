"""One call of a traced function, from the opened span to its end; what generated wrappers talk to.

Nothing in here raises into the program: whatever fails is reported once, and the call goes on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Mapping
from types import CodeType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

from otel_tracker import attributes as keys
from otel_tracker import current
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.tracing.failures import record_failure
from otel_tracker.tracing.plan import plan_of
from otel_tracker.tracing.spec import SpanSpec

# What drives a generator that is used as a context manager.
_CONTEXT_MANAGER_ENTRIES: frozenset[CodeType] = frozenset(
    entry.__code__
    for entry in (
        contextlib._GeneratorContextManager.__enter__,
        contextlib._AsyncGeneratorContextManager.__aenter__,
    )
)


class Execution:
    """The span of a call that runs from beginning to end in one piece: functions, coroutines, blocks."""

    __slots__ = ("_caller", "_spec", "_token", "span")

    def __init__(self, spec: SpanSpec, span: Span, context: Context) -> None:
        self.span = span
        self._spec = spec
        self._caller = context
        self._token: Any = None

    def enter(self) -> None:
        """Make the span current."""
        try:
            self._token = current.attach(current.with_span(self.span, self._caller))
        except Exception as error:
            report_internal_error("making a span current", error)

    def leave(self) -> None:
        """Make current what was current before; in a foreign context there is nothing to restore."""
        token, self._token = self._token, None
        if token is not None:
            try:  # noqa: SIM105 - `suppress` costs more than the rest of a step
                current.restore(token)
            except ValueError:
                pass

    def succeed(self, result: object = None) -> None:
        """End the span of a call that returned."""
        self.leave()
        try:
            if self.span.is_recording():
                self._describe(result)
                self.span.end()
        except Exception as error:
            report_internal_error("ending a span", error)

    def fail(self, exception: BaseException) -> None:
        """End the span of a call that this exception leaves."""
        self.leave()
        if not self.span.is_recording():
            return
        try:
            self._describe_failure(exception)
        except Exception as error:
            report_internal_error("recording an exception", error)
        try:
            self.span.end()
        except Exception as error:
            report_internal_error("ending a span", error)

    async def wait_for(self, result: Awaitable[Any]) -> Any:
        """Await what a function returned and end the span then (``await_result=True``)."""
        self.enter()
        try:
            awaited = await result
        except BaseException as error:
            self.fail(error)
            raise
        self.succeed(awaited)
        return awaited

    def _describe(self, result: object) -> None:
        plan = plan_of(self._spec)
        if not plan.captures_result:
            return
        attribute = plan.result_attribute(result)
        self.span.set_attribute(*attribute)
        limit = kept_length(self.span, *attribute)
        if limit:
            self.span.set_attribute(*plan.result_attribute(result, limit))

    def _describe_failure(self, exception: BaseException) -> None:
        caller = get_current_span(self._caller).get_span_context()
        is_outermost = not caller.is_valid or caller.is_remote
        record_failure(self.span, exception, self._spec, is_outermost=is_outermost)


class SteppedExecution(Execution):
    """The span of a generator: current only while the body runs, so that the caller's spans stay outside.

    The context that is current in the body when it yields is current again when it goes on. A generator that
    drives a ``with`` block (`contextlib.contextmanager`) keeps its span current for the block.
    """

    __slots__ = ("_context", "_covers_block", "is_closing", "items")
    is_recorded = True

    def __init__(self, spec: SpanSpec, span: Span, context: Context) -> None:
        super().__init__(spec, span, context)
        self._context = current.with_span(span, context)
        self.items = 0
        self.is_closing = False
        self._covers_block: bool | None = None

    def enter(self) -> None:
        """Make the body's context current for one step."""
        if self._covers_block is None:
            self._covers_block = _is_context_manager()
        if self._token is None:
            self._token = current.attach(self._context)

    def suspend(self) -> None:
        """Count an item that is about to be yielded, and make the caller's context current unless it drives a block."""
        self.items += 1
        if not self._covers_block:
            self._context = current.get()
            self.leave()

    def thrown(self, error: BaseException) -> None:
        """Note what the caller threw in at a yield."""
        self.is_closing = isinstance(error, GeneratorExit)

    def _describe(self, result: object) -> None:
        self._describe_items()
        if self.is_closing:
            self.span.set_attribute(keys.OUTCOME, keys.OUTCOME_CLOSED)
        super()._describe(result)

    def _describe_failure(self, exception: BaseException) -> None:
        self._describe_items()
        super()._describe_failure(exception)

    def _describe_items(self) -> None:
        self.span.set_attribute(keys.ITEMS, self.items)


class Unrecorded(SteppedExecution):
    """Stands for a call without a span, where a wrapper needs something to talk to."""

    __slots__ = ()
    is_recorded = False

    def __init__(self) -> None:
        """Hold nothing."""

    def enter(self) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def suspend(self) -> None:
        """Do nothing."""

    def thrown(self, error: BaseException) -> None:
        """Do nothing."""

    def succeed(self, result: object = None) -> None:
        """Do nothing."""

    def fail(self, exception: BaseException) -> None:
        """Do nothing."""


UNRECORDED = Unrecorded()


def kept_length(span: Span, key: str, value: object) -> int:
    """The characters that the span kept of a text that its own limit has cut, or 0 when it kept all."""
    if type(value) is not str:
        return 0
    kept = getattr(span, "attributes", None)
    text = kept.get(key) if isinstance(kept, Mapping) else None
    return len(text) if isinstance(text, str) and len(text) < len(value) else 0


def first_step(generator: Any) -> Awaitable[Any]:
    """The first step of an async generator, unseen by the event loop's hooks.

    The loop closes the generators that it saw when it shuts down, all at once. It shall see the wrapper, which
    closes the body, and not the body beside it: closing both at the same time is a RuntimeError.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=None)
    try:
        step: Awaitable[Any] = generator.asend(None)
        return step
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _is_context_manager() -> bool:
    # frames: this function, enter(), the wrapper, whoever drives the wrapper
    try:
        driver = sys._getframe(3)
    except ValueError:
        return False
    return driver.f_code in _CONTEXT_MANAGER_ENTRIES
