"""Stores with known contents, and the real program as a child process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .helpers import EVENTS, SPANS, plain_environment, program, write_store

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `otel-tracker` in the test's folder; variables of the child as keywords."""

    def run_program(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            program(*arguments),
            cwd=tmp_path,
            env=plain_environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run_program


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of `SPANS` and `EVENTS`, where the program looks by default."""
    return write_store(tmp_path / "otel-tracker.db", SPANS, EVENTS)
