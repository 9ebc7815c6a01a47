"""One signal's endpoint: sends a batch through OpenTelemetry's own exporter and says what became of it.

The exporter honours the ``OTEL_EXPORTER_OTLP_*`` variables (headers, compression, certificates) and retries what is
worth it within OTEL_EXPORTER_OTLP_TIMEOUT (10 s a batch). But it answers with success or failure alone, and takes a
redirection for success, so the session that it sends through, a public argument, remembers the answer itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

TOO_LARGE = 413
_MAX_REASON = 200
_MAX_BODY = 65_536
_UPSTREAM_LOGGER = "opentelemetry.exporter.otlp.proto.http"
_UPSTREAM_MODULES = ("trace_exporter", "_log_exporter", "metric_exporter")


class RefusedError(Exception):
    """The endpoint did not take a batch; ``is_too_large`` says that it may take a smaller one."""

    def __init__(self, reason: str, *, is_too_large: bool = False) -> None:
        super().__init__(reason)
        self.is_too_large = is_too_large


@dataclass
class _Answer:
    """What the last request came to: a status with its body, or an error."""

    status: int = 0
    reason: str = ""
    body: bytes = b""
    error: str = ""


class _RememberingSession(requests.Session):
    """A session that keeps its last answer."""

    def __init__(self) -> None:
        super().__init__()
        self.last: _Answer | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the base's."""
        self.last = None
        try:
            response = super().request(*args, **kwargs)
        except Exception as error:  # a url that no library can read raises what it likes
            self.last = _Answer(error=_plain_reason(error))
            raise
        self.last = _Answer(response.status_code, response.reason or "", response.content[:_MAX_BODY])
        return response


class SignalEndpoint:
    """Where one signal's batches go; made by `span_endpoint`, `log_endpoint` and `metric_endpoint`."""

    def __init__(self, make_exporter: Callable[..., Any], parse_answer: Callable[[bytes], Any], url: str) -> None:
        self._session = _RememberingSession()
        self._parse_answer = parse_answer
        self._exporter = make_exporter(endpoint=url, session=self._session)

    def send(self, batch: Any) -> tuple[int, str]:
        """Send the batch; how many of it the endpoint rejected, and why. Raises `RefusedError`."""
        self._session.last = None
        with suppress_instrumentation(), _silenced(_UPSTREAM_LOGGER):
            result = self._exporter.export(batch)
        answer = self._session.last
        if answer is None:
            raise RefusedError("the batch is too large or cannot be encoded", is_too_large=True)
        if answer.error:
            raise RefusedError(answer.error)
        if not 200 <= answer.status < 300 or result.name != "SUCCESS":
            reason = f"it answered {answer.status} {_printable(answer.reason)}".rstrip()
            raise RefusedError(reason, is_too_large=answer.status == TOO_LARGE)
        return self._rejected(answer.body)

    def close(self) -> None:
        """Close its connections."""
        self._exporter.shutdown()

    def _rejected(self, body: bytes) -> tuple[int, str]:
        """https://opentelemetry.io/docs/specs/otlp/#partial-success-1; a body of something else says nothing."""
        try:
            partial = self._parse_answer(body).partial_success
        except Exception:  # the decoding error's class depends on protobuf's implementation
            return 0, ""
        names = ("rejected_spans", "rejected_log_records", "rejected_data_points")
        return sum(getattr(partial, name, 0) for name in names), _printable(partial.error_message)


def span_endpoint(url: str) -> SignalEndpoint:
    """The endpoint for spans at a full url."""
    return SignalEndpoint(OTLPSpanExporter, ExportTraceServiceResponse.FromString, url)


def log_endpoint(url: str) -> SignalEndpoint:
    """The endpoint for log records at a full url."""
    return SignalEndpoint(OTLPLogExporter, ExportLogsServiceResponse.FromString, url)


def metric_endpoint(url: str) -> SignalEndpoint:
    """The endpoint for metrics at a full url."""
    return SignalEndpoint(OTLPMetricExporter, ExportMetricsServiceResponse.FromString, url)


def _printable(text: str) -> str:
    """What the other side says, fit for a terminal."""
    return "".join(character for character in text[:_MAX_REASON] if character.isprintable())


def _plain_reason(error: Exception) -> str:
    """What happened, without the library's layers of wrapping, which repeat the url and with it any secret."""
    if isinstance(error, requests.ReadTimeout):
        return "it did not answer in time"
    if isinstance(error, requests.ConnectTimeout):
        return "it could not be reached in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted, or it does not speak TLS"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[:1].lower() + cause.strerror[1:]
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed ({type(error).__name__})"


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Keep upstream's own lines of this thread out of the log: what they say is in our sentence."""
    thread = threading.get_ident()
    loggers = [logging.getLogger(f"{name}.{module}") for module in _UPSTREAM_MODULES]

    def is_not_ours(record: logging.LogRecord) -> bool:
        return record.thread != thread

    for logger in loggers:
        logger.addFilter(is_not_ours)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_not_ours)
