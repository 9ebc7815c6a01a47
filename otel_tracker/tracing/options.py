"""The options of `traced`: checked once, at decoration, and turned into the plan of a span.

A mistake in an option is the only thing that raises here: it is the developer's, and it shows at import time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, cast

from opentelemetry.trace import Link, SpanKind

from otel_tracker import attributes as keys
from otel_tracker.tracing.parameters import Parameters, python_function
from otel_tracker.tracing.spec import Arguments, SpanSpec, exception_types
from otel_tracker.tracing.watches import DurationWatch


class TracedOptions(TypedDict, total=False):
    """What was given to `traced`, and nothing that was not, so that a second application can be merged."""

    name: str
    capture_args: bool | Iterable[str]
    capture_result: bool
    hide: Iterable[str]
    attributes: Mapping[str, Any] | Callable[[Arguments], Mapping[str, Any]]
    kind: SpanKind | str
    links: Sequence[Link] | Callable[[Arguments], Sequence[Link]]
    new_trace: bool
    ignore: type[BaseException] | Iterable[type[BaseException]]
    expected: type[BaseException] | Iterable[type[BaseException]]
    await_result: bool
    include: Iterable[str]
    exclude: Iterable[str]
    event: str
    metrics: bool


class WatchedOptions(TracedOptions, total=False):
    """The same with what our other decorators add; that of several applications adds up.

    ``is_spanless`` holds where no application wants a span.
    """

    watches: tuple[Any, ...]
    meters: tuple[Any, ...]
    timings: tuple[Any, ...]
    is_spanless: bool


CLASS_OPTIONS = frozenset({"include", "exclude"})


def spec_of(target: Callable[..., Any], options: TracedOptions, parameters: Parameters) -> SpanSpec:
    """The plan for the spans of a callable; raises TypeError or ValueError for an option that makes no sense."""
    module, function = names_of(target)
    described = checked_name(options["name"]) if "name" in options else f"{module}.{function}"
    return SpanSpec(
        name=described,
        kind=_span_kind(options.get("kind", SpanKind.INTERNAL)),
        static_attributes=_code_attributes(target, module, function),
        parameters=parameters.names,
        variadic_keyword=parameters.variadic_keyword,
        capture_args=_captured_names(options, parameters, function),
        capture_result=options.get("capture_result"),
        hide=_hidden_names(options, parameters, function),
        attributes=_checked_attributes(options.get("attributes")),
        links=_checked_links(options.get("links", ())),
        new_trace=options.get("new_trace", False),
        ignore=exception_types(options.get("ignore")),
        expected=exception_types(options.get("expected")),
        function=python_function(target),
        watches=_watches(options),
        meters=tuple(meter.named(function.rpartition(".")[2]) for meter in meters_of(options)),
        timings=_timings(options, f"{module}.{function}"),
        is_spanless=cast(WatchedOptions, options).get("is_spanless", False),
    )


def meters_of(options: TracedOptions) -> tuple[Any, ...]:
    """What measures the calls of a function whether or not there is a span."""
    return cast(WatchedOptions, options).get("meters", ())


def _watches(options: TracedOptions) -> tuple[Any, ...]:
    watches = cast(WatchedOptions, options).get("watches", ())
    event = options.get("event")
    return watches if event is None else (*watches, DurationWatch(checked_event(event, "event")))


def _timings(options: TracedOptions, function_name: str) -> tuple[Any, ...]:
    timings = cast(WatchedOptions, options).get("timings", ())
    if not options.get("metrics", False):
        return timings
    from otel_tracker.tracing.timings import function_timing  # what it needs is loaded where metrics are asked for

    return (*timings, function_timing(function_name))


def checked_event(name: object, argument: str) -> str:
    """The name of an event; raises ValueError when it is empty or no text."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{argument} is {name!r}; expected a text such as checkout that is not empty.")
    return str(name)


def names_of(target: Callable[..., Any]) -> tuple[str, str]:
    """Module and qualified name, without ``<locals>``; of the function inside a partial, of an object's class."""
    inner: Any = target
    while hasattr(inner, "func") and hasattr(inner, "keywords"):
        inner = inner.func
    if not isinstance(getattr(inner, "__qualname__", None), str):
        inner = type(inner)
    return str(getattr(inner, "__module__", None) or "builtins"), inner.__qualname__.replace("<locals>.", "")


def _code_attributes(target: Callable[..., Any], module: str, function: str) -> dict[str, Any]:
    found: dict[str, Any] = {keys.CODE_FUNCTION_NAME: f"{module}.{function}", keys.MODULE: module}
    inner = python_function(target)
    if inner is not None:
        found[keys.CODE_FILE_PATH] = inner.__code__.co_filename
        found[keys.CODE_LINE_NUMBER] = inner.__code__.co_firstlineno
    return found


def checked_name(name: object) -> str:
    """The name; raises ValueError when it is empty or no text."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"The span name is {name!r}; expected a text that is not empty. Leave it out for the default.")
    return name


def _span_kind(kind: SpanKind | str) -> SpanKind:
    if isinstance(kind, SpanKind):
        return kind
    try:
        return SpanKind[kind.upper()]
    except (KeyError, AttributeError):
        known = ", ".join(member.name.lower() for member in SpanKind)
        raise ValueError(f"kind is {kind!r}; expected a SpanKind or one of {known}.") from None


def _checked_attributes(attributes: Any) -> Any:
    if attributes is None or callable(attributes) or isinstance(attributes, Mapping):
        return attributes
    raise TypeError(f"attributes is {attributes!r}; expected a mapping, or a callable of the arguments by name.")


def _checked_links(links: Any) -> Any:
    if callable(links):
        return links
    if isinstance(links, Iterable) and not isinstance(links, (str, bytes)):
        made = tuple(links)
        if all(isinstance(link, Link) for link in made):
            return made
    raise TypeError(f"links is {links!r}; expected Links, or a callable of the arguments by name.")


def fitting(options: TracedOptions, parameters: Parameters) -> TracedOptions:
    """Options given for a whole class, with the names that one of its methods has."""
    chosen = dict(options)
    for option in ("capture_args", "hide"):
        names = chosen.get(option)
        if names is not None and not isinstance(names, bool) and not parameters.variadic_keyword:
            chosen[option] = [name for name in _as_names(option, names) if name in parameters.names]
    return cast(TracedOptions, chosen)


def _captured_names(options: TracedOptions, parameters: Parameters, function: str) -> bool | frozenset[str] | None:
    wanted = options.get("capture_args")
    if wanted is None or isinstance(wanted, bool):
        return wanted
    return _known_names("capture_args", wanted, parameters, function)


def _hidden_names(options: TracedOptions, parameters: Parameters, function: str) -> frozenset[str]:
    hidden = options.get("hide", ())
    if parameters.variadic_keyword:
        return frozenset(_as_names("hide", hidden))
    return _known_names("hide", hidden, parameters, function)


def _known_names(option: str, names: object, parameters: Parameters, function: str) -> frozenset[str]:
    wanted = _as_names(option, names)
    for name in wanted:
        if name not in parameters.names:
            known = ", ".join(parameters.names) or "none"
            raise ValueError(f"{option} names {name!r}, which is no parameter of {function}; expected of: {known}.")
    return frozenset(wanted)


def _as_names(option: str, names: object) -> list[str]:
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable):
        raise TypeError(f"{option} is {names!r}; expected parameter names, such as {option}=['user_id'].")
    found = list(names)
    if not all(isinstance(name, str) for name in found):
        raise TypeError(f"{option} is {found!r}; expected names as text.")
    return found
