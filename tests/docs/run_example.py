"""Starts the application that a README of `examples` is about, types its commands, and prints what each gave as JSON.

A program of its own, like `run_page`: ``python run_example.py examples/flask_shop/README.md``. The first command starts
the server; what others print of the store is awaited, because the server delivers once a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from integration.examples import PORT, Example, serving_example  # noqa: E402

from docs.pages import FOLDER, blocks_of, differs  # noqa: E402

_COMMAND_TIMEOUT_S = 60
_DELIVERY_S = 20.0
_POLL_S = 0.3


def main() -> None:
    """Run the page that the first argument names."""
    page = sys.argv[1]
    steps = [(block.line, *step) for block in blocks_of(page) for step in block.commands()]
    (first_line, first, _), *others = steps
    with serving_example(Path(page).parent.name, Path.cwd()) as example:
        results = [{"line": first_line, "command": first, "printed": "", "error": ""}]
        results += [
            {"line": line, "command": command, **_typed(example, command, shown)} for line, command, shown in others
        ]
        example.stop()
    print(json.dumps(results))


def _typed(example: Example, command: str, shown: str) -> dict[str, Any]:
    """What the command prints; one that asks the store is repeated until it prints what the page shows."""
    deadline_s = time.monotonic() + (_DELIVERY_S if "otel-tracker" in command else 0.0)
    while True:
        result = _run(example, command)
        if not differs(shown, result["printed"]) or time.monotonic() > deadline_s:
            return result
        time.sleep(_POLL_S)


def _run(example: Example, command: str) -> dict[str, Any]:
    done = subprocess.run(
        ["sh", "-c", example.with_port(command)],
        cwd=example.folder,
        env=example.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
    printed = done.stdout.replace(os.path.realpath(example.folder), FOLDER).replace(str(example.port), PORT)
    return {"printed": printed, "error": f"exit status {done.returncode}" if done.returncode else ""}


if __name__ == "__main__":
    main()
