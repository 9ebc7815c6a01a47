"""Celery's prefork workers, which end by `os._exit` and are replaced all the time: no task's span is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import child_environment

from .matrix import assert_worked, needs, needs_linux, program
from .servers import Server, server_environment

pytestmark = [needs_linux, needs("celery")]

WORKER = "celery -A celery_shop worker --concurrency 4 --without-gossip --without-mingle --without-heartbeat"
# A child that has ended is replaced at the next look at them, every 0.8 s.
RECYCLED = f"{WORKER} --max-tasks-per-child 1"

_DEADLINE_S = 60.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "tasks"),
    [
        pytest.param(RECYCLED, 40, id="recycled-many"),
        pytest.param(WORKER, 600, id="prefork-many"),
    ],
)
def test_celery_loses_nothing_when_children_are_replaced_and_on_sigterm(command: str, tasks: int) -> None:
    """Every task is stored once: of children that ended long ago, and of those that SIGTERM to the parent ended."""
    program("celery_shop.py")
    for folder in ("answered", "queue", "control"):
        Path(folder).mkdir()
    _send(tasks)
    worker = Server(command, server_environment("none"))
    try:
        worker.wait_until(lambda: len(os.listdir("answered")) == tasks)
        status = worker.end(worker.pid)
    finally:
        worker.kill()
    assert status == 0, worker.said()
    assert worker.complaints() == []
    assert_worked(range(tasks))


def _send(tasks: int) -> None:
    """Ask from a process that is not traced; before there is a worker, which would read half a file."""
    code = f"from celery_shop import price\nfor number in range({tasks}): price.delay(str(number))"
    variables = child_environment(PYTHONWARNINGS="ignore", OTEL_SDK_DISABLED="true")
    subprocess.run([sys.executable, "-c", code], env=variables, check=True, timeout=_DEADLINE_S)
