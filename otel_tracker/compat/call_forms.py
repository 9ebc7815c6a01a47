"""A wrapper that records a call as it was made: positional arguments as one list, the others as one map.

`traced` binds arguments to their names; the tools that this one replaces did not. Names are still looked at to know
what is secret: a value that is given for ``password`` is recorded for neither form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, cast

from otel_tracker.capture import sensitive_parameters
from otel_tracker.redaction import REDACTED, redactor
from otel_tracker.switch import is_sdk_disabled
from otel_tracker.tracing.classes import trace_class
from otel_tracker.tracing.decorator import trace_callable
from otel_tracker.tracing.descriptors import is_descriptor, rebuild
from otel_tracker.tracing.options import TracedOptions, spec_of
from otel_tracker.tracing.parameters import Parameters, parameters_of, python_function
from otel_tracker.tracing.wrappers import make_wrapper

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def decorate_as_called(target: Any, attributes: Mapping[str, Any], *, capture_args: bool, capture_result: bool) -> Any:
    """Trace whatever `traced` traces, with these attributes on each span.

    Arguments are ``args``, without the instance of a method, and ``kwargs``. With ``capture_args`` False none is
    looked at.
    """
    if is_sdk_disabled():
        return target
    options = cast(TracedOptions, {"capture_args": capture_args, "capture_result": capture_result})

    def trace(inner: Callable[..., Any], given: TracedOptions, skips_first: bool | None) -> Any:
        parameters = _as_called(inner, skips_first) if capture_args else parameters_of(inner, skips_first=skips_first)
        spec = spec_of(inner, given, parameters)
        spec.static_attributes = {**spec.static_attributes, **attributes}
        return make_wrapper(inner, spec, parameters, awaits_result=False)

    if isinstance(target, type):
        return trace_class(target, options, trace)
    if is_descriptor(target):
        return rebuild(target, options, trace)
    if not callable(target):
        return trace_callable(target, options, None)
    return trace(target, options, None)


def _as_called(target: Callable[..., Any], skips_first: bool | None) -> Parameters:
    """The parameters of a wrapper that hands everything on as it came."""
    names = _positional_names(target)
    own = parameters_of(target, skips_first=skips_first)
    skipped = 1 if names and names[0] not in own.names else 0
    return Parameters(
        names=("args", "kwargs"),
        variadic_keyword="kwargs",
        declaration="*args, **kwargs",
        forwarding="*args, **kwargs",
        values="_ot_shown(args), kwargs, ",
        defaults={"_ot_shown": _Shown(target, names, skipped)},
        prefix="_ot_",
    )


def _positional_names(target: Callable[..., Any]) -> list[str]:
    try:
        found = signature(target).parameters.values()
    except (TypeError, ValueError):  # code in C may have none
        return []
    return [parameter.name for parameter in found if parameter.kind in _POSITIONAL]


class _Shown:
    """Positional arguments without the instance, and with a mark for those whose parameters are secret."""

    def __init__(self, target: Callable[..., Any], names: Sequence[str], skipped: int) -> None:
        self._target = target
        self._names = names
        self._skipped = skipped
        self._redacting: object = None
        self._hidden: tuple[int, ...] = ()

    def __call__(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        redact = redactor()
        if redact is not self._redacting:
            marked = sensitive_parameters(python_function(self._target) or self._target)
            self._hidden = tuple(
                number for number, name in enumerate(self._names) if name in marked or redact.is_secret_key(name)
            )
            self._redacting = redact
        if self._hidden:
            args = tuple(REDACTED if number in self._hidden else value for number, value in enumerate(args))
        return args[self._skipped :] if self._skipped else args
