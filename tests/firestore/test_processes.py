"""Ends of processes that write to Firestore: whatever is not there lies in the journal, and comes at the next start."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from delivery.programs import end, run_work, script, start
from firestore_emulator import free_port
from integration.matrix import needs
from integration.servers import Server, server_environment

from .support import count_of, documents_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("firestore")]

SET_UP = """
configure(exporters='firestore', firestore_max_writes_per_s=0)

def delivered():  # an emulator on a busy machine may refuse once and take it later
    return any(flush(10) for _ in range(9))

"""
QUIET = {"PYTHONWARNINGS": "ignore"}  # Google's packages warn of old Pythons


@pytest.mark.parametrize(
    ("ending", "status"),
    [("", 0), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM), ("raise RuntimeError('unhandled')", 1)],
    ids=["normal", "SIGTERM", "exception"],
)
def test_an_exit_without_flush_loses_nothing(firestore_project: str, ending: str, status: int) -> None:
    """What the end of the process leaves no time for is delivered by the next one."""
    child = start(f"{SET_UP}for number in range(3000): work(number)\n{ending}", **QUIET)
    assert end(child, timeout_s=60).status == status
    run_work(f"{SET_UP}work(3000)\nassert delivered()", **QUIET)
    numbers = sorted(one["input"]["kwargs"]["number"] for one in documents_of(firestore_project).values())
    assert numbers == list(range(3001))


def test_what_a_killed_process_had_in_the_journal_arrives_once(firestore_project: str) -> None:
    """All that a process had put there by the time of kill -9, with a silent server, and none of it twice."""
    with _dead_server(is_open=True) as host:
        child = start(
            f"{SET_UP}for number in range(6000): work(number)\n"
            "end_by_s = time.monotonic() + 20\n"
            "while delivery_report().in_journal < 2000 and time.monotonic() < end_by_s: time.sleep(0.05)\n"
            "report = delivery_report()\nsay(in_journal=report.in_journal, exported=report.exported)\ntime.sleep(60)",
            FIRESTORE_EMULATOR_HOST=host,
            **QUIET,
        )
        try:
            assert child.stdout is not None
            said = json.loads(child.stdout.readline())
        finally:
            child.kill()
            child.communicate(timeout=10)
    assert said["exported"] == 0
    assert said["in_journal"] >= 2000
    for number in (6000, 6001):  # a second start finds nothing more
        run_work(f"{SET_UP}work({number})\nassert delivered()", **QUIET)
        numbers = {one["input"]["kwargs"]["number"] for one in documents_of(firestore_project).values()}
        assert said["in_journal"] <= len(numbers - {6000, 6001}) <= 6000
        assert count_of(firestore_project) == len(numbers)


@pytest.mark.parametrize("is_open", [False, True], ids=["refuses", "says nothing"])
def test_a_dead_server_holds_up_no_exit(firestore_project: str, monkeypatch: pytest.MonkeyPatch, is_open: bool) -> None:
    """The process ends within the time for it, and everything it had is delivered when the server is back."""
    with _dead_server(is_open=is_open) as host:
        ended = run_work(
            f"{SET_UP}for number in range(500): work(number)\nimport time; say(at=time.monotonic())",
            FIRESTORE_EMULATOR_HOST=host,
            **QUIET,
        )
        took_s = time.monotonic() - float(ended.stdout.partition(":")[2].strip(" }\n"))
    assert took_s < 2.0 + 1.5  # the exit's own time, and that of the interpreter and of gRPC
    assert count_of(firestore_project) == 0
    run_work(f"{SET_UP}work(500)\nassert delivered()", **QUIET)
    assert count_of(firestore_project) == 501


def test_a_fork_during_a_request_harms_neither(firestore_project: str) -> None:
    """Parent and children write on, though the parent has used its client and is using it."""
    ended = run_work(
        f"""
{SET_UP}
for number in range(2000): work(number)
children = []
for fork in range(5):
    pid = os.fork()
    if not pid:
        for number in range(100): work(10_000 + fork * 100 + number)
        os._exit(0 if delivered() else 1)
    children.append(pid)
    for number in range(100): work(2000 + fork * 100 + number)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 5
assert delivered()
""",
        timeout_s=120,
        **QUIET,
    )
    assert "Traceback" not in ended.stderr
    assert count_of(firestore_project) == 3000


APPLICATION = """
@traced
def answer(path): return os.getpid()

def app(environ, start_response):
    body = str(answer(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@needs("gunicorn")
@pytest.mark.parametrize("preload", ["", "--preload"])
def test_prefork_workers_lose_nothing(firestore_project: str, preload: str) -> None:
    """Two workers of gunicorn, asked and ended ten times: every request is a document, and nothing hangs."""
    module = script(APPLICATION).stem
    command = f"gunicorn --bind 127.0.0.1:{{port}} -w 2 --no-control-socket {preload} {module}:app"
    names = {"OTEL_TRACES_EXPORTER": "firestore", "OTEL_TRACKER_FIRESTORE_MAX_WRITES_PER_S": "0"}
    for run in range(1, 11):
        server = Server(command, {**server_environment("none"), **names})
        try:
            server.wait_until(server.takes_connections)
            server.ask(40, keep_alive=False)
            assert server.end(server.pid) == 0, server.said()
        finally:
            server.kill()
        assert count_of(firestore_project) == 40 * run, server.said()


@contextmanager
def _dead_server(*, is_open: bool) -> Iterator[str]:
    """An address where nobody listens, or where somebody listens and never answers."""
    port = free_port()
    if not is_open:
        yield f"127.0.0.1:{port}"
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        yield f"127.0.0.1:{port}"
