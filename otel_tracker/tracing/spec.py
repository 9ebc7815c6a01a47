"""What every span of one traced function or block has in common, decided once at decoration.

A `SpanSpec` holds no lock, provider or open span, so that wrappers stay picklable by value. What the settings add to
it at run time is a `plan`, made at the first recorded call and never pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from opentelemetry.trace import Link, SpanKind

Arguments = Mapping[str, Any]
ExceptionTypes = tuple[type[BaseException], ...]


@dataclass(slots=True)
class SpanSpec:
    """What is known of a span beforehand; `parameters` names the positions of the values that a wrapper hands over.

    ``capture_args`` and ``capture_result`` are None where the settings decide. ``attributes`` and ``links`` may be
    callables of the arguments by name. With ``takes_attributes`` the first value is a mapping of attributes. With
    ``is_spanless`` there is no span, only what else is told or measured of a call.
    """

    name: str
    kind: SpanKind = SpanKind.INTERNAL
    static_attributes: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    variadic_keyword: str = ""
    capture_args: bool | frozenset[str] | None = None
    capture_result: bool | None = None
    hide: frozenset[str] = frozenset()
    attributes: Mapping[str, Any] | Callable[[Arguments], Mapping[str, Any]] | None = None
    links: Sequence[Link] | Callable[[Arguments], Sequence[Link]] = ()
    new_trace: bool = False
    ignore: ExceptionTypes = ()
    expected: ExceptionTypes = ()
    function: Callable[..., Any] | None = None
    takes_attributes: bool = False
    watches: tuple[Any, ...] = ()  # Watches of `otel_tracker.tracing.watching`
    meters: tuple[Any, ...] = ()  # Meters of `otel_tracker.tracing.measuring`
    timings: tuple[Any, ...] = ()  # Timings of `otel_tracker.tracing.timings`
    is_spanless: bool = False
    plan: Any = field(default=None, compare=False, repr=False)  # a CapturePlan, once a call was recorded

    def __getstate__(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)} | {"plan": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def exception_types(value: type[BaseException] | Iterable[type[BaseException]] | None) -> ExceptionTypes:
    """One exception type or several as a tuple; raises TypeError for anything else."""
    if value is None:
        return ()
    types = (value,) if isinstance(value, type) else tuple(value)
    for candidate in types:
        if not (isinstance(candidate, type) and issubclass(candidate, BaseException)):
            raise TypeError(f"{candidate!r} is no exception type; expected a class such as KeyError, or several.")
    return types
