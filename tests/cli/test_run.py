"""`otel-tracker run`: starting a program with tracing."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from otel_tracker import launch
from otel_tracker.stores import open_store

from .helpers import plain_environment, program

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Run

SCRIPT = """
import sys
from otel_tracker import traced

@traced
def double(number):
    return 2 * number

print(double(21), sys.argv[1:])
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that calls a traced function, prints its arguments, and leaves with the first of them."""
    path = tmp_path / "app.py"
    path.write_text(SCRIPT)
    return path


def executions(path: Path) -> list[str]:
    """The functions whose executions a store holds."""
    with open_store(path) as reader:
        return [record.qualified_name for record in reader.query_executions()]


def test_script_is_traced_without_any_setup(run: Run, script: Path, tmp_path: Path) -> None:
    """Arguments, output and exit status are the program's own; its executions are in the default store."""
    result = run("run", "app.py", "7", "--to", "-x")
    assert (result.returncode, result.stdout, result.stderr) == (7, "42 ['7', '--to', '-x']\n", "")
    assert executions(tmp_path / "otel-tracker.db") == ["__main__.double"]
    assert run("query").stdout.count("__main__.double") == 1


def test_destinations_are_named_by_to(run: Run, script: Path, tmp_path: Path) -> None:
    """`--to` goes before the environment; a double dash ends our options."""
    result = run("run", "--to", "jsonl", "--", "app.py", "0", "--", "y", OTEL_TRACES_EXPORTER="sqlite")
    assert (result.returncode, result.stdout) == (0, "42 ['0', '--', 'y']\n")
    assert executions(tmp_path / "otel-tracker.jsonl") == ["__main__.double"]
    assert not (tmp_path / "otel-tracker.db").exists()


@pytest.mark.slow
def test_command_is_looked_up_like_in_a_shell(run: Run, script: Path, tmp_path: Path) -> None:
    """Anything that is no script is a command, and Python programs below it are traced."""
    result = run("run", program()[0], "app.py", "3")
    assert (result.returncode, result.stderr) == (3, "")
    assert executions(tmp_path / "otel-tracker.db") == ["__main__.double"]


@pytest.mark.slow
def test_other_distros_are_overruled(run: Run, script: Path, tmp_path: Path) -> None:
    """A distro that the environment names does not switch ours off."""
    result = run("run", "app.py", "0", OTEL_PYTHON_DISTRO="other", OTEL_PYTHON_CONFIGURATOR="other")
    assert (result.returncode, result.stderr) == (0, "")
    assert executions(tmp_path / "otel-tracker.db") == ["__main__.double"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.py", "There is no script missing.py here; expected the path of a Python file."),
        (
            "no-such-command",
            "There is no command 'no-such-command' on the PATH; expected a command or a script that ends in .py.",
        ),
    ],
)
def test_program_that_does_not_exist_ends_as_in_a_shell(run: Run, name: str, sentence: str) -> None:
    """One sentence and status 127."""
    result = run("run", name)
    assert (result.returncode, result.stdout, result.stderr) == (127, "", f"otel-tracker: {sentence}\n")


@pytest.mark.parametrize("arguments", [[], ["--to"], ["--unknown", "app.py"]])
def test_missing_program_is_misuse(run: Run, arguments: list[str]) -> None:
    """Without a program to start there is nothing to do."""
    assert run("run", *arguments).returncode == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="processes are replaced on POSIX only")
def test_program_takes_the_place_of_the_command(tmp_path: Path) -> None:
    """Process id and signals are the program's own: what a supervisor sends arrives."""
    (tmp_path / "wait.py").write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print(os.getpid(), flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        program("run", "--to", "none", "wait.py"),
        cwd=tmp_path,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 5


def test_launcher_of_this_environment_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A launcher that the PATH finds may belong to another interpreter."""
    other = tmp_path / "opentelemetry-instrument"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.launcher() != [str(other)]


def test_launcher_without_scripts_runs_the_same_code(
    monkeypatch: pytest.MonkeyPatch, run: Run, script: Path, tmp_path: Path
) -> None:
    """Where only packages were installed, the launcher's function is called instead of its script."""
    monkeypatch.setattr(launch.shutil, "which", lambda *_args, **_options: None)
    command, environment = launch.instrumented(
        [program()[0], str(script), "0"], launch.with_our_distro(plain_environment())
    )
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=60)
    assert executions(tmp_path / "otel-tracker.db") == ["__main__.double"]
