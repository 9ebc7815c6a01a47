"""What is installed and would be chosen: versions, distro, configurator, instrumentors."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

from otel_tracker.doctor.findings import NOTE, OK, PROBLEM, Finding
from otel_tracker.instrumentors import DJANGO, trigger_of
from otel_tracker.launch import launcher
from otel_tracker.version import __version__

_OWN = "otel_tracker"
_SELECTIONS = (
    ("distro", "opentelemetry_distro", "OTEL_PYTHON_DISTRO"),
    ("configurator", "opentelemetry_configurator", "OTEL_PYTHON_CONFIGURATOR"),
)


def check_versions() -> Iterator[Finding]:
    """The versions that a report of a fault needs."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    parts = [f"otel-tracker {__version__}", f"Python {python}"]
    for package in ("opentelemetry-sdk", "opentelemetry-instrumentation"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding("versions", PROBLEM, f"{package} is not installed. Run: pip install otel-tracker.")
    yield Finding("versions", OK, f"{', '.join(parts)}.")


def check_launcher() -> Iterator[Finding]:
    """Which `opentelemetry-instrument` starts programs here, and whether the shell finds the same."""
    command = launcher()
    if len(command) > 1:
        yield Finding(
            "launcher", NOTE, f"No opentelemetry-instrument is installed for {sys.executable}; its code is run instead."
        )
        return
    in_shell = shutil.which("opentelemetry-instrument")
    if in_shell is None or os.path.samefile(in_shell, command[0]):
        yield Finding("launcher", OK, f"{command[0]}, with {sys.executable}.")
        return
    yield Finding(
        "launcher",
        NOTE,
        f"{command[0]} belongs to this Python, but the shell finds {in_shell}, which is another environment's. "
        "Activate this environment, or use `otel-tracker run`.",
    )


def check_selections() -> Iterator[Finding]:
    """Which distro and configurator the launcher takes, and which others stand beside them."""
    for what, group, variable in _SELECTIONS:
        names = [point.name for point in entry_points(group=group)]
        yield _selection(what, names, variable)
        others = sorted(set(names) - {_OWN})
        if others:
            yield Finding(
                what,
                NOTE,
                f"Another {what} is installed beside ours: {', '.join(others)}. "
                f"Set {variable}={_OWN}, or use `otel-tracker run`, which does.",
            )


def check_instrumentors() -> Iterator[Finding]:
    """When each instrumentor becomes active under the launcher, and why others never do."""
    disabled = {name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    for point in sorted(entry_points(group="opentelemetry_instrumentor"), key=lambda point: point.name):
        yield _instrumentor(point, is_disabled=bool(disabled & {point.name, "*"}))


def _selection(what: str, names: list[str], variable: str) -> Finding:
    chosen = os.environ.get(variable, "").strip() or (names[0] if names else "")
    if _OWN not in names:
        return Finding(
            what, PROBLEM, f"Our {what} is not installed properly. Run: pip install --force-reinstall otel-tracker."
        )
    if chosen not in names:
        return Finding(
            what,
            PROBLEM,
            f"{variable} is {chosen!r}, which no installed package provides; nothing is traced then. "
            f"Set it to {_OWN}, or unset it.",
        )
    if chosen != _OWN:
        return Finding(
            what,
            PROBLEM,
            f"The launcher takes the {what} {chosen!r} and not ours. Set {variable}={_OWN}, or use `otel-tracker run`.",
        )
    return Finding(what, OK, f"The launcher takes ours ({_OWN}).")


def _instrumentor(point: EntryPoint, *, is_disabled: bool) -> Finding:
    subject = f"instrumentor {point.name}"
    if is_disabled:
        return Finding(subject, NOTE, "It is switched off by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS.")
    if point.dist is not None:
        conflict = get_dist_dependency_conflicts(point.dist)
        if conflict:
            return Finding(subject, NOTE, f"It is skipped: {str(conflict).rstrip('.')}.")
    return Finding(subject, OK, _activation(point))


def _activation(point: EntryPoint) -> str:
    """When our distro activates an instrumentor; see `otel_tracker.instrumentors`."""
    if point.module == DJANGO:
        return "It is activated when Django reads its middleware."
    trigger = trigger_of(point)
    return f"It is activated when {trigger} is imported." if trigger else "It is loaded at start."
