"""Instruments by name: counters, gauges and histograms that measure with whatever meter provider is in force.

On this side of the SDK this is the one module that touches ``opentelemetry.metrics``. An instrument of ours is made
once a name and stays; the one behind it, OpenTelemetry's, is looked up again whenever the provider has changed, so
that a module may make its instruments while nothing is configured. Until there is a provider nothing is measured.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from math import isfinite
from operator import index
from typing import Any, ClassVar, TypeVar

from opentelemetry.metrics import Meter, get_meter_provider

# Private to OpenTelemetry's API: the provider that is set, asked for in every measurement, and what stands for it until
# there is one, which would hand out instruments that measure nothing, and keep them.
from opentelemetry.metrics import _internal as metrics_api

from otel_tracker import labels as label_sets
from otel_tracker import settings, switch
from otel_tracker.attributes import SCOPE
from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.setting_values import LEAN
from otel_tracker.version import __version__

SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bucket boundaries for durations: from a tenth of a millisecond, below which nobody looks, to a minute."""

_INT64_MAX = 2**63 - 1
_EXACT = 2**53  # as floats, amounts beyond it neither lose anything that matters nor overflow a sum of 64 bits
_SDK_MODULE, _LEAN_MODULE = "opentelemetry.sdk.metrics", "otel_tracker.lean_measurements"
_NUMBERS = frozenset({int, float})

# Specification: "Metrics API", instrument name syntax and instrument unit.
_NAME = re.compile(r"[A-Za-z][-_./A-Za-z0-9]{0,254}", re.ASCII)
_REFUSED_IN_NAMES = re.compile(r"[^-_./A-Za-z0-9]+", re.ASCII)
_MAX_NAME, _MAX_UNIT = 255, 63

Measure = Callable[..., None]


class Instrument:
    """What the helpers give: one name, of one kind. Shared by all threads; no method of it ever raises."""

    __slots__ = ("_labels", "_measure", "_provider", "buckets", "description", "name", "unit")

    kind: ClassVar[str]
    _smallest: ClassVar[float] = -_EXACT
    _largest: ClassVar[float] = _EXACT

    def __init__(self, name: str, unit: str, description: str, buckets: tuple[float, ...] | None = None) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.buckets = buckets
        self._labels = label_sets.LabelSets(name)
        self._provider: object = self  # nobody's provider: looked up at the first measurement
        self._measure: Measure | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"

    def __reduce__(self) -> Any:  # in another process it is the one of that process
        return instrument, (type(self), self.name, self.unit, self.description, self.buckets)

    def measure(self, amount: Any, labels: dict[str, Any]) -> None:
        """Give a measurement to the provider in force; with ``labels`` as in `LabelSets.attributes_of`."""
        if not switch.is_on:
            return
        try:
            if metrics_api._METER_PROVIDER is not self._provider:
                self._look_up()
            measure = self._measure
            if measure is None:
                return
            if type(amount) not in _NUMBERS or not self._smallest <= amount <= self._largest:
                amount = self._usable(amount)
                if amount is None:
                    return
            if labels:
                measure(amount, self._labels.attributes_of(labels))
            else:
                measure(amount)
        except Exception as error:  # providers and their views are not ours
            report_internal_error("measuring", error)

    def forget_provider(self) -> None:
        """Look at the provider again at the next measurement."""
        self._provider = self

    def _made(self, meter: Meter) -> Measure:
        """The method of OpenTelemetry's instrument that takes an amount and attributes."""
        raise NotImplementedError

    def _look_up(self) -> None:
        provider = get_meter_provider()
        measure: Measure | None = None
        if not isinstance(provider, metrics_api._ProxyMeterProvider) and not switch.is_sdk_disabled():
            try:
                measure = self._made(provider.get_meter(SCOPE, __version__))
            except Exception as error:
                report_internal_error(f"making the metric {self.name}", error)
        self._measure = measure
        # Last, because another thread measures as soon as it sees this.
        self._provider = metrics_api._METER_PROVIDER

    def _usable(self, amount: Any) -> int | float | None:
        """A number for what is none of Python's or is large; None, said once, for what cannot be measured."""
        number = _number(amount, self._largest)
        if number is not None and isfinite(number) and (number >= 0 or self._smallest < 0):
            return number
        expected = "a finite number" if self._smallest < 0 else "a finite number from 0"
        say_once(
            f"The {self.kind} {self.name} was given {_shown(amount)}; expected {expected}. It is left out, and so is "
            "whatever else of that kind it is given.",
            key=f"amount of {self.kind} {self.name}",
        )
        return None


