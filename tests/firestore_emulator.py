"""The Firestore emulator of the Google Cloud SDK: found, started on a free port of 127.0.0.1, stopped.

``FIRESTORE_EMULATOR_HOST`` names one that runs already. A project's id tells tests apart: nobody sees another's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

IS_REQUIRED = "firestore" in os.environ.get("OTEL_TRACKER_REQUIRE", "").split(",")
_RUNNING = os.environ.get("FIRESTORE_EMULATOR_HOST", "")
_JAR_VARIABLE = "FIRESTORE_EMULATOR_JAR"
_JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_SDK_FOLDERS = (
    "/usr/lib/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "~/google-cloud-sdk",
    "/snap/google-cloud-cli/current",
)
_READY_S, _END_S = 60.0, 15.0
_MISSING = (
    "needs the Firestore emulator: gcloud components install cloud-firestore-emulator (and Java 17), or name its jar "
    f"in {_JAR_VARIABLE}"
)


@dataclass
class Emulator:
    """An emulator process; ``host`` is what ``FIRESTORE_EMULATOR_HOST`` shall name."""

    host: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on its port, with no documents; returns when it answers."""
        _, port = self.host.split(":")
        command = ["java", "-Xmx1g", "-cp", str(jar()), _MAIN, "--host=127.0.0.1", f"--port={port}"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline_s = time.monotonic() + _READY_S
        while not _answers(self.host):
            assert self.process.poll() is None, "the Firestore emulator has ended by itself"
            assert time.monotonic() < deadline_s, f"the Firestore emulator does not answer after {_READY_S} s"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; what it held is gone."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def new_emulator() -> Emulator:
    """One that is not started, on a port that is free."""
    return Emulator(f"127.0.0.1:{free_port()}")


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def new_project() -> str:
    """A project that nobody else uses."""
    return f"test-{uuid.uuid4().hex[:20]}"


def jar() -> Path | None:
    """Where the emulator lies."""
    named = os.environ.get(_JAR_VARIABLE)
    launcher = shutil.which("gcloud")
    roots = [Path(launcher).resolve().parent.parent] if launcher else []
    candidates = [Path(named)] if named else [root / _JAR for root in (*roots, *map(_expanded, _SDK_FOLDERS))]
    return next((path for path in candidates if path.is_file()), None)


def need_emulator() -> None:
    """Skip where there is none; where tests of it are required, fail."""
    reason = "" if has_client() else "needs google-cloud-firestore: pip install google-cloud-firestore"
    if not reason and not _RUNNING and (jar() is None or shutil.which("java") is None):
        reason = _MISSING
    if reason and IS_REQUIRED:
        pytest.fail(f"OTEL_TRACKER_REQUIRE names firestore, and this {reason}")
    if reason:
        pytest.skip(reason)


def has_client() -> bool:
    """Whether Google's client is installed; the name `google` is also that of other packages."""
    try:
        return find_spec("google.cloud.firestore") is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="session")
def emulator_host() -> Iterator[str]:
    """The address of an emulator that lives as long as the session."""
    need_emulator()
    if _RUNNING:
        yield _RUNNING
        return
    emulator = new_emulator()
    emulator.start()
    yield emulator.host
    emulator.stop()


@pytest.fixture
def firestore_project(emulator_host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project of this test's own, in the emulator, which the environment names."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator_host)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    project = new_project()
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", project)
    return project


def _answers(host: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}/", timeout=1.0) as answer:
            return answer.status == 200
    except OSError:
        return False


def _expanded(folder: str) -> Path:
    return Path(folder).expanduser()
