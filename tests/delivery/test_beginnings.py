"""What a killed process was doing can be seen afterwards, with the arguments that it was doing it with."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support import launch_script, run_script, stored_spans

from otel_tracker import open_store
from otel_tracker.errors import StoreNotFoundError
from otel_tracker.presence import gone_from
from otel_tracker.private_files import state_folder

STORES = {"sqlite": "otel-tracker.db", "jsonl": "otel-tracker.jsonl"}

PROGRAM = """
import os, signal, sys
from otel_tracker import configure, flush, span, traced

@traced
def done(number):
    return number

@traced
def inner(order, password):
    done(1)
    flush()
    {ending}

@traced
def outer(order):
    inner(order, "hunter2")

{configure}
outer({{"id": 7}})
"""

LOOK = """
    from otel_tracker import open_store
    with open_store("{store}") as reader:
        print([(span.function, span.status) for span in reader.query_executions()])
        print(reader.get_statistics("inner").running, flush=True)
    os.system(f"{{sys.executable}} -m otel_tracker query --store {store} --json | wc -l")
"""


def ended(store: str, ending: str, **variables: str) -> int:
    """Run the program under a configuration of its own; its exit status."""
    code = PROGRAM.format(ending=ending, configure="configure()")
    variables = {"OTEL_TRACKER_DELIVERY_STARTED": "true", "OTEL_TRACES_EXPORTER": store, **variables}
    child = run_script(code, **variables)
    assert child.stderr == "", child.stderr
    return child.status


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("engine", ["lean", "sdk"])
@pytest.mark.parametrize(
    ("ending", "status"),
    [("os.kill(os.getpid(), signal.SIGKILL)", -9), ("os._exit(3)", 3)],
    ids=["SIGKILL", "os._exit"],
)
def test_executions_of_a_killed_process_are_aborted_with_their_arguments(
    store: str, engine: str, ending: str, status: int
) -> None:
    """What had ended is completed, what had not is aborted; nothing is left to run."""
    assert ended(store, ending, OTEL_TRACKER_SPAN_ENGINE=engine) == status
    spans = {span.function: span for span in stored_spans(STORES[store])}
    assert {name: span.status for name, span in spans.items()} == {
        "outer": "aborted",
        "inner": "aborted",
        "done": "completed",
    }
    assert spans["inner"].args == {"order": {"id": 7}, "password": "[redacted]"}
    assert spans["inner"].parent_span_id == spans["outer"].span_id
    assert spans["inner"].end_ns is None
    assert not [key for span in spans.values() for key in span.attributes if "process" in key]
    with open_store(STORES[store]) as reader:
        statistics = reader.get_statistics("inner")
        assert (statistics.total, statistics.aborted, statistics.running) == (1, 1, 0)
        assert [span.function for span in reader.query_executions(status="aborted")] == ["inner", "outer"]
    assert list((state_folder() / "running").iterdir()) == []


@pytest.mark.parametrize("store", STORES)
def test_executions_of_a_process_that_lives_are_started(store: str) -> None:
    """Whoever looks meanwhile sees them running; so does the process itself."""
    code = PROGRAM.format(ending=LOOK.format(store=STORES[store]).strip(), configure="configure()")
    child = run_script(code, OTEL_TRACKER_DELIVERY_STARTED="true", OTEL_TRACES_EXPORTER=store)
    assert child.stdout.splitlines() == [
        "[('done', 'completed'), ('inner', 'started'), ('outer', 'started')]",
        "1",
        "3",
    ]
    assert {span.status for span in stored_spans(STORES[store])} == {"completed"}


@pytest.mark.parametrize("store", STORES)
def test_program_that_ends_all_its_executions_leaves_no_trace_of_having_begun_them(store: str) -> None:
    """No file stays, and every execution is there once."""
    assert ended(store, "pass") == 0
    assert [span.status for span in stored_spans(STORES[store])] == ["completed"] * 3
    assert not (state_folder() / "running").exists() or list((state_folder() / "running").iterdir()) == []


def test_span_that_is_never_ended_is_aborted_when_its_program_is_gone() -> None:
    """Also after an orderly end."""
    code = """
    from otel_tracker import configure
    from opentelemetry import trace
    configure()
    trace.get_tracer("test").start_span("forgotten", attributes={"a": 1})
    """
    assert run_script(code, OTEL_TRACKER_DELIVERY_STARTED="true").stderr == ""
    (span,) = stored_spans()
    assert (span.name, span.status, span.attributes) == ("forgotten", "aborted", {"a": 1})


def test_forked_children_and_the_launcher_are_watched_too() -> None:
    """Each process has its own lock: a child that is killed does not take its parent's executions along."""
    code = """
    import os, signal
    from otel_tracker import flush, traced

    @traced
    def child():
        os.kill(os.getpid(), signal.SIGKILL)

    @traced
    def parent():
        pid = os.fork()
        if not pid:
            child()
        os.waitpid(pid, 0)
        from otel_tracker import open_store
        with open_store("otel-tracker.db") as reader:
            print(sorted((span.function, span.status) for span in reader.query_executions()))

    parent()
    """
    child = launch_script(code, OTEL_TRACKER_DELIVERY_STARTED="true")
    assert child.stdout == "[('child', 'aborted'), ('parent', 'started')]\n"
    assert sorted((span.function, span.status) for span in stored_spans()) == [
        ("child", "aborted"),
        ("parent", "completed"),
    ]