class Counter(Instrument):
    """Counts what only ever grows: calls, bytes, orders."""

    __slots__ = ()
    kind = "counter"
    _smallest = 0

    def add(self, amount: float = 1, /, **labels: Any) -> None:
        """Add a number from 0. Never raises; what cannot be counted is said once and left out."""
        self.measure(amount, labels)

    def _made(self, meter: Meter) -> Measure:
        return _lean(made := meter.create_counter(self.name, self.unit, self.description)) or made.add


class UpDownCounter(Instrument):
    """Counts what comes and goes: open connections, waiting jobs."""

    __slots__ = ()
    kind = "up-down counter"

    def add(self, amount: float, /, **labels: Any) -> None:
        """Add a number, which may be negative. Never raises."""
        self.measure(amount, labels)

    def _made(self, meter: Meter) -> Measure:
        return _lean(made := meter.create_up_down_counter(self.name, self.unit, self.description)) or made.add


class Gauge(Instrument):
    """Says how much there is now: a temperature, the size of a cache."""

    __slots__ = ()
    kind = "gauge"
    _smallest, _largest = -_INT64_MAX - 1, _INT64_MAX

    def set(self, value: float, /, **labels: Any) -> None:
        """Set the value, which holds until the next one. Never raises."""
        self.measure(value, labels)

    def _made(self, meter: Meter) -> Measure:
        return _lean(made := meter.create_gauge(self.name, self.unit, self.description)) or made.set


class Histogram(Instrument):
    """Counts values by size: durations, bytes of a response."""

    __slots__ = ()
    kind = "histogram"
    _smallest = 0

    def record(self, value: float, /, **labels: Any) -> None:
        """Record one value, a number from 0. Never raises."""
        self.measure(value, labels)

    def _made(self, meter: Meter) -> Measure:
        made = meter.create_histogram(
            self.name, self.unit, self.description, explicit_bucket_boundaries_advisory=self.buckets
        )
        return _lean(made) or made.record


I = TypeVar("I", bound=Instrument)  # noqa: E741

UNIT = "1"
"""The unit of whatever has none. To ask for a known instrument, neither it nor a description need be repeated."""

_known: dict[tuple[type[Instrument], str], Instrument] = {}


def instrument(
    kind: type[I], name: str, unit: str = UNIT, description: str = "", buckets: Sequence[float] | None = None
) -> I:
    """The instrument of this kind and name, made when it is first asked for; names are the same in
    any case of letters.

    Raises ValueError for a name that is empty or no text. A name or unit that OpenTelemetry refuses is mended, and
    another unit or description than before is passed over; either is said once.
    """
    found: Any = _known.get((kind, name)) if type(name) is str else None
    description = _plain(description)
    if found is None:
        found = _new(kind, name, unit, description, buckets)
    unit = _plain(unit)
    if (unit not in (UNIT, found.unit)) or (description not in ("", found.description)):
        say_once(
            f"The {found.kind} {found.name} has the unit {found.unit!r} and the description {found.description!r}; it "
            f"was also asked for with {unit!r} and {description!r}, which have no effect. Say the same "
            "everywhere, or only once.",
            key=f"unit of {found.kind} {found.name}",
        )
    instrument_found: I = found
    return instrument_found


def reset() -> None:
    """Look at the provider, the labels and the settings again at the next measurement."""
    label_sets.reset()
    for one in list(_known.values()):
        one.forget_provider()


