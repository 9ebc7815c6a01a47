"""A function's parameters as source text, so that the interpreter itself binds and names the arguments.

The text comes from the function's own code object, never from a signature that it merely declares: a wrapper made
with `functools.wraps` may take other arguments than the function that it wraps.
"""

from __future__ import annotations

import functools
import keyword
from collections.abc import Callable
from dataclasses import dataclass
from inspect import CO_VARARGS, CO_VARKEYWORDS, Parameter, signature
from types import FunctionType, MethodType
from typing import Any

_POSITIONAL_ONLY = Parameter.POSITIONAL_ONLY
_POSITIONAL = Parameter.POSITIONAL_OR_KEYWORD
_VARIADIC = Parameter.VAR_POSITIONAL
_KEYWORD_ONLY = Parameter.KEYWORD_ONLY
_VARIADIC_KEYWORD = Parameter.VAR_KEYWORD

# What a first parameter is called that is no argument of the caller's.
_INSTANCE_NAMES = frozenset({"self", "cls", "mcs", "mcls", "klass"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """Source text for a wrapper: its parameter list, the call that hands everything on, the values to capture."""

    names: tuple[str, ...]
    variadic_keyword: str
    declaration: str
    forwarding: str
    values: str
    defaults: dict[str, Any]
    prefix: str
    """Begins every other name in the wrapper; no parameter begins with it."""


def parameters_of(target: Callable[..., Any], *, skips_first: bool | None = None) -> Parameters:
    """The parameters of a callable; ``skips_first`` says whether the first is the instance (None: by its name)."""
    found = _bound_parameters(target)
    prefix = _free_prefix([parameter.name for parameter in found])
    captured = [p.name for p in found[_skipped(target, found, skips_first) :]]
    return Parameters(
        names=tuple(captured),
        variadic_keyword=next((p.name for p in found if p.kind is _VARIADIC_KEYWORD), ""),
        declaration=_declaration(found, prefix),
        forwarding=", ".join(_forwarded(p) for p in found),
        values="".join(f"{name}, " for name in captured),
        defaults={f"{prefix}d_{p.name}": p.default for p in found if p.default is not Parameter.empty},
        prefix=prefix,
    )


def python_function(target: Callable[..., Any]) -> FunctionType | None:
    """The Python function that a callable finally calls: inside partials, methods and callable objects."""
    inner: Any = target
    while isinstance(inner, (functools.partial, MethodType)):
        inner = inner.func if isinstance(inner, functools.partial) else inner.__func__
    if isinstance(inner, FunctionType):
        return inner
    call = getattr(type(inner), "__call__", None)
    return call if isinstance(call, FunctionType) else None


def _bound_parameters(target: Callable[..., Any]) -> list[Parameter]:
    if isinstance(target, FunctionType):
        return _own_parameters(target)
    if isinstance(target, MethodType) and isinstance(target.__func__, FunctionType):
        return _without_instance(_own_parameters(target.__func__))
    if isinstance(target, functools.partial) and isinstance(target.func, FunctionType):
        return _partial_parameters(target)
    call = getattr(type(target), "__call__", None)
    if isinstance(call, FunctionType):
        return _without_instance(_own_parameters(call))
    # Code in C may tell a default from a missing argument, so nothing is filled in for it.
    return [Parameter("args", _VARIADIC), Parameter("kwargs", _VARIADIC_KEYWORD)]


def _own_parameters(function: FunctionType) -> list[Parameter]:
    code = function.__code__
    names = code.co_varnames
    positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    first_default = positional - len(defaults)
    found = [
        Parameter(
            name,
            _POSITIONAL_ONLY if index < code.co_posonlyargcount else _POSITIONAL,
            default=defaults[index - first_default] if index >= first_default else Parameter.empty,
        )
        for index, name in enumerate(names[:positional])
    ]
    rest = iter(names[positional + keyword_only :])
    if code.co_flags & CO_VARARGS:
        found.append(Parameter(next(rest), _VARIADIC))
    keyword_defaults = function.__kwdefaults__ or {}
    found.extend(
        Parameter(name, _KEYWORD_ONLY, default=keyword_defaults.get(name, Parameter.empty))
        for name in names[positional : positional + keyword_only]
    )
    if code.co_flags & CO_VARKEYWORDS:
        found.append(Parameter(next(rest), _VARIADIC_KEYWORD))
    return found


def _partial_parameters(target: functools.partial[Any]) -> list[Parameter]:
    """What is left of the inner function's own parameters once the partial's arguments are bound."""
    bare = functools.partial(_bare_copy(target.func), *target.args, **target.keywords)
    return list(signature(bare, follow_wrapped=False).parameters.values())


def _bare_copy(function: Callable[..., Any]) -> FunctionType:
    """The function without a declared ``__signature__``, which `inspect.signature` would believe."""
    assert isinstance(function, FunctionType)  # noqa: S101 - for the type checker; the caller has looked
    copy = FunctionType(function.__code__, {}, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _without_instance(found: list[Parameter]) -> list[Parameter]:
    if found and found[0].kind in (_POSITIONAL_ONLY, _POSITIONAL):
        return found[1:]
    return found


def _skipped(target: Callable[..., Any], found: list[Parameter], skips_first: bool | None) -> int:
    if not found or found[0].kind not in (_POSITIONAL_ONLY, _POSITIONAL):
        return 0
    if skips_first is None:
        skips_first = _is_in_class(target) and found[0].name in _INSTANCE_NAMES
    return int(skips_first)


def _is_in_class(target: Callable[..., Any]) -> bool:
    """Whether a function was defined in a class body, going by its qualified name."""
    holder = getattr(target, "__qualname__", "").rpartition(".")[0]
    return isinstance(target, FunctionType) and bool(holder) and not holder.endswith("<locals>")


def _free_prefix(names: list[str]) -> str:
    prefix = "_ot_"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    return prefix


def _declaration(found: list[Parameter], prefix: str) -> str:
    parts: list[str] = []
    has_star = False
    for index, parameter in enumerate(found):
        if parameter.kind is _KEYWORD_ONLY and not has_star:
            parts.append("*")
            has_star = True
        has_star = has_star or parameter.kind is _VARIADIC
        parts.append(_declared(parameter, prefix))
        following = found[index + 1].kind if index + 1 < len(found) else None
        if parameter.kind is _POSITIONAL_ONLY and following is not _POSITIONAL_ONLY:
            parts.append("/")
    return ", ".join(parts)


def _declared(parameter: Parameter, prefix: str) -> str:
    default = "" if parameter.default is Parameter.empty else f"={prefix}d_{parameter.name}"
    return f"{_stars(parameter)}{parameter.name}{default}"


def _forwarded(parameter: Parameter) -> str:
    if parameter.kind is _KEYWORD_ONLY:
        return f"{parameter.name}={parameter.name}"
    return _stars(parameter) + parameter.name


def _stars(parameter: Parameter) -> str:
    if parameter.kind is _VARIADIC:
        return "*"
    return "**" if parameter.kind is _VARIADIC_KEYWORD else ""


def is_expressible(parameters: Parameters) -> bool:
    """Whether the names can be written as source (code made by other means than source may have others)."""
    return all(name.isidentifier() and not keyword.iskeyword(name) for name in parameters.names)
