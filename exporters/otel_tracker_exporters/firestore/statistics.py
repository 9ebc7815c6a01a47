"""Statistics from Firestore: counted and summed by the server, percentiles by rollups or by counting.

Up to `SCANNED` executions are read, four fields of each, and everything is exact. Of more, counts, average, minimum and
maximum are exact, each by an aggregation (one read a thousand executions) or by one document; a percentile is at most
2 % from the exact one: rollups say about where it is, and two counts prove that it lies there. Where they do not, it is
found by halving the range, ten to twelve counts more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from otel_tracker.errors import QueryError
from otel_tracker.query import SpanFilter
from otel_tracker.records import ABORTED, COMPLETED, FAILED, INT64_MAX, INT64_MIN, STARTED
from otel_tracker.stats import Statistics, Tally, ranks_of, statistics_of
from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.asking import Asker, Document, Question, is_glob
from otel_tracker_exporters.firestore.documents import cut_text
from otel_tracker_exporters.firestore.options import Options
from otel_tracker_exporters.firestore.rollups import NS_PER_HOUR, Histogram, merged

SCANNED = 1_000
MAX_FUNCTIONS = 1_000
_NAMES_AT_ONCE = 30
_PRECISION = 1.02
_SELECTED = (f.NAMES, f.QUALIFIED_NAME, f.STATUS, f.DURATION_NS, f.START_TIME_NS)


def spans_question(options: Options, wanted: SpanFilter) -> Question:
    """What of a filter the server compares."""
    question = Question(options.collection).within(wanted.start_ns, wanted.end_ns)
    if wanted.function_name is not None and not is_glob(wanted.function_name):
        question = question.where(f.NAMES, "array_contains", cut_text(wanted.function_name))
    for name, value in ((f.STATUS, wanted.status), (f.TRACE_ID, wanted.trace_id), (f.KIND, wanted.kind)):
        if value is not None:
            question = question.where(name, "==", value)
    return question


class StatisticsReader:
    """Answers one question for statistics."""

    def __init__(self, asker: Asker, options: Options) -> None:
        self._asker = asker
        self._options = options

    def read(self, wanted: SpanFilter, group_as: str | None) -> list[Statistics]:
        """One `Statistics` a function, or a single one named ``group_as``."""
        question = spans_question(self._options, wanted)
        total = sum(map(self._asker.counted_by_time, self._asker.sharded(question)))
        if total <= SCANNED:
            return self._scanned(question, wanted, group_as)
        pattern = wanted.function_name
        if group_as is not None and (pattern is None or pattern == "*" or not is_glob(pattern)):
            return [self._counted(group_as, [question], self._rollups(wanted, pattern))]
        names = list(self._functions(pattern))
        if group_as is None:
            found = (self._of_functions(wanted, question, [name], name) for name in names)
            return [one for one in found if one.total or one.running]
        return [self._of_functions(wanted, question, names, group_as)] if names else []

    def _scanned(self, question: Question, wanted: SpanFilter, group_as: str | None) -> list[Statistics]:
        tallies: dict[str, Tally] = {}
        for document in self._asker.newest_first(question.selecting(*_SELECTED, f.TIMESTAMP)):
            fields = document.fields
            name = fields.get(f.QUALIFIED_NAME, "") if group_as is None else group_as
            status, duration_ns = fields.get(f.STATUS, COMPLETED), fields.get(f.DURATION_NS)
            if _is_plausible(name, status, duration_ns) and _is_wanted(document, wanted):
                tallies.setdefault(name, Tally()).add(status, duration_ns)
        return [one.statistics(name) for name, one in tallies.items()]

    def _functions(self, pattern: str | None) -> Iterator[str]:
        """The qualified names that a pattern means, one read each."""
        everything = Question(self._options.collection).selecting(f.QUALIFIED_NAME, f.NAMES)
        texts = everything.where(f.QUALIFIED_NAME, ">=", "")  # numbers come before texts, and are no names
        found = self._asker.ordered(texts, f.QUALIFIED_NAME, limit=1)
        number = 0
        while found:
            number += 1
            if number > MAX_FUNCTIONS:
                raise QueryError(
                    f"The store holds executions of more than {MAX_FUNCTIONS} functions; name one, or a shorter time."
                )
            name = found[0].fields[f.QUALIFIED_NAME]
            if pattern is None or _matches(pattern, found[0].fields.get(f.NAMES)):
                yield name
            found = self._asker.ordered(everything.where(f.QUALIFIED_NAME, ">", name), f.QUALIFIED_NAME, limit=1)

    def _of_functions(self, wanted: SpanFilter, question: Question, names: Sequence[str], shown: str) -> Statistics:
        parts = [names[first : first + _NAMES_AT_ONCE] for first in range(0, len(names), _NAMES_AT_ONCE)]
        bare = Question(question.collection, tuple(one for one in question.conditions if one[0] != f.NAMES))
        questions = [bare.where(f.QUALIFIED_NAME, "in", list(part)) for part in parts]
        rolled = [
            document for part in parts for document in self._rollups_of(wanted, (f.QUALIFIED_NAME, "in", list(part)))
        ]
        return self._counted(shown, questions, merged(one.fields for one in rolled))

    def _rollups(self, wanted: SpanFilter, pattern: str | None) -> Histogram:
        is_named = pattern is not None and not is_glob(pattern)
        condition = (f.NAMES, "array_contains", cut_text(pattern or "")) if is_named else None
        return merged(document.fields for document in self._rollups_of(wanted, condition))

    def _rollups_of(self, wanted: SpanFilter, condition: tuple[str, str, object] | None) -> Iterable[Document]:
        if wanted.kind is not None:  # rollups know no kinds
            return ()
        question = Question(self._options.rollups)
        if condition is not None:
            question = question.where(*condition)
        first_ns = None if wanted.start_ns is None else wanted.start_ns // NS_PER_HOUR * NS_PER_HOUR
        bounded = question.within(first_ns, wanted.end_ns, name=f.HOUR)
        return self._asker.ordered(bounded, f.HOUR)

    def _counted(self, shown: str, questions: Sequence[Question], rolled: Histogram) -> Statistics:
        questions = [shard for question in questions for shard in self._asker.sharded(question)]
        counts: dict[str, int] = {}
        sum_ns = finished = 0
        for status in (COMPLETED, FAILED, ABORTED, STARTED):
            for question in (one.where(f.STATUS, "==", status) for one in questions):
                counts[status] = counts.get(status, 0) + self._asker.counted_by_time(question)
                if status in (COMPLETED, FAILED):
                    count, total_ns = self._asker.counted(question, summed=f.DURATION_NS)
                    sum_ns, finished = sum_ns + total_ns, finished + count
        if not finished:
            return statistics_of(shown, counts, 0, 0, {})
        durations = _Durations(self._asker, questions, finished, rolled)
        return statistics_of(shown, counts, finished, sum_ns, {rank: durations.at(rank) for rank in ranks_of(finished)})


class _Durations:
    """The durations of many executions in their order, of which any is found without reading them."""

    def __init__(self, asker: Asker, questions: Sequence[Question], finished: int, rolled: Histogram) -> None:
        self._asker = asker
        self._questions = questions
        self._finished = finished
        self._rolled = rolled
        self._known: dict[int, int] = {}
        self._min_ns = min(self._ends(descending=False), default=0)
        self._max_ns = max(self._ends(descending=True), default=0)

    def at(self, rank: int) -> int:
        """The duration at a 0-based position, in nanoseconds; but for the first and the last one 2 % off at most."""
        if rank == 0 or self._min_ns == self._max_ns:
            return self._min_ns
        if rank == self._finished - 1:
            return self._max_ns
        rolled = self._from_rollups(rank)
        return self._halved(rank) if rolled is None else rolled

    def _from_rollups(self, rank: int) -> int | None:
        """What the rollups say, unless it is too far from what there is to be true."""
        if not self._rolled.finished:
            return None
        position = min(rank * self._rolled.finished // self._finished, self._rolled.finished - 1)
        found = max(self._min_ns, min(round(self._rolled.at(position)), self._max_ns))
        if self._rolled.finished == self._finished:
            return found
        lowest, highest = math.ceil(found / _PRECISION), math.floor(found * _PRECISION)
        return found if self._up_to(lowest - 1) <= rank < self._up_to(highest) else None

    def _halved(self, rank: int) -> int:
        """By halving the range, in the logarithm, until it is small enough."""
        low, high = max(self._min_ns - 1, 0), self._max_ns
        if low == 0 and self._up_to(0) > rank:
            return 0
        while high - low > 1 and high > max(low, 1) * _PRECISION:
            middle = min(max(round(math.sqrt(max(low, 1) * high)), low + 1), high - 1)
            if self._up_to(middle) > rank:
                high = middle
            else:
                low = middle
        return high if low == 0 else round(math.sqrt((low + 1) * high))

    def _up_to(self, duration_ns: int) -> int:
        """How many took no longer."""
        if duration_ns not in self._known:
            counted = (
                self._asker.counted(question.where(f.DURATION_NS, "<=", duration_ns)) for question in self._questions
            )
            self._known[duration_ns] = sum(count for count, _ in counted)
        return self._known[duration_ns]

    def _ends(self, *, descending: bool) -> Iterator[int]:
        bound = ("<=", INT64_MAX) if descending else (">=", INT64_MIN)  # numbers alone
        for question in self._questions:
            bounded = question.where(f.DURATION_NS, *bound).selecting(f.DURATION_NS)
            for document in self._asker.ordered(bounded, f.DURATION_NS, descending=descending, limit=1):
                yield int(document.fields[f.DURATION_NS])


def _is_wanted(document: Document, wanted: SpanFilter) -> bool:
    """What the server has not compared, or only to the microsecond."""
    fields = document.fields
    start_ns = fields.get(f.START_TIME_NS)
    if isinstance(start_ns, int) and (
        (wanted.start_ns is not None and start_ns < wanted.start_ns)
        or (wanted.end_ns is not None and start_ns >= wanted.end_ns)
    ):
        return False
    return wanted.function_name is None or _matches(wanted.function_name, fields.get(f.NAMES))


def _is_plausible(name: object, status: object, duration_ns: object) -> bool:
    """Whether these are what they are in every execution, whoever wrote the document."""
    is_duration = duration_ns is None or isinstance(duration_ns, int)
    return isinstance(name, str) and isinstance(status, str) and is_duration


def _matches(pattern: str, names: object) -> bool:
    cut = cut_text(pattern)
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return any(name in (pattern, cut) or fnmatchcase(name, pattern) for name in texts)
