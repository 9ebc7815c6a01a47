"""Executions and statistics as CSV for spreadsheets: fixed columns, and no cell that a spreadsheet would execute.

JSON lines are the lossless form. Here, containers are JSON text, control characters are made visible, and text
that begins like a formula gets a leading apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any, TextIO

from otel_tracker.cli.text import visible
from otel_tracker.stats import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_tracker.records import SpanRecord

    Row = SpanRecord | Statistics

COLUMNS = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "function",
    "module",
    "status",
    "start",
    "end",
    "duration_ms",
    "args",
    "result",
    "error_type",
    "error_message",
    "error_traceback",
    "attributes",
    "events",
    "links",
    "status_code",
    "status_message",
    "scope",
    "resource",
)
"""The header; a record's keys, its ``error`` in three columns. New ones will come at the end."""

STATISTICS_COLUMNS = tuple(Statistics.__dataclass_fields__)
"""The header of statistics."""

# What a spreadsheet takes for the beginning of a formula, also behind the separators that it strips.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def write_csv(records: Iterable[Row], file: TextIO, columns: tuple[str, ...] = COLUMNS) -> None:
    """Write the header and one row a record, as they come; ``file`` must not translate newlines.

    All of them are executions, or all are statistics, whose columns are `STATISTICS_COLUMNS`.
    """
    writer = csv.writer(file)
    writer.writerow(columns)
    for record in records:
        writer.writerow(_row(record.to_dict(), columns))


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet executes.

    >>> harmless("=1+1")
    "'=1+1"
    """
    neutral = f"'{text}" if _FORMULA.match(text) else text
    return "\n".join(visible(line) for line in neutral.split("\n"))


def _row(fields: dict[str, Any], columns: tuple[str, ...]) -> list[object]:
    error = fields.get("error", {})
    flat = {**fields, **{f"error_{key}": value for key, value in error.items()}}
    if "result" in fields:
        flat["result"] = _json_cell(fields["result"])
    return [_cell(flat.get(column)) for column in columns]


def _cell(value: Any) -> object:
    """Numbers as they are, so that a spreadsheet can add them up; everything else as harmless text."""
    if value is None or isinstance(value, (int, float)):
        return value
    return harmless(value if isinstance(value, str) else _json_cell(value))


def _json_cell(value: Any) -> Any:
    """JSON text, but a number stays one."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else json.dumps(value, ensure_ascii=False)
