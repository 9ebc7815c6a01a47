"""The scripts in ``benchmarks/`` run, so that the figures in the pages can be measured again."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from firestore_emulator import need_emulator

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
HAS_PEERS = all(find_spec(peer) for peer in ("ddtrace", "logfire"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs the folder benchmarks of the repository"),
]


def run(tmp_path: Path, script: str, *arguments: object) -> str:
    """What a script printed; whether a bar was met says nothing at this size, so status 1 is fine."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == "" or "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_scale_prints_every_question_with_its_plan_and_leaves_nothing(tmp_path: Path) -> None:
    """A small store goes the whole way: written, asked beside four writers, removed."""
    printed = run(tmp_path, "scale.py", "--spans", 2_000, "--work", tmp_path)
    for part in ("newest 100", "one trace", "percentiles", "USING INDEX", "in one pass"):
        assert part in printed
    assert list(tmp_path.iterdir()) == []


def test_jsonl_statistics_prints_its_rate(tmp_path: Path) -> None:
    """A small file is counted, beside a plain parser of JSON."""
    assert "spans/s" in run(tmp_path, "jsonl_statistics.py", *("--spans", 2_000))


def rows_of(printed: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the JSON document in the last line, by case and workload."""
    rows = json.loads(printed.splitlines()[-1])["rows"]
    return {(row["case"], row["workload"]): row for row in rows}


def test_decorators_prints_a_ratio_for_every_promise(tmp_path: Path) -> None:
    """Each part runs in its own process, and none of them is left out."""
    printed = run(tmp_path, "decorators.py", "--rounds", 2, "--sample-ms", 0.1, "--json", "-")
    rows = rows_of(printed)
    bars = {key: row["bar"] for key, row in rows.items() if row["bar"] is not None}
    assert bars["without capture", "add"] == bars["without capture", "async"] == 0.20
    assert bars["arguments, result, stdlib", "order"] == 0.75
    assert bars["root not sampled, ALWAYS_OFF", "add"] == 0.15
    assert ("portable engine", "add") in rows
    assert rows["OTEL_SDK_DISABLED at import", "add"]["is_met"]
    assert "| without capture " in printed


def test_decorators_measures_only_the_rows_asked_for(tmp_path: Path) -> None:
    printed = run(
        tmp_path, "decorators.py", "--rounds", 1, "--sample-ms", 0.1, "--only", "disabled later/add", "--json", "-"
    )
    assert list(rows_of(printed)) == [("disabled later", "add")]


@pytest.mark.parametrize(("factor", "status"), [("1e9", 0), ("1e-9", 1)])
def test_a_missed_bar_is_the_exit_status_and_the_factor_moves_it(tmp_path: Path, factor: str, status: int) -> None:
    command = [sys.executable, str(BENCHMARKS / "decorators.py"), "--rounds", "1", "--sample-ms", "0.1"]
    command += ["--only", "without capture/add", "--factor", factor]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("MISSED" in done.stdout) == (status == 1)


@pytest.mark.skipif(HAS_PEERS, reason="ddtrace and logfire are installed here, so nothing is missing")
def test_peers_says_how_to_get_the_peers(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "peers.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "--install FOLDER" in done.stderr


def test_metrics_prints_what_a_measurement_costs_beside_the_sdk_s(tmp_path: Path) -> None:
    """Every row has the same bar, inside a span and outside."""
    rows = rows_of(run(tmp_path, "metrics.py", "--rounds", 2, "--sample-ms", 0.1, "--json", "-"))
    assert {row["bar"] for row in rows.values()} == {1.15}
    assert len(rows) == 10


def test_process_tracker_prints_what_a_timer_costs(tmp_path: Path) -> None:
    """With a provider and without."""
    rows = rows_of(run(tmp_path, "process_tracker.py", "--rounds", 2, "--sample-ms", 0.1, "--json", "-"))
    assert rows["timer, recorded", "block"]["bar"] == rows["timer, no provider", "block"]["bar"] == 0.35


@pytest.mark.skipif(not HAS_PEERS, reason="needs ddtrace and logfire (benchmarks/peers.txt)")
def test_peers_compares_with_each_of_them(tmp_path: Path) -> None:
    rows = rows_of(run(tmp_path, "peers.py", "--rounds", 1, "--sample-ms", 0.1, "--json", "-"))
    assert {row["bar"] for row in rows.values()} == {None, 0.35, 0.07, 0.05, 0.09}


def test_exporters_compares_the_stores_with_to_json(tmp_path: Path) -> None:
    """A few spans go through every exporter, and the folder of the files is gone afterwards."""
    size = ("--spans", 600, "--rows", 1_000, "--rounds", 1)
    printed = run(tmp_path, "exporters.py", *size, "--work", tmp_path, "--json", "-")
    rows = rows_of(printed)
    assert {case for case, _ in rows} == {"JSONL", "SQLite, empty", "SQLite, 1,000 rows"}
    assert {workload for _, workload in rows} == {"@traced", "SDK spans"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, to tell waiting from being preempted")
@pytest.mark.skipif(not find_spec("opentelemetry.exporter"), reason="needs the extra otlp")
def test_hostile_measures_calls_before_a_broken_server(tmp_path: Path) -> None:
    """The call, the memory and the exit, and nothing is lost."""
    printed = run(tmp_path, "hostile.py", "--calls", 300, "--rounds", 1, "--only", "outage/refuses", "--json", "-")
    rows = rows_of(printed)
    assert rows["traced call, p99.9", "server refuses"]["bar"] == 1
    assert rows["spans lost", "server refuses"]["is_met"] is True
    assert list(tmp_path.iterdir()) == []


def test_memory_compares_a_queued_span_with_one_of_the_sdk(tmp_path: Path) -> None:
    rows = rows_of(run(tmp_path, "memory.py", "--spans", 300, "--json", "-"))
    assert rows["@traced, arguments", "8 attributes"]["bar"] == 0.35


@pytest.mark.skipif(sys.platform == "win32", reason="the environments of the benchmark are laid out as on POSIX")
def test_launch_starts_both_and_prints_three_ratios(tmp_path: Path) -> None:
    """This environment stands for both: the ratios say nothing, but everything is started and measured."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("ours", "stock"):
        (home / name).symlink_to(sys.prefix, target_is_directory=True)
    rows = rows_of(run(tmp_path, "launch.py", "--in", home, "--rounds", 1, "--json", "-"))
    bars = {workload: row["bar"] for (case, workload), row in rows.items() if case == "otel-tracker"}
    assert bars == {"processor time": 0.5, "time by the clock": 0.5, "memory at its peak": 0.6}
    assert all(row["cost"] > 0 for row in rows.values())


@pytest.mark.skipif(
    not all(find_spec(name) for name in ("flask", "fastapi", "django")), reason="needs Flask, FastAPI and Django"
)
def test_http_context_compares_requests_with_upstreams_and_with_none(tmp_path: Path) -> None:
    """Each framework with our hooks, without them, and bare."""
    rows = rows_of(run(tmp_path, "http_context.py", "--rounds", 1, "--sample-ms", 0.1, "--json", "-"))
    bars = {workload: row["bar"] for (case, workload), row in rows.items() if case == "with our hooks"}
    assert bars == dict.fromkeys(["flask", "fastapi", "fastapi without headers", "django"], 1.03)
    assert rows["with our hooks, against bare", "fastapi without headers"]["bar"] == 3.2
    assert {workload for case, workload in rows if case == "upstream's default, against bare"} == {
        "fastapi",
        "fastapi without headers",
    }


@pytest.mark.slow
@pytest.mark.xdist_group("firestore")
def test_firestore_compares_with_one_set_a_call(tmp_path: Path) -> None:
    """Both bars are there, whatever this machine is doing."""
    need_emulator()
    size = ("--spans", 400, "--warm", 400, "--sets", 20, "--rounds", 1, "--factor", 100)
    rows = rows_of(run(tmp_path, "firestore.py", *size, "--json", "-"))
    assert rows["documents a second", "exporter"]["bar"] == 25
    assert rows["processor time", "exporter"]["bar"] == 0.2
