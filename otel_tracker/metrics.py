"""`counter`, `up_down_counter`, `gauge`, `histogram`, `timed` and `counted`: metrics by name, in one line each.

They are OpenTelemetry's own instruments, of the meter ``otel_tracker``: see `otel_tracker.instruments`. Ask for one
where a module begins or where it is used; the same name gives the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from otel_tracker.instruments import SECONDS, UNIT, Counter, Gauge, Histogram, UpDownCounter, instrument
from otel_tracker.tracing.decorator import decorate
from otel_tracker.tracing.failures import is_failure
from otel_tracker.tracing.options import WatchedOptions
from otel_tracker.tracing.spec import SpanSpec
from otel_tracker.tracing.timings import CallTiming, DurationTiming, Timing

if TYPE_CHECKING:
    from typing_extensions import Self

F = TypeVar("F", bound=Callable[..., Any])


def counter(name: str, unit: str = UNIT, description: str = "") -> Counter:
    """What only grows: ``counter("orders.placed").add(1, country="NL")``.

    Keyword arguments of ``add`` are labels, under any name: text, numbers and truth values as they are, everything
    else as bounded text, secrets redacted. 1,000 sets of labels are kept apart, the rest is counted in one point with
    ``otel.metric.overflow``. Nothing is measured before there is a meter provider, nor after `disable`.

    Raises ValueError for a name that is empty or no text; what it returns never raises.
    """
    return instrument(Counter, name, unit, description)


def up_down_counter(name: str, unit: str = UNIT, description: str = "") -> UpDownCounter:
    """What comes and goes: ``up_down_counter("jobs.running").add(-1)``; otherwise as `counter`."""
    return instrument(UpDownCounter, name, unit, description)


def gauge(name: str, unit: str = UNIT, description: str = "") -> Gauge:
    """How much there is now: ``gauge("cache.size", "By").set(4_096)``; otherwise as `counter`."""
    return instrument(Gauge, name, unit, description)


def histogram(
    name: str, unit: str = UNIT, description: str = "", *, buckets: Sequence[float] | None = None
) -> Histogram:
    """Values by size: ``histogram("response.size", "By").record(812)``; otherwise as `counter`.

    ``buckets`` are the upper boundaries to count by; by default the SDK's from 0 to 10,000. A view goes before them.
    """
    return instrument(Histogram, name, unit, description, buckets)


def timed(name: str, /, **labels: Any) -> Timed:
    """Measure in seconds how long a block or every call of a function takes, in the histogram of this name.

    ``with timed("load", source="disk"):``, ``async with timed("load"):`` or ``@timed("load")``. Of a coroutine the
    await counts, of a generator the whole iteration. What fails has the label ``error.type``, and the exception goes
    on. One object may be used again, also inside itself and from several threads and tasks. There is no span.

    Raises ValueError for a name that is empty or no text.
    """
    return Timed(_duration_timing(name) if not labels and type(name) is str else _new_duration_timing(name, labels))


def counted(name: str, /, **labels: Any) -> Counted:
    """Count how often a block or a function has ended, in the counter of this name; otherwise as `timed`."""
    return Counted(CallTiming(instrument(Counter, name), labels))


class MeasuredBlock:
    """What `timed` and `counted` return.

    A block that is entered while another one of the same object is open, in another thread or task or around it, is
    noted in the context that it runs in. Where such a block is left in another context than it was entered in, two
    that are open at once may take each other's beginning: their number and their sum are right all the same.
    """

    __slots__ = ("_open", "_timing")

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._open: list[float | _Noted] = []

    def __reduce__(self) -> Any:
        return type(self), (self._timing,)

    def __enter__(self) -> Self:
        if self._open:
            noted = _Noted(self, _innermost())
            self._open.append(noted)
            _noted.set(noted)
        else:
            self._open.append(perf_counter())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end_s = perf_counter()
        begin_s = self._open.pop() if len(self._open) == 1 else self._taken(end_s)
        if type(begin_s) is not float:
            begin_s = begin_s.closed()  # type: ignore[union-attr]
        self._timing.ended(end_s - begin_s, None if exc is None or not is_failure(exc, _PLAIN) else exc)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, target: F, /) -> F:
        """Measure every call of a function, method or callable, or of a class's methods."""
        options: WatchedOptions = {"timings": (self._timing,), "is_spanless": True}
        decorated: F = decorate(target, options=options)
        return decorated

    def _taken(self, otherwise_s: float) -> float | _Noted:
        """Of the blocks that are open, in any thread and task, the one that is left here."""
        noted = _noted.get()
        while noted is not None and not (noted.block is self and noted.is_open):
            noted = noted.outer
        mine = self._open[:] if noted is None else [noted]
        for one in sorted(mine, key=lambda one: type(one) is not float):  # first the one that was noted nowhere
            try:
                self._open.remove(one)
            except ValueError:  # another thread has taken it
                continue
            return one
        return otherwise_s


class Timed(MeasuredBlock):
    """What `timed` returns."""

    __slots__ = ()


class Counted(MeasuredBlock):
    """What `counted` returns."""

    __slots__ = ()


class _Noted:
    """A block in the context that it runs in, and what is open around it there."""

    __slots__ = ("begin_s", "block", "is_open", "outer")

    def __init__(self, block: MeasuredBlock, outer: _Noted | None) -> None:
        self.block = block
        self.outer = outer
        self.is_open = True
        self.begin_s = perf_counter()

    def closed(self) -> float:
        """Take it out of the context, if this is the one; gives its beginning."""
        self.is_open = False
        if _noted.get() is self:
            _noted.set(_innermost())
        return self.begin_s


# One variable for all: a context keeps every variable that was ever set in it.
_noted: ContextVar[_Noted | None] = ContextVar("otel_tracker_measured_block", default=None)
_PLAIN = SpanSpec("measured")


@lru_cache(maxsize=1_024)
def _duration_timing(name: str) -> DurationTiming:
    """The one of all blocks of a name without labels: making it costs more than the rest of the block."""
    return _new_duration_timing(name, {})


def _new_duration_timing(name: str, labels: dict[str, Any]) -> DurationTiming:
    return DurationTiming(instrument(Histogram, name, "s", "", SECONDS), labels)


def _innermost() -> _Noted | None:
    """The innermost block that is open here; those that were left in another context are passed over."""
    noted = _noted.get()
    while noted is not None and not noted.is_open:
        noted = noted.outer
    return noted
