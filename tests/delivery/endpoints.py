"""A real OTLP/HTTP server on 127.0.0.1 that behaves as broken ones do, and keeps the numbers of what it took."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

OUTAGES = ("refuses", "hangs", "answers 500", "answers 503", "resets", "drips")
"""What an endpoint does instead of taking; "drips" takes, and answers with a byte now and then."""

_DRIP_S = 0.01


class Endpoint(ThreadingHTTPServer):
    """Bound at once, so that its port is its own; nobody listens, and connections are refused, until `listen`.

    A span's number is what ``number`` of its captured arguments says, an event's is its property ``number``.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, behaviour: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.behaviour = behaviour
        self.span_numbers: list[int] = []
        self.event_numbers: list[int] = []
        self.attempts = 0
        self.released = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="hostile-endpoint")
        self.server_bind()
        if behaviour != "refuses":
            self.listen()

    def listen(self) -> None:
        """From now on there are connections."""
        self.server_activate()
        self._thread.start()

    def recover(self) -> None:
        """From now on it takes everything."""
        self.behaviour = "takes"
        self.released.set()
        if not self._thread.is_alive():
            self.listen()

    def close(self) -> None:
        """End the thread and free the port."""
        self.released.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(5)
        self.server_close()

    @property
    def variables(self) -> dict[str, str]:
        """What sends a child process here, and nowhere else."""
        url = f"http://127.0.0.1:{self.server_address[1]}"
        # urllib3 leaves sockets to the garbage collector when a session of the exporter's is closed.
        warnings = {"PYTHONWARNINGS": "error,ignore::ResourceWarning"}
        return {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": url, **warnings}

    def take(self, path: str, body: bytes) -> None:
        """Keep the numbers."""
        if path.endswith("/v1/traces"):
            traces = ExportTraceServiceRequest.FromString(body)
            scopes = (scope for one in traces.resource_spans for scope in one.scope_spans)
            self.span_numbers += [_number(span) for scope in scopes for span in scope.spans]
        else:
            logs = ExportLogsServiceRequest.FromString(body)
            log_scopes = (scope for one in logs.resource_logs for scope in one.scope_logs)
            self.event_numbers += [_number(log) for scope in log_scopes for log in scope.log_records]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is no news."""


def _number(record: Any) -> int:
    values = {pair.key: pair.value.int_value for pair in record.attributes}
    return int(values.get("otel_tracker.args.number", values.get("number", -1)))


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.attempts += 1
        if server.behaviour == "hangs":
            server.released.wait(60)
            self.close_connection = True
        elif server.behaviour == "resets":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif server.behaviour.startswith("answers"):
            self._answer(int(server.behaviour.split()[1]))
        else:
            is_gzip = self.headers.get("Content-Encoding") == "gzip"
            server.take(self.path, gzip.decompress(body) if is_gzip else body)
            self._answer(200)

    def _answer(self, status: int) -> None:
        answer = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode()
        if self.server.behaviour != "drips":
            self.wfile.write(answer)
            return
        for byte in answer:
            self.wfile.write(bytes([byte]))
            time.sleep(_DRIP_S)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            pass

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def endpoint(behaviour: str = "takes") -> Iterator[Endpoint]:
    """One that behaves so while the context is open, or until it recovers."""
    server = Endpoint(behaviour)
    try:
        yield server
    finally:
        server.close()
