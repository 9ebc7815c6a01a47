"""Where a `firestore` store lies and how it is written: each an argument that falls back to its setting.

A url names the place: ``firestore://project/collection``, with ``?database=name`` for another database than
``(default)``. What it leaves out comes from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from otel_tracker import firestore_settings as rows
from otel_tracker.errors import MissingExtraError, UnknownStoreError

SCHEME = "firestore"
DEFAULT_DATABASE = "(default)"
NS_PER_DAY = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Options:
    """What is in force for one exporter, writer or reader.

    ``project`` None is that of the credentials, which are looked for with the first request. ``ttl_ns`` 0 means that
    documents never expire, ``max_writes_per_s`` 0 no bound, ``shards`` 0 no shard field.
    """

    project: str | None = None
    database: str = DEFAULT_DATABASE
    collection: str = "function_tracking"
    ttl_ns: int = 0
    max_writes_per_s: int = 0
    shards: int = 0

    @property
    def location(self) -> str:
        """The url of the place."""
        place = f"{SCHEME}://{quote(self.project or '', safe='')}/{quote(self.collection, safe='')}"
        return place if self.database == DEFAULT_DATABASE else f"{place}?database={quote(self.database, safe='')}"

    @property
    def events(self) -> str:
        """The collection of events."""
        return f"{self.collection}_events"

    @property
    def logs(self) -> str:
        """The collection of log records that are no events."""
        return f"{self.collection}_logs"

    @property
    def rollups(self) -> str:
        """The collection of rollups: what each process counted, by function and hour."""
        return f"{self.collection}_rollups"


def options_of(given: Mapping[str, Any]) -> Options:
    """The options for arguments by their names; a setting stands in for each that is missing or None."""
    return Options(
        project=rows.FIRESTORE_PROJECT.read(given.get("project")),
        database=rows.FIRESTORE_DATABASE.read(given.get("database")),
        collection=rows.FIRESTORE_COLLECTION.read(given.get("collection")),
        ttl_ns=round(rows.FIRESTORE_TTL_DAYS.read(given.get("ttl_days")) * NS_PER_DAY),
        max_writes_per_s=rows.FIRESTORE_MAX_WRITES_PER_S.read(given.get("max_writes_per_s")),
        shards=rows.FIRESTORE_SHARDS.read(given.get("shards")),
    )


def options_at(url: str) -> Options:
    """The options for a url; raises `UnknownStoreError` for one that names no place in Firestore."""
    parts = urlsplit(url)
    project, collection = unquote(parts.netloc) or None, unquote(parts.path.strip("/")) or None
    database = parse_qs(parts.query).get("database", [None])[0]
    if collection is not None and "/" in collection:
        raise UnknownStoreError(
            f"{url[:100]!r} names no collection; expected firestore://project/collection, "
            "with ?database=name for another database than the default one."
        )
    return options_of({"project": project, "database": database, "collection": collection})


def require_client() -> None:
    """Raise `MissingExtraError` where Google's client is not installed; imports none of it."""
    try:
        is_there = find_spec("google.cloud.firestore") is not None
    except ImportError:
        is_there = False
    if not is_there:
        raise MissingExtraError("The firestore store", "google-cloud-firestore", "firestore")
