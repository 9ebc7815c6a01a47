"""`otel-tracker demo`: a real shop under the real launcher, from its start to what is left of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otel_tracker.cli.demo_shop import SERVICE_NAME, Deadline, DemoError
from otel_tracker.cli.demo_traffic import BROWSING, RUSH, TROUBLE
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stores import open_store
from otel_tracker_exporters.sqlite.writer import SqliteWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("flask", reason="the demo's shop needs the extra flask")
pytest.importorskip("opentelemetry.instrumentation.flask", reason="the demo needs the extra flask")

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc"),
    pytest.mark.xdist_group("demo"),
]

STORE = "otel-tracker-demo.db"
MARK = "TEST_DEMO_MARK"

# What users have set for their own programs must not reach the demo.
USERS_SETTINGS = {
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_TRACKER_SQLITE_PATH": "/nowhere/x.db",
    "TRACEPARENT": f"00-{'ab' * 16}-{'cd' * 8}-01",
    "http_proxy": "http://127.0.0.1:9",
}


@dataclass
class Demo:
    """A folder to run the demo in, with a temporary folder of its own and a mark that its processes bear."""

    folder: Path
    temporary: Path
    mark: str

    def environment(self, **variables: str) -> dict[str, str]:
        """What the demo is started with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "COLUMNS"))}
        ours = {"TMPDIR": str(self.temporary), MARK: self.mark, "PYTHONUTF8": "1", "COLUMNS": "80"}
        return {**kept, **ours, **variables}

    def start(self, *arguments: str, code: str | None = None, **variables: str) -> subprocess.Popen[str]:
        """Start the demo, or ``code`` in its place."""
        program = ["-m", "otel_tracker", "demo"] if code is None else ["-c", code]
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments: str, code: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*arguments, code=code, **variables) as process:
            output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def processes(self, part: str = "") -> list[int]:
        """The ids of running processes that bear the mark and have this in their command line."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid, part)]

    def assert_nothing_left(self, *files: str) -> None:
        """No process, no temporary file, and in the folder these files alone."""
        assert self.processes() == []
        assert os.listdir(self.temporary) == []
        assert sorted(os.listdir(self.folder)) == sorted(files)

    def _is_ours(self, pid: int, part: str) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False  # it ended, or is somebody else's
        return f"{MARK}={self.mark}".encode() in environment.split(b"\0") and part.encode() in command


def new_demo(folder: Path) -> Demo:
    """A demo in a new folder below this one."""
    demo = Demo(folder / "work", folder / "tmp", uuid.uuid4().hex)
    demo.folder.mkdir()
    demo.temporary.mkdir()
    return demo


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    """A demo that was not run yet."""
    return new_demo(tmp_path)


@dataclass
class Finished:
    """A demo that was run, and what it left."""

    demo: Demo
    result: subprocess.CompletedProcess[str]
    elapsed_s: float
    spans: list[SpanRecord]
    events: list[EventRecord]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The demo, run once for all tests that look at its outcome, with a user's own settings around it."""
    demo = new_demo(tmp_path_factory.mktemp("demo"))
    begin_s = time.monotonic()
    result = demo.run(**USERS_SETTINGS)
    elapsed_s = time.monotonic() - begin_s
    assert result.returncode == 0, result.stderr
    with open_store(demo.folder / STORE) as reader:
        return Finished(
            demo, result, elapsed_s, list(reader.query_executions(limit=None)), list(reader.events(limit=None))
        )


def test_demo_ends_by_itself_within_twenty_seconds(finished: Finished) -> None:
    """Somebody who tries it out does not wait, and sees no complaint."""
    assert finished.elapsed_s < 20
    assert finished.result.stderr == ""


def test_demo_leaves_nothing_but_the_store(finished: Finished) -> None:
    """No process, no temporary folder, no file beside the store, which its owner alone may read."""
    finished.demo.assert_nothing_left(STORE)
    assert (finished.demo.folder / STORE).stat().st_mode & 0o777 == 0o600


