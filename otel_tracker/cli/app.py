"""The `otel-tracker` program: its commands by name, and how it ends.

A command's module is imported when the command is used; the list that `--help` prints needs none of them.
Exit status: 0 done, 1 looked and found a problem, 2 misuse, 130 interrupted. A problem is one sentence on
stderr; only a fault of ours ends in a traceback.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from otel_tracker.cli.text import visible
from otel_tracker.errors import OtelTrackerError, QueryError
from otel_tracker.version import __version__

DONE, PROBLEM, MISUSE, INTERRUPTED = 0, 1, 2, 130

PROGRAM = "otel-tracker"

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("otel_tracker.cli.demo:demo", "Trace a small real web shop and show what was stored."),
    "run": ("otel_tracker.cli.run:run", "Start a program with tracing, without changing its code."),
    "query": ("otel_tracker.cli.query:query", "List executions, newest first."),
    "stats": ("otel_tracker.cli.stats:stats", "Count calls, errors and percentiles, one line a function."),
    "trace": ("otel_tracker.cli.trace:trace", "Show one trace as a tree."),
    "events": ("otel_tracker.cli.events:events", "List events, newest first."),
    "metrics": ("otel_tracker.cli.metrics:metrics", "Add metrics up, one line a metric and label set."),
    "export": ("otel_tracker.cli.export:export", "Write executions as JSON lines or CSV, newest first."),
    "tail": ("otel_tracker.cli.tail:tail", "Show spans, events, logs and metric points as they are stored."),
    "convert": ("otel_tracker.cli.convert:convert", "Copy what one store holds into another."),
    "prune": ("otel_tracker.cli.prune:prune", "Remove what is old, or more than a store shall hold."),
    "firestore": ("otel_tracker.cli.firestore:firestore", "Prepare a Firestore database."),
    "doctor": ("otel_tracker.cli.doctor:doctor", "Say what is active and what is not, with a probe as proof."),
}
"""Each command's ``module:attribute`` and the line that `--help` shows."""


class LazyGroup(click.Group):
    """A group that imports a command's module when that command is used."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every expected way to end becomes an exit status and at most one sentence."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever reads our output has seen enough (`otel-tracker export | head`): that is no failure.
            _silence_stdout()
            ctx.exit(DONE)
        except KeyboardInterrupt:
            _silence_stdout()  # whoever reads may have stopped too, and a full pipe would hold us here
            ctx.exit(INTERRUPTED)
        except OtelTrackerError as error:
            click.echo(f"{PROGRAM}: {visible(str(error))}", err=True)
            ctx.exit(_status_of(error))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is refused with the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, COMMANDS, n=1)
            meant = f"Did you mean {close[0]!r}?" if close else f"Expected one of {', '.join(COMMANDS)}."
            ctx.fail(f"There is no command {name!r}. {meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, so that `--help` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


_FIRST_STEPS = """\b
To trace a program of your own:
    otel-tracker run app.py
    otel-tracker stats
    otel-tracker trace failed
"""


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_FIRST_STEPS)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Trace Python programs and ask questions of what was stored.

    Begin with the demo. Commands that read take the store that OTEL_TRACES_EXPORTER names (by default the SQLite
    file of the working directory), or the one that --store names. The help of each command ends with an example.
    """


def main() -> None:
    """Run the command that the arguments name and leave with its exit status."""
    _survive_odd_encodings()
    try:
        cli(prog_name=PROGRAM)
    finally:
        _flush()


def _status_of(error: OtelTrackerError) -> int:
    """An error's own status if it has one; a filter that makes no sense is misuse."""
    status: int = getattr(error, "exit_code", MISUSE if isinstance(error, QueryError) else PROBLEM)
    return status


def _survive_odd_encodings() -> None:
    """Let a terminal that cannot show a character show its escape instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Flush here, so that a reader that went away is noticed here and not at interpreter shutdown."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()


def _silence_stdout() -> None:
    """Point stdout at nothing: what is still buffered must not fail once more at exit."""
    # https://docs.python.org/3/library/signal.html#note-on-sigpipe
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
