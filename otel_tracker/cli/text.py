r"""Text from telemetry, made safe to print: it is data, and a terminal must never obey it.

Control characters, terminal escapes, bidirectional overrides and lone surrogates become visible escapes such as
``\x1b``. What is printed goes through `rich.text.Text`, never through rich's markup, so that ``[red]`` in a name
stays what it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

# C0 and C1 controls, DEL, line separators, zero-width and bidirectional controls, surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str) -> str:
    r"""One line of text with every character that a terminal could obey replaced by its escape.

    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _UNSAFE.sub(_escape, text)


def visible_lines(text: str) -> list[str]:
    """The lines of a text, tabs expanded, each of them `visible`."""
    return [visible(line.expandtabs(4).rstrip()) for line in re.split(r"\r\n|\r|\n", text)]


def compact(value: Any) -> str:
    """A plain value as one line of JSON: what tables and trees show of arguments, results and properties."""
    return visible(json.dumps(value, ensure_ascii=False, default=str))


def shortened(text: str, max_length: int) -> str:
    """At most ``max_length`` characters, the end replaced by ``...`` when there were more."""
    return text if len(text) <= max_length else f"{text[: max(max_length - 3, 0)]}..."


def json_line(fields: dict[str, Any], *, ascii_only: bool = False) -> str:
    """The object as one line of JSON that is safe to print; equal, once parsed, to what went in."""
    return _UNSAFE.sub(_json_escape, json.dumps(fields, ensure_ascii=ascii_only))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
