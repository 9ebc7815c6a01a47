"""What became of everything that was ever put into a lane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Counts:
    """The numbers of one lane, written under its lock; what waits is counted where it waits."""

    exported: int = 0
    unknown: int = 0
    recovered: int = 0
    spilled: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, number: int = 1) -> None:
        """Count items that are given up."""
        self.dropped[reason] = self.dropped.get(reason, 0) + number


@dataclass(frozen=True, slots=True)
class DestinationReport:
    """What became of the spans or the events of this process at one destination; see `DeliveryReport`."""

    destination: str
    signal: str
    created: int
    exported: int
    queued: int
    in_journal: int
    dropped: Mapping[str, int]
    unknown: int
    recovered: int
    spilled: int

    @property
    def is_clean(self) -> bool:
        """Whether all went the straight way: nothing dropped, spilled, left behind or uncertain."""
        return not (self.dropped or self.spilled or self.in_journal or self.unknown)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of the spans and events that this process has created, each counted once a destination.

    ``created`` = ``exported`` + ``queued`` + ``in_journal`` + all of ``dropped`` + ``unknown``. ``queued`` waits in
    memory; ``in_journal`` waits on disk and goes out, by this process or by the next; ``dropped`` is given up, by
    reason; ``unknown`` was sent without an answer, to a destination that must not get anything twice. Beside that
    sum, ``recovered`` counts what earlier processes had left behind and this one has delivered.
    """

    created: int = 0
    exported: int = 0
    queued: int = 0
    in_journal: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0
    recovered: int = 0
    destinations: tuple[DestinationReport, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ``destinations`` as a list of the same."""
        return {**asdict(self), "destinations": [one.to_dict() for one in self.destinations]}


def summed(reports: Iterable[DestinationReport]) -> DeliveryReport:
    """The report over all destinations."""
    destinations = tuple(reports)
    dropped = Counts()
    for one in destinations:
        for reason, number in one.dropped.items():
            dropped.drop(reason, number)
    return DeliveryReport(
        created=sum(one.created for one in destinations),
        exported=sum(one.exported for one in destinations),
        queued=sum(one.queued for one in destinations),
        in_journal=sum(one.in_journal for one in destinations),
        dropped=dropped.dropped,
        unknown=sum(one.unknown for one in destinations),
        recovered=sum(one.recovered for one in destinations),
        destinations=destinations,
    )
