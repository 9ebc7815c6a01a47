"""The context that is current, read and replaced in one step where OpenTelemetry keeps it in a `ContextVar`.

`get`, `attach` and `restore` are `opentelemetry.context.get_current`, `attach` and `detach`, without two calls on the
way and with one difference: where a token belongs to another `contextvars.Context` than the one that runs, `restore`
raises ValueError instead of logging an error ("Failed to detach context").

Private to OpenTelemetry's API and used here: ``_RUNTIME_CONTEXT``, its ``_current_context``, and the two keys. A
runtime context of another kind (``OTEL_PYTHON_CONTEXT``) is reached through the public functions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, create_key
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import Span
from opentelemetry.trace.propagation import _SPAN_KEY

SPAN_KEY = _SPAN_KEY
SUPPRESS_KEY = _SUPPRESS_INSTRUMENTATION_KEY
PART_KEY = create_key("otel-tracker-part")
"""What of an entry point runs here; see `otel_tracker.process_invocations`. No engine has to look at it."""

# Resetting this variable fails exactly where resetting OpenTelemetry's would, and can be asked first.
_mark: ContextVar[None] = ContextVar("otel_tracker_attachment", default=None)


def with_span(span: Span, context: Context) -> Context:
    """The context with this span as the current one."""
    if len(context) > (SPAN_KEY in context):
        values = dict(context)
        values[SPAN_KEY] = span
        return Context(values)
    return Context({SPAN_KEY: span})


def _attach_marked(context: Context) -> tuple[Token[None], Any]:
    return _mark.set(None), otel_context.attach(context)


def _restore_marked(token: tuple[Token[None], Any]) -> None:
    mark, attached = token
    _mark.reset(mark)
    otel_context.detach(attached)


_runtime = otel_context._RUNTIME_CONTEXT
get: Callable[[], Context]
attach: Callable[[Context], Any]
restore: Callable[[Any], None]
if type(_runtime) is ContextVarsRuntimeContext:
    _variable = _runtime._current_context
    get, attach, restore = _variable.get, _variable.set, _variable.reset
else:
    get, attach, restore = otel_context.get_current, _attach_marked, _restore_marked
