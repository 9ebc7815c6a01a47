"""Runs a part of a benchmark in a process of its own: with other settings, without a package, with another Python.

A child is the same script with ``--process NAME``; it starts in an empty folder and without any OpenTelemetry setting
of the caller, so that nobody's environment is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _results import Result

_SETTINGS = ("OTEL_", "DD_", "LOGFIRE_", "PYTHONPATH")


def results_of(
    script: str, process: str, options: argparse.Namespace, *, settings: Mapping[str, str], python: str = sys.executable
) -> tuple[list[Result], list[str]]:
    """The rows and the notes of one part; raises RuntimeError when the child fails."""
    command = [python, str(Path(script).resolve()), "--process", process, *_passed_on(options)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_SETTINGS)}
    with tempfile.TemporaryDirectory(prefix="otel-tracker-benchmark-") as folder:
        done = subprocess.run(
            command, cwd=folder, env=environment | dict(settings), capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise RuntimeError(f"{process}: {' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    return [Result(**row) for row in said["rows"]], said["notes"]


def hide_package(name: str) -> None:
    """Let every later import of the package fail, as if it were not installed."""
    sys.modules[name] = None  # type: ignore[assignment]


def _passed_on(options: argparse.Namespace) -> list[str]:
    return ["--rounds", str(options.rounds), "--only", options.only, "--sample-ms", str(options.sample_ms)]
