"""Delivers records: cuts them into requests, reads the answers, and says what became of each.

A request that is refused as a whole for what is in it is taken apart until the documents at fault stand alone; those
become dead letters. A document that was refused for the moment is sent once more by itself. All else is for the lane
in front: what the server cannot take now goes back there, and its journal keeps it.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from otel_tracker.delivery.outcomes import Outcome
from otel_tracker.diagnostics import report_internal_error, say_once, say_rarely
from otel_tracker.errors import MissingExtraError
from otel_tracker.records import ABORTED, STARTED, EventRecord, LogRecord, SpanRecord
from otel_tracker.writing import Item as Source
from otel_tracker_exporters.firestore import dead_letters, wire
from otel_tracker_exporters.firestore import failures as codes
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.ahead import RequestAhead
from otel_tracker_exporters.firestore.connection import REQUEST_TIMEOUT_S, ClosedError, Connection
from otel_tracker_exporters.firestore.failures import Fate
from otel_tracker_exporters.firestore.pacing import Pacer
from otel_tracker_exporters.firestore.writes import Write, WriteMaker, record_of

Item = TypeVar("Item")

MAX_WRITES = 200
MAX_BYTES = 3 * 2**20
"""Of one request. The emulator takes 4 MiB, production 10 MiB; more documents at once are no faster."""

DEAD_LETTER = "dead_letter"

_PAUSES_S = (0.2, 0.4, 0.8)
_MOST_UNDER_WAY = 2
_RANK = {STARTED: 0, ABORTED: 1}


@dataclass(slots=True)
class Parcel(Generic[Item]):
    """A write, and the items of the batch that it stands for."""

    items: list[Item]
    write: Write


@dataclass(slots=True)
class _Run(Generic[Item]):
    """One call of `Deliverer.deliver`: what has come of it so far."""

    outcome: Outcome[Item] = field(default_factory=Outcome)
    is_stopped: bool = False


class Deliverer(Generic[Item]):
    """Writes to one place for one exporter; used by one thread at a time, but for `close`.

    ``stored`` is told every record that has arrived, once.
    """

    def __init__(self, connection: Connection, pacer: Pacer, stored: Callable[[Source], None] | None = None) -> None:
        self._connection = connection
        self._pacer = pacer
        self._stored = stored
        self._closed = threading.Event()
        self._maker: WriteMaker | None = None
        self._root = ""
        self.is_busy = False

    def end_waiting(self) -> None:
        """Hand back what waits for its turn; a request that is under way goes on."""
        self._closed.set()

    def close(self) -> None:
        """End waiting and requests; what is under way is handed back."""
        self.end_waiting()
        self._connection.close()

    def deliver(self, pairs: Sequence[tuple[Item, Source]]) -> Outcome[Item]:
        """What became of each item. Never raises; each wait has a deadline."""
        self.is_busy = True
        try:
            return self._deliver(pairs)
        finally:
            self.is_busy = False

    def _deliver(self, pairs: Sequence[tuple[Item, Source]]) -> Outcome[Item]:
        run: _Run[Item] = _Run()
        try:
            maker = self._write_maker()
        except Exception as error:
            self._stop(run, error)
            run.outcome.again = [item for item, _ in pairs]
            return run.outcome
        sent: deque[tuple[list[Parcel[Item]], RequestAhead]] = deque()
        for part in _parts(self._parcels(pairs, maker, run)):  # encoded while those before are under way
            if len(sent) == _MOST_UNDER_WAY:
                self._send(*sent.popleft(), run)
            if run.is_stopped or not self._may_go_on(len(part)):
                run.is_stopped = True
                run.outcome.again += _items(part)
            else:
                sent.append((part, RequestAhead(self._connection, _messages(part))))
        while sent:
            self._send(*sent.popleft(), run)
        return run.outcome

    def _write_maker(self) -> WriteMaker:
        root = self._connection.document_root()
        if self._maker is None or root != self._root:
            self._maker, self._root = WriteMaker(self._connection.options, root), root
        return self._maker

    def _parcels(
        self, pairs: Sequence[tuple[Item, Source]], maker: WriteMaker, run: _Run[Item]
    ) -> Iterator[Parcel[Item]]:
        """A parcel for each document; a request must not hold one twice, so what knows more stands for both."""
        for first in range(0, len(pairs), MAX_WRITES):
            yield from self._distinct(pairs[first : first + MAX_WRITES], maker, run)

    def _distinct(
        self, pairs: Sequence[tuple[Item, Source]], maker: WriteMaker, run: _Run[Item]
    ) -> Iterable[Parcel[Item]]:
        found: dict[str, Parcel[Item]] = {}
        for item, source in pairs:
            try:
                write = maker.write(source)
                while write.path in found and isinstance(source, (EventRecord, LogRecord)):  # an equal one, no repeat
                    write = maker.write_of(source, f"{write.path}x")
                known = found.get(write.path)
                if known is None:
                    found[write.path] = Parcel([item], write)
                else:
                    known.items.append(item)
                    if _rank(source) >= _rank(known.write.source):
                        known.write = write
            except Exception as error:  # whatever a program puts into its telemetry, its neighbours arrive
                self._bury(run, [item], source, f"{type(error).__name__}: {error}"[:300])
        return found.values()

    def _may_go_on(self, number: int) -> bool:
        wait_s = self._pacer.take(number)
        if not wait_s:
            return not self._closed.is_set()
        if self._closed.wait(wait_s):
            self._pacer.give_back(number)
            return False
        return True

    def _send(self, parcels: list[Parcel[Item]], ahead: RequestAhead, run: _Run[Item]) -> None:
        """Write documents, some of them several times, of which ``ahead`` is the first."""
        left = self._settled(parcels, ahead.answer, run)
        for pause_s in (*_PAUSES_S, 0.0):
            if not left or run.is_stopped or not pause_s or self._closed.wait(pause_s * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
                break
            left = self._sent(left, run)
        run.outcome.again += _items(left)

    def _sent(self, parcels: list[Parcel[Item]], run: _Run[Item]) -> list[Parcel[Item]]:
        return self._settled(parcels, lambda: self._connection.batch_write(_messages(parcels)), run)

    def _settled(
        self, parcels: list[Parcel[Item]], answer: Callable[[], list[Any]], run: _Run[Item]
    ) -> list[Parcel[Item]]:
        """One request, and more where it has to be taken apart; gives what is to be sent once more."""
        try:
            statuses = answer()
        except Exception as error:
            if codes.fate_of_request(error) is Fate.APART:
                return self._taken_apart(parcels, error, run)
            self._stop(run, error)
            return parcels
        left = []
        for parcel, status in zip(parcels, statuses, strict=True):
            if status.code == codes.OK:
                self._arrived(parcel, run)
            elif status.code == codes.ALREADY_EXISTS and parcel.write.is_if_new:
                self._already_there(parcel, run)
            elif codes.fate_of_document(status) is Fate.AGAIN:
                left.append(parcel)
            else:
                self._bury(run, parcel.items, parcel.write.source, status.message)
        return left

    def _taken_apart(self, parcels: list[Parcel[Item]], error: Exception, run: _Run[Item]) -> list[Parcel[Item]]:
        if len(parcels) == 1:
            self._bury(run, parcels[0].items, parcels[0].write.source, codes.reason_of(error))
            return []
        middle = len(parcels) // 2
        left = self._sent(parcels[:middle], run)
        rest = parcels[middle:]
        return [*left, *(rest if run.is_stopped else self._sent(rest, run))]

    def _arrived(self, parcel: Parcel[Item], run: _Run[Item]) -> None:
        run.outcome.exported += len(parcel.items)
        if self._stored is not None:
            try:
                self._stored(parcel.write.source)
            except Exception as error:
                report_internal_error("counting for rollups", error)

    def _already_there(self, parcel: Parcel[Item], run: _Run[Item]) -> None:
        """A beginning is known already; an abortion replaces a beginning, and nothing else."""
        record = parcel.write.source
        if isinstance(record, SpanRecord) and record.status == ABORTED:
            try:
                self._replace_beginning(parcel.write)
            except Exception as error:
                self._stop(run, error)
                run.outcome.again += parcel.items
                return
        run.outcome.exported += len(parcel.items)

    def _replace_beginning(self, write: Write) -> None:
        found = self._connection.client().document(write.path).get([f.STATUS], retry=None, timeout=REQUEST_TIMEOUT_S)
        if found.exists and found.get(f.STATUS) == STARTED:
            unconditional = write.message.removesuffix(wire.NOT_EXISTING)
            self._connection.batch_write([unconditional + wire.unchanged_since(found.update_time)])

    def _stop(self, run: _Run[Item], error: Exception) -> None:
        """The server, or what leads to it, is at fault: what follows would fare no better."""
        run.is_stopped = True
        if isinstance(error, ClosedError) or self._closed.is_set():
            return
        run.outcome.again_after_s = codes.rest_after_s(error)
        options = self._connection.options
        if isinstance(error, MissingExtraError):
            say_once(str(error))
            return
        say_rarely(
            f"{codes.sentence_of(error, options)} Telemetry waits in memory and in the journal meanwhile.",
            key=f"firestore:{options.location}:{codes.code_of(error)}",
        )

    def _bury(self, run: _Run[Item], items: list[Item], source: Source, reason: str) -> None:
        run.outcome.drop(DEAD_LETTER, len(items))
        record = record_of(source)
        location = self._connection.options.location
        kept = dead_letters.keep(record, location)
        where = f"it is kept in {kept}" if kept else "it is given up"
        say_rarely(
            f"{location} takes no such document as that of {_named(record)} ({' '.join(reason.split())[:300]}); "
            f"{where}, and its neighbours are stored.",
            key=f"dead-letter:{location}:{reason[:60]}",
        )


def _rank(record: Source) -> int:
    return _RANK.get(record.status, 2) if isinstance(record, SpanRecord) else 2


def _named(record: Source) -> str:
    if isinstance(record, SpanRecord):
        return f"execution {record.trace_id}{record.span_id} of {record.qualified_name[:100]}"
    return f"event {record.name[:100]}" if isinstance(record, EventRecord) else "a log record or a metric"


def _messages(parcels: Iterable[Parcel[Any]]) -> list[bytes]:
    return [parcel.write.message for parcel in parcels]


def _items(parcels: Iterable[Parcel[Item]]) -> list[Item]:
    return [item for parcel in parcels for item in parcel.items]


def _parts(parcels: Iterable[Parcel[Item]]) -> Iterator[list[Parcel[Item]]]:
    """The parcels by requests, bounded by number and by bytes."""
    part: list[Parcel[Item]] = []
    size = 0
    for parcel in parcels:
        if part and (len(part) >= MAX_WRITES or size + len(parcel.write.message) > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(parcel)
        size += len(parcel.write.message)
    if part:
        yield part
