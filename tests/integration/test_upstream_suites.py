"""Upstream's own tests of its Flask and Django instrumentors end the same with our distribution active as without it.

They come from the source archives on the package index, in the versions that are installed here.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support import launcher, run

DOWNLOAD_TIMEOUT_S = 120
SUITE_TIMEOUT_S = 300
ATTEMPTS = 3
"""Some tests of upstream's compare durations, and fail now and then on a busy machine, with or without us."""


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["flask", "django"])
def test_upstream_suite_ends_the_same_with_our_distribution(framework: str) -> None:
    """Test by test; the instrumentors are switched off, because the suites activate them by themselves."""
    suite = _source_archive(f"opentelemetry-instrumentation-{framework}")
    tools = _test_utilities()
    without: dict[str, str] = {}
    under_ours: dict[str, str] = {}
    for _ in range(ATTEMPTS):
        _merge(without, _outcomes(suite, [], PYTHONPATH=tools))
        _merge(under_ours, _outcomes(suite, launcher(), PYTHONPATH=tools, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*"))
        if without == under_ours:
            break
    assert "passed" in without.values()
    assert under_ours == without


def _merge(outcomes: dict[str, str], newer: dict[str, str]) -> None:
    """A test that has passed once can pass."""
    outcomes.update({name: outcome for name, outcome in newer.items() if outcomes.get(name) != "passed"})


def _source_archive(package: str) -> Path:
    """The unpacked archive of the installed version."""
    try:
        wanted = f"{package}=={version(package)}"
    except PackageNotFoundError:
        pytest.skip(f"needs {package}")
    _pip("download", "--no-deps", "--no-binary", package, "--dest", "archives", wanted)
    (archive,) = Path("archives").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall("sources", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (folder,) = Path("sources").iterdir()
    return folder.resolve()


def _test_utilities() -> str:
    """A folder with what upstream's tests share, of the release that belongs to the installed instrumentors."""
    wanted = f"opentelemetry-test-utils=={version('opentelemetry-instrumentation')}"
    _pip("install", "--no-deps", "--target", "tools", wanted)
    return str(Path("tools").resolve())


def _pip(command: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", *arguments],
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        pytest.skip(f"needs a package index that has {arguments[-1]}: {' '.join(last)}")


def _outcomes(suite: Path, launch: list[str], **variables: str) -> dict[str, str]:
    """How each test of the suite ended, by its name."""
    report = Path(f"report-{len(launch)}.xml").resolve()
    pytest_command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--junitxml={report}",
    ]
    ended = run(
        *launch,
        *pytest_command,
        f"--rootdir={suite}",
        str(suite / "tests"),
        timeout_s=SUITE_TIMEOUT_S,
        PYTHONWARNINGS="default",
        **variables,
    )
    assert report.exists(), ended
    cases = ElementTree.parse(report).iter("testcase")
    return {f"{case.get('classname')}.{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ElementTree.Element) -> str:
    return next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
