"""Starts programs of the documentation as a reader would: an empty folder, no settings, this interpreter's scripts."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_TIMEOUT_S = 240
_FOREIGN = ("COLUMNS", "TRACEPARENT", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


def environment() -> dict[str, str]:
    """The environment without anybody's telemetry settings, in which `python` and our scripts are this one's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "PYTEST_", "COV_")) and name not in _FOREIGN
    }
    scripts = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHONUTF8": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }


@functools.cache
def results_of(page: str) -> list[dict[str, Any]]:
    """What each block of the page printed, and the error that ended it; see `run_page`."""
    runner = "run_example.py" if page.startswith("examples/") else "run_page.py"
    with tempfile.TemporaryDirectory(prefix="otel-tracker-docs-") as folder:
        done = subprocess.run(
            [sys.executable, str(_HERE / runner), page],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{page} could not be run: {done.stderr}")
    results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return results
