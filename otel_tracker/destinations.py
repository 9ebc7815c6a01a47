"""From the names in ``OTEL_TRACES_EXPORTER`` to exporters: one misspelt name never switches the others off.

Short names stand for our own entry points (``sqlite`` for ``otel_tracker_sqlite``), because a generic name could
be another package's; any other name is looked up as it is. Events follow every destination that spans have, unless
``OTEL_LOGS_EXPORTER`` says otherwise; metrics follow the local stores and OTLP, unless ``OTEL_METRICS_EXPORTER`` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from otel_tracker import settings
from otel_tracker.diagnostics import say_once

TRACES_GROUP = "opentelemetry_traces_exporter"
LOGS_GROUP = "opentelemetry_logs_exporter"
METRICS_GROUP = "opentelemetry_metrics_exporter"
METRICS_VARIABLE = "OTEL_METRICS_EXPORTER"

_OWN_PREFIX = "otel_tracker_"
_OTLP_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_EXTRAS = {
    "otlp": ("otlp", "opentelemetry-exporter-otlp-proto-http"),
    "prometheus": ("prometheus", "opentelemetry-exporter-prometheus"),
}

LOCAL = frozenset({"sqlite", "jsonl"})
"""The stores of this machine, by their short names."""

# Never the console: a page of points every minute is no use to whoever reads spans there.
_METRICS_FOLLOW = LOCAL | {"otlp", *_OTLP_PROTOCOLS.values()}


@dataclass(frozen=True, slots=True)
class Destination:
    """One named destination and, where it can take the signal, a fresh exporter.

    ``is_by_route``: only a route, or the default of routes, names it.
    """

    name: str
    exporter: Any
    is_by_route: bool = False


def span_destinations() -> list[Destination]:
    """An exporter for every destination of spans that exists; the others are said, one sentence each."""
    return _destinations(_names(settings.EXPORTERS.read()), TRACES_GROUP, settings.EXPORTERS.variable, is_strict=True)


def event_destinations() -> list[Destination]:
    """An exporter for every destination of events: those of spans, as far as they take events, and those of routes."""
    routes, default = settings.EVENTS_ROUTES.read(), settings.EVENTS_DEFAULT.read()
    off = {route.destination for route in routes if not route.is_enabled}
    routed = [route.destination for route in routes if route.is_enabled]
    own = os.environ.get("OTEL_LOGS_EXPORTER", "").strip()
    usual = _names(own.split(",") if own else settings.EXPORTERS.read())
    sources = [
        (usual, "OTEL_LOGS_EXPORTER" if own else settings.EXPORTERS.variable, bool(own)),
        (["console"] if settings.EVENTS_PRINTED.read() else [], settings.EVENTS_PRINTED.variable, True),
        (_names(routed), settings.EVENTS_ROUTES.variable, True),
        (_names([default] if default else []), settings.EVENTS_DEFAULT.variable, True),
    ]
    found: dict[str, Destination] = {}
    for names, variable, is_strict in sources:
        wanted = [name for name in names if short_name(name) not in off | found.keys()]
        for one in _destinations(wanted, LOGS_GROUP, variable, is_strict=is_strict):
            is_by_route = variable in {settings.EVENTS_ROUTES.variable, settings.EVENTS_DEFAULT.variable}
            found.setdefault(short_name(one.name), replace(one, is_by_route=is_by_route))
    return list(found.values())


def short_name(name: str) -> str:
    """The name that a destination has in routes: ours without the prefix of its entry point."""
    return name.removeprefix(_OWN_PREFIX)


def metric_destinations() -> list[Destination]:
    """An exporter, or a reader that needs none, for every destination of metrics that exists."""
    names, variable = metric_names()
    return _destinations(names, METRICS_GROUP, variable, is_strict=variable == METRICS_VARIABLE)


def metric_names() -> tuple[list[str], str]:
    """The names of the destinations of metrics, and the variable that says so."""
    own = os.environ.get(METRICS_VARIABLE, "").strip()
    if own:
        return _names(own.split(",")), METRICS_VARIABLE
    followed = [name for name in _names(settings.EXPORTERS.read()) if short_name(name) in _METRICS_FOLLOW]
    return followed, settings.EXPORTERS.variable


def installed_names(group: str = TRACES_GROUP) -> list[str]:
    """The names that a user may give, ours in their short form."""
    names = {point.name.removeprefix(_OWN_PREFIX) for point in entry_points(group=group)}
    by_protocol = names & set(_OTLP_PROTOCOLS.values())
    return sorted((names - by_protocol) | ({"otlp"} if by_protocol else set()) | {"none"})


def entry_point_of(name: str, group: str) -> Any:
    """The entry point that a name stands for, or None when no installed package provides it."""
    for candidate in _candidates(name, group):
        for point in entry_points(group=group, name=candidate):
            return point
    return None


def unknown_destination(name: str, group: str, variable: str) -> str:
    """The sentence for a name that ``variable`` holds and nobody provides."""
    if name in _EXTRAS:
        extra, package = _EXTRAS[name]
        return f'{variable} names {name}, which needs {package}. Run: pip install "otel-tracker[{extra}]".'
    known = installed_names(group)
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else "Mend the name or take it out."
    return (
        f"{variable} names {name[:60]!r}, which no installed package provides; expected one of {', '.join(known)}. "
        f"{hint} It is left out; any others that are named work."
    )


def _names(given: Iterable[str]) -> list[str]:
    """Each name once, in the given order, without ``none``."""
    stripped = (name.strip() for name in given)
    return list(dict.fromkeys(name for name in stripped if name and name.lower() != "none"))


def _destinations(names: list[str], group: str, variable: str, *, is_strict: bool) -> list[Destination]:
    """Each once: ``jsonl`` and ``otel_tracker_jsonl`` are the same, and would store everything twice."""
    found: list[Destination] = []
    seen: set[str] = set()
    for name in names:
        point = _found_or_said(name, group, variable) if is_strict else entry_point_of(name, group)
        if point is None or point.name in seen:
            continue
        seen.add(point.name)
        exporter = _made(name, point, variable)
        if exporter is not None:
            found.append(Destination(name, exporter))
    return found


def _found_or_said(name: str, group: str, variable: str) -> Any:
    point = entry_point_of(name, group)
    if point is None and not (group == TRACES_GROUP and entry_point_of(name, LOGS_GROUP)):
        say_once(unknown_destination(name, group, variable))
    return point


def _candidates(name: str, group: str) -> list[str]:
    if name != "otlp":
        return [f"{_OWN_PREFIX}{name}", name]
    signal = {TRACES_GROUP: "TRACES", LOGS_GROUP: "LOGS", METRICS_GROUP: "METRICS"}[group]
    chosen = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if chosen:
        return [_OTLP_PROTOCOLS.get(chosen.strip(), chosen.strip())]
    return ["otlp_proto_http", "otlp_proto_grpc"]


def _made(name: str, point: Any, variable: str) -> Any:
    try:
        return point.load()()
    except Exception as error:  # an exporter of anybody's; the others shall work
        reason = str(error).replace("\n", " ")[:300]
        say_once(
            f"{variable} names {name}, whose exporter cannot be made ({type(error).__name__}: {reason}). "
            "The other destinations work."
        )
        return None
