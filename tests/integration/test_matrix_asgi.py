"""uvicorn alone, with workers, and with its reloader: no request's span is lost, and supervisors start nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .matrix import needs, needs_linux, program
from .servers import Setup, assert_nothing_is_lost, setups

pytestmark = [needs_linux, needs("fastapi", "uvicorn", "opentelemetry.instrumentation.fastapi")]

UVICORN = "uvicorn fastapi_shop:app --port {port}"

SETUPS = setups(
    ("uvicorn",),
    Setup("uvicorn", UVICORN, status=-15),
    Setup("uvicorn-workers", f"{UVICORN} --workers 2", has_supervisor=True),
    Setup("uvicorn-reload", f"{UVICORN} --reload", has_supervisor=True),
)


@pytest.mark.parametrize(("setup", "requests"), SETUPS)
def test_uvicorn_loses_nothing_on_sigterm(setup: Setup, requests: int) -> None:
    """Every request of every worker is stored; the supervisor and multiprocessing's tracker have no thread, no file."""
    program("fastapi_shop.py")
    # The threads of its other watcher, which is used where it is installed, could not be told from ours.
    Path("watchfiles.py").write_text("raise ImportError\n", encoding="utf-8")
    assert_nothing_is_lost(setup, requests, instrumentor="fastapi")
