"""What writes records into a store: the base that each store completes, and what retention takes away.

A writer serves an exporter, which must never be disturbed (`StoreWriter.write`), and `otel-tracker convert`, which
has to know what went wrong (`StoreWriter.store`). Locks, closing and the sentences are here once; a store brings
`_store` and, where it has something to mend after a failure, `_recover`.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from otel_tracker.diagnostics import report_internal_error, say_once
from otel_tracker.errors import OtelTrackerError, StoreUnwritableError
from otel_tracker.records import Record, Texts, UnfitRecordError

Item = Record | Texts
"""What a writer stores. Only an exporter that makes them hands over `Texts`, to a store that takes them."""


class StoreWriter(ABC):
    """Writes records into one store; any number of threads and processes may have one each, or share one.

    ``location`` is what a reader of the store opens to find what was written; in a url no secret is left.
    ``unwritable`` counts records that the store can hold in no form: they are left out, their neighbours are kept.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.unwritable = 0
        self._is_closed = False
        self._deadline_s: float | None = None
        self._locks: dict[int, threading.Lock] = {}

    def write(self, records: Iterable[Item], *, timeout_s: float | None = None) -> bool:
        """Store the records; False, said once in the log and with nothing stored, when that is not possible.

        Never raises. A closed writer answers False and says nothing. Nobody is waited for longer than ``timeout_s``
        seconds; None is the store's own patience.
        """
        lock = self._lock()
        begin_s = time.monotonic()
        if not lock.acquire(timeout=-1 if timeout_s is None else min(max(timeout_s, 0.0), threading.TIMEOUT_MAX)):
            return False
        try:
            self._deadline_s = None if timeout_s is None else begin_s + timeout_s
            return not self._is_closed and self._tries(records)
        finally:
            self._deadline_s = None
            lock.release()

    def _tries(self, records: Iterable[Item]) -> bool:
        try:
            self._store(records)
            return True
        except OtelTrackerError as error:
            say_once(str(error))
        except Exception as error:  # nothing here may reach the observed program
            report_internal_error(f"writing to {self.location}", error)
        self._recover()
        return False

    def _left_s(self, patience_s: float) -> float:
        """How long a `_store` may wait for somebody: its own patience, or less where there is a deadline."""
        if self._deadline_s is None:
            return patience_s
        return max(min(patience_s, self._deadline_s - time.monotonic()), 0.0)

    def store(self, records: Iterable[Item]) -> None:
        """Store the records, or raise `StoreUnwritableError` (or `StoreUnreadableError`) with nothing stored."""
        with self._lock():
            if self._is_closed:
                raise StoreUnwritableError(f"The writer of {self.location} is closed. Open the store again.")
            try:
                self._store(records)
            except BaseException:
                self._recover()
                raise

    def close(self) -> None:
        """Close the store; a second call does nothing."""
        with self._lock():
            self._is_closed = True
            self._release()

    @abstractmethod
    def _store(self, records: Iterable[Item]) -> None:
        """Store all records, or none and raise an error of `otel_tracker.errors`."""

    def _recover(self) -> None:  # noqa: B027 - a store that holds nothing open has nothing to mend
        """Mend what a failed `_store` has left, so that the next one may succeed."""

    def _release(self) -> None:  # noqa: B027
        """Close what is open; may be called more than once."""

    def _leave_out(self, error: Exception) -> None:
        """Count a record that the store cannot hold, and say so."""
        self.unwritable += 1
        left_out = "it is left out and its neighbours are kept."
        if isinstance(error, UnfitRecordError):
            sentence = f"A record cannot be stored in {self.location}: {error}; {left_out}"
        else:
            reason = f"{type(error).__name__}: {str(error)[:100]}"
            sentence = f"A record cannot be stored in {self.location} ({reason}); {left_out} Please report it."
        say_once(sentence, key=f"unwritable:{self.location}:{type(error).__name__}")

    def _lock(self) -> threading.Lock:
        """This process's lock: one that another thread held during a fork would stay locked in the child for ever."""
        return self._locks.setdefault(os.getpid(), threading.Lock())


@dataclass(frozen=True, slots=True)
class Retention:
    """How much a store keeps: at most ``max_bytes``, and nothing whose last sign of life is older than ``before_ns``.

    0 and None mean no limit. ``before_ns`` is nanoseconds since the epoch.
    """

    max_bytes: int = 0
    before_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention removed, or would remove: whole traces, their spans, events and logs; metric points; files.

    ``spans``, ``events``, ``logs`` and ``metrics`` are None where nobody counted them; ``bytes`` is what is freed. Of
    those, ``reusable_bytes`` stay in the file for what is stored next, so that it keeps its size; the others go back
    to the disk.
    """

    traces: int | None = 0
    spans: int | None = 0
    events: int | None = 0
    logs: int | None = 0
    metrics: int | None = 0
    files: int = 0
    bytes: int = 0
    reusable_bytes: int = 0
