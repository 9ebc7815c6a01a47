"""Where telemetry goes and what lies there: settings, destinations, the store."""

from __future__ import annotations

import os
from collections.abc import Iterator

from otel_tracker import settings
from otel_tracker.destinations import (
    LOGS_GROUP,
    METRICS_GROUP,
    METRICS_VARIABLE,
    TRACES_GROUP,
    entry_point_of,
    metric_names,
    unknown_destination,
)
from otel_tracker.doctor.findings import NOTE, OK, PROBLEM, Finding
from otel_tracker.errors import OtelTrackerError, SettingError, StoreNotFoundError
from otel_tracker.event_routes import Route
from otel_tracker.setting_sources import Setting
from otel_tracker.stores import default_place


def check_settings() -> Iterator[Finding]:
    """Every variable of ours that is set, and whether its value can be used."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding("settings", PROBLEM, "OTEL_SDK_DISABLED is true, so nothing is traced. Unset it.")
    known = {setting.variable for setting in settings.TABLE}
    for variable in sorted(os.environ):
        if variable.startswith("OTEL_TRACKER_") and variable not in known:
            yield Finding("settings", NOTE, f"{variable} is no setting and has no effect; docs/settings.md lists them.")
    for setting in settings.TABLE:
        value = os.environ.get(setting.variable, "").strip()
        if value:
            yield _setting(setting, value)


def check_destinations() -> Iterator[Finding]:
    """Every destination that is named: whether it exists, and which signals it takes."""
    names = [name for name in settings.EXPORTERS.read() if name.lower() != "none"]
    if not names:
        yield Finding(
            "destinations", PROBLEM, f"{settings.EXPORTERS.variable} names none, so nothing is stored. Unset it."
        )
    for name in names:
        yield _destination(name)
    for route in settings.EVENTS_ROUTES.read():
        yield _route(route)
    yield from _metrics()


def _metrics() -> Iterator[Finding]:
    """Where metrics go, by a variable of their own or with spans."""
    names, variable = metric_names()
    missing = [name for name in names if entry_point_of(name, METRICS_GROUP) is None]
    if variable == METRICS_VARIABLE:
        for name in missing:
            yield Finding("metrics", PROBLEM, unknown_destination(name, METRICS_GROUP, variable))
    found = [name for name in names if name not in missing]
    if found:
        yield Finding("metrics", OK, f"They go to {', '.join(found)}, as {variable} says.")
    else:
        yield Finding(
            "metrics", NOTE, f"They go nowhere, as {variable} says. Set {METRICS_VARIABLE} to sqlite to store them."
        )


def _route(route: Route) -> Finding:
    subject, variable = f"route to {route.destination}", settings.EVENTS_ROUTES.variable
    if entry_point_of(route.destination, LOGS_GROUP) is None:
        return Finding(subject, PROBLEM, unknown_destination(route.destination, LOGS_GROUP, variable))
    if not route.is_enabled:
        return Finding(subject, OK, "It is not enabled: no event goes there.")
    said = [f"Events {', '.join(route.events) or 'of no name'} go there"]
    said += [f"level {route.level}"] if route.level else []
    said += [f"a sample of {route.sample_ratio:g}"] if route.sample_ratio is not None else []
    return Finding(subject, OK, f"{', '.join(said)}.")


def check_store() -> Iterator[Finding]:
    """What the store that commands read by default holds."""
    place = default_place()
    if place is None:
        yield Finding("store", NOTE, "No destination that is named can be read back; commands need --store.")
        return
    location = place.location
    try:
        with place.open_reader() as reader:
            newest = next(reader.query_executions(limit=1), None)
    except StoreNotFoundError:
        yield Finding("store", NOTE, f"{location} does not exist yet; the first span makes it.")
    except OtelTrackerError as error:
        yield Finding("store", PROBLEM, str(error))
    else:
        held = "is empty" if newest is None else f"holds executions, the newest of {newest.start:%Y-%m-%d %H:%M:%S} UTC"
        yield Finding("store", OK, f"{location} {held}.")


def _setting(setting: Setting[object], value: str) -> Finding:
    try:
        setting.checked(value, setting.variable)
    except SettingError as error:
        return Finding("settings", PROBLEM, str(error))
    return Finding("settings", OK, f"{setting.variable} is {setting.shown(value)}.")


def _destination(name: str) -> Finding:
    subject = f"destination {name}"
    if entry_point_of(name, TRACES_GROUP) is None:
        return Finding(subject, PROBLEM, unknown_destination(name, TRACES_GROUP, settings.EXPORTERS.variable))
    signals = "spans and events" if entry_point_of(name, LOGS_GROUP) is not None else "spans only"
    return Finding(subject, OK, f"It takes {signals}.")
