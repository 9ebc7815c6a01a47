"""The execution of a call as a part of its span: an object and two calls less, which are a fifth of what is left.

Knows nothing of the SDK. What is rare or slow (a failure, an awaitable to wait for) is left to `Execution`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_tracker.current import restore
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.tracing.execution import Execution


class OwnExecution(Span):
    """A span with the methods of an `Execution`; whoever makes one sets the three fields and attaches it."""

    _plan: Any  # a CapturePlan, until the call has ended
    _caller: Context | None
    _token: Any = None
    _unended: list[bool]  # one item until the span ends
    max_text_length = 0
    """What captured texts are cut to; 0: they are not."""

    @property
    def span(self) -> OwnExecution:
        """The span of this execution: itself."""
        return self

    def leave(self) -> None:
        """See `Execution.leave`."""
        token, self._token = self._token, None
        if token is not None:
            with suppress(ValueError):  # in a foreign context there is nothing to restore
                restore(token)

    def succeed(self, result: object = None) -> None:
        """See `Execution.succeed`."""
        token, plan = self._token, self._plan
        # Of no use to anybody now, and they would keep the caller's span and the function alive while this is queued.
        self._token = self._caller = self._plan = None
        if token is not None:
            try:  # noqa: SIM105 - `suppress` costs a tenth of the span
                restore(token)
            except ValueError:
                pass
        try:
            if plan.captures_result and self._unended:
                limit = self.max_text_length
                key, value = plan.result_attribute(result, limit) if limit else plan.simple_result(result)
                self.end_once(None, key, value)
            else:
                self.end_once()
        except Exception as error:  # a processor of anybody's
            report_internal_error("ending a span", error)

    def fail(self, exception: BaseException) -> None:
        """See `Execution.fail`."""
        self._rest().fail(exception)

    def wait_for(self, result: Awaitable[Any]) -> Awaitable[Any]:
        """See `Execution.wait_for`."""
        return self._rest().wait_for(result)

    def end_once(self, end_time: int | None = None, key: str = "", value: Any = None) -> bool:
        """End the span, with one more attribute if there is a key; False, with nothing done, when it has ended."""
        raise NotImplementedError

    def _rest(self) -> Execution:
        """What is left of this execution, as an object of its own."""
        run = Execution(self._plan.spec, self, self._caller or Context())
        self.leave()
        self._caller = self._plan = None
        return run