def test_every_request_is_stored_with_its_answer(finished: Finished) -> None:
    """As many server spans as requests were sent, and the statuses that the customers saw."""
    calls = (*BROWSING, *RUSH, *TROUBLE)
    requests = [span for span in finished.spans if span.kind == "server"]
    assert f"Sent {len(calls)} requests" in finished.result.stdout
    assert Counter(span.attributes["http.response.status_code"] for span in requests) == Counter(
        call.status for call in calls
    )


def test_functions_blocks_and_events_belong_to_their_requests(finished: Finished) -> None:
    """One request, one trace: what it called and tracked hangs together."""
    requests = {span.trace_id for span in finished.spans if span.kind == "server"}
    assert {span.trace_id for span in finished.spans} == requests
    assert {event.trace_id for event in finished.events} <= requests
    assert Counter(event.name for event in finished.events) == {"order.placed": 12, "payment.declined": 1}
    names = {span.qualified_name for span in finished.spans}
    assert {"flask_shop.catalog.search", "flask_shop.payments.charge", "reserve stock"} <= names


def test_failing_request_shows_arguments_and_the_mistake(finished: Finished) -> None:
    """The report has the tree of the request that failed: whoever reads it can mend the shop."""
    shown = finished.result.stdout
    assert "args: amount_cents=179800" in shown
    assert "return amount_cents * FEES_PER_MILLE[tier] // 1000" in shown
    assert "IndexError: tuple index out of range" in shown


def test_card_numbers_are_stored_nowhere(finished: Finished) -> None:
    """What customers pay with is redacted before it is stored."""
    assert "4242424242424242" not in finished.result.stdout
    assert b"4242424242424242" not in (finished.demo.folder / STORE).read_bytes()


def test_report_fits_eighty_columns_and_has_its_parts(finished: Finished) -> None:
    """Requests, slow functions, a failure, events, and what to try next."""
    lines = finished.result.stdout.splitlines()
    for heading in ("Requests", "Slowest functions", "A request that failed", "Events", "Try next"):
        assert heading in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_commands_to_try_next_work_as_they_are_printed(finished: Finished, tmp_path: Path) -> None:
    """Each can be copied and finds something."""
    commands = [line for line in finished.result.stdout.splitlines() if line.startswith("otel-tracker ")]
    assert len(commands) == 5
    (tmp_path / STORE).write_bytes((finished.demo.folder / STORE).read_bytes())
    for command in commands:
        result = subprocess.run(
            [sys.executable, "-m", "otel_tracker", *shlex.split(command)[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, ""), command
        assert len(result.stdout.splitlines()) > 1 or "--output" in command
    assert len((tmp_path / "executions.csv").read_text("utf-8").splitlines()) > len(finished.spans)


@pytest.mark.slow
def test_second_demo_replaces_the_first(finished: Finished) -> None:
    """The store holds one demo; with --json the statistics are the output."""
    result = finished.demo.run("--json")
    assert (result.returncode, result.stderr) == (0, "")
    calls = {entry["function_name"]: entry["total"] for entry in map(json.loads, result.stdout.splitlines())}
    assert calls["POST /orders"] == sum(call.method == "POST" for call in (*BROWSING, *RUSH, *TROUBLE))
    with open_store(finished.demo.folder / STORE) as reader:
        assert len(list(reader.query_executions(limit=None))) == len(finished.spans)
    finished.demo.assert_nothing_left(STORE)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_port_in_use_is_said(demo: Demo, taken_port: int) -> None:
    """One sentence, before anything is started."""
    result = demo.run("--port", str(taken_port))
    assert result.returncode == 1
    assert result.stderr == (
        f"otel-tracker: Port {taken_port} of 127.0.0.1 cannot be used: Address already in use. "
        "Choose another --port, or 0 for a free one.\n"
    )
    demo.assert_nothing_left()


def _text(path: Path) -> None:
    path.write_text("a letter to my grandmother")


def _foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE letters (text)")


def _own_traces(path: Path) -> None:
    writer = SqliteWriter(str(path))
    writer.write([SpanRecord("ab" * 16, "cd" * 8, "mine", 1, 2, resource={"service.name": "mine"})])
    writer.close()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (_text, "is no SQLite database"),
        (_foreign_database, "is an SQLite database of another program"),
        (_own_traces, "holds traces that are no demo's, so it is not replaced"),
        (Path.mkdir, "is a directory"),
    ],
)
def test_file_of_somebody_else_is_not_replaced(demo: Demo, make: Callable[[Path], Any], part: str) -> None:
    """Whatever stands under the store's name stays as it is, unless an earlier demo wrote it."""
    target = demo.folder / STORE
    make(target)
    before = target.read_bytes() if target.is_file() else b""
    result = demo.run()
    assert result.returncode == 1
    assert part in result.stderr
    assert result.stderr.count("\n") == 1
    assert (target.read_bytes() if target.is_file() else b"") == before
    demo.assert_nothing_left(STORE)


