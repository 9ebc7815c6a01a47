"""The table of metric series that people read, and its sparklines."""

from __future__ import annotations

import sys
from math import inf
from typing import TYPE_CHECKING

from rich.text import Text

from otel_tracker.cli.output import is_utf8
from otel_tracker.cli.tables import WIDTH_FOR_WHOLE_IDS, new_table, number, number_column
from otel_tracker.cli.text import compact, shortened, visible
from otel_tracker.metric_records import GAUGE, NUMBER_KINDS, UP_DOWN_COUNTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table

    from otel_tracker.metric_series import MetricSeries

_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "12345678"
_SLOTS, _FEW_SLOTS = 20, 10
_MAX_LABELS_LENGTH = 200


def series_table(found: Iterable[MetricSeries]) -> Table:
    """Which metric with which labels, what it came to, and how that came about over time: one row a series."""
    table = new_table()
    table.add_column("metric", overflow="fold", ratio=1)
    table.add_column("kind", no_wrap=True)
    table.add_column("labels", overflow="fold", ratio=1)
    for heading in ("value", "avg", "~p50", "~p95"):
        number_column(table, heading)
    table.add_column("unit", no_wrap=True)
    table.add_column("trend", no_wrap=True)
    for series in found:
        labels = shortened(_labels(series), _MAX_LABELS_LENGTH)
        table.add_row(
            Text(visible(series.name)),
            Text(series.kind),
            Text(labels),
            *(Text(text) for text in _numbers(series)),
            Text(visible(series.unit)),
            Text(sparkline(series.slots, from_zero=series.kind not in (GAUGE, UP_DOWN_COUNTER))),
        )
    return table


def slots_for(console: Console) -> int:
    """How many parts a sparkline has room for."""
    return _SLOTS if console.width >= WIDTH_FOR_WHOLE_IDS else _FEW_SLOTS


def sparkline(slots: Sequence[float | None], *, from_zero: bool) -> str:
    """A bar a slot, between nothing or the least and the greatest; a blank where there is no number.

    Where the output has no bars they are the digits from 1 to 8.

    >>> sparkline((1, None, 4, 8), from_zero=True)
    '▁ ▄█'
    """
    numbers = [slot for slot in slots if slot is not None]
    if not numbers:
        return ""
    least, greatest = (0.0 if from_zero else min(numbers)), max(numbers)
    bars = _BARS if is_utf8(sys.stdout.encoding) else _ASCII_BARS
    return "".join(" " if slot is None else bars[_height(slot, least, greatest)] for slot in slots).rstrip()


def _height(value: float, least: float, greatest: float) -> int:
    if greatest == inf:  # the sum of numbers that are large enough
        return len(_BARS) - 1 if value == inf else 0
    share = (value / 2 - least / 2) / (greatest / 2 - least / 2) if greatest > least else 0.0  # halves: no overflow
    return max(min(round(share * len(_BARS)) - 1, len(_BARS) - 1), 0)


def _numbers(series: MetricSeries) -> tuple[str, ...]:
    if series.kind in NUMBER_KINDS:
        return (number(series.value), "", "", "")
    return tuple(number(value) for value in (series.count, series.avg, series.p50, series.p95))


def _labels(series: MetricSeries) -> str:
    """The labels as ``key=value``, by key."""
    return " ".join(
        f"{visible(key)}={visible(value) if isinstance(value, str) else compact(value)}"
        for key, value in sorted(series.attributes.items())
    )
