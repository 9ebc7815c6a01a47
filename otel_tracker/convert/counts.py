"""What a conversion did, counted, and said in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Counts:
    """How many records went which way, interrupted runs of the same conversion included.

    A span that was stored when it started and again when it ended is two records.
    """

    spans: int = 0
    events: int = 0
    logs: int = 0
    metrics: int = 0
    spans_there: int = 0
    events_there: int = 0
    logs_there: int = 0
    metrics_there: int = 0
    unwritable: int = 0
    unfinished: int = 0
    skipped_lines: int = 0
    skipped_rows: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: number + theirs[name] for name, number in mine.items()})


@dataclass(frozen=True, slots=True)
class Converted:
    """The outcome of a conversion; ``target_format`` is None where the store has only one."""

    source: str
    target: str
    target_format: str | None
    is_resumed: bool
    counts: Counts

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `otel-tracker convert --json` prints."""
        return {
            "source": self.source,
            "target": self.target,
            "format": self.target_format,
            "resumed": self.is_resumed,
            **asdict(self.counts),
        }

    def __str__(self) -> str:
        """One sentence for a person; what did not happen is left out."""
        counts = self.counts
        what = [_number(counts.spans, "span"), _number(counts.events, "event")]
        if counts.logs or counts.logs_there:
            what.append(_number(counts.logs, "log"))
        if counts.metrics or counts.metrics_there:
            what.append(_number(counts.metrics, "metric point"))
        parts = [f"Converted {_listed(what)} from {self.source} to {self.target}"]
        there = (
            (counts.spans_there, "span"),
            (counts.events_there, "event"),
            (counts.logs_there, "log"),
            (counts.metrics_there, "metric point"),
        )
        if total := sum(number for number, _ in there):
            named = _listed([_number(number, noun) for number, noun in there if number])
            parts.append(f"{named} {_verb(total)} there already")
        if counts.unfinished:
            parts.append(f"{_number(counts.unfinished, 'span')} without an end cannot be sent")
        if counts.unwritable:
            parts.append(f"{_number(counts.unwritable, 'record')} could not be written")
        for number, noun in ((counts.skipped_lines, "line"), (counts.skipped_rows, "row")):
            if number:
                parts.append(f"{_number(number, noun)} that cannot be read {_verb(number)} passed over")
        if self.is_resumed:
            parts.append("it went on where an interrupted run had stopped")
        return "; ".join(parts) + "."


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _verb(count: int) -> str:
    return "was" if count == 1 else "were"
