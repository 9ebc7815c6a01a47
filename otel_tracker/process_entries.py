"""An entry point of a `ProcessTracker` while it runs, and what becomes of its record when it ends."""

from __future__ import annotations

from collections.abc import Callable
from os import getpid
from time import perf_counter_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_tracker import attributes as keys
from otel_tracker import current, emitting, switch
from otel_tracker.capture import capture_value
from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.freezing import flush_before_freeze
from otel_tracker.process_invocations import Invocation, Part, open_part, outer_part, part_of, text_of
from otel_tracker.tracing.failures import message_of, type_name

Output = Callable[[str], Any]


def open_entry(owner: object, name: str, output: Output) -> Any:
    """The run of an entry point that begins here and now; inside itself it is no other run."""
    context = current.get()
    outer = outer_part(context)
    inside = part_of(owner, outer)
    if inside is not None and inside.is_inside_entry(name):
        return open_part(owner, name)
    return _Entry(Invocation(owner, name), context, outer, inside, output)


class _Entry(Part):
    """The outermost part of an invocation."""

    __slots__ = ("_ended_in", "_error", "_inside", "_output", "_pid", "_record")

    def __init__(
        self, invocation: Invocation, context: Context, outer: Part | None, inside: Part | None, output: Output
    ) -> None:
        super().__init__(invocation.name, context, invocation, outer)
        self._inside = inside  # what of the same tracker's it is a part of
        self._output = output
        self._record: dict[str, Any] = {}
        self._error: BaseException | None = None
        self._ended_in = context
        self._pid = getpid()

    def end(self, span: object, error: BaseException | None) -> None:
        """Close the invocation; its metrics and identifiers go to the span."""
        try:
            self._close(perf_counter_ns() - self.begin_ns)
            self._record = self.invocation.record(failed=error is not None)
            self._ended_in = current.get()
            self._error = error
            if isinstance(span, Span) and span.is_recording():
                span.set_attributes(_attributes_of(self.invocation))
        except Exception as failure:
            report_internal_error("making the record of an entry point", failure)

    def finish(self) -> None:
        """Write the record, in the context of the span that has just ended: a logger finds its trace there."""
        self.leave()
        # Empty where it could not be made, which was said. A forked child that comes here says nothing twice.
        if not self._record or getpid() != self._pid:
            return
        token = current.attach(self._ended_in)
        failure, self._error = self._error, None
        try:
            if switch.is_on:
                _emit(self._record, failure)
            self._output(text_of(self._record))
        except Exception as error:  # the program's own
            _report_output(self._output, error)
        finally:
            current.restore(token)
        if self.outer is None:
            flush_before_freeze()

    def _close(self, duration_ns: int) -> None:
        self.is_open = False
        self.invocation.add(self.name, duration_ns)
        self.invocation.is_open = False
        inside = self._inside
        if inside is not None and inside.invocation.is_open and not inside.is_inside(self.name):
            inside.invocation.add(self.name, duration_ns)


def _attributes_of(invocation: Invocation) -> dict[str, Any]:
    said = [(keys.METRICS_PREFIX, invocation.metrics), (keys.IDENTIFIERS_PREFIX, invocation.identifiers)]
    return {
        prefix + _encodable(name): capture_value(value, name)
        for prefix, known in said
        for name, value in known.copy().items()
    }


def _encodable(name: str) -> str:
    """The name without lone surrogates: one in a key would cost an exporter the whole batch."""
    return name if name.isascii() else name.encode("utf-8", "replace").decode("utf-8")


def _emit(record: dict[str, Any], error: BaseException | None) -> None:
    if error is None:
        emitting.emit(keys.PROCESS_COMPLETED, record)
        return
    said = {keys.EXCEPTION_TYPE: type_name(error), keys.EXCEPTION_MESSAGE: message_of(error)}
    emitting.emit(keys.PROCESS_COMPLETED, record, severity=emitting.ERROR, attributes=said)


def _report_output(output: Output, error: Exception) -> None:
    name = getattr(output, "__qualname__", type(output).__qualname__)
    say_once(
        f"The output {name} of a ProcessTracker raised {type(error).__name__} ({message_of(error)}); records that it "
        "does not take are lost, the program goes on. Mend the function that was given as output.",
        key=f"output of a ProcessTracker: {name}",
    )
    logger.debug("the output %s of a ProcessTracker raised", name, exc_info=error)
