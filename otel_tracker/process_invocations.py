"""What a `ProcessTracker` knows of one run of an entry point: how long its parts took, and what was set.

An invocation stands in OpenTelemetry's context, which tasks and ``asyncio.to_thread`` inherit and `propagate` and the
threading instrumentor carry to other threads; whoever does not have that context belongs to no invocation. Nothing here
knows spans or where a record goes.
"""

from __future__ import annotations

import json
from math import isfinite, isnan
from threading import get_ident
from time import perf_counter_ns
from typing import Any

from opentelemetry.context import Context

from otel_tracker import current
from otel_tracker.diagnostics import report_internal_error

Value = str | int | float | bool
"""What a metric or an identifier may be."""

RESERVED = ("latencies", "metrics", "counts", "failed")
"""Keys of a record, which no identifier may have."""

_NS_PER_MS = 1e6
_MAX_BITS = 2_000  # the interpreter may refuse to write longer integers in decimal (sys.set_int_max_str_digits)


class Invocation:
    """One run of an entry point; its threads and tasks write to it at once.

    Without a lock, which a fork might leave taken: every thread adds to totals of its own.
    """

    __slots__ = ("_by_thread", "_order", "identifiers", "is_open", "metrics", "name", "owner")

    def __init__(self, owner: object, name: str) -> None:
        self.owner = owner  # the tracker
        self.name = name
        self.is_open = True
        self.metrics: dict[str, Value] = {}
        self.identifiers: dict[str, Value] = {}
        self._by_thread: dict[int, dict[str, list[int]]] = {}
        self._order: dict[str, None] = {}

    def add(self, name: str, duration_ns: int) -> None:
        """Count a run of this name."""
        thread = get_ident()
        totals = self._by_thread.get(thread)
        if totals is None:
            totals = self._by_thread[thread] = {}
        total = totals.get(name)
        if total is None:
            totals[name] = [duration_ns, 1]
            self._order.setdefault(name)
        else:
            total[0] += duration_ns
            total[1] += 1

    def record(self, *, failed: bool) -> dict[str, Any]:
        """The record: names in the order in which they first completed, milliseconds with three decimals."""
        latencies, counts = self._sums()
        found: dict[str, Any] = {"latencies": latencies, "metrics": _plain(self.metrics)}
        if counts:
            found["counts"] = counts
        if failed:
            found["failed"] = True
        return {**found, **_plain(self.identifiers)}

    def _sums(self) -> tuple[dict[str, float], dict[str, int]]:
        by_thread = [totals.copy() for totals in self._by_thread.copy().values()]
        latencies, counts = {}, {}
        for name in self._order.copy():
            found = [totals[name] for totals in by_thread if name in totals]
            latencies[name] = round(sum(total[0] for total in found) / _NS_PER_MS, 3)
            times = sum(total[1] for total in found)
            if times > 1:
                counts[name] = times
        return latencies, counts


class Part:
    """One run of a timer, a tracked function or an entry point, and the next one outside it, whatever tracker's."""

    __slots__ = ("_caller", "_token", "begin_ns", "invocation", "is_open", "name", "outer")

    def __init__(self, name: str, context: Context, invocation: Invocation, outer: Part | None) -> None:
        self.name = name
        self.invocation = invocation
        self.outer = outer
        self.is_open = True
        self._caller = context
        self._token: Any = None
        self.begin_ns = 0

    def enter(self) -> None:
        """Make the context with this part the current one."""
        try:
            values = dict(self._caller)
            values[current.PART_KEY] = self
            self._token = current.attach(Context(values))
        except Exception as error:  # a runtime context of anybody's
            report_internal_error("making a part of a run current", error)

    def join(self, here: Context) -> None:
        """Stand in the context that a span has just made current, or `enter` where no span has.

        A context is not to be changed once others have it; this one was made a moment ago, and for this part alone.
        Another one beside it costs a tenth of a timer.
        """
        if here is self._caller:
            self.enter()
        else:
            dict.__setitem__(here, current.PART_KEY, self)

    def begin(self) -> None:
        """It begins now."""
        self.begin_ns = perf_counter_ns()

    def leave(self) -> None:
        """Make current what was current before; in a foreign context there is nothing to restore."""
        token, self._token = self._token, None
        if token is not None:
            try:  # noqa: SIM105 - `suppress` costs more than the rest
                current.restore(token)
            except ValueError:
                pass

    def end(self, span: object, error: BaseException | None) -> None:
        """Count it, unless its entry point has ended before."""
        duration_ns = perf_counter_ns() - self.begin_ns
        self.is_open = False
        invocation = self.invocation
        if invocation.is_open:
            invocation.add(self.name, duration_ns)

    finish = leave

    def is_inside(self, name: str) -> bool:
        """Whether this is, or runs inside, a part of this name of the same invocation."""
        part: Part | None = self
        while part is not None:
            if part.name == name and part.invocation is self.invocation and part.is_open:
                return True
            part = part.outer
        return False

    def is_inside_entry(self, name: str) -> bool:
        """Whether this runs inside an entry point of this name, of the same tracker."""
        part: Part | None = self
        while part is not None:
            known = part.invocation
            if known.name == name and known.is_open and known.owner is self.invocation.owner:
                return True
            part = part.outer
        return False


class _Nothing:
    """Stands for a part that is not counted: outside any entry point, or inside itself."""

    def enter(self) -> None:
        """Do nothing."""

    def join(self, here: Context) -> None:
        """Do nothing."""

    def begin(self) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def end(self, span: object, error: BaseException | None) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


NOTHING = _Nothing()


def outer_part(context: Context) -> Part | None:
    """The part, of any tracker, that whatever runs in this context runs in.

    Those that have ended are passed over, so that tasks which start tasks make no chain that grows.
    """
    part: Any = context.get(current.PART_KEY)
    while part is not None and not (part.is_open and part.invocation.is_open):
        part = part.outer
    found: Part | None = part
    return found


def part_of(owner: object, part: Part | None) -> Part | None:
    """The first, from this one outwards, of a run of the owner's that has not ended."""
    while part is not None and not (part.invocation.owner is owner and part.is_open and part.invocation.is_open):
        part = part.outer
    return part


def current_invocation(owner: object) -> Invocation | None:
    """The run of one of the owner's entry points that this code belongs to; None outside any."""
    part = part_of(owner, current.get().get(current.PART_KEY))  # type: ignore[arg-type]
    return None if part is None else part.invocation


def open_part(owner: object, name: str) -> Part | _Nothing:
    """The part of this name that begins here and now."""
    context = current.get()
    outer: Any = context.get(current.PART_KEY)
    if outer is None:
        return NOTHING
    invocation = outer.invocation
    if invocation.owner is owner and outer.is_open and invocation.is_open:
        inside = outer
    else:
        outer = outer_part(context)
        inside = part_of(owner, outer)
        if inside is None:
            return NOTHING
        invocation = inside.invocation
    return NOTHING if inside.is_inside(name) else Part(name, context, invocation, outer)


def text_of(record: dict[str, Any]) -> str:
    """The record as one line of JSON in ASCII, which every console and log can show."""
    return json.dumps(record, allow_nan=False)


def _plain(values: dict[str, Value]) -> dict[str, Value]:
    return {name: _plain_value(value) for name, value in values.copy().items()}


def _plain_value(value: Value) -> Value:
    """The value as JSON has it: NaN and the infinities as text, as in stored records."""
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return hex(value)
    return value
