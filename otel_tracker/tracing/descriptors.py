"""Descriptors around functions: unwrap, trace the function, build the same kind of descriptor again.

So ``@traced`` may stand on either side of ``@classmethod``, ``@staticmethod``, ``@property`` and their kin.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from otel_tracker.tracing.options import TracedOptions

TraceCallable = Callable[[Callable[..., Any], TracedOptions, "bool | None"], Any]

_DESCRIPTORS = (classmethod, staticmethod, property, functools.cached_property, functools.partialmethod)


def is_descriptor(target: object) -> bool:
    """Whether the target is a descriptor that `rebuild` knows."""
    return isinstance(target, _DESCRIPTORS)


def rebuild(target: Any, options: TracedOptions, trace: TraceCallable) -> Any:
    """A descriptor of the same kind whose function is traced."""
    if isinstance(target, (classmethod, staticmethod)):
        return type(target)(trace(target.__func__, options, isinstance(target, classmethod)))
    if isinstance(target, functools.partialmethod):
        return functools.partialmethod(trace(target.func, options, True), *target.args, **target.keywords)
    if isinstance(target, functools.cached_property):
        return functools.cached_property(trace(target.func, options, True))
    accessors = (
        None if accessor is None else trace(accessor, options, True)
        for accessor in (target.fget, target.fset, target.fdel)
    )
    return type(target)(*accessors, doc=target.__doc__)
