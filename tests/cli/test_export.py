"""`otel-tracker export`: executions for other programs."""

from __future__ import annotations

import csv
import io
import os
import stat
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from otel_tracker.cli.csv_lines import COLUMNS, STATISTICS_COLUMNS, harmless
from otel_tracker.stores import open_store

from .helpers import LATER, MS, NOON_NS, SPANS, TOTAL, TRACEBACK, json_lines, plain_environment, program, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def rows(text: str) -> list[dict[str, str]]:
    """The rows of CSV text by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_lines_are_the_records(run: Run, store: Path) -> None:
    """Without options the whole store goes to standard output, newest first."""
    result = run("export")
    assert result.returncode == 0, result.stderr
    with open_store(store) as reader:
        assert json_lines(result.stdout) == [span.to_dict() for span in reader.query_executions(limit=None)]
    assert run("export", "--json").stdout == result.stdout
    assert result.stderr == ""


def test_csv_has_a_column_for_each_key(run: Run, store: Path) -> None:
    """Numbers are numbers, containers are JSON text, an error has three columns."""
    found = rows(run("export", "--csv").stdout)
    assert tuple(found[0]) == COLUMNS
    later, total = found[0], found[1]
    assert (later["duration_ms"], later["result"], later["args"]) == ("5.0", "1.5", '{"prices": [1, 2]}')
    assert total["error_type"] == "ZeroDivisionError"
    assert total["error_traceback"] == TRACEBACK


def test_statistics_are_exported_as_stats_shows_them(run: Run, store: Path) -> None:
    """With --statistics a row is a function, as JSON the same as `stats --json`, as CSV a column each."""
    assert run("export", "--statistics").stdout == run("stats", "--json").stdout
    found = rows(run("export", "--statistics", "--csv", "shop.*").stdout)
    assert tuple(found[0]) == STATISTICS_COLUMNS
    assert {row["function_name"]: row["total"] for row in found} == {
        "shop.cart.Cart.checkout": "1",
        "shop.cart.total": "2",
    }
    of_nobody = run("export", "--statistics", "--csv", "nobody").stdout
    assert of_nobody.splitlines() == [",".join(found[0])]  # the same header where there is nothing
    assert run("export", "--statistics", "--status", "failed").returncode == 2


def test_filters_are_those_of_query(run: Run, store: Path) -> None:
    """What `query` finds is what `export` writes."""
    arguments = ["--status", "failed", "--min-ms", "100", "--limit", "1"]
    assert run("export", *arguments).stdout == run("query", "--json", *arguments).stdout


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_text_that_looks_like_a_formula_is_neutralised(text: str) -> None:
    """A spreadsheet shows such a cell as text and executes nothing."""
    assert harmless(text).startswith("'")


def test_csv_keeps_formulas_and_escapes_away_from_spreadsheets(run: Run, tmp_path: Path) -> None:
    """Names, messages and results come from anywhere; negative numbers stay numbers."""
    evil = replace(LATER, name="=cmd|' /C calc'!A0", function="", module="", result=-5, error={"message": "@x\x1b[2J"})
    write_store(tmp_path / "evil.db", [evil])
    found = rows(run("export", "--csv", "--store", "evil.db").stdout)[0]
    assert found["name"] == "'=cmd|' /C calc'!A0"
    assert found["error_message"] == r"'@x\x1b[2J"
    assert found["result"] == "-5"


def test_output_file_is_whole_and_private(run: Run, store: Path, tmp_path: Path) -> None:
    """The file holds everything, only its owner may read it, and nothing else is left."""
    before = set(os.listdir(tmp_path))
    result = run("export", "--output", "all.jsonl")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len(json_lines((tmp_path / "all.jsonl").read_text("utf-8"))) == len(SPANS)
    assert set(os.listdir(tmp_path)) == before | {"all.jsonl"}
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "all.jsonl").stat().st_mode) == 0o600


def test_existing_file_is_replaced_only_by_force(run: Run, store: Path, tmp_path: Path) -> None:
    """A slip must not cost anybody a file."""
    target = tmp_path / "notes.csv"
    target.write_text("mine")
    refused = run("export", "--csv", "--output", "notes.csv")
    assert refused.returncode == 1
    assert refused.stderr == ("otel-tracker: notes.csv exists. Choose another --output, or replace it with --force.\n")
    assert target.read_text() == "mine"
    assert run("export", "--csv", "--output", "notes.csv", "--force").returncode == 0
    assert len(rows(target.read_text("utf-8"))) == len(SPANS)


def test_store_is_never_its_own_output(run: Run, store: Path) -> None:
    """Not even force replaces the store that is read."""
    result = run("export", "--output", store.name, "--force")
    assert result.returncode == 1
    assert "is the store that is exported" in result.stderr
    assert len(json_lines(run("export").stdout)) == len(SPANS)


@pytest.mark.parametrize("output", ["missing/x.jsonl", "."])
def test_place_that_cannot_be_written_is_said(run: Run, store: Path, output: str) -> None:
    """One sentence with the name, and no half-written file."""
    result = run("export", "--output", output)
    assert result.returncode == 1
    assert result.stderr.startswith(f"otel-tracker: {output} ")
    assert "Traceback" not in result.stderr


def test_failure_half_way_leaves_no_file(run: Run, tmp_path: Path) -> None:
    """A store that breaks while it is read costs the export, not the folder."""
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\x00" + b"garbage" * 1000)
    result = run("export", "--store", "broken.db", "--output", "out.csv", "--csv")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == ["broken.db"]


def test_csv_and_json_exclude_each_other(run: Run, store: Path) -> None:
    """Two formats at once are misuse."""
    assert run("export", "--csv", "--json").returncode == 2


def test_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    """`otel-tracker export | head -1` ends quietly."""
    spans = (replace(LATER, span_id=f"{number:016x}", start_ns=NOON_NS + number * MS) for number in range(1, 5_000))
    write_store(tmp_path / "big.db", spans)
    with subprocess.Popen(
        program("export", "--store", "big.db"),
        cwd=tmp_path,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals exist on POSIX only")
def test_progress_shows_on_a_terminal_and_not_among_the_records(store: Path, tmp_path: Path) -> None:
    """While a file is written, a terminal at standard error sees how many executions there are."""
    ours, theirs = os.openpty()
    try:
        process = subprocess.run(
            program("export", "--output", "all.jsonl"),
            cwd=tmp_path,
            env=plain_environment(TERM="xterm"),
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert (process.returncode, process.stdout) == (0, b"")
    assert b"Exporting" in shown
    assert len(json_lines((tmp_path / "all.jsonl").read_text("utf-8"))) == len(SPANS)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    """Eight times as many executions need the same memory, give or take a few MiB."""
    pytest.importorskip("resource", reason="measures with getrusage")
    peaks = [_peak_kib(tmp_path / f"{count}.db", count) for count in (1_000, 8_000)]
    assert peaks[1] - peaks[0] < 4 * 1024


def _peak_kib(path: Path, count: int) -> int:
    record = replace(TOTAL, args={"text": "x" * 500})
    write_store(
        path, (replace(record, span_id=f"{number:016x}", trace_id=f"{number:032x}") for number in range(1, count))
    )
    measured = (
        "import os, resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = program("export", "--csv", "--store", path)
    printed = subprocess.check_output([command[0], "-c", measured, *command], env=plain_environment(), text=True)
    return int(printed)
