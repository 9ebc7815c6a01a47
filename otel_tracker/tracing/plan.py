"""From the values of a call to the attributes of its span: what a `SpanSpec` and the settings together say.

A plan is made at a function's first recorded call, when the names in its annotations resolve, and made again after
the settings were read again. What can be decided then (keys, which parameter is secret) is not decided per call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.trace import Link, SpanKind

from otel_tracker import attributes as keys
from otel_tracker.capture import capture_tree as tree_of
from otel_tracker.capture import captured, rules_in_force, sensitive_parameters
from otel_tracker.diagnostics import report_internal_error
from otel_tracker.redaction import REDACTED, redactor
from otel_tracker.tracing import defaults
from otel_tracker.tracing.captors import Place, arguments_captor, result_captor
from otel_tracker.tracing.spec import SpanSpec


def plan_of(spec: SpanSpec) -> CapturePlan:
    """The plan in force; the same one until the settings are read again."""
    plan: CapturePlan | None = spec.plan
    if plan is None or plan.defaults is not defaults.current:
        plan = spec.plan = CapturePlan(spec)
    return plan


class CapturePlan:
    """Makes attributes of arguments and results.

    ``is_simple``: its spans differ from each other in nothing but captured arguments; no kind, links or trace of their
    own, nothing added (``adds``). ``constant`` are the attributes of all of them where nothing is captured, else None.
    Otherwise ``simple_attributes`` is `attributes_for` where nothing is added to the arguments and nothing is cut, and
    ``simple_result`` likewise is `result_attribute`.
    """

    __slots__ = (
        *("_hidden", "_places", "_result_place", "_rules", "adds", "captures_result", "constant", "defaults"),
        *("is_simple", "simple_attributes", "simple_result", "spec", "static"),
    )

    def __init__(self, spec: SpanSpec) -> None:
        self.defaults = defaults.in_force()
        self.captures_result = (
            self.defaults.captures_result if spec.capture_result is None else bool(spec.capture_result)
        )
        self.spec = spec
        self._rules = rules_in_force()
        self.static = dict(spec.static_attributes)
        self.adds = spec.takes_attributes or bool(spec.attributes)
        self.is_simple = not (self.adds or spec.links or spec.new_trace or spec.kind is not SpanKind.INTERNAL)
        marked = sensitive_parameters(spec.function) if spec.function is not None else frozenset()
        self._hidden = spec.hide | marked
        self._places = tuple(self._argument_places())
        self._result_place = Place(0, keys.RESULT, keys.RESULT_JSON)
        self.constant = None if self._places or self.adds else self.static
        if self._places:
            static = {} if self.adds else self.static
            self.simple_attributes = arguments_captor(
                self._places, len(spec.parameters), static, self._rules, self._attribute
            )
        if self.captures_result:
            self.simple_result = result_captor(self._result_place, self._rules, self._attribute)

    def attributes_for(self, values: tuple[Any, ...], limit: int = 0) -> dict[str, Any]:
        """The attributes of one call: captured arguments, those that the user adds, and last the static ones.

        A span that has too many attributes drops the oldest, and without the static ones it would have no function.
        Captured texts have at most ``limit`` characters where that is not 0.
        """
        is_short = self._places and not limit
        found: dict[str, Any] = self.simple_attributes(values) if is_short else self.arguments_for(values, limit)
        if self.adds:
            for key, value in self._added_attributes(values).items():
                found[str(key)] = tree_of(value, str(key))
        found.update(self.static)
        return found

    def arguments_for(self, values: tuple[Any, ...], limit: int = 0) -> dict[str, Any]:
        """The captured arguments; texts of at most ``limit`` characters where that is not 0."""
        return dict(self._attribute(place, values[place.position], limit) for place in self._places)

    def result_attribute(self, result: object, limit: int = 0) -> tuple[str, Any]:
        """Key and value for a result; ``limit`` as in `arguments_for`."""
        return self._attribute(self._result_place, result, limit)

    def links_for(self, values: tuple[Any, ...]) -> Sequence[Link]:
        """The links of one call; none when the user's callable fails."""
        links = self.spec.links
        if not callable(links):
            return links
        try:
            return list(links(self._by_name(values)))
        except Exception as error:  # user code at our border
            report_internal_error(f"calling links= of {self.spec.name}", error)
            return ()

    def _argument_places(self) -> Iterator[Place]:
        """The places of the recorded parameters."""
        spec, redact = self.spec, redactor()
        wanted = self.defaults.captures_args if spec.capture_args is None else spec.capture_args
        for position, name in enumerate(spec.parameters if wanted else ()):
            if wanted is True or name in wanted:  # type: ignore[operator]
                yield Place(
                    position,
                    keys.ARGS_PREFIX + name,
                    keys.ARGS_JSON_PREFIX + name,
                    is_secret=name in self._hidden or redact.is_secret_key(name),
                    hides_parts=bool(self._hidden) and name == spec.variadic_keyword,
                )

    def _attribute(self, place: Place, value: object, limit: int = 0) -> tuple[str, Any]:
        """Key and value for whatever comes to a place."""
        if place.is_secret:
            return place.key, REDACTED
        scalar, text = captured(self._shown(value) if place.hides_parts else value, self._rules, limit)
        return (place.key, scalar) if text is None else (place.json_key, text)

    def _shown(self, keywords: object) -> object:
        """What came as ``**kwargs``, without what is hidden."""
        if not isinstance(keywords, dict):
            return keywords
        return {key: REDACTED if key in self._hidden else item for key, item in keywords.items()}

    def _added_attributes(self, values: tuple[Any, ...]) -> Mapping[str, Any]:
        spec = self.spec
        if spec.takes_attributes:
            given: Mapping[str, Any] = values[0]
            return given
        if not callable(spec.attributes):
            return spec.attributes or {}
        try:
            return dict(spec.attributes(self._by_name(values)))
        except Exception as error:  # user code at our border
            report_internal_error(f"calling attributes= of {spec.name}", error)
            return {}

    def _by_name(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.spec.parameters, values, strict=True))


class LazyAttributes(Mapping[str, Any]):
    """The attributes of a call, evaluated when somebody looks.

    `Tracer.start_span` takes them before its sampler has decided. The SDK does not look at them when it drops the
    span, so nothing is evaluated then; samplers and ``on_start`` processors that look see all of them.
    """

    __slots__ = ("_found", "_limit", "_values", "spec")

    def __init__(self, spec: SpanSpec, values: tuple[Any, ...], limit: int = 0) -> None:
        self.spec = spec
        self._values = values
        self._limit = limit
        self._found: dict[str, Any] | None = None

    def settle(self) -> dict[str, Any]:
        """The attributes as a dict, from now on independent of the arguments."""
        if self._found is None:
            self._found = plan_of(self.spec).attributes_for(self._values, self._limit)
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
