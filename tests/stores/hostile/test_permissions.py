"""The right to write, or to read, that is lost while a program runs and comes back later.

Root may do everything, so that the programs here are those of another user.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..helpers import SUFFIXES, let_others_pass
from .other_user import NOBODY
from .support import Ledger, assert_is_whole, assert_said_once, numbers_in

PROGRAM = Path(__file__).with_name("other_user.py")
ANSWER_TIMEOUT_S = 20.0


class OtherUser:
    """A running ``other_user.py``: each call is one task of its program."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAM)]
        self._process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        self.path = Path()

    def begin(self, kind: str, path: Path) -> None:
        self.path = path
        self.do("begin", kind, str(path))

    def do(self, task: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([task, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = self.answer()
        if isinstance(answer, dict):
            pytest.fail(answer["raised"])
        return answer

    def answer(self) -> Any:
        assert self._process.stdout is not None
        is_ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_TIMEOUT_S)
        assert is_ready, "no answer in time"
        line = self._process.stdout.readline()
        assert line, "the other program has ended"
        return json.loads(line)

    def write(self, numbers: Sequence[int], text: str) -> bool:
        return bool(self.do("write", list(numbers), text))

    def numbers(self) -> set[int]:
        answer = self.do("ask")
        assert isinstance(answer, list), answer
        return set(answer)

    def said_once(self) -> None:
        """One sentence so far, and none of our own faults."""
        assert_said_once(self.do("said"), self.path)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            assert self._process.wait(ANSWER_TIMEOUT_S) == 0
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


@pytest.fixture(scope="module")
def running() -> Iterator[OtherUser]:
    """The other user's program, for one test after another."""
    program = OtherUser()
    try:
        assert program.answer() is None
        yield program
    finally:
        program.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of the other user's; everybody may do everything again afterwards, so that it can be removed."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    let_others_pass(folder)
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    folder.chmod(0o700)


@pytest.fixture
def other(running: OtherUser, kind: str, folder: Path) -> Iterator[OtherUser]:
    """The other user's program, with a store of every kind in turn in the folder."""
    running.begin(kind, folder / f"store{SUFFIXES[kind]}")
    yield running
    folder.chmod(0o700)
    running.do("close")


def _files(folder: Path) -> list[Path]:
    folder.chmod(0o700)
    return [path for path in folder.iterdir() if path.is_file()]


def _change_files(folder: Path, mode: int) -> None:
    for path in _files(folder):
        path.chmod(mode)


def _change_all(folder: Path, mode: int) -> None:
    _change_files(folder, mode & 0o666)
    folder.chmod(mode)


def _give_to_root(folder: Path) -> None:
    for path in _files(folder):
        os.chown(path, 0, 0)


def _give_back(folder: Path) -> None:
    for path in _files(folder):
        os.chown(path, NOBODY, NOBODY)


LOSSES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "files read-only": (lambda folder: _change_files(folder, 0o444), lambda folder: _change_files(folder, 0o600)),
    "files closed": (lambda folder: _change_files(folder, 0), lambda folder: _change_files(folder, 0o600)),
    "folder read-only": (lambda folder: folder.chmod(0o555), lambda folder: folder.chmod(0o700)),
    "folder closed": (lambda folder: folder.chmod(0), lambda folder: folder.chmod(0o700)),
    "all read-only": (lambda folder: _change_all(folder, 0o555), lambda folder: _change_all(folder, 0o700)),
    "of another user": (_give_to_root, _give_back),
}
READABLE = ("files read-only", "folder read-only", "all read-only")


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> str:
    """One way after another to lose a right."""
    if request.param == "of another user" and os.getuid() != 0:
        pytest.skip("only root gives files away")
    return str(request.param)


def test_a_right_that_is_lost_while_in_use_comes_back(other: OtherUser, kind: str, folder: Path, loss: str) -> None:
    """Who has the store open goes on or fails quietly, and in any case writes when the right is there again."""
    ledger = Ledger(other.write)
    lose, restore = LOSSES[loss]
    assert ledger.batch()
    lose(folder)
    for _ in range(3):
        ledger.batch()
    if ledger.refused:
        other.said_once()
    _check_answer(other, ledger, loss)
    restore(folder)
    assert ledger.batch()
    assert other.numbers() == ledger.stored
    assert len(other.do("said")) == bool(ledger.refused)
    assert_is_whole(kind, other.path)


def test_who_comes_without_the_right_waits_for_it(other: OtherUser, kind: str, folder: Path, loss: str) -> None:
    """A writer that is opened without the right fails with one sentence, and writes as soon as it has it."""
    ledger = Ledger(other.write)
    lose, restore = LOSSES[loss]
    assert ledger.batch()
    other.do("open_anew")
    lose(folder)
    is_jsonl_appended = kind == "jsonl" and loss == "folder read-only"  # the file itself may still be written
    assert ledger.batch() is is_jsonl_appended
    assert ledger.batch() is is_jsonl_appended
    if not is_jsonl_appended:
        other.said_once()
    _check_answer(other, ledger, loss)
    restore(folder)
    assert ledger.batch()
    assert other.numbers() == ledger.stored
    assert_is_whole(kind, other.path)


def _check_answer(other: OtherUser, ledger: Ledger, loss: str) -> None:
    """What may be read is read, and for the rest there is a sentence."""
    answer = other.do("ask")
    if loss in READABLE:
        assert not isinstance(answer, str), answer
    if not isinstance(answer, str):
        assert set(answer) == ledger.stored


def test_a_traced_program_does_not_notice_that_it_lost_the_right(other: OtherUser, folder: Path) -> None:
    """Results and exceptions come through unchanged with a store that cannot be written, and later spans are stored."""
    folder.chmod(0o555)
    other.do("trace", "meanwhile")
    other.do("trace", "meanwhile")
    other.said_once()
    folder.chmod(0o700)
    other.do("trace", "afterwards")
    assert len(numbers_in(other.path)) > 0
    other.said_once()


def test_a_folder_that_is_removed_is_made_anew(other: OtherUser, kind: str, folder: Path) -> None:
    """Who removes the folder of a running program gets a new store in its place, private as the first."""
    store_folder = folder / "inner"
    other.begin(kind, store_folder / other.path.name)
    ledger = Ledger(other.write)
    assert ledger.batch()
    shutil.rmtree(store_folder)
    ledger.stored.clear()
    ledger.batches_until(True, most=2)
    assert other.numbers() == ledger.stored
    assert store_folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_removed_and_cannot_be_made_is_waited_for(other: OtherUser, kind: str, folder: Path) -> None:
    """Without the right to make the folder again batches fail with one sentence until somebody has made room."""
    store_folder = folder / "inner"
    other.begin(kind, store_folder / other.path.name)
    ledger = Ledger(other.write)
    assert ledger.batch()
    shutil.rmtree(store_folder)
    store_folder.write_text("a file where the folder was")
    ledger.stored.clear()
    assert not ledger.batch()
    assert not ledger.batch()
    other.said_once()
    assert store_folder.read_text() == "a file where the folder was"
    store_folder.unlink()
    ledger.batches_until(True, most=2)
    assert other.numbers() == ledger.stored
