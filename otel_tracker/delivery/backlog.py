"""What waits for one exporter, oldest first: given back, on disk, in memory.

What ends is appended to ``queue``, which takes no lock. Whoever finds it full moves its oldest items to the journal, a
few at a time. The exporter's thread takes batches from the front: what was given back to be tried again, then what
lies on disk, then what is in memory, so that the order is kept.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from otel_tracker.delivery.codec import ITEMS_A_LINE
from otel_tracker.delivery.journal import Journal, JournalFullError, Place
from otel_tracker.delivery.postponing import AskableLock
from otel_tracker.diagnostics import report_internal_error, say_once, say_rarely

if TYPE_CHECKING:
    from otel_tracker.delivery.codec import Codec
    from otel_tracker.delivery.counts import Counts
    from otel_tracker.delivery.limits import Limits
    from otel_tracker.delivery.segment import Segment

Item = TypeVar("Item")

# So few that the call which finds the queue full is not held up: 32 spans are encoded and appended in 0.5 ms.
_SPILLED_AT_ONCE = 32
_MOST_SPILLS = 16
_PARKED_AT_ONCE = 256
_DISK_REST_S = 1.0
_BURST_S = 0.05
_MAX_BURST = 100_000

JOURNAL_FULL = "journal_full"
JOURNAL_UNWRITABLE = "journal_unwritable"
UNFIT = "unfit"
DAMAGED = "damaged"


class Batch(Generic[Item]):
    """Items that an exporter gets at once; ``place`` is where they lie on disk, None for what is only in memory.

    ``is_own`` says that this process has made them; ``size`` counts damaged lines among them too.
    """

    __slots__ = ("attempts", "is_own", "items", "place", "size")

    def __init__(self, items: list[Item], place: Place | None = None, *, is_own: bool = True) -> None:
        self.items = items
        self.place = place
        self.is_own = is_own
        self.size = len(items)
        self.attempts = 0


class Backlog(Generic[Item]):
    """The waiting items of one lane, and the numbers of those that have found their end.

    Without ``may_repeat`` what lies on disk counts as done before it is handed over: it is never sent twice.
    """

    def __init__(
        self, codec: Codec[Item], journal: Journal, counts: Counts, limits: Limits, *, may_repeat: bool
    ) -> None:
        self.queue: deque[Item] = deque()
        self.lock = AskableLock()
        self.in_journal = 0
        self._codec = codec
        self._journal = journal
        self._counts = counts
        self._max_queue_size = limits.max_queue_size
        self._max_batch_size = limits.max_batch_size
        self._items_a_line = min(ITEMS_A_LINE, limits.max_batch_size)
        self._may_repeat = may_repeat
        self._given_back: deque[Batch[Item]] = deque()
        self._in_hand: Batch[Item] | None = None
        self._disk_again_s = 0.0
        self._spilled_s = float("-inf")

    @property
    def queued(self) -> int:
        """How many items wait in memory alone."""
        held = [*self._given_back, *([self._in_hand] if self._in_hand else [])]
        return len(self.queue) + sum(batch.size for batch in held if batch.place is None and batch.is_own)

    def __len__(self) -> int:
        return self.queued + self.in_journal

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, neither of this process nor of those before it."""
        with self.lock:  # a batch that is being taken is in no place for a moment
            return self._holds_nothing()

    @property
    def is_surely_empty(self) -> bool:
        """`is_empty`, where that can be said without waiting."""
        if not self.lock.try_acquire():
            return False
        try:
            return self._holds_nothing()
        finally:
            self.lock.release()

    @property
    def holds_others(self) -> bool:
        """Whether anything of earlier processes waits."""
        return self._journal.holds_others

    @property
    def is_crowded(self) -> bool:
        """Whether there is enough to go on at once: a batch in memory, or anything on disk."""
        return len(self.queue) >= self._max_batch_size or not self._journal.is_empty

    @property
    def is_spilling(self) -> bool:
        """Whether memory was full a moment ago, in a burst: what has gone on for long is none."""
        return time.monotonic() - self._spilled_s < _BURST_S and self.in_journal < _MAX_BURST

    def spill(self) -> None:
        """Bring the queue below its bound again, unless another thread is about to.

        One thread cannot keep up with several that go on: from twice the bound each of them lends a hand.
        """
        if self.lock.try_acquire():
            try:
                self._spill_some()
            finally:
                self.lock.release()
        elif len(self.queue) >= 2 * self._max_queue_size and not self.lock.is_mine():
            with self.lock:
                self._spill_some()

    def claim(self) -> None:
        """Take over what dead processes have left on disk."""
        with self.lock:
            self._journal.claim()

    def take(self) -> Batch[Item] | None:
        """The oldest items, a batch at most; they count as waiting until `settle` or `give_back`."""
        while True:
            with self.lock:
                if self._in_hand is not None:  # whoever took it was interrupted
                    return self._in_hand
                batch = self._given_back.popleft() if self._given_back else None
                found = None if batch else self._journal.next_lines(self._max_batch_size // self._items_a_line)
                if not (batch or found) and self.queue:
                    batch = Batch(self._popped(self._max_batch_size))
                if found is None:
                    self._in_hand = batch
                    return batch
            batch = self._read(*found)
            with self.lock:
                self._in_hand = batch
                if not self._may_repeat:
                    self._make_homeless(batch)
            if batch.items:
                return batch
            self.settle(batch)  # only definitions, or damaged

    def take_off(self, batch: Batch[Item], number: int) -> bool:
        """So many items of a batch have found their end; False when the process has given up waiting for that."""
        with self.lock:
            return self._take_off(batch, number)

    def settle(self, batch: Batch[Item]) -> bool:
        """All items of the batch have found their end; False as for `take_off`."""
        with self.lock:
            if not self._take_off(batch, batch.size):
                return False
            if batch.place is not None:
                self._journal.done(batch.place)
            self._in_hand = None
            return True

    def give_back(self, batch: Batch[Item]) -> bool:
        """The batch is to be tried again, before all others; False as for `take_off`."""
        with self.lock:
            if self._in_hand is not batch:
                return False
            self._given_back.appendleft(batch)
            self._in_hand = None
            return True

    def park(self) -> None:
        """Put on disk all that is in memory alone: nobody will take it any more.

        What an exporter that has not come back has in hand goes too, unless it may not be sent twice.
        """
        with self.lock:
            in_hand, self._in_hand = self._in_hand, None
            if in_hand is not None and self._may_repeat:
                self._given_back.appendleft(in_hand)
            elif in_hand is not None and in_hand.is_own:
                self._counts.unknown += in_hand.size
            while self._given_back:
                batch = self._given_back.pop()
                if batch.place is None:
                    self._put_on_disk(batch.items, batch)
            for _ in range(0, len(self.queue), _PARKED_AT_ONCE):  # not for ever, should others go on to put in
                self._put_on_disk(self._popped(_PARKED_AT_ONCE))

    def close(self) -> None:
        """Leave what is on disk to whoever comes next."""
        with self.lock:
            self._journal.close()

    def forget(self) -> None:
        """Start empty in a forked child: all that was here is the parent's."""
        self.lock = AskableLock()
        self.queue.clear()
        self._given_back.clear()
        self._in_hand = None
        self._journal.forget()
        self.in_journal = 0

    def _take_off(self, batch: Batch[Item], number: int) -> bool:
        if self._in_hand is not batch:
            return False
        batch.size -= number
        if batch.place is not None and batch.is_own:
            self.in_journal -= number
        return True

    def _popped(self, number: int) -> list[Item]:
        queue = self.queue
        return [queue.popleft() for _ in range(min(number, len(queue)))]

    def _holds_nothing(self) -> bool:
        return not (self.queue or self._given_back or self._in_hand) and self._journal.is_empty

    def _spill_some(self) -> None:
        """Not for as long as others go on to put in: who delivers, and who forks, waits for the lock meanwhile."""
        for _ in range(_MOST_SPILLS):
            if len(self.queue) < self._max_queue_size:
                break
            self._spill(self._popped(_SPILLED_AT_ONCE))

    def _spill(self, items: list[Item]) -> None:
        self._spilled_s = now_s = time.monotonic()
        if now_s < self._disk_again_s:  # to ask a full disk for every span costs more than the span
            self._counts.drop(JOURNAL_UNWRITABLE, len(items))
            return
        self._counts.spilled += len(items)
        self._put_on_disk(items)

    def _put_on_disk(self, items: list[Item], oldest: Batch[Item] | None = None) -> None:
        is_own, unfit = oldest is None or oldest.is_own, 0

        def encode(segment: Segment) -> list[bytes]:
            nonlocal unfit
            lines, unfit = self._codec.lines(items, segment, self._items_a_line)
            return lines

        try:
            if oldest is None:
                self._journal.append(encode)
            else:
                self._journal.prepend(encode, is_own=is_own)
        except JournalFullError as error:
            self._drop(JOURNAL_FULL, len(items), is_own)
            say_once(f"Telemetry is lost: {error}, as OTEL_TRACKER_DELIVERY_JOURNAL_MAX_BYTES allows. {_WAY_OUT}")
        except OSError as error:
            self._drop(JOURNAL_UNWRITABLE, len(items), is_own)
            self._disk_again_s = time.monotonic() + _DISK_REST_S
            # One sentence for all destinations: it is the same disk.
            say_rarely(
                f"Telemetry is lost: the journal cannot be written ({error}). {_WAY_OUT}", key=JOURNAL_UNWRITABLE
            )
        except Exception as error:  # the observed program may stand above
            self._drop(UNFIT, len(items), is_own)
            report_internal_error("writing the journal", error)
        else:
            self.in_journal += (len(items) - unfit) * is_own
            if unfit:
                self._drop(UNFIT, unfit, is_own)

    def _drop(self, reason: str, number: int, is_own: bool) -> None:
        if is_own:
            self._counts.drop(reason, number)

    def _make_homeless(self, batch: Batch[Item]) -> None:
        """What is about to be sent lies on disk no longer: should the process be killed now, it is not sent again."""
        if batch.place is not None:
            self._journal.done(batch.place)
            batch.place = None
            self.in_journal -= batch.size * batch.is_own

    def _read(self, lines: list[bytes], place: Place) -> Batch[Item]:
        items, damaged = self._codec.items(lines, place.segment)
        batch = Batch(items, place, is_own=place.is_own)
        if damaged:
            batch.size += damaged
            self._drop(DAMAGED, damaged, place.is_own)
            say_once(f"{damaged} lines of {place.segment.path} are damaged; they are passed over, the others are kept.")
        return batch


_WAY_OUT = "See that the destination can be reached, or name a folder with room in OTEL_TRACKER_DELIVERY_JOURNAL_DIR."
