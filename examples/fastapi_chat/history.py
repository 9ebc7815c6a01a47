"""What was said: messages and mentions, in an SQLite database. All of it blocks, so call it in a thread."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from otel_tracker import traced

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, room TEXT NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL, sent_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS message_room ON message (room, id);
CREATE TABLE IF NOT EXISTS mention (
    name TEXT NOT NULL, message_id INTEGER NOT NULL REFERENCES message (id), PRIMARY KEY (name, message_id)
);
"""


@dataclass(frozen=True)
class Message:
    """One thing that somebody said; ``sent_at`` is UTC in ISO 8601."""

    id: int
    room: str
    author: str
    text: str
    sent_at: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class History:
    """The messages in the file at ``path``; safe to use from several threads."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, timeout=10)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(SCHEMA)

    @traced(capture_args=["room", "author"])
    def add(self, room: str, author: str, text: str) -> Message:
        """Keep what was said."""
        sent_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        with self._lock, self._database:
            sql = "INSERT INTO message (room, author, text, sent_at) VALUES (?, ?, ?, ?)"
            inserted = self._database.execute(sql, (room, author, text, sent_at))
        return Message(inserted.lastrowid or 0, room, author, text, sent_at)

    @traced
    def latest(self, room: str, limit: int) -> list[Message]:
        """The last messages of a room, oldest first."""
        sql = "SELECT * FROM message WHERE room = ? ORDER BY id DESC LIMIT ?"
        return [Message(**row) for row in reversed(self._rows(sql, room, limit))]

    @traced
    def add_mentions(self, message_id: int, names: list[str]) -> None:
        """Remember who is spoken to in a message."""
        with self._lock, self._database:
            sql = "INSERT OR IGNORE INTO mention VALUES (?, ?)"
            self._database.executemany(sql, [(name, message_id) for name in names])

    @traced
    def mentions(self, name: str, limit: int) -> list[Message]:
        """The last messages that speak to somebody, oldest first."""
        sql = (
            "SELECT message.* FROM message JOIN mention ON message.id = message_id WHERE name = ? "
            "ORDER BY id DESC LIMIT ?"
        )
        return [Message(**row) for row in reversed(self._rows(sql, name, limit))]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.execute(sql, values).fetchall()
