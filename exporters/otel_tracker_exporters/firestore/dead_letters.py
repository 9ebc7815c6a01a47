"""Documents that Firestore refuses for good are kept on this machine, as lines that `open_store` reads.

One file a destination, beside the journals: ``<journals>/dead-letters/<name>.jsonl``, private, 16 MiB at most.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from otel_tracker.delivery.folders import journal_root, open_folder
from otel_tracker.records import Record

MAX_BYTES = 16 * 2**20


def path_of(destination: str) -> Path:
    """The file of a destination; it need not exist."""
    digest = hashlib.sha256(destination.encode("utf-8", "replace")).hexdigest()[:12]
    return journal_root() / "dead-letters" / f"firestore-{digest}.jsonl"


def keep(record: Record, destination: str) -> Path | None:
    """Append a record; gives the file, or None where it cannot be kept. Never raises."""
    path = path_of(destination)
    try:
        line = json.dumps(record.to_dict(), default=repr).encode()
        open_folder(path.parent)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if os.fstat(file).st_size + len(line) > MAX_BYTES:
                return None
            os.write(file, b"\n" + line + b"\n")
        finally:
            os.close(file)
    except Exception:  # a full disk, a folder of somebody else's, a record that JSON cannot tell either
        return None
    return path
