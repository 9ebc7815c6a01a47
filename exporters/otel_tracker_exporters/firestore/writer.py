"""Writes records into the store for `otel-tracker convert`, which has to know what went wrong.

What was written stays written: when a batch fails, some of it may be there, and writing it again changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice

from otel_tracker.errors import StoreUnwritableError
from otel_tracker.writing import Item, StoreWriter
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.delivering import MAX_WRITES, Deliverer
from otel_tracker_exporters.firestore.options import options_at, require_client
from otel_tracker_exporters.firestore.pacing import pacer_of

MAX_S = 30.0
"""How long a batch is tried where the server is away for the moment."""

_PAUSE_S = 0.5


class FirestoreWriter(StoreWriter):
    """Writes spans, events and logs to the place that the url names; raises `MissingExtraError` without the client."""

    def __init__(self, url: str) -> None:
        self._options = options_at(url)
        require_client()
        super().__init__(self._options.location)
        self._connection = Connection(self._options)
        pacer = pacer_of(self.location, self._options.max_writes_per_s)
        self._deliverer: Deliverer[Item] = Deliverer(self._connection, pacer)

    def _store(self, records: Iterable[Item]) -> None:
        waiting = iter(records)
        while part := list(islice(waiting, MAX_WRITES)):
            self._deliver(part)

    def _deliver(self, part: Sequence[Item]) -> None:
        end_by_s = time.monotonic() + MAX_S
        left = list(part)
        while left:
            outcome = self._deliverer.deliver([(record, record) for record in left])
            self.unwritable += sum(outcome.dropped.values())
            left = outcome.again
            if left and (outcome.again_after_s or time.monotonic() > end_by_s):
                raise StoreUnwritableError(
                    f"{self.location} has not taken everything. See the message before, and try once more."
                )
            if left:
                time.sleep(_PAUSE_S)

    def _release(self) -> None:
        self._deliverer.close()
