"""`traced`: one decorator for every kind of callable.

This file decides what is decorated (a class, a descriptor, a context manager, a callable) and merges the options of
repeated applications; what a wrapper does is in ``wrappers``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any, Protocol, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from opentelemetry.trace import Link, SpanKind

from otel_tracker.switch import is_sdk_disabled
from otel_tracker.tracing.classes import trace_class
from otel_tracker.tracing.descriptors import is_descriptor, rebuild
from otel_tracker.tracing.options import CLASS_OPTIONS, TracedOptions, meters_of, spec_of
from otel_tracker.tracing.parameters import is_expressible, parameters_of
from otel_tracker.tracing.spec import Arguments
from otel_tracker.tracing.wrappers import make_wrapper

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D", "classmethod[Any, Any, Any]", "staticmethod[Any, Any]", property, "functools.cached_property[Any]")

# What callables that are no plain functions offer beside being called, and their users rely on.
_KEPT_METHODS = ("cache_info", "cache_clear", "cache_parameters")

# Every wrapper with what it was made from. Weakly: a wrapper that nobody uses goes, and its entry with it.
_wrappers: WeakKeyDictionary[Callable[..., Any], tuple[Callable[..., Any], TracedOptions, bool | None]]
_wrappers = WeakKeyDictionary()


class TracedDecorator(Protocol):
    """What `traced` with options returns: a decorator that keeps the type of what it decorates."""

    @overload
    def __call__(self, target: F, /) -> F: ...
    @overload
    def __call__(self, target: D, /) -> D: ...


@overload
def traced(target: F, /) -> F: ...
@overload
def traced(target: D, /) -> D: ...
@overload
def traced(
    name: str | None = None,
    /,
    *,
    capture_args: bool | Iterable[str] = ...,
    capture_result: bool = ...,
    hide: Iterable[str] = ...,
    attributes: Mapping[str, Any] | Callable[[Arguments], Mapping[str, Any]] = ...,
    kind: SpanKind | str = ...,
    links: Sequence[Link] | Callable[[Arguments], Sequence[Link]] = ...,
    new_trace: bool = ...,
    ignore: type[BaseException] | Iterable[type[BaseException]] = ...,
    expected: type[BaseException] | Iterable[type[BaseException]] = ...,
    await_result: bool = ...,
    event: str = ...,
    metrics: bool = ...,
    include: Iterable[str] = ...,
    exclude: Iterable[str] = ...,
) -> TracedDecorator: ...
@overload
def traced(
    *,
    name: str = ...,
    capture_args: bool | Iterable[str] = ...,
    capture_result: bool = ...,
    hide: Iterable[str] = ...,
    attributes: Mapping[str, Any] | Callable[[Arguments], Mapping[str, Any]] = ...,
    kind: SpanKind | str = ...,
    links: Sequence[Link] | Callable[[Arguments], Sequence[Link]] = ...,
    new_trace: bool = ...,
    ignore: type[BaseException] | Iterable[type[BaseException]] = ...,
    expected: type[BaseException] | Iterable[type[BaseException]] = ...,
    await_result: bool = ...,
    event: str = ...,
    metrics: bool = ...,
    include: Iterable[str] = ...,
    exclude: Iterable[str] = ...,
) -> TracedDecorator: ...


def traced(target: Any = None, /, **options: Any) -> Any:
    """Record a span for every call of a function, method or of a class's methods.

    ``@traced``, ``@traced()``, ``@traced("name")``, ``@traced(name=...)`` and ``traced(callable)``. The span covers
    the call; of a coroutine the await, of a generator the iteration, of a context manager the block.

    Args:
        name: the span's name; ``module.qualname`` by default. Keep it free of values.
        capture_args: True, False or the names of the parameters to record; by default ``OTEL_TRACKER_CAPTURE_ARGS``.
        capture_result: whether to record what is returned; by default ``OTEL_TRACKER_CAPTURE_RESULT``.
        hide: parameters (or keys of ``**kwargs``) that are recorded as ``[redacted]``, unseen.
        attributes: more attributes, or a callable that makes them from the arguments by name.
        kind: a `SpanKind` or its name in lower case.
        links: links to other spans, or a callable that makes them from the arguments by name.
        new_trace: begin a trace of its own, linked to the caller's span.
        ignore: exception types that are no error and not recorded.
        expected: exception types that are recorded and leave the status unset.
        await_result: for a function that returns an awaitable: end the span when that is done.
        event: also record the events ``<event>.started``, ``.completed`` and ``.failed``, as `track_duration` does.
        metrics: also measure every call, sampled or not, in the histogram ``otel_tracker.function.duration``, in
            seconds, with ``code.function.name`` and, where the call failed, ``error.type``.
        include: for a class: the methods to trace, as names or globs (private ones only when named here).
        exclude: for a class: methods to leave alone.

    Raises TypeError or ValueError, at decoration, for an option that makes no sense; never at a call.

    >>> @traced(capture_result=True)
    ... def add(a: int, b: int = 2) -> int:
    ...     return a + b
    >>> add(1)
    3
    """
    if isinstance(target, str):
        options["name"] = target if "name" not in options else _one_name_only()
        target = None
    _check_option_names(options)
    given = cast(TracedOptions, options)
    if target is None:
        return functools.partial(decorate, options=given)
    return decorate(target, options=given)


def decorate(target: Any, *, options: TracedOptions) -> Any:
    """Trace whatever was decorated; with the SDK disabled it stays the same object."""
    is_left_alone = is_sdk_disabled() and not meters_of(options)
    if isinstance(target, type):
        return target if is_left_alone else trace_class(target, options, trace_callable)
    if CLASS_OPTIONS & options.keys():
        raise TypeError(f"include= and exclude= choose methods of a class; {target!r} is none.")
    if is_descriptor(target):
        return target if is_left_alone else rebuild(target, options, trace_callable)
    if not callable(target):
        raise TypeError(f"traced() got {target!r}; expected a function, a class or another callable.")
    return trace_callable(target, options, None)


def trace_callable(target: Callable[..., Any], options: TracedOptions, skips_first: bool | None) -> Any:
    """The wrapper of one callable; ``skips_first`` as in `parameters_of`."""
    made_from = _made_from(target)
    if made_from is not None:
        target, earlier, known = made_from
        options = _merged(earlier, options)
        skips_first = known if skips_first is None else skips_first
    elif _is_context_manager_function(target):
        return _retraced_context_manager(target, options, skips_first)
    return wrap(target, options, skips_first)


def _merged(earlier: TracedOptions, later: TracedOptions) -> TracedOptions:
    """The options of two applications: later ones go before, what is told and measured adds up."""
    merged: dict[str, Any] = {**earlier, **later}
    merged["is_spanless"] = all(cast(dict[str, Any], one).get("is_spanless", False) for one in (earlier, later))
    for added in ("watches", "meters", "timings"):
        both = (*cast(dict[str, Any], earlier).get(added, ()), *cast(dict[str, Any], later).get(added, ()))
        if both:
            merged[added] = both
    return cast(TracedOptions, merged)


def wrap(target: Callable[..., Any], options: TracedOptions, skips_first: bool | None = None) -> Any:
    """A new wrapper around a callable, whatever was wrapped before."""
    parameters = parameters_of(target, skips_first=skips_first)
    spec = spec_of(target, options, parameters)
    if (is_sdk_disabled() and not spec.meters) or not is_expressible(parameters):
        return target
    wrapper = make_wrapper(target, spec, parameters, awaits_result=options.get("await_result", False))
    for method in _KEPT_METHODS:
        if hasattr(target, method) and not hasattr(wrapper, method):
            setattr(wrapper, method, getattr(target, method))
    _wrappers[wrapper] = (target, options, skips_first)
    return wrapper


def _made_from(target: Callable[..., Any]) -> tuple[Callable[..., Any], TracedOptions, bool | None] | None:
    # Looked up by identity: functools.wraps copies attributes, so a mark on the wrapper would travel to others.
    return _wrappers.get(target) if isinstance(target, FunctionType) else None


def _is_context_manager_function(target: Callable[..., Any]) -> bool:
    """Whether `contextlib.contextmanager` or `asynccontextmanager` made this function."""
    code = getattr(target, "__code__", None)
    return code in (_CONTEXT_MANAGER_CODE, _ASYNC_CONTEXT_MANAGER_CODE) and hasattr(target, "__wrapped__")


def _retraced_context_manager(target: Any, options: TracedOptions, skips_first: bool | None) -> Any:
    """The same as ``@traced`` below the ``@contextmanager``: only there does the span cover the block."""
    inner = trace_callable(target.__wrapped__, options, skips_first)
    is_sync = target.__code__ is _CONTEXT_MANAGER_CODE
    return contextlib.contextmanager(inner) if is_sync else contextlib.asynccontextmanager(inner)


def _code_of(function: Any) -> CodeType:
    code: CodeType = function.__code__
    return code


# contextlib gives every function that it makes the same code object.
_CONTEXT_MANAGER_CODE = _code_of(contextlib.contextmanager(cast(Any, print)))
_ASYNC_CONTEXT_MANAGER_CODE = _code_of(contextlib.asynccontextmanager(cast(Any, print)))


def _check_option_names(options: dict[str, Any]) -> None:
    known = TracedOptions.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"traced() got {name}=; expected one of {', '.join(known)}.")


def _one_name_only() -> str:
    raise TypeError("traced() got two names; give one, either first or as name=.")
