"""`otel-tracker prune`: a store gets smaller, and what went is said."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker.stores import find_place, open_store

from .helpers import LATER, S, json_lines

if TYPE_CHECKING:
    from .conftest import Run

DAY_NS = 86_400 * S


def traces(count: int, age_days: float) -> list[SpanRecord | EventRecord]:
    """Traces of two spans and an event, so many days old."""
    start_ns = time.time_ns() - int(age_days * DAY_NS)
    records: list[SpanRecord | EventRecord] = []
    for number in range(count):
        trace_id = f"{int(age_days * 1000) + 1:08x}{number + 1:024x}"
        for span in range(2):
            times = {"start_ns": start_ns + number, "end_ns": start_ns + number + S}
            records.append(replace(LATER, trace_id=trace_id, span_id=f"{span + 1:016x}", **times))  # type: ignore[arg-type]
        records.append(EventRecord("cart.paid", start_ns, trace_id=trace_id, span_id=f"{1:016x}"))
    return records


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three traces of today and two that are forty days old."""
    with closing(find_place(tmp_path / "otel-tracker.db").open_writer()) as writer:
        writer.store([*traces(2, 40), *traces(3, 0)])
    return tmp_path / "otel-tracker.db"


def spans_in(path: Path) -> int:
    with open_store(path) as reader:
        return sum(1 for _ in reader.query_executions(limit=None))


def test_age_takes_whole_traces(run: Run, shop: Path) -> None:
    """Everything of a trace whose last span is older goes."""
    result = run("prune", "--older-than", "7d")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Removed 2 traces, 4 spans and 2 events from {shop}; ")
    assert spans_in(shop) == 6
    assert run("prune", "--older-than", "7d").stdout == f"Nothing in {shop} had to go.\n"


def test_dry_run_removes_nothing(run: Run, shop: Path) -> None:
    """It says what would be removed."""
    with closing(find_place(shop).open_writer()) as writer:
        writer.store([LogRecord(1, body="long ago"), MetricRecord("orders", 1)])
    result = run("prune", "--older-than", "7d", "--dry-run")
    assert result.stdout.startswith(f"Would remove 2 traces, 4 spans, 2 events, 1 log and 1 metric point from {shop}; ")
    assert spans_in(shop) == 10


def test_json_is_one_object(run: Run, shop: Path) -> None:
    """The same numbers for a program."""
    fields = json_lines(run("prune", "--older-than", "7d", "--json").stdout)[0]
    assert fields["bytes"] >= 0
    assert {key: fields[key] for key in ("store", "dry_run", "traces", "spans", "events", "logs", "files")} == {
        "store": str(shop),
        "dry_run": False,
        "traces": 2,
        "spans": 4,
        "events": 2,
        "logs": 0,
        "files": 0,
    }


def test_settings_say_what_an_sqlite_store_keeps(run: Run, shop: Path) -> None:
    """Without options it is what the exporter would keep."""
    assert run("prune", OTEL_TRACKER_SQLITE_MAX_AGE_DAYS="100").stdout == f"Nothing in {shop} had to go.\n"
    assert run("prune").stdout.startswith("Removed 2 traces, ")
    unlimited = {"OTEL_TRACKER_SQLITE_MAX_AGE_DAYS": "0", "OTEL_TRACKER_SQLITE_MAX_BYTES": "0"}
    result = run("prune", **unlimited)
    assert result.returncode == 2
    assert "--older-than" in result.stderr


def test_size_takes_the_oldest(run: Run, tmp_path: Path) -> None:
    """The newest stay."""
    with closing(find_place(tmp_path / "x.db").open_writer()) as writer:
        writer.store(traces(600, 2))
        writer.store(traces(600, 1))
    size = (tmp_path / "x.db").stat().st_size
    result = run("prune", "--max-bytes", f"{size // 1024 // 2}KiB", "--store", "x.db")
    assert result.returncode == 0, result.stderr
    with open_store(tmp_path / "x.db") as reader:
        starts = [span.start_ns for span in reader.query_executions(limit=None)]
    assert 0 < len(starts) < 2400
    assert max(starts) > time.time_ns() - 1.5 * DAY_NS


def test_a_file_that_cannot_shrink_is_said_to_keep_its_size(run: Run, tmp_path: Path) -> None:
    """Files of the first version give nothing back to the disk; what was freed is used again."""
    path = tmp_path / "x.db"
    with closing(find_place(path).open_writer()) as writer:
        writer.store([*traces(600, 2), *traces(1, 0)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")  # as in version 1
        connection.execute("VACUUM")
    size = path.stat().st_size
    for arguments, verb in ((["--dry-run"], "would be"), ([], "are")):
        result = run("prune", "--older-than", "1d", "--store", "x.db", *arguments)
        assert result.stdout.endswith(f"kB {verb} used again, for which the file keeps its size.\n"), result.stderr
        assert "given back" not in result.stdout
    assert path.stat().st_size == size


def test_jsonl_loses_files_that_were_put_aside(run: Run, tmp_path: Path) -> None:
    """The file that is written stays, whatever its size."""
    for name in ("x-20250101T000000.000000000Z.jsonl", "x.jsonl"):
        with closing(find_place(tmp_path / "y.jsonl").open_writer()) as writer:
            writer.store(traces(1, 0))
        os.replace(tmp_path / "y.jsonl", tmp_path / name)
    assert run("prune", "--store", "x.jsonl", "--older-than", "1d", "--dry-run").stdout.startswith(
        "Would remove 1 file "
    )
    assert run("prune", "--store", "x.jsonl", "--max-bytes", "1").stdout.startswith("Removed 1 file from ")
    assert os.listdir(tmp_path) == ["x.jsonl"]
    result = run("prune", "--store", "x.jsonl")
    assert result.returncode == 2
    assert "Say what to remove" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--older-than", "yesterday"], 2, "--older-than is 'yesterday'"),
        (["--max-bytes", "much"], 2, "'much' is no size"),
        (["--max-bytes", "0"], 2, "Say what to remove"),
        (["--store", "missing.db"], 1, "There is no store at"),
        (["--store", "http://127.0.0.1:1", "--older-than", "1d"], 1, "cannot be pruned"),
    ],
)
def test_misuse_is_said(run: Run, shop: Path, arguments: list[str], status: int, sentence: str) -> None:
    """One sentence, and nothing is removed."""
    result = run("prune", *arguments)
    assert result.returncode == status, result.stderr
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert spans_in(shop) == 10
