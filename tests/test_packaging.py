"""What an installation promises: its commands, entry points, extras and requirements."""

import importlib.metadata
import subprocess
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import otel_tracker

OURS = importlib.metadata.distribution("otel-tracker")

ENTRY_POINTS = {
    ("console_scripts", "otel-tracker"),
    ("opentelemetry_distro", "otel_tracker"),
    ("opentelemetry_configurator", "otel_tracker"),
    ("opentelemetry_environment_variables", "otel_tracker"),
    ("opentelemetry_traces_exporter", "otel_tracker_sqlite"),
    ("opentelemetry_traces_exporter", "otel_tracker_jsonl"),
    ("opentelemetry_traces_exporter", "otel_tracker_firestore"),
    ("opentelemetry_traces_exporter", "otel_tracker_umami"),
    ("opentelemetry_metrics_exporter", "otel_tracker_sqlite"),
    ("opentelemetry_metrics_exporter", "otel_tracker_jsonl"),
    ("opentelemetry_logs_exporter", "otel_tracker_sqlite"),
    ("opentelemetry_logs_exporter", "otel_tracker_jsonl"),
    ("opentelemetry_logs_exporter", "otel_tracker_firestore"),
    ("opentelemetry_logs_exporter", "otel_tracker_logging"),
    ("opentelemetry_logs_exporter", "otel_tracker_umami"),
    ("otel_tracker_store", "sqlite"),
    ("otel_tracker_store", "jsonl"),
    ("otel_tracker_store", "otlp"),
    ("otel_tracker_store", "firestore"),
    ("otel_tracker_doctor", "firestore"),
    ("otel_tracker_doctor", "umami"),
    ("otel_tracker_indexes", "firestore"),
}

# An extra appears with the code behind it, never before.
EXTRAS = {"flask", "fastapi", "django", "firestore", "otlp", "prometheus", "umami", "fast", "all", "dev"}

# The OTel requirements without a range, for old resolvers' sake: the comment in pyproject.toml says why.
UNRANGED = {"opentelemetry-exporter-otlp-proto-http", "opentelemetry-exporter-prometheus"}

MAX_CORE_DISTRIBUTIONS = 15


def requirements() -> list[Requirement]:
    return [Requirement(text) for text in OURS.requires or []]


def opentelemetry_requirements() -> list[Requirement]:
    return [requirement for requirement in requirements() if requirement.name.startswith("opentelemetry")]


@pytest.mark.parametrize("point", OURS.entry_points, ids=lambda point: f"{point.group}:{point.name}")
def test_entry_point_loads(point: importlib.metadata.EntryPoint) -> None:
    """Whoever finds us by entry point gets an object, with the core install alone."""
    assert point.load() is not None


def test_entry_points_are_the_documented_ones() -> None:
    """Distro, configurator, environment variables, exporters, stores and one command; nothing else."""
    assert {(point.group, point.name) for point in OURS.entry_points} == ENTRY_POINTS


def test_exporter_entry_points_do_not_take_short_names() -> None:
    """A name such as `sqlite` in OTel's own groups could clash with another package's."""
    names = {point.name for point in OURS.entry_points if point.group.endswith("_exporter")}
    assert all(name.startswith("otel_tracker_") for name in names), names


def test_version_is_the_installed_one() -> None:
    """`otel_tracker.__version__` and what pip says are the same."""
    assert otel_tracker.__version__ == OURS.version


def test_extras_are_the_ones_with_something_behind_them() -> None:
    """No extra is a stub."""
    assert set(OURS.metadata.get_all("Provides-Extra") or []) == EXTRAS


def test_extra_all_takes_every_extra_but_the_developers() -> None:
    """`all` installs whatever a user can use."""
    separate = {requirement.name for extra in EXTRAS - {"all", "dev"} for requirement in _of_extra(extra)}
    assert {requirement.name for requirement in _of_extra("all")} == separate


def test_core_install_stays_small() -> None:
    """Without extras at most fifteen distributions are installed, this one included."""
    core = _with_requirements("otel-tracker", set())
    assert len(core) <= MAX_CORE_DISTRIBUTIONS, sorted(core)


@pytest.mark.parametrize("requirement", opentelemetry_requirements(), ids=str)
def test_opentelemetry_requirement_has_the_range_of_its_kind(requirement: Requirement) -> None:
    """Stable packages from 1.45 below 2; every contrib package from 0.66b0, no upper bound; never an exact pin."""
    if requirement.name in UNRANGED:
        expected = ""
    elif requirement.name in ("opentelemetry-api", "opentelemetry-sdk"):
        expected = "<2,>=1.45"
    else:
        expected = ">=0.66b0"
    assert str(requirement.specifier) == expected


def test_no_other_distro_is_required() -> None:
    """`opentelemetry-distro` beside us would be a second answer to the same question."""
    assert "opentelemetry-distro" not in {requirement.name for requirement in requirements()}


def test_nothing_is_pinned() -> None:
    """An application decides on versions, a library on ranges."""
    specifiers = [specifier for requirement in requirements() for specifier in requirement.specifier]
    assert not [str(specifier) for specifier in specifiers if specifier.operator in ("==", "===", "~=")]


def test_python_has_no_upper_bound() -> None:
    """Every CPython from 3.10 on can install it."""
    assert OURS.metadata["Requires-Python"] == ">=3.10"


def test_licence_is_declared_and_installed() -> None:
    """MIT, with its text in the installation."""
    assert OURS.metadata["License-Expression"] == "MIT"
    assert OURS.metadata.get_all("License-File") == ["LICENSE"]


@pytest.mark.parametrize("package", ["otel_tracker", "otel_tracker_exporters"])
def test_package_is_marked_as_typed(package: str) -> None:
    """Type checkers read the annotations of both import packages."""
    assert files(package).joinpath("py.typed").is_file()


@pytest.mark.parametrize("form", ["console script", "python -m"])
def test_command_prints_its_version(form: str, tmp_path: Path) -> None:
    """`otel-tracker --version` and `python -m otel_tracker --version` say the installed version."""
    command = [sys.executable, "-m", "otel_tracker"]
    if form == "console script":
        command = [str(Path(sysconfig.get_path("scripts"), "otel-tracker"))]
    done = subprocess.run(
        [*command, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert OURS.version in done.stdout
    assert list(tmp_path.iterdir()) == []


def _of_extra(extra: str) -> list[Requirement]:
    """What an extra adds (the build back-end has replaced `otel-tracker[...]` inside an extra by what it means)."""
    marked = [requirement for requirement in requirements() if requirement.marker is not None]
    return [
        requirement for requirement in marked if requirement.marker and requirement.marker.evaluate({"extra": extra})
    ]


def _with_requirements(name: str, seen: set[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """The canonical names of a distribution and of all that it needs in this environment."""
    seen.add(canonicalize_name(name))
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        applies = any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in {"", *extras})
        if applies and canonicalize_name(requirement.name) not in seen:
            _with_requirements(requirement.name, seen, frozenset(requirement.extras))
    return seen
