"""The parts of the pages that are made from the code: ``python tests/docs/generated.py`` writes them.

Each stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re

from otel_tracker.redaction import Redactor
from otel_tracker.redaction.patterns import KEY_PATTERNS, VALUE_PATTERNS
from otel_tracker.settings import markdown_table

_PART = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def key_table() -> str:
    """The globs of secret names, as a list that wraps."""
    return ", ".join(f"`{pattern}`" for pattern in KEY_PATTERNS)


def value_table() -> str:
    """The shapes of secrets: what they begin with, and what is stored in their place."""
    redact = Redactor()
    rows = ["| shape | is looked for where a text holds | is stored as |", "|---|---|---|"]
    for pattern in VALUE_PATTERNS:
        hints = ", ".join(f"`{hint.strip()}`" for hint in pattern.hints)
        rows.append(f"| {pattern.name.replace('_', ' ')} | {hints} | `{redact.text(pattern.example)}` |")
    return "\n".join(rows)


GENERATED = {"settings": markdown_table, "secret_keys": key_table, "secret_values": value_table}


def parts_of(text: str) -> dict[str, str]:
    """The generated parts of a page, as they stand there."""
    return {match[2]: match[3].strip("\n") for match in _PART.finditer(text)}


def with_parts(text: str) -> str:
    """The page with its generated parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}{GENERATED[match[2]]()}\n{match[4]}", text)


def main() -> None:
    """Rewrite every page that has such a part."""
    from pages import PAGES, ROOT, text_of

    for page in PAGES:
        (ROOT / page).write_text(with_parts(text_of(page)), encoding="utf-8")


if __name__ == "__main__":
    main()
