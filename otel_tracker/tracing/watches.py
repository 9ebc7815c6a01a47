"""Events of a call: what `track_duration`, `track_function`, `track_error` and ``traced(event=...)`` tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from otel_tracker import attributes as keys
from otel_tracker import emitting
from otel_tracker.tracing.failures import message_of, traceback_text, type_name


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: ``error`` where it failed, ``outcome`` where somebody stopped it."""

    duration_ms: float
    error: BaseException | None = None
    outcome: str = ""

    @property
    def properties(self) -> dict[str, Any]:
        """What every event of an ending says."""
        said: dict[str, Any] = {"duration_ms": self.duration_ms}
        return {**said, "outcome": self.outcome} if self.outcome else said


class Watch(Protocol):
    """Tells of calls by events."""

    def started(self) -> None:
        """A call begins."""

    def ended(self, ending: Ending) -> None:
        """It has ended."""


@dataclass(frozen=True, slots=True)
class DurationWatch:
    """``<prefix>.started``, then ``<prefix>.completed`` or ``<prefix>.failed`` with ``duration_ms``."""

    prefix: str

    def started(self) -> None:
        """See `Watch.started`."""
        emitting.emit(f"{self.prefix}.started", {})

    def ended(self, ending: Ending) -> None:
        """See `Watch.ended`."""
        if ending.error is None:
            emitting.emit(f"{self.prefix}.completed", ending.properties)
        else:
            _emit_error(f"{self.prefix}.failed", ending.properties, ending.error)


@dataclass(frozen=True, slots=True)
class CallWatch:
    """One event when the call has ended, with ``duration_ms``, ``status`` and properties that are always the same."""

    event_name: str
    properties: Mapping[str, Any] = field(default_factory=dict)

    def started(self) -> None:
        """See `Watch.started`."""

    def ended(self, ending: Ending) -> None:
        """See `Watch.ended`."""
        if ending.error is None:
            emitting.emit(self.event_name, {**ending.properties, "status": "completed", **self.properties})
        else:
            said = {**ending.properties, "status": "failed", **self.properties}
            _emit_error(self.event_name, said, ending.error)


@dataclass(frozen=True, slots=True)
class ErrorWatch:
    """One event with the traceback when the call fails."""

    event_name: str

    def started(self) -> None:
        """See `Watch.started`."""

    def ended(self, ending: Ending) -> None:
        """See `Watch.ended`."""
        if ending.error is not None:
            _emit_error(self.event_name, ending.properties, ending.error, has_traceback=True)


def _emit_error(
    event_name: str, properties: Mapping[str, Any], error: BaseException, *, has_traceback: bool = False
) -> None:
    said = {keys.EXCEPTION_TYPE: type_name(error), keys.EXCEPTION_MESSAGE: message_of(error)}
    if has_traceback:
        said[keys.EXCEPTION_STACKTRACE] = traceback_text(error)
    emitting.emit(event_name, properties, severity=emitting.ERROR, attributes=said)
