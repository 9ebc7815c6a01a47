"""Starts a real server under the launcher, asks it concurrently, ends it, and compares the store with the answers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from support import child_environment, launcher, stored_spans, wait_until

from .matrix import assert_worked, variables

QUICK, MANY = 50, 320
"""Requests to one setup of each kind in every run, and to each setup in the slow one: 22 setups make 14,080 spans."""

_DEADLINE_S = 60.0
_CLIENTS = 8
_FRAMEWORKS = ("django", "fastapi", "flask")
_COMPLAINT = re.compile(
    r"Traceback|Exception|telemetry|tracker|instrument|exporter|processor|\bspans?\b", re.IGNORECASE
)
_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@dataclass(frozen=True)
class Setup:
    """One way to serve: what a user types, and how that ends when the user ends it.

    ``{port}`` stands for the server's port. ``status`` is what the shell sees of the started process.
    """

    name: str
    command: str
    status: int = 0
    has_supervisor: bool = False
    """Whether the started process serves nothing itself."""
    ends_by: str = "started"
    """Who gets SIGTERM: the ``started`` process, or the one that is ``serving``."""
    keeps_alive: bool = True
    """Whether it takes several requests over one connection, or says that it does not."""
    logs: str = ""
    """What it logs of each request when that is over, where the client cannot know it."""


def setups(quick: Collection[str], *all_of_them: Setup) -> list[Any]:
    """The parameters of a test: some in every run with few requests, each in the slow run with many."""
    few = [pytest.param(setup, QUICK, id=setup.name) for setup in all_of_them if setup.name in quick]
    many = [pytest.param(setup, MANY, id=f"{setup.name}-many", marks=pytest.mark.slow) for setup in all_of_them]
    return [*few, *many]


def assert_nothing_is_lost(setup: Setup, requests: int, *, instrumentor: str) -> None:
    """Serve, answer that many requests, end, and find each of them in the store, and nothing running or said."""
    with serving(setup.command, instrumentor=instrumentor) as server:
        server_pids = server.ask(requests, keep_alive=setup.keeps_alive)
        if setup.logs:
            server.wait_until(lambda: server.said().count(setup.logs) == requests)
        started = server.started_in_helpers() if setup.has_supervisor else {}
        status = server.end(server.pid if setup.ends_by == "started" else min(server_pids))
    assert (server.pid in server_pids) != setup.has_supervisor
    assert status == setup.status, server.said()
    assert server.complaints() == []
    assert_stored(requests)
    assert started == {}


def assert_stored(requests: int) -> None:
    """For every request a server span, the traced function below it, and its event, each exactly once."""
    functions = assert_worked(range(requests), besides=requests)
    roots = {span.span_id: span for span in stored_spans() if span.kind == "server"}
    assert {span.parent_span_id for span in functions.values()} == set(roots)
    assert len(roots) == requests
    assert all(span.trace_id == roots[span.parent_span_id].trace_id for span in functions.values())


class Program:
    """A program that runs in a session of its own, with all that it starts and what they say."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], folder: Path = Path()) -> None:
        self._said = (folder / "server.log").resolve()
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_until(self, is_so: Callable[[], object]) -> None:
        """Return when something is so; AssertionError, with what it said, when it ends instead."""
        wait_until(lambda: self._process.poll() is not None or is_so(), _DEADLINE_S)
        assert self._process.poll() is None, self.said()

    def end(self, target: int, by: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal to the process; gives the exit status of the started one when the whole session is over."""
        os.kill(target, by)
        return self.wait_for_end()

    def wait_for_end(self) -> int:
        """The exit status of the started process, when the whole session is over."""
        status = self._process.wait(_DEADLINE_S)
        wait_until(lambda: not self.processes(), _DEADLINE_S)
        return status

    def kill(self) -> None:
        """End whatever of the session is left, and forget it."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self._process.wait(_DEADLINE_S)

    def said(self) -> str:
        """What it printed, on both streams."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    def complaints(self) -> list[str]:
        """The lines that sound like a failure, or like us."""
        return [line for line in self.said().splitlines() if _COMPLAINT.search(line)]

    def processes(self) -> dict[int, str]:
        """The command lines of the processes of the session that have not ended, by process id."""
        return {pid: _command_of(pid) for pid in _pids() if _session_of(pid) == self.pid}


class Server(Program):
    """A program that serves, with its port."""

    def __init__(self, command: str, environment: dict[str, str]) -> None:
        self.port = free_port()
        super().__init__(command_line(command, port=self.port), environment)

    def takes_connections(self) -> bool:
        """Whether somebody listens on its port."""
        return takes_connections(self.port)

    def ask(self, requests: int, *, keep_alive: bool = True) -> set[int]:
        """Ask for so many items, numbered from 0, by several clients at once; gives the processes that answered."""
        numbers = range(requests)
        shares = [numbers[first::_CLIENTS] for first in range(_CLIENTS)] if keep_alive else [[n] for n in numbers]
        with ThreadPoolExecutor(_CLIENTS) as clients:
            return {int(answer) for share in clients.map(self._ask_one_after_another, shares) for answer in share}

    def started_in_helpers(self) -> dict[int, list[str]]:
        """What runs or is open in those processes that serve nothing: the started one and multiprocessing's own."""
        helpers = [pid for pid, command in self.processes().items() if any(name in command for name in _HELPERS)]
        return {pid: started for pid in (self.pid, *helpers) if (started := started_in(pid))}

    def _ask_one_after_another(self, numbers: Sequence[int]) -> list[str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE_S)
        answers = [_answer(connection, f"/items/{number}") for number in numbers[:-1]]
        return [*answers, _last_answer(connection, f"/items/{numbers[-1]}")]


@contextmanager
def serving(command: str, *, instrumentor: str) -> Iterator[Server]:
    """A server that takes connections; nothing of it is left afterwards, however the test went."""
    server = Server(command, server_environment(instrumentor))
    try:
        server.wait_until(server.takes_connections)
        yield server
    finally:
        server.kill()


def server_environment(instrumentor: str, **more: str) -> dict[str, str]:
    """No framework's instrumentor but one, and no warning of a server about itself."""
    others = ",".join(name for name in _FRAMEWORKS if name != instrumentor)
    quiet = {"PYTHONWARNINGS": "ignore", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": others}
    return child_environment(**variables(), **quiet, **more)


def command_line(command: str, **values: object) -> list[str]:
    """A command as a user types it, with this environment's python and scripts."""
    first, *arguments = command.format(**values).split()
    found = sys.executable if first == "python" else shutil.which(first, path=str(Path(sys.executable).parent))
    assert found is not None, f"{first} is not installed"
    return [*launcher(), found, *arguments]


def takes_connections(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def started_in(pid: int) -> list[str]:
    """What a process has beyond its main thread and the files that any program has: threads, and a store's files."""
    threads = len(os.listdir(f"/proc/{pid}/task")) - 1
    files = [os.path.basename(target) for target in _open_files(pid)]
    return [*[f"{threads} threads"] * bool(threads), *[name for name in files if name.startswith("otel-tracker")]]


def _answer(connection: HTTPConnection, path: str, **headers: str) -> str:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    assert response.status == 200, (path, response.status, body[:500])
    return body


def _last_answer(connection: HTTPConnection, path: str) -> str:
    """Ask to close the connection and wait for that: a server of threads answers before the request's span ends."""
    if connection.sock is None:
        connection.connect()
    assert connection.sock is not None
    with connection.sock.dup() as same:
        answer = _answer(connection, path, Connection="close")
        same.settimeout(_DEADLINE_S)
        assert same.recv(1) == b""
    connection.close()
    return answer


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _session_of(pid: int) -> int:
    """The session of a process that runs; 0 for one that is over."""
    try:
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state in "ZX" else int(session)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


def _open_files(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue
