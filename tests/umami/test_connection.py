"""Connections that break, hang or were closed meanwhile: what may be sent again is, and nothing else."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from support import wait_until

from otel_tracker.delivery.outcomes import Outcome
from otel_tracker_exporters.umami import UmamiLogExporter

from .helpers import check_outcome, events, log_exporter, span, span_exporter
from .server import WEBSITE, Reply, Request, UmamiServer, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")

BROKEN = Reply(None)


@contextmanager
def hanging(server: UmamiServer) -> Iterator[threading.Event]:
    """The server takes requests and answers none until the block ends; the event says that one has come."""
    reached, go_on = threading.Event(), threading.Event()

    def hang(_: Request) -> Reply:
        reached.set()
        go_on.wait(30)
        return BROKEN

    server.always = hang
    try:
        yield reached
    finally:
        server.always = None
        go_on.set()


def test_server_that_is_down_gets_everything_again(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was sent, so nothing can come twice; the outage is one sentence, for spans and events together."""
    with serving() as server:
        pass
    sent = events(60)
    with log_exporter(server) as exporter, span_exporter(server, spans="*") as other:
        for _ in range(3):
            outcome = exporter.deliver(sent)
            assert (outcome.again, outcome.exported, outcome.unknown) == (sent, 0, 0)
            assert len(other.deliver([span()]).again) == 1
    (record,) = caplog.records
    assert "cannot be reached (connection refused)" in record.message.lower()


def test_host_that_does_not_exist_is_no_loss() -> None:
    """A name that no resolver knows: everything is to be sent again."""
    exporter = UmamiLogExporter(endpoint="http://umami.invalid", website_id=WEBSITE)
    assert len(exporter.deliver(events(2)).again) == 2
    exporter.shutdown()


@pytest.mark.parametrize("is_stored", [False, True])
def test_request_without_an_answer_is_unknown_and_not_sent_again(is_stored: bool) -> None:
    """The connection breaks after the request was read: perhaps it was carried out, perhaps not."""

    def break_off(request: Request) -> Reply:
        if is_stored:
            server.answer(request)
        return BROKEN

    sent = events(120)
    with serving() as server, log_exporter(server) as exporter:
        server.replies += [lambda _: None, break_off]
        outcome = exporter.deliver(sent)
        check_outcome(outcome, 120)
        assert (outcome.exported, outcome.unknown, outcome.again) == (1, 50, sent[51:])
        assert exporter.deliver(outcome.again).exported == 69
        assert len(server.names) == len(set(server.names)) == 70 + 50 * is_stored


def test_server_that_goes_on_breaking_connections_costs_one_event_each_time() -> None:
    """As the proxy of a container does while the server is being started; the rest waits."""
    sent = events(200)
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(3, "before"))
        server.always = lambda _: BROKEN
        unknown, left = [], sent
        for _ in range(4):
            outcome = exporter.deliver(left)
            unknown.append(outcome.unknown)
            left = outcome.again
        assert unknown == [50, 1, 1, 1]
        server.always = None
        assert exporter.deliver(left).exported == 147
        assert [len(request.documents) for request in server.requests[-4:]] == [1, 50, 50, 46]


def test_at_least_once_sends_again_what_got_no_answer() -> None:
    """Asked for by a setting: then duplicates are possible, and nothing is unknown."""
    sent = events(5)
    with serving() as server, log_exporter(server, at_least_once=True) as exporter:
        assert exporter.may_repeat
        server.replies.append(BROKEN)
        outcome = exporter.deliver(sent)
        assert (outcome.again, outcome.unknown) == (sent, 0)
        assert exporter.deliver(outcome.again).exported == 5


@pytest.mark.parametrize("status", [504, 524])
def test_gateway_that_gave_up_waiting_leaves_events_unknown(status: int) -> None:
    """The server behind it may still be storing them."""
    with serving() as server, log_exporter(server) as exporter:
        server.replies.append(Reply(status, "gateway timeout"))
        outcome = exporter.deliver(events(3))
        assert (outcome.unknown, len(outcome.again)) == (1, 2)


def test_slow_answer_ends_at_the_timeout_and_is_unknown() -> None:
    """A server that is overloaded is not sent the same once more, and is left alone for the moment."""
    sent = events(3)
    with serving() as server, log_exporter(server, timeout_s=0.2) as exporter, hanging(server):
        began_s = time.monotonic()
        outcome = exporter.deliver(sent)
        assert time.monotonic() - began_s < 5
        assert (outcome.unknown, outcome.again) == (1, sent[1:])


