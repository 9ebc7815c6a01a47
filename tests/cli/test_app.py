"""The program as a whole: help, exit statuses, and which store it reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from otel_tracker.cli.app import COMMANDS, cli
from otel_tracker.version import __version__

from .helpers import LATER, SPANS, json_lines, plain_environment, program, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run


def test_help_lists_every_command(run: Run) -> None:
    """Somebody who types `--help` sees what there is, one line each."""
    result = run("--help")
    assert result.returncode == 0
    for name, (_, line) in COMMANDS.items():
        assert [name, *line.split()] in [shown.split() for shown in result.stdout.splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_begins_with_its_line_and_ends_with_an_example(name: str) -> None:
    """The list and the command's own help agree, and each help shows a command line to copy."""
    command = cli.get_command(cli.make_context("otel-tracker", [name], resilient_parsing=True), name)
    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name][1]
    assert f"otel-tracker {name}" in (command.epilog or "") + (command.help or "")


def test_help_imports_no_command(run: Run) -> None:
    """`--help` answers at once: neither rich, nor a store, nor the SDK is loaded for it."""
    heavy = ("rich", "opentelemetry.sdk", "sqlite3", "otel_tracker_exporters", "otel_tracker.cli.query")
    code = (
        "import sys; sys.argv = ['otel-tracker', '--help']\n"
        "from otel_tracker.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=plain_environment(), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "[]\n")


def test_version_is_printed(run: Run) -> None:
    """`--version` says what is installed."""
    assert run("--version").stdout == f"otel-tracker, version {__version__}\n"


def test_misspelt_command_is_answered_with_the_nearest(run: Run) -> None:
    """Misuse ends with 2 and the way out."""
    result = run("stat")
    assert result.returncode == 2
    assert "There is no command 'stat'. Did you mean 'stats'?" in result.stderr


@pytest.mark.parametrize("command", ["query", "stats", "events", "export"])
@pytest.mark.parametrize(
    ("location", "part"),
    [
        ("missing.db", "There is no store at"),
        (".", "is a directory"),
        ("garbage.db", "is no SQLite database"),
        ("unknown.txt", "is no store that is known"),
        ("mongo://x", "No installed store reads 'mongo://x'"),
    ],
)
def test_store_that_cannot_be_read_is_one_sentence(
    run: Run, tmp_path: Path, command: str, location: str, part: str
) -> None:
    """What, where and what to do, with status 1, and the file is as it was."""
    (tmp_path / "garbage.db").write_text("this is no database" * 100)
    (tmp_path / "unknown.txt").write_text("neither is this")
    result = run(command, "--store", location)
    assert result.returncode == 1
    assert result.stderr.startswith("otel-tracker: ")
    assert part in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "garbage.db").read_text() == "this is no database" * 100


def test_environment_names_the_store(run: Run, tmp_path: Path) -> None:
    """The first destination that can be read back is read; both of its names work."""
    write_store(tmp_path / "mine.db", [LATER])
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(span.to_dict()) + "\n" for span in SPANS))
    paths = {"OTEL_TRACKER_SQLITE_PATH": "mine.db", "OTEL_TRACKER_JSONL_PATH": "mine.jsonl"}
    for names, count in [("console,otel_tracker_jsonl", len(SPANS)), ("jsonl,sqlite", len(SPANS)), ("sqlite", 1)]:
        result = run("query", "--json", OTEL_TRACES_EXPORTER=names, **paths)
        assert len(json_lines(result.stdout)) == count, result.stderr


def test_destinations_that_cannot_be_read_back_are_said(run: Run) -> None:
    """With `console` alone there is nothing to ask; the sentence says how to name a store."""
    result = run("query", OTEL_TRACES_EXPORTER="console,otlp")
    assert result.returncode == 1
    assert "OTEL_TRACES_EXPORTER is 'console,otlp', and none of these can be read back" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a child")
def test_interruption_is_quiet(tmp_path: Path) -> None:
    """Ctrl-C ends a command with 130 and no traceback."""
    spans = (replace(LATER, span_id=f"{number:016x}") for number in range(1, 5_000))
    write_store(tmp_path / "big.db", spans)
    with subprocess.Popen(
        program("export", "--store", tmp_path / "big.db"),
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # from here on it waits for somebody to read the rest
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b""


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals exist on POSIX only")
def test_terminal_gets_colours_and_a_pipe_does_not(run: Run, store: Path, tmp_path: Path) -> None:
    """Colour codes go to people only."""
    ours, theirs = os.openpty()
    try:
        subprocess.run(
            program("query"), cwd=tmp_path, env=plain_environment(TERM="xterm"), stdout=theirs, check=True, timeout=60
        )
    finally:
        os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert b"\x1b[" in shown
    assert "\x1b" not in run("query").stdout
