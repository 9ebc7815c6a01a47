"""The store as the commands and the launcher use it, against the emulator and where nothing answers."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from pathlib import Path

import pytest
from firestore_emulator import free_port
from stores.helpers import FULL_EVENT, FULL_SPAN, make_span
from support import Ended, launch_script, run, stored_events, stored_spans

from otel_tracker.stores import find_place

from .support import count_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("firestore")]

PROGRAM = """
from otel_tracker import traced, track

@traced
def work(number):
    track("work.done", number=number)
    if number == 3: raise ValueError("three")

for number in range(5):
    try: work(number)
    except ValueError: pass
"""


def otel_tracker(*arguments: str, **variables: str) -> Ended:
    """Run the program of that name."""
    command = shutil.which("otel-tracker", path=str(Path(sys.executable).parent))
    assert command is not None
    return run(command, *arguments, PYTHONWARNINGS="ignore", **variables)


def test_one_variable_moves_a_program_and_every_question_to_firestore(firestore_project: str) -> None:
    """Spans and events, listed, counted and exported by the same commands; no code is changed."""
    names = {"OTEL_TRACES_EXPORTER": "firestore", "OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S": "30"}
    assert launch_script(PROGRAM, PYTHONWARNINGS="ignore", **names).status == 0
    assert count_of(firestore_project) == 5
    listed = otel_tracker("query", "work", "--status", "failed", **names)
    assert listed.status == 0, listed
    assert listed.stdout.count("__main__.work") == 1
    assert "80.0" in otel_tracker("stats", **names).stdout or "20.0 %" in otel_tracker("stats", **names).stdout
    assert otel_tracker("events", "work.*", **names).stdout.count("work.done") == 5
    exported = otel_tracker("export", "--csv", **names).stdout
    assert [row["status"] for row in csv.DictReader(io.StringIO(exported))].count("failed") == 1
    statistics = otel_tracker("export", "--csv", "--statistics", **names).stdout
    assert [row["total"] for row in csv.DictReader(io.StringIO(statistics))] == ["5"]
    assert "ValueError: three" in otel_tracker("trace", "failed", **names).stdout
    followed = otel_tracker("tail", **names)
    assert followed.status == 2
    assert "keeps no order" in followed.stderr


def test_records_are_converted_into_firestore_and_out_of_it(firestore_project: str) -> None:
    """Losslessly, and twice is as once."""
    spans = [FULL_SPAN, make_span(2), make_span(3, status="started", end_ns=None)]
    writer = find_place("a.db").open_writer()
    writer.store([*spans, FULL_EVENT])
    writer.close()
    location = f"firestore://{firestore_project}/copied"
    for _ in range(2):
        done = otel_tracker("convert", "a.db", location)
        assert done.status == 0, done
    assert otel_tracker("convert", location, "b.db").status == 0
    assert stored_spans("b.db") == stored_spans("a.db")
    assert stored_events("b.db") == [FULL_EVENT]


def test_doctor_writes_reads_and_deletes_a_probe(firestore_project: str) -> None:
    """Each step is said, and that it was the emulator."""
    done = otel_tracker("doctor", "firestore")
    assert done.status == 0, done
    for part in ("emulator", firestore_project, "was written", "read back and deleted"):
        assert part in " ".join(done.stdout.split())
    assert count_of(firestore_project, "otel_tracker_probes") == 0


def test_doctor_says_what_to_do_where_nothing_answers(firestore_project: str) -> None:
    """Within its deadline, with exit status 1."""
    done = otel_tracker("doctor", "firestore", FIRESTORE_EMULATOR_HOST=f"127.0.0.1:{free_port()}")
    assert done.status == 1
    assert "does not answer as it should" in " ".join(done.stdout.split())


def test_missing_credentials_are_a_sentence_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """No emulator, no account: the program runs, says once what is missing, and its spans wait in the journal."""
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    code = f"""
from otel_tracker import configure, delivery_report, flush
configure()
{PROGRAM}
flush(20)
report = delivery_report()
print(report.created, report.exported, report.dropped)
"""
    Path("app.py").write_text(code, encoding="utf-8")
    names = {"GOOGLE_APPLICATION_CREDENTIALS": "nowhere.json", "OTEL_TRACES_EXPORTER": "firestore"}
    ended = run(sys.executable, "app.py", PYTHONWARNINGS="ignore", **names)
    assert (ended.status, ended.stdout) == (0, "10 0 {}\n"), ended
    (said,) = [line for line in ended.complaints if "firestore://" in line]
    assert "gcloud auth application-default login" in said
