"""`otel-tracker demo`: the whole of the product in one command, on a real web application.

A small Flask shop runs as a child process under `opentelemetry-instrument`, real requests are sent to it, and what
was stored is read back and printed. Everything happens in a temporary folder; the store takes its place at the
end, so that a demo that was interrupted or failed leaves nothing and harms nothing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otel_tracker import attributes
from otel_tracker.cli.files import OutputError, cannot_write, whole_file
from otel_tracker.cli.options import example, json_option
from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError
from otel_tracker.stores import Place, installed_stores

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_OUTPUT = "otel-tracker-demo.db"

# The promise is 20 s for the whole command; stopping the shop and printing have what is left.
_TIMEOUT_S = 14.0
_SQLITE = "sqlite"
# SQLite keeps these beside a database; left over from another database they would be taken for part of ours.
_SIDE_FILES = ("-wal", "-shm", "-journal")


@click.command(epilog=example("see it, then look around in what it stored", "otel-tracker demo"))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The shop's port.  [default: a free one]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=Path(DEFAULT_OUTPUT),
    show_default=True,
    help="The SQLite store to write; an earlier demo's is replaced.",
)
@json_option
def demo(*, port: int, output: Path, as_json: bool) -> None:
    """Trace a small real web shop and show what was stored.

    Starts a Flask application under opentelemetry-instrument on a loopback port, sends it requests (some slow,
    some failing, some at the same time), stops it, and prints what its traces say. Takes a few seconds, needs no
    network, and leaves one file: the store. With --json it prints the statistics of every function instead.
    """
    from otel_tracker.cli.demo_shop import check_prerequisites

    check_prerequisites(port)
    _check_output(output)
    sent = _recorded(output, port)
    _show(output, sent, as_json=as_json)


def _recorded(output: Path, port: int) -> int:
    """Run the shop and send it requests; how many, once all of it is stored at ``output``."""
    from otel_tracker.cli.demo_shop import Deadline, DemoError, Shop
    from otel_tracker.cli.demo_traffic import send_all
    from otel_tracker.cli.interrupts import interruptible

    deadline = Deadline(_TIMEOUT_S)
    with interruptible() as interrupts, ExitStack() as stack:
        with interrupts.held():
            folder = Path(stack.enter_context(_temporary_folder()))
            store = folder / DEFAULT_OUTPUT
            shop = Shop(folder, store, port)
            stack.callback(shop.stop)
        with _status("Starting the shop under opentelemetry-instrument"):
            url = shop.wait_until_it_answers(deadline)
        with _status(f"Sending requests to {url}"):
            sent = send_all(url, deadline)
        with _status("Stopping the shop"):
            if not shop.stop():
                raise DemoError(f"The shop did not end as it should: {shop.last_words()}")
        _place(store, output)
    return sent


def _show(output: Path, sent: int, *, as_json: bool) -> None:
    """Read the store back and print the report; raises `DemoError` when a request is missing from it."""
    from otel_tracker.cli.demo_report import SERVER, print_report
    from otel_tracker.cli.demo_shop import DemoError
    from otel_tracker.cli.output import console_for, print_json_lines

    with Place(installed_stores()[_SQLITE], str(output)).open_reader() as reader:
        stored = sum(1 for _ in reader.query_executions(kind=SERVER, limit=None))
        if as_json:
            print_json_lines(reader.function_statistics(limit=None))
        else:
            console = console_for()
            console.print(f"Sent {sent} requests to a Flask shop; all of it is stored in {output}.", soft_wrap=True)
            print_report(console, reader, output)
    if stored != sent:
        raise DemoError(f"{sent} requests were sent and {stored} are in {output}. Please report it.")


def _check_output(output: Path) -> None:
    """Refuse, before anything is started, a place that cannot be written or holds anything but an earlier demo."""
    try:
        with Place(installed_stores()[_SQLITE], str(output)).open_reader() as reader:
            newest = next(reader.query_executions(limit=1), None)
    except StoreNotFoundError:
        newest = None
    except StoreUnreadableError as error:
        raise OutputError(f"The demo does not replace {output}: {error}") from None
    from otel_tracker.cli.demo_shop import SERVICE_NAME

    if newest is not None and newest.resource.get(attributes.SERVICE_NAME) != SERVICE_NAME:
        raise OutputError(f"{output} holds traces that are no demo's, so it is not replaced. Choose another --output.")
    try:
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise cannot_write(output, error) from None


def _place(store: Path, output: Path) -> None:
    with whole_file(output) as unfinished:
        shutil.copyfile(store, unfinished)
        for suffix in _SIDE_FILES:
            Path(f"{output}{suffix}").unlink(missing_ok=True)


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="otel-tracker-demo-", ignore_cleanup_errors=True)


@contextmanager
def _status(sentence: str) -> Iterator[None]:
    """A line with a spinner while something lasts, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from otel_tracker.cli.output import console_for

    with console_for(stderr=True).status(sentence):
        yield
