"""The bounds of a lane, from the standard variables of batch processors.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor. A value that
cannot be used is said in one sentence and its default holds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from otel_tracker.diagnostics import say_once

SPANS = "spans"
EVENTS = "events"

_PREFIXES = {SPANS: "OTEL_BSP", EVENTS: "OTEL_BLRP"}
_MAX_QUEUE_SIZE = 2_048
_MAX_BATCH_SIZE = 512
_SCHEDULE_DELAY_MS = {SPANS: 5_000.0, EVENTS: 1_000.0}
_EXPORT_TIMEOUT_MS = 30_000.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many items wait in memory, how many make a batch, how long one waits, how long `force_flush` may take."""

    max_queue_size: int = _MAX_QUEUE_SIZE
    max_batch_size: int = _MAX_BATCH_SIZE
    delay_s: float = 5.0
    export_timeout_s: float = 30.0


def limits_of(
    signal: str,
    *,
    max_queue_size: int | None = None,
    schedule_delay_ms: float | None = None,
    max_batch_size: int | None = None,
    export_timeout_ms: float | None = None,
    exporter: object = None,
) -> Limits:
    """The bounds in force: arguments, then ``OTEL_BSP_*`` or ``OTEL_BLRP_*``, then the exporter's wish, then defaults.

    Raises ValueError for an argument that is not positive.
    """
    prefix = _PREFIXES[signal]
    delay_ms = getattr(exporter, "schedule_delay_ms", None)
    default_delay_ms = float(delay_ms) if isinstance(delay_ms, (int, float)) else _SCHEDULE_DELAY_MS[signal]
    queue_size = _positive("max_queue_size", max_queue_size, f"{prefix}_MAX_QUEUE_SIZE", _MAX_QUEUE_SIZE)
    wished = getattr(exporter, "max_batch_size", None)
    default_size = wished if isinstance(wished, int) and wished > 0 else _MAX_BATCH_SIZE
    batch_size = _positive("max_export_batch_size", max_batch_size, f"{prefix}_MAX_EXPORT_BATCH_SIZE", default_size)
    return Limits(
        max_queue_size=max(1, int(queue_size)),
        max_batch_size=max(1, min(int(batch_size), int(queue_size))),
        delay_s=_positive("schedule_delay_millis", schedule_delay_ms, f"{prefix}_SCHEDULE_DELAY", default_delay_ms)
        / 1e3,
        export_timeout_s=_positive(
            "export_timeout_millis", export_timeout_ms, f"{prefix}_EXPORT_TIMEOUT", _EXPORT_TIMEOUT_MS
        )
        / 1e3,
    )


def _positive(name: str, argument: float | None, variable: str, default: float) -> float:
    if argument is not None:
        if argument <= 0:
            raise ValueError(f"{name} is {argument!r}; expected a number above 0.")
        return argument
    given = os.environ.get(variable, "").strip()
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if 0 < value < float("inf"):
        return value
    say_once(
        f"{variable} is {given[:60]!r}; expected a number above 0. "
        f"Set it to {default:g}, or unset it; {default:g} is used."
    )
    return default
