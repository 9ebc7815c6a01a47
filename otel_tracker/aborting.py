"""Ends what a dead process has left open: its executions that have begun and not ended become aborted ones.

The reader of a local store does this before it reads (`otel_tracker.stores`), since nobody else is left to do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from otel_tracker.attributes import PROCESS
from otel_tracker.diagnostics import logger
from otel_tracker.errors import OtelTrackerError, StoreNotFoundError
from otel_tracker.presence import Presence, gone_from
from otel_tracker.query import StoreReader
from otel_tracker.records import ABORTED, STARTED, SpanRecord
from otel_tracker.writing import StoreWriter


def abort_unfinished(
    place: str, open_reader: Callable[[], StoreReader], open_writer: Callable[[], StoreWriter]
) -> None:
    """Store an end for what dead processes have begun at a place; where that is not possible, it is left as it is."""
    for presence in gone_from(place):
        try:
            _abort(presence, open_reader, open_writer)
        except StoreNotFoundError:  # it was deleted, and what had begun in it with it
            presence.leave(place)
            presence.close()
        except (OtelTrackerError, OSError) as error:
            logger.debug("executions of %s cannot be ended: %s", presence.name, error)
            presence.close()
        else:
            presence.leave(place)
            presence.close()


def _abort(presence: Presence, open_reader: Callable[[], StoreReader], open_writer: Callable[[], StoreWriter]) -> None:
    with open_reader() as reader:
        begun = reader.query_executions(status=STARTED, limit=None)
        unfinished = [_aborted(span) for span in begun if span.attributes.get(PROCESS) == presence.name]
    if not unfinished:
        return
    writer = open_writer()
    try:
        writer.store(unfinished)
    finally:
        writer.close()


def _aborted(span: SpanRecord) -> SpanRecord:
    attributes = {key: value for key, value in span.attributes.items() if key != PROCESS}
    return replace(span, status=ABORTED, attributes=attributes)
