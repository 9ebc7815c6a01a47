"""Carries the current context to where it does not go by itself: a thread, an executor, a process, a subprocess.

Stands beside `traced` and `track`: speaks the OpenTelemetry API only, through whatever propagators are configured
(``OTEL_PROPAGATORS``; by default trace context and baggage). It makes no span and no process.

Between processes the context travels as text. In an environment a header's name becomes a variable's: ``traceparent``
is ``TRACEPARENT`` (specification: "Environment Variables as Context Propagation Carriers").
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import update_wrapper, wraps
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter
from opentelemetry.trace import INVALID_SPAN, get_current_span

from otel_tracker import current
from otel_tracker.diagnostics import report_internal_error

P = ParamSpec("P")
R = TypeVar("R")


def propagate(func: Callable[P, R], /) -> Callable[P, R]:
    """A callable that runs ``func`` in the context that is current now: ``pool.submit(propagate(price), sku)``.

    For a function or a coroutine function, and a thread, an executor, a callback. What is returned for a function can
    be pickled when ``func`` can, and so goes through a process pool or to a process that is spawned; what travels there
    is what the configured propagators carry: trace and baggage. It may be called any number of times, also at once.
    """
    if iscoroutinefunction(func):
        return cast("Callable[P, R]", _bound_coroutine_function(func, current.get()))
    return _Bound(func, current.get())


def child_environment() -> dict[str, str]:
    """A copy of ``os.environ`` that carries the current context: ``subprocess.run(command, env=child_environment())``.

    A Python child that the launcher or `configure()` sets up continues the trace; so does any program that reads
    ``TRACEPARENT``. Where no context is current, the variables are those of this process. Never raises.
    """
    environment = dict(os.environ)
    carrier = _carrier_of(current.get())
    if carrier:
        for name in _variables():
            environment.pop(name, None)
        environment.update(carrier)
    return environment


def adopt_environment() -> None:
    """Make the context that the environment carries the current one, unless a span is current already.

    Called once a process, when tracing starts: what the program does next in this thread continues that trace.
    """
    if get_current_span() is not INVALID_SPAN:
        return
    context = _context_of(os.environ)
    if context:
        current.attach(Context({**current.get(), **context}))


class _Bound(Generic[P, R]):
    """A function that runs in a context; a class, since a nested function could not be pickled."""

    def __init__(self, function: Callable[P, R], context: Context) -> None:
        with suppress(Exception):  # attributes of anybody's object
            update_wrapper(self, function)
        self._function = function
        self._context = context

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        token = current.attach(self._context)
        try:
            return self._function(*args, **kwargs)
        finally:
            current.restore(token)

    def __reduce__(self) -> tuple[Any, ...]:
        return _bound_to_carrier, (self._function, _carrier_of(self._context))


def _bound_to_carrier(function: Callable[P, R], carrier: dict[str, str]) -> _Bound[P, R]:
    """What a pickle calls in the other process."""
    return _Bound(function, _context_of(carrier))


def _bound_coroutine_function(function: Callable[..., Any], context: Context) -> Callable[..., Any]:
    @wraps(function)
    async def bound(*args: Any, **kwargs: Any) -> Any:
        token = current.attach(context)
        try:
            return await function(*args, **kwargs)
        finally:
            with suppress(ValueError):  # closed by another task than ran it, whose context is not ours to restore
                current.restore(token)

    return bound


class _Variables(Getter[Mapping[str, str]], Setter[dict[str, str]]):
    """An environment as a carrier. Upstream has the same in a private module."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(_variable(key))
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)

    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[_variable(key)] = value


def _variable(header: str) -> str:
    """``X-B3-TraceId`` is ``X_B3_TRACEID``."""
    return header.replace("-", "_").upper()


def _variables() -> set[str]:
    from opentelemetry.propagate import get_global_textmap

    return {_variable(name) for name in get_global_textmap().fields}


def _carrier_of(context: Context) -> dict[str, str]:
    carrier: dict[str, str] = {}
    try:
        from opentelemetry.propagate import inject  # raises ValueError when OTEL_PROPAGATORS names an unknown one

        inject(carrier, context, _Variables())
    except Exception as error:  # a propagator of anybody's
        report_internal_error("writing the context for another process", error)
        return {}
    return carrier


def _context_of(environment: Mapping[str, str]) -> Context:
    try:
        from opentelemetry.propagate import extract

        return extract(environment, Context(), _Variables())
    except Exception as error:
        report_internal_error("reading the context that came from another process", error)
        return Context()
