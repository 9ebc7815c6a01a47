"""What tests of every folder share: child processes with a clean environment, and what a store holds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from otel_tracker import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_tracker import EventRecord, MetricRecord, SpanRecord

DEADLINE_S = 60.0
"""A child that takes longer is killed with all that it started, and the test fails with what it printed."""

_DROPPED = (
    "OTEL_",
    "PYTHON",
    "DJANGO_",
    "TRACEPARENT",
    "TRACESTATE",
    "BAGGAGE",
    "COLUMNS",
    "LINES",
    "FORCE_COLOR",
    "NO_COLOR",
)


@dataclass(frozen=True)
class Ended:
    """How a child process ended and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr."""
        return [line for line in self.stderr.splitlines() if line.strip()]


def child_environment(**variables: str) -> dict[str, str]:
    """This environment without what could change a child's behaviour; every warning is an error in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    return {**kept, "PYTHONUTF8": "1", "PYTHONWARNINGS": "error", **variables}


def run(*command: str | Path, timeout_s: float = DEADLINE_S, **variables: str) -> Ended:
    """Run a command in the working directory, which is the test's own folder, to its end."""
    child = subprocess.Popen(
        [str(part) for part in command],
        env=child_environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        stdout, stderr = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        stdout, stderr = child.communicate()
        raise AssertionError(f"{command} took more than {timeout_s} s\n{stdout}\n{stderr}") from None
    return Ended(child.returncode, stdout, stderr)


def run_script(code: str, *arguments: str, **variables: str) -> Ended:
    """Run a Python script, as ``app.py`` of the working directory, without any launcher."""
    return run(sys.executable, _script(code), *arguments, **variables)


def launch_script(code: str, *arguments: str, **variables: str) -> Ended:
    """Run a Python script under the real ``opentelemetry-instrument``.

    The web frameworks' instrumentors, which cost half a second a process, stay off unless ``variables`` say otherwise.
    """
    variables.setdefault("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "django,fastapi,flask")
    return run(*launcher(), sys.executable, _script(code), *arguments, **variables)


def launcher() -> list[str]:
    """The command that goes in front of a program to start it under the launcher of this environment."""
    beside_python = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    code = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    return [beside_python] if beside_python else [sys.executable, "-c", code]


def _script(code: str) -> Path:
    script = Path("app.py")
    script.write_text(dedent(code), encoding="utf-8")
    return script


def stored_spans(location: str | Path = "otel-tracker.db") -> list[SpanRecord]:
    """Every span of a store, oldest first."""
    with open_store(location) as reader:
        return list(reader.query_executions(limit=None))[::-1]


def stored_events(location: str | Path = "otel-tracker.db") -> list[EventRecord]:
    """Every event of a store, oldest first."""
    with open_store(location) as reader:
        return list(reader.events(limit=None))[::-1]


def stored_metrics(location: str | Path = "otel-tracker.db") -> list[MetricRecord]:
    """Every metric point of a store, oldest first."""
    with open_store(location) as reader:
        return list(reader.metrics(limit=None))[::-1]


def span_names(location: str | Path = "otel-tracker.db") -> list[str]:
    """The names of a store's spans, in the order of their starts."""
    return [span.name for span in stored_spans(location)]


def wait_until(is_so: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Poll until something is so; AssertionError when it is not in time."""
    for _ in _ticks(timeout_s):
        if is_so():
            return
    raise AssertionError(f"not so within {timeout_s} s")


def _ticks(timeout_s: float) -> Iterator[None]:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        yield
        time.sleep(0.005)


def install_fake_distribution(folder: Path, name: str, modules: dict[str, str], entry_points: str) -> Path:
    """A folder for PYTHONPATH that holds a distribution's modules and metadata, as pip would leave them."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(dedent(entry_points), encoding="utf-8")
    for module, code in modules.items():
        (folder / f"{module}.py").write_text(dedent(code), encoding="utf-8")
    return folder
