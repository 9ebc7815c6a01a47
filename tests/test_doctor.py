"""`otel-tracker doctor` says what is active, what is not and why, and proves it with a span that it reads back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from support import Ended, install_fake_distribution, run, span_names

from otel_tracker.doctor.findings import PROBLEM, Finding
from otel_tracker.doctor.installed import check_instrumentors, check_selections
from otel_tracker.doctor.stored import check_destinations, check_settings, check_store
from otel_tracker.records import SpanRecord
from otel_tracker_exporters.sqlite.writer import SqliteWriter

HERE = Path("otel-tracker.db")


def doctor(*options: str, **variables: str) -> Ended:
    """Run the command; no traceback and no complaint may come of it, whatever it finds."""
    ended = run(sys.executable, "-m", "otel_tracker", "doctor", *options, **variables)
    assert ended.stderr == ""
    return ended


def findings(ended: Ended) -> dict[str, dict[str, str]]:
    """What `--json` printed: the worst finding of each subject."""
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all(list(line) == ["subject", "verdict", "sentence"] for line in lines)
    order = ["ok", "note", "problem"]
    worst: dict[str, dict[str, str]] = {}
    for line in sorted(lines, key=lambda line: order.index(line["verdict"])):
        worst[line["subject"]] = line
    return worst


def sentences(found: list[Finding]) -> dict[str, str]:
    """The sentences by verdict; each must be one."""
    assert all(finding.sentence.endswith(".") and "\n" not in finding.sentence for finding in found)
    return {finding.verdict: finding.sentence for finding in found}


def test_healthy_environment_is_proved_by_a_span_that_is_read_back() -> None:
    """Exit status 0; the report names the store, and the span is really there."""
    ended = doctor()
    assert ended.status == 0
    assert "The launcher takes ours (otel_tracker)." in ended.stdout
    proof = f"A span made under opentelemetry-instrument was read back from {HERE.resolve()}."
    assert proof in ended.stdout
    assert "problem" not in ended.stdout
    assert span_names() == ["otel_tracker.doctor.probe"]


def test_json_prints_a_finding_a_line() -> None:
    """With the variables that are set, and JSONL as the store that the probe goes to."""
    ended = doctor("--json", OTEL_TRACES_EXPORTER="jsonl", OTEL_TRACKER_JSONL_PATH="x.jsonl")
    assert ended.status == 0
    found = findings(ended)
    assert {"versions", "distro", "configurator", "settings", "destination jsonl", "store", "probe"} <= set(found)
    assert found["probe"]["verdict"] == "ok"
    assert found["probe"]["sentence"].endswith("x.jsonl.")
    assert span_names("x.jsonl") == ["otel_tracker.doctor.probe"]


def test_misspelt_destination_is_a_problem_with_the_right_name() -> None:
    """Exit status 1, which a deployment's script can test."""
    ended = doctor("--json", OTEL_TRACES_EXPORTER="sqlte")
    assert ended.status == 1
    problem = findings(ended)["destination sqlte"]
    assert problem["verdict"] == "problem"
    assert "Did you mean sqlite?" in problem["sentence"]
    assert not HERE.exists()


def test_disabled_sdk_is_named_as_the_reason() -> None:
    """The probe says what it saw, and the settings say why."""
    ended = doctor("--json", OTEL_SDK_DISABLED="true")
    assert ended.status == 1
    found = findings(ended)
    assert found["settings"]["sentence"] == "OTEL_SDK_DISABLED is true, so nothing is traced. Unset it."
    assert found["probe"]["verdict"] == "problem"


@pytest.mark.slow
def test_another_distro_that_is_chosen_is_a_problem_with_the_way_out() -> None:
    """The two variables of the launcher decide; `otel-tracker run` sets them."""
    folder = install_fake_distribution(
        Path("packages"),
        "aaa_vendor",
        {"aaa_vendor": "from opentelemetry.instrumentation.distro import DefaultDistro as Distro"},
        "[opentelemetry_distro]\naaa_vendor = aaa_vendor:Distro\n"
        "[opentelemetry_configurator]\naaa_vendor = aaa_vendor:Distro\n",
    )
    chosen = {"OTEL_PYTHON_DISTRO": "aaa_vendor", "OTEL_PYTHON_CONFIGURATOR": "aaa_vendor"}
    ended = doctor("--json", PYTHONPATH=str(folder.resolve()), **chosen)
    assert ended.status == 1
    found = findings(ended)
    assert found["distro"]["sentence"] == (
        "The launcher takes the distro 'aaa_vendor' and not ours. "
        "Set OTEL_PYTHON_DISTRO=otel_tracker, or use `otel-tracker run`."
    )
    assert found["configurator"]["verdict"] == found["probe"]["verdict"] == "problem"
    assert "The launcher set up no tracing" in found["probe"]["sentence"]


def test_probe_that_is_not_sampled_is_no_problem() -> None:
    """There is a reason, and it is the user's."""
    ended = doctor("--json", OTEL_TRACES_SAMPLER="always_off")
    assert ended.status == 0
    assert findings(ended)["probe"]["verdict"] == "note"
    assert "OTEL_TRACES_SAMPLER" in findings(ended)["probe"]["sentence"]


