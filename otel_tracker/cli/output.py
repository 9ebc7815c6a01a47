"""Where commands print to: a rich console for people, JSON lines for programs.

A terminal gets colours and its own width. Anything else gets plain text as wide as it needs, so that a pipe or a
file never loses part of an id; ``COLUMNS`` sets a width for both.
"""

from __future__ import annotations

import codecs
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.text import Text

from otel_tracker.cli.text import json_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNLIMITED_WIDTH = 10_000


class Record(Protocol):
    """What every record and statistic offers."""

    def to_dict(self) -> dict[str, Any]:
        """The record's JSON object."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave the decision to the program; rich would exit with status 1."""
        raise BrokenPipeError


def console_for(*, stderr: bool = False) -> Console:
    """A console that takes text as it is: no markup, no emoji codes, no highlighting."""
    console = _Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)
    if console.width < 1 or (not console.is_terminal and "COLUMNS" not in os.environ):  # COLUMNS=0 means unknown
        console.width = _UNLIMITED_WIDTH
    return console


def print_json_lines(records: Iterable[Record]) -> None:
    """Print each record's JSON object on a line of its own, as they come."""
    ascii_only = not is_utf8(sys.stdout.encoding)
    for record in records:
        sys.stdout.write(json_line(record.to_dict(), ascii_only=ascii_only) + "\n")


def is_utf8(encoding: str | None) -> bool:
    """Whether text of any kind can be written in this encoding."""
    try:
        return codecs.lookup(encoding or "").name == "utf-8"
    except LookupError:
        return False


def note(sentence: str, *, stderr: bool = False) -> None:
    """Print a sentence that accompanies the records, dimmed where there are colours."""
    console_for(stderr=stderr).print(Text(visible(sentence), style="dim"), soft_wrap=True)
