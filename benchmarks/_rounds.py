"""Times cases beside each other, so that their ratios mean something on a noisy machine.

In every round each case is timed once, in random order, in processor time of the thread, without the garbage
collector. A ratio is taken within a round, and its median over the rounds counts; the ratio of the best times is the
cross-check. More than 15 % between the two means: run it again.
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from _results import Result

CALLS_A_PARENT = 100
_WARM_UP_CALLS = 20

Surroundings = Callable[[], AbstractContextManager[object]]
Round = dict["Case", float]


@dataclass(frozen=True, eq=False)
class Case:
    """What is timed: ``run`` makes so many calls and says how many ns they took.

    ``around`` is entered before, and left after, every 100 calls at most, and is not timed. Where ``calls`` is given,
    a sample is one run of so many; otherwise a sample is as many as take the time of one.
    """

    name: str
    run: Callable[[int], int]
    around: Surroundings = nullcontext
    calls: int | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """One ratio: ``(case - plain) / (unit - unit_plain)``, or its inverse where more is better.

    The cost of a call is divided by ``parts``, for example the items of a generator.
    """

    name: str
    workload: str
    case: Case
    plain: Case | None
    unit: Case
    unit_plain: Case | None
    bar: float | None = None
    unit_name: str = "B"
    parts: int = 1
    more_is_better: bool = False

    def cases(self) -> list[Case]:
        """What has to be timed for it."""
        return [case for case in (self.case, self.plain, self.unit, self.unit_plain) if case is not None]

    def cost_ns(self, times: Round) -> float:
        """What the case adds to the plain one."""
        return (times[self.case] - _time(times, self.plain)) / self.parts

    def ratio(self, times: Round) -> float:
        """The cost in units."""
        unit_ns = times[self.unit] - _time(times, self.unit_plain)
        cost_ns = self.cost_ns(times)
        return unit_ns / cost_ns if self.more_is_better else cost_ns / unit_ns


def results(rows: Iterable[Row], rounds: int, sample_ms: float) -> list[Result]:
    """Time all the cases of the rows together."""
    wanted = list(rows)
    cases = list(dict.fromkeys(case for row in wanted for case in row.cases()))
    times = _timed(cases, rounds, round(sample_ms * 1e6))
    best = {case: min(each[case] for each in times) for case in cases}
    return [_result(row, times, best) for row in wanted]


def _result(row: Row, times: list[Round], best: Round) -> Result:
    return Result(
        case=row.name,
        workload=row.workload,
        cost=statistics.median(row.cost_ns(each) for each in times) / 1_000,
        cost_unit="us",
        ratio=statistics.median(row.ratio(each) for each in times),
        ratio_of_best=row.ratio(best),
        unit=row.unit_name,
        bar=row.bar,
        more_is_better=row.more_is_better,
    )


def _timed(cases: list[Case], rounds: int, sample_ns: int) -> list[Round]:
    sizes = {case: _size(case, sample_ns) for case in cases}
    gc.collect()
    gc.freeze()  # what lives until the end need not be looked at between rounds
    times: list[Round] = []
    for _ in range(rounds):
        gc.collect()
        order = random.sample(cases, len(cases))
        times.append({case: _sample_ns(case, *sizes[case]) for case in order})
    return times


def _size(case: Case, sample_ns: int) -> tuple[int, int]:
    """How many turns of how many calls a sample is."""
    if case.calls is not None:
        return 1, case.calls
    _sample_ns(case, 1, 1)
    call_ns = _sample_ns(case, 1, 3)
    calls = max(1, min(CALLS_A_PARENT, int(sample_ns / call_ns)))
    if calls == CALLS_A_PARENT:
        _sample_ns(case, _WARM_UP_CALLS, calls)  # the interpreter has specialised what it will
    return max(1, round(sample_ns / (calls * _sample_ns(case, 1, calls)))), calls


def _sample_ns(case: Case, turns: int, calls: int) -> float:
    """How long one call took, in ns."""
    total_ns = 0
    gc.disable()
    try:
        for _ in range(turns):
            with case.around():
                total_ns += case.run(calls)
    finally:
        gc.enable()
    return max(total_ns, 1) / (turns * calls)


def _time(times: Round, case: Case | None) -> float:
    return 0.0 if case is None else times[case]
