"""Stores with known contents, and the real program as a child process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .helpers import EVENTS, SPANS, plain_environment, program, write_store
from .warm import WarmProgram

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]


# They start processes themselves, and what those see of this one shall be as it is for a user.
_OF_PROCESSES = ("demo", "run", "doctor")


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmProgram]:
    """The program, imported once for all tests of a worker."""
    program = WarmProgram(plain_environment())
    yield program
    program.close()


@pytest.fixture
def run(tmp_path: Path, warm: WarmProgram) -> Run:
    """Runs `otel-tracker` in the test's folder; variables of the child as keywords."""

    def run_program(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = plain_environment(**variables)
        if arguments and arguments[0] not in _OF_PROCESSES and warm.is_possible(environment):
            return warm.run([str(argument) for argument in arguments], str(tmp_path), environment)
        return subprocess.run(
            program(*arguments),
            cwd=tmp_path,
            env=environment,
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
