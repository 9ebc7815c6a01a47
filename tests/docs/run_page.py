"""Runs the blocks of one page in order, in the working directory, and prints what each gave as JSON.

A program of its own, so that what a page configures is gone with it: ``python run_page.py README.md``.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from pages import FOLDER, Block, blocks_of

_TIMEOUT_S = 60


def main() -> None:
    """Run the page that the first argument names."""
    blocks = blocks_of(sys.argv[1])
    sys.path[0] = ""
    shop = ModuleType("shop")
    sys.modules["shop"] = shop
    results: list[dict[str, Any]] = []
    printed = ""
    for block in blocks:
        if block.file_name:
            Path(block.file_name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            printed, error = _executed(block, vars(shop))
            results.append({"line": block.line, "printed": printed, "error": error})
        elif block.is_output:
            results.append({"line": block.line, "printed": printed, "error": ""})
        elif block.language == "console":
            results.extend(_run(block.line, command) for command, _ in block.commands())
    print(json.dumps(results))


def _executed(block: Block, namespace: dict[str, Any]) -> tuple[str, str]:
    """What the block printed, and the traceback that ended it, if one did. Then everything is delivered."""
    file_name = f"{FOLDER}/shop.py"
    linecache.cache[file_name] = (len(block.text), None, block.text.splitlines(keepends=True), file_name)
    output, error = io.StringIO(), ""
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            exec(compile(block.text, file_name, "exec", dont_inherit=True), namespace)  # the page's own code
        except BaseException:
            error = traceback.format_exc()
        _flush()
    return _shown(output.getvalue()), error


def _flush() -> None:
    from otel_tracker import flush

    flush()


def _run(line: int, command: str) -> dict[str, Any]:
    done = subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=_TIMEOUT_S,
        check=False,
    )
    error = f"exit status {done.returncode}" if done.returncode else ""
    return {"line": line, "command": command, "printed": _shown(done.stdout), "error": error}


def _shown(output: str) -> str:
    output = re.sub(r'(?<=File ").*?(?=/flask_shop/)', "/srv", output)  # of the wheel or of the checkout
    return output.replace(os.getcwd(), FOLDER).replace(os.path.realpath(os.getcwd()), FOLDER)


if __name__ == "__main__":
    main()