def test_store_that_cannot_be_used_is_a_problem_and_stays_as_it_is() -> None:
    """The doctor's probe writes, but never over what is not ours."""
    HERE.write_text("dear diary", encoding="utf-8")
    ended = doctor("--json")
    assert ended.status == 1
    found = findings(ended)
    assert "is no SQLite database" in found["store"]["sentence"]
    assert found["probe"]["verdict"] == "problem"
    assert HERE.read_text(encoding="utf-8") == "dear diary"


def test_wrong_and_unknown_settings_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value is a problem, a name that does not exist is worth knowing, a good value is shown."""
    monkeypatch.setenv("OTEL_TRACKER_CAPTURE_MAX_LENGTH", "ten")
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_PTH", "x.db")
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_PATH", "y.db")
    said = sentences(list(check_settings()))
    assert said["problem"].startswith("OTEL_TRACKER_CAPTURE_MAX_LENGTH is 'ten'; expected a whole number")
    assert said["note"].startswith("OTEL_TRACKER_SQLITE_PTH is no setting and has no effect")
    assert said["ok"] == "OTEL_TRACKER_SQLITE_PATH is y.db."


@pytest.mark.parametrize(
    ("variable", "value", "verdict", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "jsonl,console", "ok", "They go to jsonl, as OTEL_TRACES_EXPORTER says."),
        ("OTEL_TRACES_EXPORTER", "console", "note", "They go nowhere, as OTEL_TRACES_EXPORTER says."),
        ("OTEL_METRICS_EXPORTER", "sqlite,console", "ok", "They go to sqlite, console, as OTEL_METRICS_EXPORTER says."),
        ("OTEL_METRICS_EXPORTER", "sqlte,jsonl", "problem", "OTEL_METRICS_EXPORTER names 'sqlte'"),
    ],
)
def test_where_metrics_go_is_said(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, verdict: str, said: str
) -> None:
    """With spans, or where their own variable says."""
    monkeypatch.setenv(variable, value)
    found = [finding for finding in check_destinations() if finding.subject == "metrics"]
    assert found[0].verdict == verdict
    assert found[0].sentence.startswith(said)


def test_no_destination_at_all_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """`none` is legal, but then there is nothing to look at."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    said = sentences(list(check_destinations()))
    assert said["problem"] == "OTEL_TRACES_EXPORTER names none, so nothing is stored. Unset it."


def test_store_is_missing_then_empty_then_filled() -> None:
    """Each is said in its own words, and looking creates nothing."""
    assert "does not exist yet" in sentences(list(check_store()))["note"]
    assert os.listdir() == []
    HERE.touch()
    assert sentences(list(check_store())) == {"ok": f"{HERE.resolve()} is empty."}
    writer = SqliteWriter(str(HERE.resolve()))
    assert writer.write([SpanRecord("a" * 32, "b" * 16, "f", 0, 1)])
    writer.close()
    newest = f"{HERE.resolve()} holds executions, the newest of 1970-01-01 00:00:00 UTC."
    assert sentences(list(check_store())) == {"ok": newest}


def test_distro_that_nobody_provides_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher would silently take a distro that does nothing."""
    monkeypatch.setenv("OTEL_PYTHON_DISTRO", "otel_trakcer")
    said = sentences(list(check_selections()))
    assert "OTEL_PYTHON_DISTRO is 'otel_trakcer', which no installed package provides" in said["problem"]


def test_instrumentors_that_are_off_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off by name, or all of them."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "threading, flask")
    by_subject = {finding.subject: finding for finding in check_instrumentors()}
    assert by_subject["instrumentor threading"].verdict == "note"
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*")
    assert {finding.verdict for finding in check_instrumentors()} == {"note"}


def test_instrumentors_say_when_they_become_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their library, with Django's middleware, or at the start when they are not OpenTelemetry's own."""
    folder = install_fake_distribution(
        Path("packages"),
        "aaa_instrumentors",
        {},
        "[opentelemetry_instrumentor]\n"
        "redis = opentelemetry.instrumentation.redis:RedisInstrumentor\n"
        "django = opentelemetry.instrumentation.django:DjangoInstrumentor\n"
        "pika = aaa_unknown:UnknownInstrumentor\n",
    )
    monkeypatch.syspath_prepend(str(folder))
    said = {finding.subject: finding.sentence for finding in check_instrumentors()}
    assert said["instrumentor redis"] == "It is activated when redis is imported."
    assert said["instrumentor django"] == "It is activated when Django reads its middleware."
    assert said["instrumentor pika"] == said["instrumentor threading"] == "It is loaded at start."


def test_routes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which events go where, and a destination that nobody provides."""
    monkeypatch.setenv(
        "OTEL_TRACKER_EVENTS_ROUTES", "logging=error.* level=WARNING sample=0.5;jsonl enabled=no;loging=*"
    )
    found = {finding.subject: finding for finding in check_destinations()}
    assert found["route to logging"].sentence == "Events error.* go there, level warning, a sample of 0.5."
    assert found["route to jsonl"].sentence == "It is not enabled: no event goes there."
    assert found["route to loging"].verdict == PROBLEM
