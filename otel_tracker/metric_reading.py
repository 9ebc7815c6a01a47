"""The readers of this process: added to a meter provider, paused for a fork, begun anew in a child, closed at the end.

A forked child goes on with what its parent had added up: of 5 and 1 more it would say 6. Here every reader of ours has
empty aggregations in a child, and everything on the way to them locks of its own, because another thread of the
parent's may have held one at the moment of the fork.

Private to the SDK and used here: of a reader ``_collect``; of what that belongs to, a measurement consumer,
``_reader_storages``, ``_async_instruments``, ``add_metric_reader``, ``register_asynchronous_instrument`` and its locks;
of a provider ``_meters``. Where one is missing, threads begin at once, and a child goes on with what it inherited.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterable
from time import monotonic
from typing import Any, cast

from opentelemetry.sdk.metrics.export import MetricReader

from otel_tracker.delivery import forking, lanes
from otel_tracker.delivery.turns import short_turns
from otel_tracker.diagnostics import logger, report_internal_error, say_once
from otel_tracker.metric_readers import ExportingReader
from otel_tracker.settings import DELIVERY_EXIT_TIMEOUT_S

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())

_readers: weakref.WeakKeyDictionary[MetricReader, weakref.ref[Any]] = weakref.WeakKeyDictionary()
_paused: list[ExportingReader] = []


def add_reader(provider: Any, reader: MetricReader) -> bool:
    """Let a reader collect what this provider measures; False, said once, where it takes none."""
    add = getattr(provider, "add_metric_reader", None)
    if add is None:
        say_once(
            f"The meter provider {type(provider).__qualname__} that is already set takes no readers; no metrics are "
            "stored. Call otel_tracker.configure() before the other set-up, or leave that out."
        )
        return False
    try:
        add(reader)
    except Exception as error:  # a provider of anybody's
        report_internal_error("adding a reader to an existing meter provider", error)
        return False
    _readers[reader] = weakref.ref(provider)
    _begin_with_first_measurement(reader)
    atexit.unregister(_at_exit)  # again, so that it comes before the SDK's for spans and events
    atexit.register(_at_exit)
    return True


def shut_down(readers: Iterable[MetricReader], timeout_s: float) -> bool:
    """Collect a last time and close the exporters, all at once; False when that took longer."""
    mine = [reader for reader in readers if _readers.pop(reader, None) is not None]
    for exporting in _exporting(mine):
        exporting.hurry()
    end_by_s = monotonic() + timeout_s
    for reader in mine:
        try:
            reader.shutdown(timeout_millis=max(1.0, (end_by_s - monotonic()) * 1e3))
        except Exception as error:  # exporters of anybody's
            report_internal_error("closing a destination of metrics", error)
    return not any(exporting.is_running for exporting in _exporting(mine))


class _FirstMeasurement:
    """Stands before a reader's storage until something is measured; then the reader's thread begins."""

    def __init__(self, reader: ExportingReader, consumer: Any) -> None:
        self._reader = reader
        self._consumer = consumer
        self._storage = consumer._reader_storages[reader]
        self._is_first = threading.Lock()

    def consume_measurement(self, *measured: Any) -> None:
        """Take it in, and stand there no longer."""
        consumer, reader = self._consumer, self._reader
        if self._is_first.acquire(blocking=False):  # the mapping is replaced, never changed, as the SDK does
            consumer._reader_storages = {**consumer._reader_storages, reader: self._storage}
            reader.begin()
        self._storage.consume_measurement(*measured)

    def collect(self) -> Any:
        """What the storage has: nothing, but for observable instruments."""
        return self._storage.collect()


def _begin_with_first_measurement(reader: MetricReader) -> None:
    """Also with the first observable instrument, which measures when it is collected."""
    if not isinstance(reader, ExportingReader):
        return
    try:
        consumer: Any = reader._collect.__self__  # type: ignore[union-attr]
        if consumer._async_instruments:
            reader.begin()
            return
        first = _FirstMeasurement(reader, consumer)
        consumer._reader_storages = {**consumer._reader_storages, reader: first}
        register = consumer.register_asynchronous_instrument

        def register_and_begin(instrument: Any) -> None:
            register(instrument)
            reader.begin()

        consumer.register_asynchronous_instrument = register_and_begin
    except Exception as error:  # an SDK that is another inside
        logger.debug("a reader of metrics begins at once: %s", error)
        reader.begin()


def _exporting(readers: Iterable[MetricReader]) -> list[ExportingReader]:
    return [reader for reader in readers if isinstance(reader, ExportingReader)]


def _pause() -> None:
    forking.begin()
    readers = _exporting(list(_readers))
    for reader in readers:
        reader.begin_pause()
    begin_s = monotonic()
    with short_turns():
        _paused[:] = [reader for reader in readers if reader.pause(begin_s + _fork_wait_s(reader))]


def _fork_wait_s(reader: ExportingReader) -> float:
    return lanes.LOCAL_FORK_WAIT_S if reader.is_local else lanes.FORK_WAIT_S


def _resume() -> None:
    forking.end()
    while _paused:
        _paused.pop().resume()


def _start_anew() -> None:
    forking.forget()
    _paused.clear()
    for reader, provider in list(_readers.items()):
        try:
            if isinstance(reader, ExportingReader):
                reader.start_anew()
            _forget_parent(reader, provider())
            _begin_with_first_measurement(reader)
        except Exception as error:  # an SDK that is another inside
            logger.debug("a reader of metrics goes on with what its parent measured: %s", error)


def _forget_parent(reader: Any, provider: Any) -> None:
    """Give the reader empty aggregations, and everything on the way to them locks that nobody holds."""
    consumer = reader._collect.__self__
    for each in (consumer, *getattr(provider, "_meters", {}).values()):
        _renew_locks(each)
    consumer.add_metric_reader(reader)  # in place of what it had


def _renew_locks(owner: Any) -> None:
    for name, value in list(vars(owner).items()):
        if isinstance(value, (_LOCK, _RLOCK)):
            setattr(owner, name, threading.Lock() if isinstance(value, _LOCK) else threading.RLock())


def _at_exit() -> None:
    """Close our readers, which the SDK does for those that a provider was made with, in the time of all deliveries."""
    readers = list(_readers)
    if readers:
        with lanes.exit_time(cast(Any, readers[0]), DELIVERY_EXIT_TIMEOUT_S.read()) as end_by_s:
            shut_down(readers, max(0.0, end_by_s - monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_start_anew)
