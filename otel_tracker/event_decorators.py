"""`track_duration`, `track_function` and `track_error`: events of a function's calls, and a span of each.

They take whatever `otel_tracker.traced` takes (functions, coroutines, generators, methods, classes), may stand above
or below it and each other, and add no span where there is one already.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from otel_tracker.tracing.decorator import TracedDecorator, decorate
from otel_tracker.tracing.options import WatchedOptions, checked_event
from otel_tracker.tracing.watches import CallWatch, DurationWatch, ErrorWatch, Watch


def track_duration(prefix: str) -> TracedDecorator:
    """Record for every call ``<prefix>.started``, then ``<prefix>.completed`` or ``<prefix>.failed``, and a span.

    The last two have ``duration_ms``, a number of milliseconds; of a coroutine the await counts, of a generator the
    whole iteration. A call that was cancelled or closed has completed, with ``outcome``.

    Raises ValueError for an empty prefix.
    """
    return watched(DurationWatch(checked_event(prefix, "prefix")))


def track_function(event_name: str, /, **properties: Any) -> TracedDecorator:
    """Record one event for every call, when it has ended, and a span.

    The event has ``duration_ms``, ``status`` (``completed`` or ``failed``) and the given properties.
    Raises ValueError for an empty name.
    """
    return watched(CallWatch(checked_event(event_name, "event_name"), properties))


def track_error(event_name: str) -> TracedDecorator:
    """Record an event with the stack trace for every call that an exception leaves, and a span for every call.

    The exception goes on. Raises ValueError for an empty name.
    """
    return watched(ErrorWatch(checked_event(event_name, "event_name")))


def watched(watch: Watch, **options: Any) -> TracedDecorator:
    """A decorator for functions that this watch is told of; ``options`` are those of `traced`."""
    return cast(TracedDecorator, partial(decorate, options=cast(WatchedOptions, {**options, "watches": (watch,)})))
