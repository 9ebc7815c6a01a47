"""Which call the events that are being made tell of, so that a sample keeps a call's start and its end, or neither.

Events of a sampled span have its trace id for that. A call without a span may begin in one thread, task or trace and
end in another one, as a generator does that is handed on.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

told_call: Final[ContextVar[int]] = ContextVar("otel_tracker_told_call", default=0)
"""A number of 64 bits or a trace id, the same for all events of the call; 0 where events tell of no such call."""