def test_folder_that_does_not_exist_is_said(demo: Demo) -> None:
    """A mistyped --output is one sentence."""
    result = demo.run("--output", "missing/x.db")
    assert result.returncode == 1
    assert result.stderr.startswith("otel-tracker: missing/x.db cannot be written: ")
    demo.assert_nothing_left()


@pytest.mark.parametrize("module", ["flask", "opentelemetry.instrumentation.flask"])
def test_missing_extra_is_said_with_the_command_that_installs_it(demo: Demo, module: str) -> None:
    """Without Flask or its instrumentor there is no shop; the sentence says what to run."""
    result = demo.run(
        code=f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = ['demo']\n"
        "from otel_tracker.cli import main; main()"
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"otel-tracker: The demo needs {module.replace('.', '-')}, which is not installed. "
        'Run: pip install "otel-tracker[flask]".\n'
    )


def test_shop_that_dies_is_said_in_its_own_words(demo: Demo, tmp_path: Path) -> None:
    """The last line that the shop wrote is in the sentence."""
    (tmp_path / "flask.py").write_text("raise RuntimeError('this flask is broken')")
    result = demo.run(PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == (
        "otel-tracker: The shop ended with status 1 before it answered: RuntimeError: this flask is broken\n"
    )
    demo.assert_nothing_left()


@pytest.mark.slow
def test_shop_that_hangs_is_ended_at_the_deadline(demo: Demo, tmp_path: Path) -> None:
    """A shop that neither answers nor stops when asked is killed, and the demo ends in time."""
    (tmp_path / "flask.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)"
    )
    result = demo.run(
        code="import sys; sys.argv[1:] = ['demo']\n"
        "from otel_tracker.cli import demo, demo_shop, main\n"
        "demo._TIMEOUT_S, demo_shop._STOP_TIMEOUT_S = 1.0, 0.5\n"
        "main()",
        PYTHONPATH=str(tmp_path),
    )
    assert result.returncode == 1
    assert result.stderr.startswith("otel-tracker: The demo did not finish within 1 s")
    demo.assert_nothing_left()


def _shop_has_started(demo: Demo) -> bool:
    return bool(demo.processes("flask_shop"))


def _shop_answers(demo: Demo) -> bool:
    return any(path.stat().st_size for path in demo.temporary.glob("*/shop.out"))


@contextmanager
def _not_ignored(number: int) -> Iterator[None]:
    """What is started here does not ignore the signal, though these tests may (nohup)."""
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.slow
@pytest.mark.parametrize("is_time", [_shop_has_started, _shop_answers])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_demo_leaves_nothing_and_harms_nothing(
    demo: Demo, number: int, status: int, is_time: Callable[[Demo], bool]
) -> None:
    """Ctrl-C or SIGTERM at any time ends the shop too, and an earlier demo's store stays."""
    earlier = demo.folder / STORE
    writer = SqliteWriter(str(earlier))
    writer.write([SpanRecord("ab" * 16, "cd" * 8, "GET /", 1, 2, resource={"service.name": SERVICE_NAME})])
    writer.close()
    before = earlier.read_bytes()
    with _not_ignored(number), demo.start() as process:
        give_up_s = time.monotonic() + 30
        while not is_time(demo):
            assert time.monotonic() < give_up_s
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (status, "", "")
    assert earlier.read_bytes() == before
    demo.assert_nothing_left(STORE)


def test_deadline_is_a_sentence() -> None:
    """When the time is over, the next step says so."""
    with pytest.raises(DemoError, match="did not finish within 0 s"):
        Deadline(0.0).remaining_s()
