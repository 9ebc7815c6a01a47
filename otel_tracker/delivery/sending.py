"""Hands batches to an exporter, and hands them over again when that fails.

The answer of an exporter says only that a batch was refused, not why. As a rule the destination is down: everything
waits, and is tried again after a growing pause. A batch that has failed several times is taken apart, to find out
whether some of it can be delivered; where that is so, the destination is well and what it refuses alone is given up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from otel_tracker.delivery.listening import Listener
from otel_tracker.delivery.outcomes import Outcome
from otel_tracker.diagnostics import logger, report_internal_error, say_rarely

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_tracker.delivery.backlog import Backlog, Batch
    from otel_tracker.delivery.counts import Counts

Item = TypeVar("Item")

REFUSED = "refused"

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_SIFTED_AT_ATTEMPT = 3
_SIFTED_EVERY = 8
# Enough to come from 512 items down to one and to try two more; more would only bother a destination that is down.
_MISSES = 12


class Sender(Generic[Item]):
    """Gives what waits in ``backlog`` to ``exporter``; used by one thread at a time.

    ``is_hurried`` says that the end is near: nothing is tried twice then.
    """

    def __init__(
        self, exporter: Any, backlog: Backlog[Item], counts: Counts, destination: str, is_hurried: Callable[[], bool]
    ) -> None:
        self._exporter = exporter
        self._deliver: Callable[[list[Item]], Outcome[Item]] | None = getattr(exporter, "deliver", None)
        self._backlog = backlog
        self._counts = counts
        self._destination = destination
        self._is_hurried = is_hurried
        self._listener = Listener(exporter)
        self._failures = 0
        self.again_s = 0.0

    def send(self) -> bool | None:
        """Deliver one batch; False when it is to be tried again, None when nothing waits."""
        batch = self._backlog.take()
        if batch is None:
            return None
        if self._deliver is not None:
            return self._delivered(batch, self._deliver)
        number = len(batch.items)
        if not self._is_taken(batch.items):
            return self._failed(batch)
        if self._backlog.settle(batch):
            self._count_exported(batch, number)
        self._succeeded()
        return True

    def may_try(self) -> bool:
        """Whether the pause after a failure is over."""
        return time.monotonic() >= self.again_s

    def say_left(self) -> None:
        """Say that the process ends before everything was taken, unless it is known already that something is wrong."""
        if self._failures and getattr(self._exporter, "explains_failures", False):
            return
        say_rarely(
            f"{self._destination} has not taken everything in the time that there is to end. The rest lies in the "
            "journal and is sent when the next process starts. To wait longer, set "
            "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S.",
            key=f"down:{_server_of(self._destination)}",
        )

    def _is_taken(self, items: list[Item]) -> bool:
        try:
            with self._listener:
                result = self._exporter.export(items)
        except Exception as error:  # an exporter of anybody's
            self._listener.reason = f"{type(error).__name__}: {error}"
            return False
        return result is None or getattr(result, "name", "SUCCESS") == "SUCCESS"

    def _delivered(self, batch: Batch[Item], deliver: Callable[[list[Item]], Outcome[Item]]) -> bool:
        """Hand a batch to an exporter that tells what became of each item."""
        try:
            with self._listener:
                outcome = deliver(batch.items)
        except Exception as error:  # a fault of the exporter's: nobody knows what was sent
            report_internal_error("delivering", error)
            outcome = Outcome(unknown=len(batch.items))
        settled = len(batch.items) - len(outcome.again)
        batch.items = outcome.again
        if not outcome.again:
            if self._backlog.settle(batch):
                self._count(batch, outcome)
            self._succeeded()
            return True
        if not settled or self._backlog.take_off(batch, settled):
            self._count(batch, outcome)
        if self._backlog.give_back(batch):
            self._pause(outcome.again_after_s)
        return False

    def _count(self, batch: Batch[Item], outcome: Outcome[Item]) -> None:
        self._count_exported(batch, outcome.exported)
        if batch.is_own:
            self._counts.unknown += outcome.unknown
            for reason, number in outcome.dropped.items():
                self._counts.drop(reason, number)

    def _failed(self, batch: Batch[Item]) -> bool:
        batch.attempts += 1
        since = batch.attempts - _SIFTED_AT_ATTEMPT
        if since >= 0 and since % _SIFTED_EVERY == 0 and not self._is_hurried() and self._sift(batch):
            self._succeeded()
            return True
        if not self._backlog.give_back(batch):
            return False
        self._pause()
        self._say_failed()
        return False

    def _pause(self, at_least_s: float = 0.0) -> None:
        pause_s = _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._failures += 1
        self.again_s = time.monotonic() + max(pause_s, at_least_s)

    def _sift(self, batch: Batch[Item]) -> bool:
        """Deliver a batch in parts; False when nothing of it was taken, so that it is no fault of the batch."""
        parts, refused = [batch.items], list[Item]()
        misses, is_well = 0, False
        while parts and (is_well or misses < _MISSES) and not self._is_hurried():
            part = parts.pop(0)
            if self._is_taken(part):
                if not is_well:
                    is_well = True  # perhaps just now: what was refused before is no worse than the rest
                    parts += [[item] for item in refused]
                    refused.clear()
                if self._backlog.take_off(batch, len(part)):
                    self._count_exported(batch, len(part))
                continue
            misses += 1
            middle = len(part) // 2
            if middle:
                parts[:0] = [part[:middle], part[middle:]]
            else:
                refused += part
        batch.items = [*refused, *(item for part in parts for item in part)]
        if not is_well or parts:
            return False
        if self._backlog.settle(batch) and refused:
            self._give_up(batch, len(refused))
        return True

    def _give_up(self, batch: Batch[Item], number: int) -> None:
        if batch.is_own:
            self._counts.drop(REFUSED, number)
        say_rarely(
            f"{self._destination} takes other telemetry but refused {number} of a batch ({self._reason()}); "
            "those are given up.",
            key=f"refused:{self._destination}",
        )

    def _count_exported(self, batch: Batch[Item], number: int) -> None:
        if batch.is_own:
            self._counts.exported += number
        else:
            self._counts.recovered += number

    def _succeeded(self) -> None:
        if self._failures:
            logger.info("%s takes telemetry again", self._destination)
        self._failures, self.again_s = 0, 0.0

    def _say_failed(self) -> None:
        if getattr(self._exporter, "explains_failures", False):
            return
        say_rarely(
            f"{self._destination} does not take telemetry ({self._reason()}). It waits in memory and in the journal "
            "and is sent as soon as that is possible. See that the destination can be reached, or take it out of "
            "OTEL_TRACES_EXPORTER.",
            key=f"down:{_server_of(self._destination)}",
        )

    def _reason(self) -> str:
        return " ".join(self._listener.reason.split())[:300] or "it gave no reason"


def _server_of(destination: str) -> str:
    """What is down when a destination is: of one with an address the server, so that two signals are one sentence."""
    scheme, separator, rest = destination.rpartition(" ")[2].partition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}" if separator else destination
