"""Finds out which parameters and fields are marked ``Annotated[..., Sensitive]``, also where annotations are text.

Capture never shows what is marked so. Looked up lazily, once a function or class: at decoration time the names
that an annotation uses may not exist yet.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import typing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from otel_tracker.capture.facts import instance_dict, module_of, mro_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_NESTING = 10
_WORD = re.compile(r"\bSensitive\b")


class Sensitive:
    """Marks a parameter or a field whose value is never captured; the class or an instance of it.

    >>> from typing import Annotated
    >>> def log_in(name: str, password: Annotated[str, Sensitive]) -> None: ...
    """

    __slots__ = ()


def sensitive_parameters(func: Callable[..., Any]) -> frozenset[str]:
    """The names of the function's parameters that are marked; never raises."""
    try:
        target = _plain_function(func)
        if isinstance(target, type):
            return sensitive_fields(target) | sensitive_parameters(target.__init__)  # type: ignore[misc]
        return sensitive_names(_annotations_of(target), getattr(target, "__globals__", {}))
    except Exception:
        return frozenset()


def sensitive_fields(kind: type) -> frozenset[str]:
    """The names of the class's annotated fields that are marked, inherited ones included; never raises."""
    found: set[str] = set()
    for base in mro_of(kind):
        try:
            annotations = _annotations_of(base)
            module = sys.modules.get(module_of(base))
            found |= sensitive_names(annotations, instance_dict(module) if module else {})
        except Exception:  # noqa: S112 - a metaclass may do anything when it is looked at
            continue
    return frozenset(found)


def sensitive_names(annotations: Mapping[str, object], globals_: Mapping[str, Any]) -> frozenset[str]:
    """The names whose annotation is marked; ``globals_`` resolves annotations that are text."""
    return frozenset(name for name, annotation in annotations.items() if _is_marked(annotation, globals_))


def _plain_function(func: Callable[..., Any]) -> Any:
    """The function behind wrappers, partials, bound methods and callable objects."""
    target: Any = func
    for _ in range(_MAX_NESTING):
        if isinstance(target, functools.partial):
            target = target.func
        elif isinstance(target, (classmethod, staticmethod)) or inspect.ismethod(target):
            target = target.__func__
        else:
            break
    target = inspect.unwrap(target)
    if inspect.isroutine(target) or isinstance(target, type):
        return target
    return inspect.unwrap(type(target).__call__)


def _annotations_of(owner: Any) -> Mapping[str, object]:
    """The raw annotations; as text where Python 3.14 cannot evaluate them."""
    try:
        return inspect.get_annotations(owner)
    except NameError:
        import annotationlib  # type: ignore[import-not-found]  # 3.14, the only version where reading can fail so

        texts: Mapping[str, object] = annotationlib.get_annotations(owner, format=annotationlib.Format.STRING)
        return texts


def _is_marked(annotation: object, globals_: Mapping[str, Any]) -> bool:
    if type(annotation) is not str:
        return _contains_mark(annotation, globals_, 0)
    try:
        # `get_type_hints` evaluates what the interpreter itself would have, had the annotation not been text.
        holder = SimpleNamespace(__annotations__={"it": annotation})
        hints = typing.get_type_hints(holder, dict(globals_), include_extras=True)
    except Exception:
        return _WORD.search(annotation) is not None
    return _contains_mark(hints["it"], globals_, 0)


def _contains_mark(annotation: Any, globals_: Mapping[str, Any], nesting: int) -> bool:
    if nesting > _MAX_NESTING:
        return False
    if isinstance(annotation, typing.ForwardRef):
        return _is_marked(annotation.__forward_arg__, globals_)
    for mark in getattr(annotation, "__metadata__", ()):
        if type(mark) is Sensitive or (isinstance(mark, type) and Sensitive in mro_of(mark)):
            return True
    inside = [*typing.get_args(annotation), getattr(annotation, "__value__", None)]  # the latter: `type X = ...`
    return any(_contains_mark(part, globals_, nesting + 1) for part in inside if part is not None)
