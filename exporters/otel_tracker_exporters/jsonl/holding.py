"""Keeps the files of a store open while somebody follows it, so that what was written last is read after they are gone.

Between two looks a file may be written to and then deleted, or replaced by another. Its name leads nowhere then, but
what holds it open still reads it. A file that was only renamed is among those that are found, under its new name; one
that was compressed is, too, and has the same fingerprint. What came and went between two looks was never open.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from otel_tracker_exporters.jsonl.files import OpenFile, size_of
from otel_tracker_exporters.jsonl.sources import Found, Source, StoreFiles


class HeldFiles:
    """The files that one follower met at its last look; to be closed."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._held: dict[tuple[int, int], Source] = {}

    def hold(self, sources: Sequence[Source]) -> None:
        """Keep open what was found now, and let go of the rest."""
        before, self._held = self._held, {}
        for source in sources:
            inode = source.found.inode
            held = before.pop(inode, None)
            if held is None:
                held = Source(source.found, OpenFile(os.dup(source.raw.fileno())), self._files)
            self._held[inode] = held
            held.look_again(source.found)
        for held in before.values():
            held.close()

    def lost(self, found: Iterable[Found]) -> list[Source]:
        """Those that are found no more, in their order, with all that was written to them."""
        inodes = {entry.inode for entry in found}
        lost = [source for inode, source in self._held.items() if inode not in inodes]
        for source in lost:
            source.look_again(source.found._replace(size=size_of(source.raw)))
        return lost

    def close(self) -> None:
        """Let go of all."""
        self.hold([])


def with_lost(files: StoreFiles, lost: Sequence[Source], sources: Sequence[Source]) -> list[Source]:
    """Both together, group by group, the lost ones first; without those that were compressed meanwhile."""
    known = {files.fingerprint(source) for source in sources} if lost else set()
    gone = [source for source in lost if files.fingerprint(source) not in known]
    groups = dict.fromkeys(source.found.group for source in (*gone, *sources))
    return [source for group in groups for source in (*gone, *sources) if source.found.group == group]
