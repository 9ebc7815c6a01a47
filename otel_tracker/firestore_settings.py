"""The settings of the `firestore` destination; a part of the table of `otel_tracker.settings`."""

from __future__ import annotations

from typing import Any

from otel_tracker.setting_sources import Setting, text_setting
from otel_tracker.setting_values import parse_collection, parse_days, parse_shards, parse_whole

FIRESTORE_PROJECT = text_setting(
    "firestore_project",
    "OTEL_TRACKER_FIRESTORE_PROJECT",
    "the id of a Google Cloud project",
    "The Google Cloud project of the `firestore` store; unset, `GOOGLE_CLOUD_PROJECT`, else that of the credentials.",
    fallbacks=("GOOGLE_CLOUD_PROJECT",),
)
FIRESTORE_DATABASE = Setting(
    "firestore_database",
    "OTEL_TRACKER_FIRESTORE_DATABASE",
    "(default)",
    lambda value: str(value).strip(),
    "the id of a Firestore database",
    "Set it to (default), or unset it.",
    "The database of the `firestore` store in that project.",
)
FIRESTORE_COLLECTION = Setting(
    "firestore_collection",
    "OTEL_TRACKER_FIRESTORE_COLLECTION",
    "function_tracking",
    parse_collection,
    "a name of at most 200 characters without a slash, that neither is . or .. nor begins with two underscores",
    "Set it to function_tracking, or unset it.",
    "The collection of the `firestore` store; events, logs and rollups lie in collections named after it.",
)
FIRESTORE_TTL_DAYS = Setting(
    "firestore_ttl_days",
    "OTEL_TRACKER_FIRESTORE_TTL_DAYS",
    0.0,
    parse_days,
    "a number of days from 0",
    "Set it to 30, or to 0 for no limit.",
    "After how many days a document of the `firestore` store may be deleted: its field `expire_at`, for which the "
    "database needs a TTL policy. 0 means never.",
)
FIRESTORE_MAX_WRITES_PER_S = Setting(
    "firestore_max_writes_per_s",
    "OTEL_TRACKER_FIRESTORE_MAX_WRITES_PER_S",
    400,
    parse_whole,
    "a whole number from 0",
    "Set it to 400, or to 0 for no limit.",
    "How many documents a process writes to the `firestore` store in a second, on average; more wait in memory and in "
    "the journal. 0 means no limit.",
)
FIRESTORE_SHARDS = Setting(
    "firestore_shards",
    "OTEL_TRACKER_FIRESTORE_SHARDS",
    0,
    parse_shards,
    "a whole number from 0 to 100",
    "Set it to 0, or unset it.",
    "Over how many values of a field `shard` documents of the `firestore` store are spread, so that the indexes which "
    "begin with it take more than 500 writes a second; readers need the same number. 0 means no such field.",
)
FIRESTORE_SETTINGS: tuple[Setting[Any], ...] = (
    FIRESTORE_PROJECT,
    FIRESTORE_DATABASE,
    FIRESTORE_COLLECTION,
    FIRESTORE_TTL_DAYS,
    FIRESTORE_MAX_WRITES_PER_S,
    FIRESTORE_SHARDS,
)
"""In the order of the table."""
