"""Puts into the pages what their blocks really print: ``python tests/docs/write_outputs.py [PAGE ...]``.

Outputs that hold a line ``...`` are left as they are. Read the difference before you commit it.
"""

from __future__ import annotations

import sys

from pages import PAGES, ROOT, Block, blocks_of, differs, text_of
from running import results_of


def main() -> None:
    """Rewrite the named pages, or all."""
    for page in sys.argv[1:] or PAGES:
        text = text_of(page)
        results = results_of(page)
        for block in reversed(blocks_of(page)):
            mine = [result for result in results if result["line"] == block.line]
            for result in mine:
                if result["error"]:
                    print(f"{page}:{block.line}: {result.get('command', '')} {result['error']}\n{result['printed']}")
            text = text[: block.start] + _with_outputs(block, mine) + text[block.start + len(block.text) :]
        (ROOT / page).write_text(text, encoding="utf-8")


def _with_outputs(block: Block, results: list[dict[str, str]]) -> str:
    if block.is_output:
        return _output(block.text, results[0]["printed"])
    if block.language != "console":
        return block.text
    parts = []
    for (command, expected), result in zip(block.commands(), results, strict=True):
        lines = command.replace("\n", "\n> ")
        parts.append(f"$ {lines}\n{_output(expected, result['printed'])}")
    return "".join(parts)


def _output(expected: str, printed: str) -> str:
    kept = "..." in expected.split("\n") or (expected and not differs(expected, printed))
    shown = expected if kept else "\n".join(line.rstrip() for line in printed.split("\n"))
    shown = shown.strip("\n")
    return f"{shown}\n" if shown else ""


if __name__ == "__main__":
    main()
