"""Which events go where: a route names a destination and, as globs, the events that it gets.

As text: ``umami=user.*,payment.*;logging=error.* level=WARNING;jsonl=* sample=0.1``. As a mapping, in a file or in
code: ``{"umami": ["user.*"], "logging": {"events": ["error.*"], "level": "WARNING"}}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from otel_tracker.setting_values import parse_bool, parse_level, parse_names, parse_ratio

_EVERY_EVENT = ("*",)
_GAPS = re.compile(r"\s*([,=;])\s*")


@dataclass(frozen=True, slots=True)
class Route:
    """The way of events to one destination.

    ``level`` is a log level in lower case: at which the destination ``logging`` writes events, and the least severe
    that any other gets; empty means what is usual, every event. ``sample_ratio`` is 0 to 1, None the global one.
    """

    destination: str
    events: tuple[str, ...] = _EVERY_EVENT
    is_enabled: bool = True
    level: str = ""
    sample_ratio: float | None = None

    def matches(self, event_name: str) -> bool:
        """Whether one of the globs fits the name."""
        return any(fnmatchcase(event_name, pattern) for pattern in self.events)


@dataclass(frozen=True, slots=True, repr=False)
class Routes:
    """All routes, at most one a destination."""

    by_destination: Mapping[str, Route] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Route]:
        return iter(self.by_destination.values())

    def __bool__(self) -> bool:
        return bool(self.by_destination)

    def __repr__(self) -> str:
        return repr(";".join(f"{route.destination}={','.join(route.events)}" for route in self))

    def of(self, destination: str) -> Route | None:
        """The route to a destination, or None when it is not named."""
        return self.by_destination.get(destination)


def parse_routes(value: object) -> Routes:
    """Routes from text or from a mapping; raises ValueError or TypeError for anything else."""
    if isinstance(value, Routes):
        return value
    if isinstance(value, str):
        return _collected(_from_text(part) for part in value.split(";") if part.strip())
    if isinstance(value, Mapping):
        return _collected(_from_entry(str(name).strip(), entry) for name, entry in value.items())
    raise TypeError(value)


def _collected(routes: Iterable[Route]) -> Routes:
    found: dict[str, Route] = {}
    for route in routes:
        if not route.destination or route.destination in found:
            raise ValueError(route.destination)
        found[route.destination] = route
    return Routes(found)


def _from_text(part: str) -> Route:
    globs, *options = _GAPS.sub(r"\1", part.strip()).split()
    destination, separator, events = globs.partition("=")
    entry: dict[str, Any] = {"events": events} if separator else {}
    for option in options:
        key, separator, given = option.partition("=")
        if not separator:
            raise ValueError(option)
        entry[key] = given
    return _from_entry(destination, entry)


def _from_entry(destination: str, entry: object) -> Route:
    if isinstance(entry, (bool, type(None))):
        return Route(destination, is_enabled=entry is not False)
    if not isinstance(entry, Mapping):
        return Route(destination, _globs(entry))
    unknown = entry.keys() - {"enabled", "events", "level", "sample", "sampling"}
    if unknown:
        raise ValueError(unknown)
    return Route(
        destination,
        _globs(entry["events"]) if entry.get("events") is not None else _EVERY_EVENT,
        parse_bool(entry.get("enabled", True)),
        parse_level(entry["level"]) if entry.get("level") else "",
        ratio_of(entry.get("sampling", entry.get("sample"))),
    )


def _globs(value: object) -> tuple[str, ...]:
    return parse_names(value) if value else ()


def ratio_of(sampling: object) -> float | None:
    """A sampling rate: a number, or ``{"enabled": true, "rate": 0.1}`` as the telemetry module's files have it."""
    if not isinstance(sampling, Mapping):
        return None if sampling is None else parse_ratio(sampling)
    is_enabled = parse_bool(sampling.get("enabled", True))
    return parse_ratio(sampling.get("rate", 1.0)) if is_enabled else None
