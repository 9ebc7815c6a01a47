"""`otel-tracker tail`: what is stored is seen at once, whoever stores it."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from otel_tracker.records import EventRecord, Record
from otel_tracker.stores import find_place

from .helpers import EVENTS, LATER, LOGS, MS, NOON_NS, SPANS, TOTAL, json_lines, plain_environment, program

if TYPE_CHECKING:
    from .conftest import Run

STORES = ("x.db", "x.jsonl")


def write(path: Path, *records: Record) -> None:
    """Add records to the store at a path."""
    with closing(find_place(path).open_writer()) as writer:
        writer.store(records)


class Tail:
    """A running `otel-tracker tail`, and what it printed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            program("tail", *arguments),
            cwd=folder,
            env=plain_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self, stream: str = "stdout") -> str:
        """The next line, within a time in which it must have come."""
        file = getattr(self.process, stream)
        with selectors.DefaultSelector() as selector:
            selector.register(file, selectors.EVENT_READ)
            text, deadline_s = b"", time.monotonic() + 15
            while not text.endswith(b"\n") and selector.select(deadline_s - time.monotonic()):
                byte = os.read(file.fileno(), 1)
                if not byte:
                    break
                text += byte
        return text.decode()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Send a signal; the exit status and what else was printed."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=15)
        return self.process.returncode, output.decode(), errors.decode()


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[Callable[..., Tail]]:
    """Starts `otel-tracker tail` in the test's folder."""
    tails: list[Tail] = []

    def start(*arguments: str) -> Tail:
        tails.append(Tail(tmp_path, *arguments))
        return tails[-1]

    yield start
    for started in tails:
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate(timeout=15)


@pytest.mark.parametrize("store", STORES)
def test_the_last_ones_come_first_oldest_first(run: Run, tmp_path: Path, store: str) -> None:
    """A line for each: time, status or severity, duration, function, event or logger, and trace."""
    write(tmp_path / store, *SPANS, *EVENTS, *LOGS)
    result = run("tail", "--store", store, "--for", "0")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == len(SPANS) + len(EVENTS) + len(LOGS)
    span = next(line for line in lines if "Cart.checkout" in line)
    assert span.split() == ["2026-11-22", "12:00:00.010", "failed", "230.0", "shop.cart.Cart.checkout", "a1" * 16]
    event = next(line for line in lines if "cart.opened" in line)
    assert re.split("  +", event)[-3:] == ["cart.opened", '{"items": 0}', "a1" * 16]
    log = next(line for line in lines if "ERROR" in line)
    assert re.split("  +", log)[1:3] == ["ERROR", "shop.cart"]
    assert log.endswith(f"no prices\\x1b[31m  ZeroDivisionError: division by zero  {'a1' * 16}")
    lines = [line for line in lines if not re.search("DEBUG|ERROR|WARNING", line)]
    assert [line for line in lines if "event" not in line] == sorted(line for line in lines if "event" not in line)


@pytest.mark.parametrize("store", STORES)
def test_last_says_how_many(run: Run, tmp_path: Path, store: str) -> None:
    """Ten by default, none with 0."""
    write(tmp_path / store, *(replace(LATER, span_id=f"{number:016x}") for number in range(1, 21)))
    assert len(run("tail", "--store", store, "--for", "0").stdout.splitlines()) == 10
    shown = json_lines(run("tail", "--store", store, "--for", "0", "--last", "3", "--json").stdout)
    assert [fields["span_id"] for fields in shown] == [f"{number:016x}" for number in (18, 19, 20)]
    assert run("tail", "--store", store, "--for", "0", "--last", "0").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["total"], {"03", "04"}),
        (["shop.cart.*", "--status", "failed"], {"02", "03"}),
        (["--status", "completed"], {"04"}),
        (["--only", "spans"], {"01", "02", "03", "04"}),
        (["--only", "events"], {"cart.opened", "user.left"}),
        (["cart.*"], {"cart.opened"}),
        (["user.left"], {"user.left"}),
        (["GET /cart"], {"01"}),
        (["--only", "events", "--status", "failed"], set()),
        (["nothing"], set()),
        (["--only", "logs"], {"shop.cart", "worker"}),
        (["work*"], {"worker"}),
        (["--only", "logs", "--status", "failed"], set()),
    ],
)
def test_filters(run: Run, store: Path, arguments: list[str], expected: set[str]) -> None:
    """A function as in `query`, which may also be an event or a logger; a status means executions alone."""
    if {"logs", "work*"} & set(arguments):
        write(store, *LOGS)
    shown = json_lines(run("tail", "--for", "0", "--json", *arguments).stdout)
    names = {"span": "span_id", "event": "name", "log": "logger"}
    found = {fields[names[fields["type"]]] for fields in shown}
    assert {name[:2] if name.startswith("0") else name for name in found} == expected


