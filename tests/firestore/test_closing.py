"""The end of an exporter: it waits for no server and no credentials, and leaves no request behind."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_tracker.delivery.outcomes import Outcome
from otel_tracker_exporters.firestore import FirestoreSpanExporter, connection
from otel_tracker_exporters.firestore.connection import ClosedError, Connection
from otel_tracker_exporters.firestore.options import Options


@pytest.fixture(autouse=True)
def _client() -> Iterator[None]:
    """Google's client, whose packages warn of Pythons that they will not support for long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("google.cloud.firestore")
        yield


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{listener.getsockname()[1]}")
        yield


def some_spans(number: int) -> list[ReadableSpan]:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    spans: list[Any] = [tracer.start_span("span") for _ in range(number)]
    for span in spans:
        span.end()
    return spans


def delivering(exporter: FirestoreSpanExporter, spans: Sequence[ReadableSpan]) -> tuple[threading.Thread, list[Any]]:
    """A thread that delivers, and what came of it."""
    found: list[Outcome[ReadableSpan]] = []
    thread = threading.Thread(target=lambda: found.append(exporter.deliver(spans)))
    thread.start()
    return thread, found


@pytest.mark.usefixtures("silent_server")
def test_shutdown_ends_requests_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was under way is handed back at once, not when its ten seconds are over."""
    is_asked = threading.Event()
    write = Connection.batch_write

    def asked(self: Connection, *arguments: Any) -> Any:
        threading.Timer(0.2, is_asked.set).start()
        return write(self, *arguments)

    monkeypatch.setattr(Connection, "batch_write", asked)
    exporter = FirestoreSpanExporter(project="p")
    thread, found = delivering(exporter, some_spans(300))
    assert is_asked.wait(10)
    began_s = time.monotonic()
    exporter.shutdown()
    thread.join(10)
    assert time.monotonic() - began_s < 2
    assert (found[0].exported, len(found[0].again), found[0].dropped) == (0, 300, {})


def test_shutdown_does_not_wait_for_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for them asks servers; who ends meanwhile does not wait, and a client that comes too late is closed."""
    is_looked_for, is_found, closed = threading.Event(), threading.Event(), threading.Event()

    class Late:
        def close(self) -> None:
            closed.set()

    def look(options: Options) -> Late:
        is_looked_for.set()
        assert is_found.wait(10)
        return Late()

    monkeypatch.setattr(connection, "_new_client", look)
    exporter = FirestoreSpanExporter(project="p")
    thread, found = delivering(exporter, some_spans(3))
    assert is_looked_for.wait(10)
    exporter.shutdown()
    assert thread.is_alive()
    is_found.set()
    thread.join(10)
    assert len(found[0].again) == 3
    assert closed.is_set()


def test_closed_connection_makes_no_client() -> None:
    """Nor does it say that anything is wrong with the server."""
    closed = Connection(Options(project="p"))
    closed.close()
    with pytest.raises(ClosedError):
        closed.client()
