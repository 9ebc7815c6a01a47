"""`otel-tracker` in a process that is forked from one that has already imported it: a tenth of the time of a new one.

It is a process of its own all the same, with its own environment, working directory, output and exit, as a console
script has them. Run as a script, this is the process that waits for what to run: a line of JSON and the two files for
the output, over a socket.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NoReturn

DEADLINE_S = 60.0

_MAX_REQUEST_BYTES = 1_000_000


class WarmProgram:
    """Runs the program again and again, forked from one interpreter; where it is not to be had, ask `is_possible`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._socket: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def is_possible(self, environment: dict[str, str]) -> bool:
        """Whether a fork would be as a new interpreter: nothing is asked for that is read while one starts."""
        read_at_start = ("PYTHON", "LC_", "LANG", "LD_")
        return sys.platform == "linux" and all(
            environment.get(name) == self._environment.get(name)
            for name in {*environment, *self._environment}
            if name.startswith(read_at_start)
        )

    def run(self, arguments: list[str], folder: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run it to its end with these arguments, in a folder and with nothing but this environment."""
        request = json.dumps({"arguments": arguments, "folder": folder, "environment": environment}).encode()
        assert len(request) < _MAX_REQUEST_BYTES
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            connection = self._connected()
            socket.send_fds(connection, [request], [stdout.fileno(), stderr.fileno()])
            status = int(connection.recv(16))
            printed = [_text_of(file) for file in (stdout, stderr)]
        return subprocess.CompletedProcess(arguments, status, *printed)

    def close(self) -> None:
        """End the process that waits."""
        if self._socket is not None and self._server is not None:
            self._socket.close()
            self._server.wait(DEADLINE_S)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket.settimeout(DEADLINE_S)
            with theirs:
                self._server = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno())],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
        return self._socket


def _text_of(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8").replace(os.linesep, "\n")  # type: ignore[no-any-return]


def _serve(connection: socket.socket) -> Callable[[], NoReturn] | None:
    """Fork for every request and answer with its status; returns in a child, with what it is to do, or at the end."""
    while True:
        request, files, _, _ = socket.recv_fds(connection, _MAX_REQUEST_BYTES, 2)
        if not request:
            return None
        child = os.fork()
        if not child:
            connection.close()
            return _prepared(**json.loads(request), files=files)
        for file in files:
            os.close(file)
        connection.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _prepared(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[int]
) -> Callable[[], NoReturn]:
    from otel_tracker.cli import main

    for file, place in zip(files, (1, 2), strict=True):
        os.dup2(file, place)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["otel-tracker", *arguments]
    return main


def _import_everything() -> None:
    import otel_tracker.cli.app
    from otel_tracker.stores import installed_stores

    for place, _ in otel_tracker.cli.app.COMMANDS.values():
        __import__(place.partition(":")[0])
    installed_stores()


if __name__ == "__main__":
    _import_everything()
    run = _serve(socket.socket(fileno=int(sys.argv[1])))
    if run is not None:
        run()
