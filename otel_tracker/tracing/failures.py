"""What an exception means for the span that it leaves, and how it is written down: once a trace.

Cancellation, `GeneratorExit` and a clean `SystemExit` are outcomes, not errors. Everything else gives the span
``error.type`` and status ERROR. The ``exception`` event with the traceback stands on the deepest span of the trace
that saw the exception object (semantic conventions: "Recording errors on spans").
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, Status, StatusCode

from otel_tracker import attributes as keys
from otel_tracker.redaction import redactor

if TYPE_CHECKING:
    from types import TracebackType

    from otel_tracker.tracing.spec import SpanSpec

WRAPPER_FILE = "<otel_tracker>"
"""The file name in the code objects of generated wrappers, by which their frames are left out of tracebacks."""

_MAX_MESSAGE_CHARS = 4_000
_MAX_TRACEBACK_CHARS = 32_000
# Written into the exception's own __dict__ while it passes through the trace, and taken out where it leaves it:
# exceptions cannot be referenced weakly, an id is reused as soon as one is freed, and a strong reference would keep
# the frames of the program alive.
_RECORDED_IN_TRACE = "__otel_tracker_trace_id__"
# By name, so that neither asyncio nor trio has to be imported for it.
_CANCELLATIONS = frozenset({"CancelledError", "Cancelled"})


def record_failure(span: Span, error: BaseException, spec: SpanSpec, *, is_outermost: bool) -> None:
    """Write on the span what the exception that leaves it means.

    ``is_outermost`` says that no other span of this trace can see the exception in this process afterwards.
    """
    if isinstance(error, spec.ignore):
        return
    outcome = outcome_of(error)
    if outcome:
        span.set_attribute(keys.OUTCOME, outcome)
        return
    if _is_clean_exit(error):
        return
    message = message_of(error)
    _record_once(span, error, message, is_outermost=is_outermost)
    if isinstance(error, spec.expected):
        return
    span.set_attribute(keys.ERROR_TYPE, type_name(error))
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message}"))


def is_failure(error: BaseException, spec: SpanSpec) -> bool:
    """Whether a call that this exception leaves has failed: what gives its span the status ERROR."""
    return not (isinstance(error, (*spec.ignore, *spec.expected)) or outcome_of(error) or _is_clean_exit(error))


def outcome_of(error: BaseException) -> str:
    """``closed`` or ``cancelled`` where the exception says that somebody stopped the execution; else empty."""
    if isinstance(error, GeneratorExit):
        return keys.OUTCOME_CLOSED
    if not isinstance(error, Exception) and any(kind.__name__ in _CANCELLATIONS for kind in type(error).__mro__):
        return keys.OUTCOME_CANCELLED
    return ""


def type_name(error: BaseException) -> str:
    """The exception's canonical name, as ``exception.type`` and ``error.type`` want it."""
    module, name = type(error).__module__, type(error).__qualname__
    return name if module in ("builtins", None) else f"{module}.{name}"


def message_of(error: BaseException) -> str:
    """The exception's text, bounded and redacted; a failing ``__str__`` is contained."""
    try:
        text = str(error)
    except Exception as failure:  # user code at our border
        text = f"<str() failed: {type(failure).__name__}>"
    return redactor().text(_cut(text, _MAX_MESSAGE_CHARS))


def _is_clean_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _record_once(span: Span, error: BaseException, message: str, *, is_outermost: bool) -> None:
    trace_id = span.get_span_context().trace_id
    if not is_recorded(error, trace_id):
        span.add_event(keys.EXCEPTION_EVENT, _event_attributes(error, message))
        mark_recorded(error, trace_id)
    if is_outermost:
        forget_recorded(error)


def is_recorded(error: BaseException, trace_id: int) -> bool:
    """Whether a span of this trace has the exception's traceback."""
    return _marks_of(error).get(_RECORDED_IN_TRACE) == trace_id


def mark_recorded(error: BaseException, trace_id: int) -> None:
    """A span of this trace has the exception's traceback, until `forget_recorded`."""
    _marks_of(error)[_RECORDED_IN_TRACE] = trace_id


def forget_recorded(error: BaseException) -> None:
    """The exception has left the trace."""
    _marks_of(error).pop(_RECORDED_IN_TRACE, None)


def _event_attributes(error: BaseException, message: str) -> dict[str, str]:
    return {
        keys.EXCEPTION_TYPE: type_name(error),
        keys.EXCEPTION_MESSAGE: message,
        keys.EXCEPTION_STACKTRACE: traceback_text(error),
    }


def _marks_of(error: BaseException) -> dict[str, object]:
    """The exception's own attributes, past any ``__setattr__`` of its class."""
    marks = BaseException.__getattribute__(error, "__dict__")
    return marks if isinstance(marks, dict) else {}


def traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames of our wrappers, bounded and redacted."""
    try:
        text = _formatted(error)
    except Exception:  # the traceback module asks exceptions for truth, text and equality
        frames = "".join(traceback.format_tb(error.__traceback__))
        text = f"Traceback (most recent call last):\n{frames}{type_name(error)}\n"
    return redactor().text(_cut_middle(text, _MAX_TRACEBACK_CHARS))


def _formatted(error: BaseException) -> str:
    formatted = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    for part in _chain(formatted):
        part.stack[:] = [frame for frame in part.stack if frame.filename != WRAPPER_FILE]
    return "".join(formatted.format())


def _chain(formatted: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The exception, its causes and contexts, and the members of groups, each once."""
    seen: set[int] = set()
    todo = [formatted]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        todo.extend(p for p in (part.__cause__, part.__context__) if p is not None)
        todo.extend(getattr(part, "exceptions", None) or ())
        yield part


def without_own_frame(error: BaseException) -> BaseException:
    """Take our wrapper's frame off an exception that was thrown into it, so that it enters the body as it came."""
    entry: TracebackType | None = error.__traceback__
    if entry is not None:
        error.__traceback__ = entry.tb_next
    return error


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 3]}..."


def _cut_middle(text: str, max_chars: int) -> str:
    """The beginning and the end: the entry point and the raising line are what one looks for."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
