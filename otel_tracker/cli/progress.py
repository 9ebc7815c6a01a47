"""Progress of long work: a bar on stderr when that is a terminal, and nothing at all when it is not."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class Show(Protocol):
    """Shows how far the work is: how many records, and ``done`` of ``total`` where that is known."""

    def __call__(self, doing: str, records: int, done: int | None = None, total: int | None = None) -> None:
        """Replace what is shown."""


@contextmanager
def progress_bar(*, beside_output: bool = False) -> Iterator[Show | None]:
    """What shows progress until the block ends, or None; ``beside_output`` is for work that prints to stdout."""
    if not sys.stderr.isatty() or (beside_output and sys.stdout.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    records_column = TextColumn("{task.fields[records]:,} records")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), records_column, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, records=0)

        def show(doing: str, records: int, done: int | None = None, total: int | None = None) -> None:
            progress.update(task, description=doing, records=records, completed=done or 0, total=total)

        yield show


@contextmanager
def counted(doing: str, records: Iterable[T], *, beside_output: bool) -> Iterator[Iterable[T]]:
    """The records, counted on stderr while they pass when stderr is a terminal that shows nothing else."""
    with progress_bar(beside_output=beside_output) as show:
        yield records if show is None else _counting(doing, records, show)


def _counting(doing: str, records: Iterable[T], show: Show) -> Iterator[T]:
    show(doing, 0)
    for number, record in enumerate(records, 1):
        yield record
        show(doing, number)
