"""What every span of one traced function or block has in common, decided once at decoration.

A `SpanSpec` holds no lock, provider or open span, so that wrappers stay picklable by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import Link, SpanKind

from otel_tracker import attributes as keys
from otel_tracker.capture import JsonText, capture_tree, capture_value, sensitive_parameters
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.redaction import REDACTED
from otel_tracker.tracing import defaults

Arguments = Mapping[str, Any]
ExceptionTypes = tuple[type[BaseException], ...]


@dataclass(slots=True)
class SpanSpec:
    """The plan of a span; `parameters` names the positions of the values that a wrapper hands over.

    ``capture_args`` and ``capture_result`` are None where the settings decide. ``attributes`` and ``links`` may be
    callables of the arguments by name.
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
    _sensitive: frozenset[str] | None = None

    def attributes_for(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The attributes of one call: captured arguments, those that the user adds, and last the static ones.

        A span that has too many attributes drops the oldest, and without the static ones it would have no function.
        """
        found = self.arguments_for(values)
        for key, value in self._added_attributes(values).items():
            found[str(key)] = capture_tree(value, str(key))
        found.update(self.static_attributes)
        return found

    def arguments_for(self, values: tuple[Any, ...], limit: int = 0) -> dict[str, Any]:
        """The captured arguments; texts of at most ``limit`` characters where that is not 0."""
        found: dict[str, Any] = {}
        wanted = defaults.captures_args() if self.capture_args is None else self.capture_args
        if not wanted or not self.parameters:
            return found
        hidden = self._hidden()
        for parameter, value in zip(self.parameters, values, strict=True):
            if wanted is True or parameter in wanted:
                self._add_argument(found, parameter, value, hidden, limit)
        return found

    def links_for(self, values: tuple[Any, ...]) -> Sequence[Link]:
        """The links of one call; none when the user's callable fails."""
        if not callable(self.links):
            return self.links
        try:
            return list(self.links(self._by_name(values)))
        except Exception as error:  # user code at our border
            report_internal_error(f"calling links= of {self.name}", error)
            return ()

    def result_attribute(self, result: object, limit: int = 0) -> tuple[str, Any] | None:
        """Key and value for a result (``limit`` as in `arguments_for`), or None when results are not captured."""
        wanted = defaults.captures_result() if self.capture_result is None else self.capture_result
        if not wanted:
            return None
        captured = capture_value(result, limit=limit)
        return (keys.RESULT_JSON, str(captured)) if isinstance(captured, JsonText) else (keys.RESULT, captured)

    def _add_argument(
        self, found: dict[str, Any], parameter: str, value: object, hidden: frozenset[str], limit: int
    ) -> None:
        if parameter in hidden:
            found[keys.ARGS_PREFIX + parameter] = REDACTED
            return
        if parameter == self.variadic_keyword and isinstance(value, dict):
            value = {name: REDACTED if name in hidden else item for name, item in value.items()}
        captured = capture_value(value, parameter, limit=limit)
        if isinstance(captured, JsonText):
            found[keys.ARGS_JSON_PREFIX + parameter] = str(captured)
        else:
            found[keys.ARGS_PREFIX + parameter] = captured

    def _added_attributes(self, values: tuple[Any, ...]) -> Mapping[str, Any]:
        if not callable(self.attributes):
            return self.attributes or {}
        try:
            return dict(self.attributes(self._by_name(values)))
        except Exception as error:  # user code at our border
            report_internal_error(f"calling attributes= of {self.name}", error)
            return {}

    def _by_name(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.parameters, values, strict=True))

    def _hidden(self) -> frozenset[str]:
        """Names never captured; annotations are read at the first recorded call, when their names resolve."""
        if self._sensitive is None:
            self._sensitive = sensitive_parameters(self.function) if self.function is not None else frozenset()
        return self.hide | self._sensitive


class LazyAttributes(Mapping[str, Any]):
    """The attributes of a call, evaluated when somebody looks.

    `Tracer.start_span` takes them before its sampler has decided. The SDK does not look at them when it drops the
    span, so nothing is evaluated then; samplers and ``on_start`` processors that look see all of them.
    """

    __slots__ = ("_found", "_spec", "_values")

    def __init__(self, spec: SpanSpec, values: tuple[Any, ...]) -> None:
        self._spec = spec
        self._values = values
        self._found: dict[str, Any] | None = None

    def settle(self) -> dict[str, Any]:
        """The attributes as a dict, from now on independent of the arguments."""
        if self._found is None:
            self._found = self._spec.attributes_for(self._values)
            self._values = ()
        return self._found

    def copy(self) -> dict[str, Any]:
        """A copy, as `MappingProxyType.copy` asks for."""
        return dict(self.settle())

    def __getitem__(self, key: str) -> Any:
        return self.settle()[key]

    def __iter__(self) -> Any:
        return iter(self.settle())

    def __len__(self) -> int:
        return len(self.settle())


def exception_types(value: type[BaseException] | Iterable[type[BaseException]] | None) -> ExceptionTypes:
    """One exception type or several as a tuple; raises TypeError for anything else."""
    if value is None:
        return ()
    types = (value,) if isinstance(value, type) else tuple(value)
    for candidate in types:
        if not (isinstance(candidate, type) and issubclass(candidate, BaseException)):
            raise TypeError(f"{candidate!r} is no exception type; expected a class such as KeyError, or several.")
    return types
