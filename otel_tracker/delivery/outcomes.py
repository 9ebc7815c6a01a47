"""What became of a batch, item by item, where an exporter knows more than taken or refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")

_PAUSES_S = (1.0, 2.0, 4.0)
_MAX_EXPORT_S = 30.0


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


def is_delivered_at_once(
    deliver: Callable[[Sequence[Item]], Outcome[Item]], batch: Sequence[Item], closed: threading.Event
) -> bool:
    """For a processor that asks once: try what may be tried again a few times, within half a minute.

    False when some of it did not arrive. Ends early when ``closed`` is set.
    """
    end_by_s = time.monotonic() + _MAX_EXPORT_S
    is_whole, left = True, list(batch)
    for pause_s in (*_PAUSES_S, 0.0):
        outcome = deliver(left)
        is_whole = is_whole and not outcome.dropped and not outcome.unknown
        left = outcome.again
        wait_s = max(pause_s, outcome.again_after_s)
        if not (left and pause_s) or time.monotonic() + wait_s > end_by_s or closed.wait(wait_s):
            break
    return is_whole and not left
