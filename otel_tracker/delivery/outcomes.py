"""What became of a batch, item by item, where an exporter knows more than taken or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Outcome(Generic[Item]):
    """The answer of an exporter's ``deliver(batch)``, which a lane asks instead of ``export`` where there is one.

    Every item of the batch is counted once: ``exported`` arrived, ``dropped`` are given up, by reason, ``unknown`` were
    sent without an answer and must not be sent again, ``again`` are to be handed over once more, not before
    ``again_after_s`` seconds where that is not 0. The exporter says in the log itself what a user has to know.
    """

    exported: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    again: list[Item] = field(default_factory=list)
    again_after_s: float = 0.0

    def drop(self, reason: str, number: int = 1) -> None:
        """Count items that are given up."""
        self.dropped[reason] = self.dropped.get(reason, 0) + number