def forget_all() -> None:
    """Make every instrument anew when it is asked for; those that somebody holds go on."""
    _known.clear()


def _new(kind: type[I], name: object, unit: str, description: str, buckets: Sequence[float] | None) -> Instrument:
    given = _plain(name)
    if not isinstance(name, str) or not given.strip():
        raise ValueError(
            f"The metric's name is {_shown(name)}; expected a text such as orders.placed that is not empty."
        )
    mended = _mended(given)
    made = kind(mended, _mended_unit(mended, unit), description, _boundaries(mended, buckets))
    kept = _known.setdefault((kind, mended.lower()), made)
    _known[kind, mended] = _known[kind, given] = kept
    for other in (Counter, UpDownCounter, Gauge, Histogram):
        if other is not kind and (other, mended.lower()) in _known:
            say_once(
                f"The metric {mended} is both a {other.kind} and a {kind.kind}; both are measured, and whoever reads "
                "them has to tell them apart. Give one of them another name.",
                key=f"kinds of {mended.lower()}",
            )
    return kept


def _mended(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    mended = _REFUSED_IN_NAMES.sub("_", name)
    mended = (mended if mended[:1].isalpha() else f"metric_{mended}")[:_MAX_NAME]
    say_once(
        f"The metric's name {name[:300]!r} is none that OpenTelemetry takes; it is measured as {mended!r}. Use a "
        f"letter, then letters, digits and _ . - /, {_MAX_NAME} at most."
    )
    return mended


def _mended_unit(name: str, unit: object) -> str:
    given = _plain(unit)
    if isinstance(unit, str) and given.isascii() and len(given) <= _MAX_UNIT:
        return given
    say_once(
        f"The unit of the metric {name} is {_shown(unit)}; expected ASCII text of at most {_MAX_UNIT} characters, such "
        "as s, By or 1. It has none."
    )
    return ""


def _boundaries(name: str, buckets: Sequence[float] | None) -> tuple[float, ...] | None:
    if buckets is None:
        return None
    try:
        numbers = [_number(boundary) for boundary in buckets]
        found = tuple(sorted({float(number) for number in numbers if number is not None and isfinite(number)}))
    except Exception:
        found, numbers = (), []
    if not found or len(found) != len(numbers):
        say_once(
            f"The buckets of the histogram {name} are {_shown(buckets)}; expected different finite numbers, such as "
            "(0.1, 1, 10). What else is in there is left out."
        )
    return found or None


def _lean(instrument: object) -> Measure | None:
    """A faster way to the same for an instrument of the SDK's; found by name, as this half imports nothing of it."""
    if _SDK_MODULE not in sys.modules or settings.SPAN_ENGINE.read() != LEAN:
        return None
    try:
        measure: Measure | None = importlib.import_module(_LEAN_MODULE).measure_for(instrument)
    except Exception as error:  # an SDK that it does not know, or no such module
        logger.debug("measurements are made by the SDK alone (%s)", error)
        return None
    return measure


def _number(value: Any, largest: float = _INT64_MAX) -> int | float | None:
    """Whatever says that it is a number as Python's own; None for all else, texts included."""
    try:
        if hasattr(type(value), "__index__"):
            number = int(index(value))
            return number if -largest - 1 <= number <= largest else float(number)
        if hasattr(type(value), "__float__"):
            return float(value)
    except Exception:  # user code at our border, or no float is so large
        return None
    return None


def _plain(given: object) -> str:
    """A text as Python's own, which nobody's subclass answers for (an enum's member has a str() of its own)."""
    if type(given) is str:
        return given
    try:
        return str.__str__(given) if isinstance(given, str) else str(given)
    except Exception:  # user code at our border
        return ""


def _shown(value: object) -> str:
    """What somebody gave, short and without its content where that is no plain number."""
    if isinstance(value, str) and not _plain(value).strip():
        return "an empty text"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else f"an integer of {value.bit_length():,} bits"
    return f"a value of type {type(value).__name__}"
