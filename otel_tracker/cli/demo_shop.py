"""The demo's shop: a child process under `opentelemetry-instrument` that answers on a loopback port until stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import otel_tracker
from otel_tracker.cli.text import visible_lines
from otel_tracker.errors import MissingExtraError, OtelTrackerError
from otel_tracker.launch import instrumented, with_our_distro

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "127.0.0.1"
SERVICE_NAME = "otel-tracker-demo"
"""The `service.name` of everything that the demo stores; it tells a demo's store from any other."""

_MODULE = "flask_shop"
_ANNOUNCEMENT = "listening on "
_POLL_S = 0.02
_STOP_TIMEOUT_S = 4.0

# Context of whoever starts the demo: its trace is not the demo's.
_FOREIGN_VARIABLES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


class DemoError(OtelTrackerError):
    """The demo cannot be carried out here."""


class Deadline:
    """The moment at which the demo has to be over."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Seconds that are left; raises `DemoError` when there are none."""
        remaining_s = self._end_s - time.monotonic()
        if remaining_s <= 0:
            raise DemoError(
                f"The demo did not finish within {self._timeout_s:g} s; is this machine very busy? Try again."
            )
        return remaining_s


class Shop:
    """The shop's process; `wait_until_it_answers`, then use ``url``, then `stop`."""

    def __init__(self, folder: Path, store: Path, port: int) -> None:
        self._output, self._errors = folder / "shop.out", folder / "shop.err"
        arguments = ["--port", str(port), "--database", str(folder / "shop.db")]
        command, environment = instrumented(
            [sys.executable, "-m", _MODULE, *arguments], _environment(os.environ, folder, store)
        )
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own example
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                # Ctrl-C in the terminal reaches the demo alone, which then stops the shop in its own way.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )

    def wait_until_it_answers(self, deadline: Deadline) -> str:
        """The shop's url, once it listens; raises `DemoError` when it ends or the time is over."""
        while True:
            deadline.remaining_s()
            for line in self._output.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
                if line.startswith(_ANNOUNCEMENT) and line.endswith("\n"):
                    return line.removeprefix(_ANNOUNCEMENT).strip()
            if self._process.poll() is not None:
                raise DemoError(
                    f"The shop ended with status {self._process.returncode} before it answered: {self.last_words()}"
                )
            time.sleep(_POLL_S)

    def stop(self) -> bool:
        """Ask it to end, which stores everything; after four seconds end it. Whether it ended by itself."""
        if self._process.poll() is None:
            self._process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
        try:
            return self._process.wait(_STOP_TIMEOUT_S) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False

    def last_words(self) -> str:
        """The last line that it wrote to its standard error."""
        lines = visible_lines(self._errors.read_text(encoding="utf-8", errors="replace").strip())
        return lines[-1] or "it said nothing"


def check_prerequisites(port: int) -> None:
    """Raise the sentence that says why the shop cannot be started, if it cannot."""
    for package in ("flask", "opentelemetry.instrumentation.flask"):
        if not _is_installed(package):
            raise MissingExtraError("The demo", package.replace(".", "-"), "flask")
    _shop_folder()
    # As the server will: on POSIX, connections of an earlier server that have not timed out are no obstacle.
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(
                f"Port {port} of {HOST} cannot be used: {error.strerror}. Choose another --port, or 0 for a free one."
            ) from None


def _environment(inherited: Mapping[str, str], folder: Path, store: Path) -> dict[str, str]:
    """The user's environment without any of its telemetry settings, and ours."""
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith("OTEL_") and name not in _FOREIGN_VARIABLES
    }
    search_path = [str(_shop_folder().parent), *map(os.path.abspath, _entries(inherited.get("PYTHONPATH", "")))]
    return with_our_distro(
        {
            **kept,
            "PYTHONPATH": os.pathsep.join(search_path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "OTEL_SERVICE_NAME": SERVICE_NAME,
            "OTEL_TRACES_EXPORTER": "sqlite",
            "OTEL_TRACKER_SQLITE_PATH": str(store),
            # No settings file of the user's, and nothing left behind in a folder of theirs.
            "OTEL_TRACKER_CONFIG_FILE": os.devnull,
            "XDG_STATE_HOME": str(folder),
        }
    )


def _entries(search_path: str) -> list[str]:
    return [entry for entry in search_path.split(os.pathsep) if entry]


def _shop_folder() -> Path:
    """Where the shop lies: inside the package as the wheel installs it, else in the checkout beside the package."""
    package = Path(otel_tracker.__file__).resolve().parent
    for folder in (package / "examples" / _MODULE, package.parent / "examples" / _MODULE):
        if (folder / "__main__.py").is_file():
            return folder
    raise DemoError(f"The demo's shop is missing from {package / 'examples'}. Install otel-tracker again.")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:
        return False
