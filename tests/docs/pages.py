"""The pages of the documentation as blocks: what can be run, and what it is said to print.

- A ``python`` block is executed; all of a page share one namespace, the module `shop`. A ``text`` block right after
  it is what it prints.
- A ``python`` or ``yaml`` block whose first line is a comment with a file name is written to that file.
- A ``console`` block holds commands after ``$ `` and what each prints. A line ``...`` stands for any lines.
- Any other language is not run; `test_code_blocks.NOT_RUN` lists each such block with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))

EXAMPLE_PAGES = tuple(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "examples").glob("*/README.md")))
"""The pages of the example applications: their first command starts a server, the others ask it and its store."""

FOLDER = "/srv/shop"
"""Stands in the pages for the folder in which a reader tries things out."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w/-]+\.(?:py|yaml))\n")
_COMMAND = re.compile(r"^\$ (.*(?:\n> .*)*)$", re.MULTILINE)
_ELLIPSIS = "..."


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is that of its first line in the page, ``start`` where that is in the text."""

    page: str
    line: int
    start: int
    language: str
    text: str
    follows: str = ""
    """The language of the block before it when nothing but blank lines stands between the two."""

    @property
    def file_name(self) -> str:
        """The file that the block is the content of; empty when it is not one."""
        match = _FILE_NAME.match(self.text)
        return match[1] if match and self.language in ("python", "yaml") else ""

    @property
    def is_output(self) -> bool:
        """Whether it shows what the Python block before it prints."""
        return self.language == "text" and self.follows == "python"

    @property
    def is_run(self) -> bool:
        """Whether running the page does something with it."""
        return self.language in ("python", "console") or bool(self.file_name) or self.is_output

    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console block, each with what it is said to print."""
        if self.language != "console":
            return []
        starts = list(_COMMAND.finditer(self.text))
        ends = [*(match.start() for match in starts[1:]), len(self.text)]
        return [
            (match[1].replace("\n> ", "\n"), self.text[match.end() : end].strip("\n"))
            for match, end in zip(starts, ends, strict=True)
        ]


def text_of(page: str) -> str:
    """The page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(page: str) -> list[Block]:
    """The page's blocks, in order."""
    text, blocks, previous_end, previous = text_of(page), [], 0, ""
    for match in _BLOCK.finditer(text):
        follows = previous if not text[previous_end : match.start()].strip() else ""
        line = text.count("\n", 0, match.start(2)) + 1
        blocks.append(Block(page, line, match.start(2), match[1], match[2], follows))
        previous_end, previous = match.end(), match[1]
    return blocks


# What differs from run to run, and what stands for it.
_VARYING: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?(?! UTC\))", "TIME"),
    (r"\b\d{19}-[0-9a-f]{16}\b", "CURSOR"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"\b[0-9a-f]{32}\b", "TRACE"),
    (r"\b[0-9a-f]{16}\b", "SPAN"),
    (r'"(duration_ms|\w+_ms)": [\d.e-]+', r'"\1": MS'),
    (r'("Timestamp": |"(?:query|handler)": (?=\d+\.\d+[,}]))[\d.]+', r"\1MS"),  # of a line for CloudWatch
    (r'(?<="latencies": \{)[^}]*', lambda found: re.sub(r'": [\d.e-]+', '": MS', found[0])),
    (r"(?<=  )[\d,]+\.\d(?= ms\b|  |$|\n)", "MS"),
    (r"(otel-tracker|Python|opentelemetry-[a-z]+) \d+\.\d[\w.]*", r"\1 VERSION"),
    (r"(no installed package provides; expected one of )[^.]*\.", r"\1NAMES."),
    (r'("telemetry\.\w+\.version": )"[^"]+"', r'\1"VERSION"'),
)


def normalised(text: str) -> str:
    """The text with everything that differs from run to run replaced, and columns of any width alike."""
    for pattern, replacement in _VARYING:
        text = re.sub(pattern, replacement, text)
    lines = (re.sub(r"(?<=\S)[ \t]+", " ", line).rstrip() for line in text.split("\n"))
    return "\n".join(lines).strip("\n")


def differs(expected: str, actual: str, *, exactly: bool = False) -> bool:
    """Whether the output is another one than the page says; a line ``...`` in the page stands for any lines."""
    if exactly:
        return expected.rstrip() != actual.rstrip()
    pieces: list[list[str]] = [[]]
    for line in normalised(expected).split("\n"):
        if line == _ELLIPSIS:
            pieces.append([])
        else:
            pieces[-1].append(line)
    return not _stand_in_order(pieces, normalised(actual).split("\n"))


def _stand_in_order(pieces: list[list[str]], lines: list[str]) -> bool:
    """Whether the first piece begins the lines, the last ends them, and the others stand between in their order."""
    first, *others = pieces
    if lines[: len(first)] != first:
        return False
    if not others:
        return len(lines) == len(first)
    at = len(first)
    *middle, last = others
    for piece in middle:
        found = next((i for i in range(at, len(lines) + 1) if lines[i : i + len(piece)] == piece), None)
        if found is None:
            return False
        at = found + len(piece)
    return len(lines) - len(last) >= at and (not last or lines[-len(last) :] == last)