@pytest.mark.parametrize("store", STORES)
def test_what_is_stored_is_seen_at_once(tail: Callable[..., Tail], tmp_path: Path, store: str) -> None:
    """Line by line through a pipe, until Ctrl-C, which is no failure."""
    write(tmp_path / store, TOTAL)
    following = tail("--store", store)
    assert "total" in following.line()
    for number in range(3):
        write(tmp_path / store, EventRecord("cart.paid", NOON_NS + number * MS, properties={"number": number}))
        assert f'{{"number": {number}}}' in following.line()
    assert following.end() == (0, "", "")


@pytest.mark.parametrize("store", STORES)
def test_it_waits_for_a_store_that_is_not_there(tail: Callable[..., Tail], tmp_path: Path, store: str) -> None:
    """Said once; everything that is stored then is shown, however much."""
    following = tail("--store", store, "--last", "0")
    assert "There is no store at" in following.line("stderr")
    write(tmp_path / store, *SPANS, *EVENTS, *EVENTS, *EVENTS)
    assert all(following.line() for _ in range(len(SPANS) + 3 * len(EVENTS)))
    assert following.end() == (0, "", "")


@pytest.mark.parametrize("store", STORES)
def test_it_survives_deletion_and_replacement(tail: Callable[..., Tail], tmp_path: Path, store: str) -> None:
    """What the new store holds is shown from its beginning."""
    write(tmp_path / store, TOTAL)
    following = tail("--store", store)
    assert "total" in following.line()
    for path in tmp_path.glob(f"{store}*"):
        path.unlink()
    write(tmp_path / store, *EVENTS)
    assert "cart.opened" in following.line()
    assert "user.left" in following.line()
    write(tmp_path / "new" / store, LATER, EventRecord("third", NOON_NS))
    os.replace(tmp_path / "new" / store, tmp_path / store)
    shown = following.line() + following.line()
    assert "shop.cart.total" in shown
    assert "third" in shown
    assert following.end()[0] == 0


@pytest.mark.parametrize("store", STORES)
def test_a_closed_pipe_ends_it_quietly(tail: Callable[..., Tail], tmp_path: Path, store: str) -> None:
    """`otel-tracker tail | head -1` ends without a word, even when nothing is stored any more."""
    write(tmp_path / store, TOTAL)
    following = tail("--store", store)
    assert following.line()
    assert following.process.stdout is not None
    following.process.stdout.close()
    assert following.process.wait(15) == 0
    assert following.process.stderr is not None
    assert following.process.stderr.read() == b""
    following.process.stdout = None


def test_text_from_telemetry_cannot_act(run: Run, tmp_path: Path) -> None:
    """Escapes in names and properties are shown, in JSON too."""
    evil = "\x1b[2Jx\u202e\n"
    write(
        tmp_path / "x.db", replace(LATER, name=evil, function="", module=""), EventRecord(evil, 1, properties={evil: 1})
    )
    shown = run("tail", "--store", "x.db", "--for", "0").stdout
    assert len(shown.splitlines()) == 2
    assert not set("\x1b\u202e") & set(shown)
    lines = run("tail", "--store", "x.db", "--for", "0", "--json").stdout
    assert not set("\x1b\u202e") & set(lines)
    assert {json.loads(line)["name"] for line in lines.splitlines()} == {evil}


@pytest.mark.parametrize("arguments", [["--for", "-1"], ["--last", "-1"], ["--only", "numbers"], ["--status", "odd"]])
def test_misuse_is_said(run: Run, arguments: list[str]) -> None:
    """Exit status 2 and a sentence."""
    result = run("tail", *arguments)
    assert result.returncode == 2
    assert arguments[0] in result.stderr


def test_store_that_cannot_be_read_is_said(run: Run, tmp_path: Path) -> None:
    """A file of something else is no store that may still come."""
    (tmp_path / "x.db").write_text("milk" * 1000)
    result = run("tail", "--store", "x.db")
    assert result.returncode == 1
    assert "x.db" in result.stderr
