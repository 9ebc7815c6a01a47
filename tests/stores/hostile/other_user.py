"""A program of another user, whom modes bind: ``other_user.py``; the tests tell it what to do, line by line.

Each line of its standard input is a JSON list, a task and its arguments; each is answered with one line of JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from otel_tracker.diagnostics import forget_said
from stores.helpers import SUFFIXES, StoreUnderTest, make_span
from stores.hostile.support import Refusal, TracedProgram, ask

NOBODY = 65534


class Program:
    """One writer, and what it may be told to do."""

    def __init__(self) -> None:
        self.store = StoreUnderTest("", Path())
        self.traced: TracedProgram | None = None

    def begin(self, kind: str, path: str) -> None:
        """Another program on another store, to which nothing was said yet."""
        self.close()
        self.store = StoreUnderTest(kind, Path(path))
        SAID.clear()
        forget_said()

    def write(self, numbers: list[int], text: str) -> bool:
        return self.store.write(*(make_span(number, attributes={"text": text}) for number in numbers))

    def open_anew(self) -> None:
        self.store.close()
        self.store.writers.clear()

    def ask(self) -> list[int] | str:
        """The numbers that are stored, or the sentence."""
        answer = ask(self.store.path)
        return answer.sentence if isinstance(answer, Refusal) else sorted(answer)

    def trace(self, name: str) -> None:
        if self.traced is None:
            self.traced = TracedProgram(self.store.kind, self.store.path)
        self.traced.run(name)

    def said(self) -> list[str]:
        return [record.getMessage() for record in SAID]

    def close(self) -> None:
        if self.traced is not None:
            self.traced.provider.shutdown()
            self.traced = None
        self.store.close()


SAID: list[logging.LogRecord] = []


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        SAID.append(record)


def import_everything(program: Program) -> None:
    """Once through all of it: what is imported later may lie where only root may read."""
    for kind, ending in SUFFIXES.items():
        with tempfile.TemporaryDirectory() as folder:
            program.begin(kind, f"{folder}/store{ending}")
            program.trace("warm")
            program.ask()
            program.write([1], "")
            program.close()


def main() -> None:
    warnings.simplefilter("error")
    logging.getLogger("otel_tracker").addHandler(_Listener())
    program = Program()
    import_everything(program)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    print("null", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer_of(program, *json.loads(line))), flush=True)
    program.close()


def answer_of(program: Program, task: str, *arguments: object) -> object:
    try:
        return getattr(program, task)(*arguments)
    except Exception:  # whatever it is: the test fails with it, and the program is there for the next
        return {"raised": traceback.format_exc()}


if __name__ == "__main__":
    main()
