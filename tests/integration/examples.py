"""Starts an example application by the command in its README, on a free port, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docs.pages import ROOT, blocks_of
from docs.running import environment

from .servers import Program, free_port, takes_connections

PORT = "8000"
"""The port in the READMEs, which stands for the free one."""

# What the tests' environment has installed beside what an example names; its spans are in no README.
_UNNAMED = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "sqlite3"}


class Example(Program):
    """A copy of the application, started; ``folder`` is the one that its commands are typed in."""

    def __init__(self, name: str) -> None:
        copy = Path(name).resolve()
        shutil.copytree(
            ROOT / "examples" / name, copy, ignore=shutil.ignore_patterns("__pycache__", "*.db*", "*.jsonl")
        )
        self.folder = copy if (copy / "manage.py").is_file() else copy.parent
        self.port = free_port()
        self.environment = {**environment(), **_UNNAMED, "XDG_STATE_HOME": os.path.abspath("state")}
        super().__init__(["sh", "-c", self.with_port(start_command(name))], self.environment, self.folder)

    def with_port(self, command: str) -> str:
        """A command of the README, with this server's port."""
        return command.replace(PORT, str(self.port))

    def stop(self) -> None:
        """Send SIGTERM to everything that the command has started, and wait until all of it is over."""
        os.killpg(self.pid, signal.SIGTERM)
        self.wait_for_end()


def readme_of(name: str) -> str:
    """The page of an example, as `docs.pages` names it."""
    return f"examples/{name}/README.md"


def start_command(name: str) -> str:
    """The one command that starts the example: the first of its README."""
    blocks = [block for block in blocks_of(readme_of(name)) if block.language == "console"]
    return blocks[0].commands()[0][0]


@contextmanager
def serving_example(name: str) -> Iterator[Example]:
    """The example, which takes connections; nothing of it runs afterwards, however the test went."""
    example = Example(name)
    try:
        example.wait_until(lambda: takes_connections(example.port))
        yield example
    finally:
        example.kill()


def put_on_path(example: Example) -> None:
    """Let the test import the example's own client."""
    sys.path.insert(0, str(example.folder))
