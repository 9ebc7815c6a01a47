"""Questions to Firestore: filters as its queries, answers page by page, faults as sentences.

Everything is asked of the collection group, so that documents in subcollections are found as well. Where the store has
shards, a question goes to each of them and the answers are merged.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any

from otel_tracker.errors import OtelTrackerError, StoreUnreadableError
from otel_tracker.timestamps import to_datetime
from otel_tracker_exporters.firestore import failures
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.connection import ClosedError, Connection
from otel_tracker_exporters.firestore.quiescing import request_under_way

PAGE = 300
TIMEOUT_S = 60.0
_ATTEMPTS = 3
_GLOB = "*?["


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was found."""

    id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Conditions on one collection: triples of field, operator and value, as Firestore's own."""

    collection: str
    conditions: tuple[tuple[str, str, Any], ...] = ()
    selected: tuple[str, ...] = ()

    def where(self, name: str, operator: str, value: Any) -> Question:
        """The question with a condition more."""
        return Question(self.collection, (*self.conditions, (name, operator, value)), self.selected)

    def within(self, start_ns: int | None, end_ns: int | None, *, name: str = f.TIMESTAMP) -> Question:
        """The question bounded in time, to the microsecond; the end's own microsecond is in it."""
        found = self if start_ns is None else self.where(name, ">=", moment(start_ns))
        return found if end_ns is None else found.where(name, "<=", moment(end_ns))

    def selecting(self, *names: str) -> Question:
        """The question for these fields alone."""
        return Question(self.collection, self.conditions, names)


@dataclass(slots=True)
class Asker:
    """Asks one store; ``reads`` is how many documents were read so far, aggregations by the thousand."""

    connection: Connection
    shards: int = 0
    reads: int = field(default=0)

    def newest_first(self, question: Question, page: int = PAGE) -> Iterator[Document]:
        """The documents by timestamp and id, descending; ``page`` at a time."""
        if not self.shards:
            return self._pages(question, page)
        streams = [self._pages(one, page) for one in self.sharded(question)]
        return heapq.merge(*streams, key=_newest, reverse=True)

    def ordered(
        self, question: Question, by: str, *, descending: bool = False, limit: int | None = None
    ) -> list[Document]:
        """The first documents by a field; those without it are none of them."""
        direction = "DESCENDING" if descending else "ASCENDING"
        with self._asked():
            query = self._query(question).order_by(by, direction=direction)
            return self._fetched(query if limit is None else query.limit(limit))

    def all_of(self, question: Question) -> Iterator[Document]:
        """Every document, by id; for questions without ranges."""
        return self._pages(question, PAGE, order=("__name__", "ASCENDING"))

    def counted_by_time(self, question: Question) -> int:
        """How many documents `newest_first` gives; goes through the same indexes, which is why it names the order."""
        with self._asked():
            return self._counted(self._query(question).order_by(f.TIMESTAMP, direction="DESCENDING"), None)[0]

    def counted(self, question: Question, *, summed: str | None = None) -> tuple[int, int]:
        """How many documents there are; with ``summed``, how many have that field, and the sum of it."""
        with self._asked():
            return self._counted(self._query(question), summed)

    def sharded(self, question: Question) -> list[Question]:
        """The question to each shard, whose answers together are that to the question."""
        if not self.shards:
            return [question]
        return [question.where(f.SHARD, "==", shard) for shard in range(self.shards)]

    def _counted(self, base: Any, summed: str | None) -> tuple[int, int]:
        query = base.count(alias="n")
        if summed is not None:
            query = query.sum(summed, alias="s")
        (found,) = self._tried(lambda: query.get(retry=None, timeout=TIMEOUT_S))
        values = {result.alias: result.value for result in found}
        count = int(values["n"])
        self.reads += max(1, -(-count // 1_000))
        total = values.get("s") or 0
        return count, int(total) if math.isfinite(total) else 0

    def _pages(
        self, question: Question, page: int, order: tuple[str, str] = (f.TIMESTAMP, "DESCENDING")
    ) -> Iterator[Document]:
        """Page by page, equal ones by id; a page is asked for when the one before is used up."""
        with self._asked():
            query = self._query(question).order_by(order[0], direction=order[1]).limit(page)
        last = None
        while True:
            with self._asked():
                paged = query if last is None else query.start_after(last)
                found = self._tried(partial(_streamed, paged))
            self.reads += len(found)
            yield from (Document(one.id, one.to_dict() or {}) for one in found)
            if len(found) < page:
                return
            last = found[-1]

    def _fetched(self, query: Any) -> list[Document]:
        found = self._tried(partial(_streamed, query))
        self.reads += len(found)
        return [Document(one.id, one.to_dict() or {}) for one in found]

    def _query(self, question: Question) -> Any:
        from google.cloud.firestore import FieldFilter

        query = self.connection.client().collection_group(question.collection)
        for name, operator, value in question.conditions:
            query = query.where(filter=FieldFilter(name, operator, value))
        return query.select(list(question.selected)) if question.selected else query

    def _tried(self, ask: Callable[[], Any]) -> Any:
        for attempt in range(_ATTEMPTS):
            try:
                with request_under_way():
                    return ask()
            except Exception as error:
                is_last = attempt == _ATTEMPTS - 1 or self.connection.is_closed
                if is_last or failures.code_of(error) not in (failures.UNAVAILABLE, failures.ABORTED):
                    raise
        raise AssertionError

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Around whatever asks: a fault becomes a sentence."""
        try:
            yield
        except OtelTrackerError:
            raise
        except Exception as error:
            options = self.connection.options
            if isinstance(error, ClosedError) or self.connection.is_closed:
                raise StoreUnreadableError(
                    f"The reader of {options.location} is closed. Open the store again."
                ) from None
            raise StoreUnreadableError(failures.sentence_of(error, options)) from error


def _streamed(query: Any) -> list[Any]:
    return list(query.stream(retry=None, timeout=TIMEOUT_S))


def _newest(document: Document) -> tuple[datetime, str]:
    """What documents are merged by; what is no time, and comes first or last, counts as the end of time."""
    at = document.fields.get(f.TIMESTAMP)
    return (at if isinstance(at, datetime) else datetime.max.replace(tzinfo=timezone.utc)), document.id


def is_glob(pattern: str) -> bool:
    """Whether a name may mean others than itself."""
    return any(char in pattern for char in _GLOB)


def moment(at_ns: int) -> datetime:
    """A time as Firestore keeps it: to the microsecond, rounded down."""
    return to_datetime(at_ns)
