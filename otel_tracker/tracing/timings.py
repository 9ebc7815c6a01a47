"""What is measured of a call when it has ended: how long it took, or that it took place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from otel_tracker import attributes as keys
from otel_tracker.instruments import SECONDS, Counter, Histogram, instrument
from otel_tracker.tracing.failures import type_name


class Timing(Protocol):
    """Takes what is known of a call that has ended."""

    def ended(self, duration_s: float, error: BaseException | None) -> None:
        """The call took so long, and failed with ``error`` where there is one; never raises."""


@dataclass(frozen=True, slots=True)
class DurationTiming:
    """One value of a histogram a call, in seconds."""

    histogram: Histogram
    labels: dict[str, Any] = field(default_factory=dict)

    def ended(self, duration_s: float, error: BaseException | None) -> None:
        """See `Timing.ended`."""
        self.histogram.measure(duration_s, self.labels if error is None else _with_type(self.labels, error))


@dataclass(frozen=True, slots=True)
class CallTiming:
    """One more of a counter a call."""

    counter: Counter
    labels: dict[str, Any] = field(default_factory=dict)

    def ended(self, duration_s: float, error: BaseException | None) -> None:
        """See `Timing.ended`."""
        self.counter.measure(1, self.labels if error is None else _with_type(self.labels, error))


def function_timing(function_name: str) -> DurationTiming:
    """The durations of a traced function: ``traced(metrics=True)``."""
    histogram = instrument(Histogram, keys.FUNCTION_DURATION, "s", "How long traced functions took.", SECONDS)
    return DurationTiming(histogram, {keys.CODE_FUNCTION_NAME: function_name})


def _with_type(labels: dict[str, Any], error: BaseException) -> dict[str, Any]:
    try:
        return {**labels, keys.ERROR_TYPE: type_name(error)}
    except Exception:  # a class that does not say its name: a failure all the same
        return {**labels, keys.ERROR_TYPE: keys.OTHER_ERROR_TYPE}