def test_answer_that_never_ends_is_not_read_for_ever() -> None:
    """A body of endless size has an end for us."""
    with serving() as server, log_exporter(server) as exporter:
        server.replies.append(Reply(200, '{"cache":"' + "x" * 5_000_000 + '"}'))
        outcome = exporter.deliver(events(1))
        check_outcome(outcome, 1)


@contextmanager
def dripping(beginning: bytes, drop: bytes) -> Iterator[str]:
    """A server that begins to answer at once and never ends; gives its url."""
    is_over = threading.Event()

    def drip(listener: socket.socket) -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(beginning)
            while not is_over.wait(0.05):
                connection.sendall(drop)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            is_over.set()
            thread.join(10)


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: more\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    ],
    ids=["headers", "interim", "body"],
)
def test_answer_that_drips_ends_at_the_timeout_and_is_unknown(beginning: bytes, drop: bytes) -> None:
    """The timeout is that of a whole request; what has come of the answer until then says nothing."""
    sent = events(2)
    with dripping(beginning, drop) as url:
        exporter = UmamiLogExporter(endpoint=url, website_id=WEBSITE, timeout_s=0.5)
        outcome: list[Outcome[Any]] = []
        thread = threading.Thread(target=lambda: outcome.append(exporter.deliver(sent)), daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        exporter.shutdown()
    assert (outcome[0].unknown, outcome[0].exported, outcome[0].again) == (1, 0, sent[1:])


def test_connection_is_used_again_and_given_up_before_the_server_closes_it() -> None:
    """One connection for a burst; one that the server has closed in the meantime costs nothing."""
    with serving(idle_s=0.2) as server, log_exporter(server) as exporter:
        exporter.deliver(events(120))
        assert {request.connection for request in server.requests} == {1}
        wait_until(lambda: server.closed_connections == 1)
        outcome = exporter.deliver(events(2, "later"))
        assert (outcome.exported, outcome.unknown) == (2, 0)
        assert {request.connection for request in server.requests} == {1, 2}


def test_stale_connection_that_breaks_at_once_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server closed it in the very moment in which we wrote: it has read nothing, and gets it once more."""
    sent = events(2)
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(1, "first"))
        monkeypatch.setattr(exporter._connection._watch, "_ended_s", time.monotonic() - 3)
        server.replies.append(BROKEN)
        outcome = exporter.deliver(sent)
        assert (outcome.again, outcome.unknown) == (sent, 0)


def test_shutdown_ends_a_request_that_waits(caplog: pytest.LogCaptureFixture) -> None:
    """The end of a program does not wait half a minute for a server that hangs; what was sent is unknown."""
    found = []
    sent = events(3)
    with serving() as server, log_exporter(server) as exporter, hanging(server) as reached:
        thread = threading.Thread(target=lambda: found.append(exporter.deliver(sent)))
        thread.start()
        assert reached.wait(10)
        began_s = time.monotonic()
        exporter.shutdown()
        thread.join(10)
        assert time.monotonic() - began_s < 2
        assert (found[0].unknown, found[0].again) == (1, sent[1:])
        assert "the program ended before it came" in caplog.text
        assert exporter.deliver(sent).again == sent


def test_one_request_at_a_time_goes_to_a_server() -> None:
    """Events and spans of a process take turns: the server works on one core."""

    def think(_: Request) -> None:
        time.sleep(0.01)

    with serving() as server, log_exporter(server) as first, span_exporter(server, spans="*") as second:
        server.always = think
        threads = [
            threading.Thread(target=first.deliver, args=[events(200)]),
            threading.Thread(target=second.deliver, args=[[span(f"span {index}") for index in range(200)]]),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(server.names) == 400
        assert server.most_at_once == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_child_of_a_fork_has_a_connection_of_its_own() -> None:
    """While the parent waits for an answer, its lock and its connection are of no use in the child."""
    with serving() as server, log_exporter(server) as exporter:
        exporter.deliver(events(1, "parent"))
        with hanging(server) as reached:
            server.replies.append(server.always)  # type: ignore[arg-type]
            server.always = None
            thread = threading.Thread(target=exporter.deliver, args=[events(1, "waiting")])
            thread.start()
            assert reached.wait(10)
            pid = os.fork()
            if not pid:
                try:
                    os._exit(exporter.deliver(events(3, "child")).exported)
                finally:
                    os._exit(99)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        thread.join(10)
        assert exporter.deliver(events(1, "parent again")).exported == 1
        assert server.names == ["parent 0", "child 0", "child 1", "child 2", "parent again 0"]
