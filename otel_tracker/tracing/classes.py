"""`traced` on a class: its own methods are traced in place, and the class stays the same object.

Left alone: special methods except ``__call__``, private ones unless ``include`` names them, properties, nested
classes, whatever is inherited, and methods that are traced already (their own options are the closer ones).
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from types import FunctionType
from typing import Any, TypeVar

from otel_tracker.diagnostics import report_internal_error
from otel_tracker.tracing.descriptors import TraceCallable, rebuild
from otel_tracker.tracing.failures import WRAPPER_FILE
from otel_tracker.tracing.options import CLASS_OPTIONS, TracedOptions, fitting
from otel_tracker.tracing.parameters import parameters_of

C = TypeVar("C", bound=type)


def trace_class(target: C, options: TracedOptions, trace: TraceCallable) -> C:
    """Trace the methods of a class; raises TypeError for an option that only a single function can have."""
    if "name" in options:
        raise TypeError("name= names one span, and a class has one a method; put @traced(name=...) on the method.")
    include, exclude = _patterns("include", options), _patterns("exclude", options)
    method_options: Any = {key: value for key, value in options.items() if key not in CLASS_OPTIONS}
    for name, attribute in list(vars(target).items()):
        if not _is_wanted(name, include, exclude) or _is_traced(attribute):
            continue
        function = attribute.__func__ if isinstance(attribute, (classmethod, staticmethod)) else attribute
        if not isinstance(function, FunctionType):
            continue
        options_here = fitting(method_options, parameters_of(function, skips_first=False))
        if function is attribute:
            _replace(target, name, trace(function, options_here, True))
        else:
            _replace(target, name, rebuild(attribute, options_here, trace))
    return target


def _is_wanted(name: str, include: list[str] | None, exclude: list[str]) -> bool:
    if any(fnmatchcase(name, pattern) for pattern in exclude):
        return False
    if name.startswith("__") and name.endswith("__"):
        return name == "__call__" if include is None else name in include
    if include is not None:
        # A glob is no naming: "*" means the public methods, a private one wants to be named.
        return name in include or (not name.startswith("_") and any(fnmatchcase(name, p) for p in include))
    return not name.startswith("_")


def _is_traced(attribute: object) -> bool:
    function = getattr(attribute, "__func__", attribute)
    code = getattr(function, "__code__", None)
    return getattr(code, "co_filename", None) == WRAPPER_FILE


def _replace(target: type, name: str, method: object) -> None:
    """Set the method; a class that refuses (an immutable one) stays as it is, and that is said."""
    try:
        setattr(target, name, method)
    except (AttributeError, TypeError) as error:
        report_internal_error(f"tracing {target.__qualname__}.{name}", error)


def _patterns(option: str, options: TracedOptions) -> Any:
    given: object = options.get(option)
    if given is None:
        return None if option == "include" else []
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        raise TypeError(f"{option} is {given!r}; expected method names or globs.")
    return [str(pattern) for pattern in given]
