"""A real OTLP/HTTP endpoint on a free port of 127.0.0.1, which keeps what arrives and answers as a test wants."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
_MESSAGES: dict[str, Any] = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}


class Endpoint(ThreadingHTTPServer):
    """``answers`` are taken one a request, the last for good: a status, (status, body), "hang" or "close"."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: tuple[Any, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.requests: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """Its base url."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def spans(self) -> list[Any]:
        """Every span that arrived, as protobuf messages, with its resource and scope."""
        return [
            (span, of_scope.scope, of_resource.resource)
            for path, request in self.requests
            if path.endswith("/v1/traces")
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    @property
    def logs(self) -> list[Any]:
        """Every log record that arrived, with its resource."""
        return [
            (log, of_resource.resource)
            for path, request in self.requests
            if path.endswith("/v1/logs")
            for of_resource in request.resource_logs
            for of_scope in of_resource.scope_logs
            for log in of_scope.log_records
        ]

    @property
    def metrics(self) -> list[Any]:
        """Every metric that arrived, with its scope and resource."""
        return [
            (metric, of_scope.scope, of_resource.resource)
            for path, request in self.requests
            if path.endswith("/v1/metrics")
            for of_resource in request.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        ]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = _DECODERS.get(self.headers.get("Content-Encoding", ""), bytes)(body)
        message = _MESSAGES.get(self.path.partition("?")[0].rpartition("/v1/")[2], ExportLogsServiceRequest)
        self.server.requests.append((self.path, message.FromString(body)))
        self.server.headers.append(dict(self.headers))
        answers = self.server.answers
        self._answer(answers.pop(0) if len(answers) > 1 else answers[0])

    def _answer(self, answer: Any) -> None:
        if callable(answer):
            answer = answer(self.server.requests[-1][1])
        if answer == "hang":
            self.server.released.wait(30)
        if answer in ("hang", "close"):
            self.close_connection = True
            return
        status, body = answer if isinstance(answer, tuple) else (answer, b"")
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "0")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def endpoint(*answers: Any) -> Iterator[Endpoint]:
    """An endpoint that runs while the context is open; it answers 200 unless told otherwise."""
    server = Endpoint(answers or (200,))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="otlp-endpoint")
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
