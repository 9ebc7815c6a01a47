"""`otel-tracker run`: start a program with tracing, without changing its code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from otel_tracker.cli.options import example
from otel_tracker.errors import OtelTrackerError
from otel_tracker.launch import instrumented, with_our_distro


class CommandNotFoundError(OtelTrackerError):
    """There is no program of the name that `run` was given."""

    exit_code = 127  # as in a shell


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog=example("trace a script into a JSONL file", "otel-tracker run --to jsonl app.py --port 8000"),
)
@click.option("--to", metavar="NAMES", help="Where spans and events go: sqlite, jsonl, console, otlp, comma-separated.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND|SCRIPT.py [ARGS]...")
def run(*, to: str | None, command: tuple[str, ...]) -> None:
    """Start a program with tracing, without changing its code.

    A script (a path that ends in .py) runs with the interpreter of this command; anything else is looked up like a
    command. Signals and the exit status are the program's own. A command that does not exist ends with 127.

    What is traced: functions marked with @traced, and the frameworks whose instrumentors are installed. Settings
    (OTEL_* variables) apply as always; OTEL_PYTHON_DISTRO and OTEL_PYTHON_CONFIGURATOR are set to otel_tracker.
    """
    environment = with_our_distro(os.environ)
    if to is not None:
        environment["OTEL_TRACES_EXPORTER"] = to
    _become(*instrumented(_program(command), environment))


def _program(command: tuple[str, ...]) -> list[str]:
    """The command with its program resolved; leaves with a sentence when there is none."""
    name, *arguments = command
    if name.endswith(".py"):
        if Path(name).is_file():
            return [sys.executable, name, *arguments]
        raise CommandNotFoundError(f"There is no script {name} here; expected the path of a Python file.")
    if shutil.which(name) is None:
        raise CommandNotFoundError(
            f"There is no command {name!r} on the PATH; expected a command or a script that ends in .py."
        )
    return [name, *arguments]


def _become(command: list[str], environment: dict[str, str]) -> None:
    """Replace this process by the command; where there is no such thing (Windows), wait for it and leave like it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        try:
            os.execve(command[0], command, environment)  # noqa: S606 - the user's own command line
        except OSError as error:
            raise CommandNotFoundError(f"{command[0]} cannot be started: {error.strerror}.") from None
    raise click.exceptions.Exit(subprocess.call(command, env=environment))  # noqa: S603 - the same
