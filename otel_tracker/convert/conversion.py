"""One conversion: from the checks to the last batch, and on again after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import count

from otel_tracker.convert.batches import batches
from otel_tracker.convert.claim import claimed
from otel_tracker.convert.counts import Converted, Counts
from otel_tracker.convert.held import key_of
from otel_tracker.convert.moving import Bookmark, Mover
from otel_tracker.convert.places import source_and_target, state_path, written_place
from otel_tracker.convert.start import Start, find_start
from otel_tracker.convert.state import Job, StateFile
from otel_tracker.convert.target import Target
from otel_tracker.query import StoreReader

BATCH_RECORDS = 512
_BATCH_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversion is: ``done`` of ``total`` in units of the source, both None where nobody knows."""

    doing: str
    records: int
    done: int | None = None
    total: int | None = None


class Conversion:
    """Everything that ``source`` holds into ``target``, each a path or url; ``target_format`` None is what is there.

    Raises an `OtelTrackerError` that says what does not go together. `run` may be called again after it failed or was
    interrupted, by this process or another: it goes on where it stopped.
    """

    def __init__(self, source: str, target: str, target_format: str | None = None) -> None:
        self._source, self._target = source_and_target(source, target, target_format)
        self._format = target_format
        self._states = StateFile(state_path(self._source, self._target))
        self._has_begun = False

    @property
    def can_go_on(self) -> bool:
        """Whether something was written, and another `run` adds only what is missing."""
        return self._has_begun and (self._target.store.open_reader is not None or self._states.is_there)

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> Converted:
        """Convert; raises `OtelTrackerError` when the source cannot be read or the target cannot be written."""
        with ExitStack() as stack:
            stack.enter_context(claimed(self._states.lock_path))
            reader = stack.enter_context(self._source.open_reader())
            writer = stack.enter_context(closing(self._target.open_writer(self._format)))
            target = stack.enter_context(closing(Target(written_place(self._target, writer))))
            # The writer's location, because a url may hold a password.
            first_key = _first_key(reader) if target.is_readable else ""  # rather miss a replacement than send twice
            job = Job(self._source.location, writer.location, self._format, first_key)
            start = find_start(reader, target, job, self._states, _looking(on_progress))
            stack.callback(start.close)
            mover = Mover(writer, start)
            bookmark = Bookmark(self._states, job, start, target)
            self._move(reader, start, mover, bookmark, on_progress)
            self._states.remove()
        return Converted(job.source, job.target, self._format, start.state is not None, mover.counts)

    def _move(
        self,
        reader: StoreReader,
        start: Start,
        mover: Mover,
        bookmark: Bookmark,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        records = 0
        for batch in batches(reader._read_all_stored(start.position), BATCH_RECORDS, _BATCH_BYTES):
            new = mover.move(batch)
            self._has_begun = True
            counts = _with_passed_over(mover.counts, start.counts, reader)
            bookmark.put(batch, new, counts)
            records += len(batch)
            if on_progress is not None:
                on_progress(_progress(reader, records, batch[-1].position))
        mover.finish()
        mover.counts = _with_passed_over(mover.counts, start.counts, reader)


def _looking(on_progress: Callable[[Progress], None] | None) -> Callable[[], None]:
    """What to call for each record of the target that is read before the first is written."""
    if on_progress is None:
        return lambda: None
    numbers = count(1)

    def look() -> None:
        number = next(numbers)
        if number % BATCH_RECORDS == 0:
            on_progress(Progress("Reading what is there", number))

    return look


def _first_key(reader: StoreReader) -> str:
    """What tells this source from another at its place."""
    first = next(reader.stored(), None)
    return "" if first is None else key_of(first.record).hex()


def _with_passed_over(counts: Counts, before: Counts, reader: StoreReader) -> Counts:
    """The counts with those lines or rows of the source that hold no record; a reader knows of one of them."""
    return replace(
        counts,
        skipped_lines=before.skipped_lines + getattr(reader, "skipped_lines", 0),
        skipped_rows=before.skipped_rows + getattr(reader, "skipped_rows", 0),
    )


def _progress(reader: StoreReader, records: int, position: str | None) -> Progress:
    total = reader.stored_size()
    if total is None or position is None:
        return Progress("Converting", records)
    return Progress("Converting", records, reader.progress(position), total)
