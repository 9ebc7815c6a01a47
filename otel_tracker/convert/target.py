"""What can be read back of a conversion's target: nothing, as long as it is not there or can only be written."""

from __future__ import annotations

import os
from collections.abc import Iterator

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError, StoreUnwritableError
from otel_tracker.following import Stored
from otel_tracker.query import StoreReader
from otel_tracker.stores import Place


class Target:
    """Looks into the place that is written to; opened when there is something to look at."""

    def __init__(self, place: Place) -> None:
        self.is_readable = place.store.open_reader is not None
        self._place = place
        self._reader: StoreReader | None = None

    def stored(self, after: str | None = None) -> Iterator[Stored]:
        """What is there in the order in which it was stored; a last line without its newline is as well."""
        reader = self.reader()
        return iter(()) if reader is None else iter(reader._read_all_stored(after))

    def is_empty(self) -> bool:
        """Whether nothing is there; raises `StoreUnwritableError` for a file that holds something, but no record."""
        reader = self.reader()
        if reader is None:
            return True
        if next(self.stored(), None) is not None:
            return False
        next(reader.stored(), None)  # once more without the half of a line that a killed process may have left
        foreign_lines: int = getattr(reader, "skipped_lines", 0)
        if foreign_lines:
            raise StoreUnwritableError(
                f"{self._place.location} holds something else than records; expected a store, or nothing. "
                "Name another file to write to."
            )
        return True

    def end(self) -> str | None:
        """The position behind everything that is there; None for the beginning, or raises where there are none."""
        reader = self.reader()
        if reader is None:
            raise StoreUnreadableError(f"There is nothing at {self._place.location}.")
        return reader._position_before_last(0)

    def identity(self) -> str:
        """Device and inode of the file at the place, where there is one; a copy put in its place has others."""
        try:
            status = os.stat(self._place.location)
        except (OSError, ValueError):
            return ""
        return f"{status.st_dev}:{status.st_ino}"

    def reader(self) -> StoreReader | None:
        """A reader, once there is something to read; raises `StoreUnreadableError` for what is no store."""
        if self._reader is None and self.is_readable:
            try:
                self._reader = self._place.open_reader()
            except StoreNotFoundError:
                return None
        return self._reader

    def close(self) -> None:
        """Close the reader."""
        if self._reader is not None:
            self._reader.close()
