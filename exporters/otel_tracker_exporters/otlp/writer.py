"""Replays records to an OTLP endpoint: spans to ``<url>/v1/traces``, events and logs to ``<url>/v1/logs``, metrics.

Metric points go to ``<url>/v1/metrics``. Records become the SDK's spans, log records and points again
(`otel_tracker.replaying`, `otel_tracker.metric_replaying`) and go out in batches, each within a
deadline. What was sent stays sent: when a batch fails, those before it have arrived, and sending them again is for
the receiver to recognise by their ids. OTLP has no spans that are still open, so those are left out and counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from otel_tracker.diagnostics import say_once
from otel_tracker.errors import MissingExtraError, StoreUnwritableError
from otel_tracker.metric_replaying import metrics_data, readable_point
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker.replaying import readable_log, readable_span
from otel_tracker.writing import Item, StoreWriter

try:
    from otel_tracker_exporters.otlp.endpoint import (
        RefusedError,
        SignalEndpoint,
        log_endpoint,
        metric_endpoint,
        span_endpoint,
    )
except ImportError as error:
    raise MissingExtraError("Sending to an OTLP endpoint", "opentelemetry-exporter-otlp-proto-http", "otlp") from error

MAX_BATCH = 512
"""Spans, events and logs, or metric points in one request, as many as the SDK's own batches have."""

_TRACES_PATH, _LOGS_PATH, _METRICS_PATH = "/v1/traces", "/v1/logs", "/v1/metrics"
_PATHS = (_TRACES_PATH, _LOGS_PATH, _METRICS_PATH)
_RECORD_FAULTS = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)
_MAKERS = {_TRACES_PATH: span_endpoint, _LOGS_PATH: log_endpoint, _METRICS_PATH: metric_endpoint}
_Item = TypeVar("_Item")


class OtlpWriter(StoreWriter):
    """Sends spans, events, logs and metric points to the endpoint whose base url is given; see the module's docstring.

    ``unfinished`` counts spans without an end, which were left out; ``unwritable`` also what the endpoint rejected.
    """

    def __init__(self, url: str) -> None:
        if not _is_endpoint(url):
            raise StoreUnwritableError(f"{url[:60]!r} is no endpoint; expected a url such as http://localhost:4318.")
        super().__init__(_shown(url))
        self.unfinished = 0
        self._urls = {path: _signal_url(url, path) for path in _PATHS}
        self._endpoints: dict[str, SignalEndpoint] = {}
        self._pid = os.getpid()

    def _store(self, records: Iterable[Item]) -> None:
        waiting = iter(records)
        while batch := list(islice(waiting, MAX_BATCH)):
            self._send(_TRACES_PATH, self._spans(batch))
            self._send(_LOGS_PATH, self._logs(batch))
            self._send(_METRICS_PATH, self._points(batch))

    def _spans(self, batch: Sequence[Item]) -> Iterator[Any]:
        for record in batch:
            if not isinstance(record, SpanRecord):
                continue
            if record.end_ns is None:
                self.unfinished += 1
            else:
                yield from self._made(readable_span, record)

    def _logs(self, batch: Sequence[Item]) -> Iterator[Any]:
        for record in batch:
            if isinstance(record, (EventRecord, LogRecord)):
                yield from self._made(readable_log, record)

    def _points(self, batch: Sequence[Item]) -> Iterator[Any]:
        for record in batch:
            if isinstance(record, MetricRecord):
                yield from self._made(readable_point, record)

    def _made(self, make: Callable[[_Item], Any], record: _Item) -> Iterator[Any]:
        try:
            yield make(record)
        except _RECORD_FAULTS as error:
            self._leave_out(error)

    def _send(self, path: str, items: Iterable[Any]) -> None:
        batch = list(items)
        if batch:
            self._send_in_parts(path, batch)

    def _send_in_parts(self, path: str, batch: list[Any]) -> None:
        """Send the batch; one that is too large in halves, and a single one that is too large not at all."""
        try:
            sent = metrics_data(batch) if path == _METRICS_PATH else batch
            rejected, reason = self._endpoint(path).send(sent)
        except RefusedError as error:
            if not error.is_too_large:
                raise StoreUnwritableError(self._sentence(path, str(error))) from None
            if len(batch) == 1:
                self._leave_out(error)
                return
            middle = len(batch) // 2
            self._send_in_parts(path, batch[:middle])
            self._send_in_parts(path, batch[middle:])
            return
        if rejected:
            self.unwritable += rejected
            say_once(f"{self.location} rejected some of what it was sent ({reason or 'without a reason'}).")

    def _sentence(self, path: str, reason: str) -> str:
        return (
            f"The endpoint {_shown(self._urls[path])} took nothing: {reason}. See that a collector listens there for "
            "OTLP over HTTP, and to OTEL_EXPORTER_OTLP_HEADERS or _CERTIFICATE where it wants those."
        )

    def _endpoint(self, path: str) -> SignalEndpoint:
        if self._pid != os.getpid():  # connections that a fork has left are the parent's
            self._pid, self._endpoints = os.getpid(), {}
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            endpoint = self._endpoints[path] = _MAKERS[path](self._urls[path])
        return endpoint

    def _recover(self) -> None:
        self._release()

    def _release(self) -> None:
        endpoints, self._endpoints = self._endpoints, {}
        for endpoint in endpoints.values():
            endpoint.close()


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        return False


def _signal_url(url: str, path: str) -> str:
    """The url of a signal: as for OTEL_EXPORTER_OTLP_ENDPOINT its path is appended; one that is there is replaced."""
    parts = urlsplit(url)
    base = parts.path.rstrip("/")
    for known in _PATHS:
        base = base.removesuffix(known)
    base = base.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, base + path, parts.query, ""))


def _shown(url: str) -> str:
    """The url without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