def test_deleted_store_is_forgotten() -> None:
    """What had begun in it is gone with it: nobody looks for that again."""
    assert ended("sqlite", "os._exit(3)") == 3
    Path("otel-tracker.db").unlink()
    with pytest.raises(StoreNotFoundError):
        open_store("otel-tracker.db")
    assert list((state_folder() / "running").iterdir()) == []


def test_settling_closes_no_file_of_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor's number is given to the next file that is opened: it is closed once."""
    assert ended("sqlite", "os._exit(3)") == 3
    closed: list[int] = []
    close = os.close
    monkeypatch.setattr(os, "close", lambda fd: (closed.append(fd), close(fd))[1])
    for presence in gone_from(os.path.realpath("otel-tracker.db")):
        presence.leave(os.path.realpath("otel-tracker.db"))
        presence.close()
    assert len(closed) == 1


def test_store_that_cannot_be_written_is_read_all_the_same() -> None:
    """Then the executions stay started: better than nothing."""
    assert ended("jsonl", "os._exit(3)") == 3
    Path("otel-tracker.jsonl").rename("elsewhere.jsonl")
    assert {span.status for span in stored_spans("elsewhere.jsonl")} == {"completed", "started"}
    os.rename("elsewhere.jsonl", "otel-tracker.jsonl")
    assert {span.status for span in stored_spans("otel-tracker.jsonl")} == {"completed", "aborted"}


def test_without_the_setting_nothing_is_stored_before_its_end() -> None:
    """It costs a write on the caller's thread, so it has to be asked for."""
    assert ended("sqlite", "os._exit(3)", OTEL_TRACKER_DELIVERY_STARTED="false") == 3
    assert [span.function for span in stored_spans()] == ["done"]


def test_unsampled_execution_is_not_stored_when_it_begins() -> None:
    """Nor is anything left to look for."""
    assert ended("sqlite", "pass", OTEL_TRACES_SAMPLER="always_off") == 0
    assert not Path("otel-tracker.db").exists()


def test_record_of_a_beginning_is_one_row_that_its_end_replaces() -> None:
    """A program that runs for long does not store everything twice."""
    assert ended("sqlite", "pass") == 0
    with closing(sqlite3.connect("otel-tracker.db")) as connection:
        assert connection.execute("SELECT count(*) FROM executions").fetchone() == (3,)
