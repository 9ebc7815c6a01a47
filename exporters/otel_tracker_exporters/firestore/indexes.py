"""What ``firestore.indexes.json`` has to hold: the composite indexes of the queries, and what is not indexed at all.

Without the exemptions every field has two index entries a document, which cost storage and bound the writes to a
collection; without the composite indexes production refuses the queries (the emulator asks for none). Deploy it with
``firebase deploy --only firestore:indexes``. https://firebase.google.com/docs/reference/firestore/indexes
"""

from __future__ import annotations

from typing import Any

from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.options import Options, options_of

ASCENDING, DESCENDING, CONTAINS = "ASCENDING", "DESCENDING", "CONTAINS"
_GROUP, _COLLECTION = "COLLECTION_GROUP", "COLLECTION"

_NEWEST = (f.TIMESTAMP, DESCENDING)
_SHORTEST, _LONGEST = (f.DURATION_NS, ASCENDING), (f.DURATION_NS, DESCENDING)
_NAMED = (f.NAMES, CONTAINS)

_SPANS: tuple[tuple[tuple[str, str], ...], ...] = (
    # query_executions: by name, status, kind and trace, newest first; two equalities are answered by two of these
    (_NAMED, _NEWEST),
    (_NAMED, (f.STATUS, ASCENDING), _NEWEST),
    ((f.FUNCTION_NAME, ASCENDING), _NEWEST),
    ((f.FUNCTION_NAME, ASCENDING), (f.STATUS, ASCENDING), _NEWEST),
    ((f.STATUS, ASCENDING), _NEWEST),
    ((f.KIND, ASCENDING), _NEWEST),
    ((f.TRACE_ID, ASCENDING), _NEWEST),
    # get_statistics: counts and sums by status, and the shortest and the longest
    (_NAMED, (f.STATUS, ASCENDING), _SHORTEST),
    (_NAMED, (f.STATUS, ASCENDING), (f.TIMESTAMP, ASCENDING), _SHORTEST),
    ((f.STATUS, ASCENDING), _SHORTEST),
    ((f.STATUS, ASCENDING), (f.TIMESTAMP, ASCENDING), _SHORTEST),
    (_NAMED, _SHORTEST),
    (_NAMED, _LONGEST),
    (_NAMED, _SHORTEST, (f.TIMESTAMP, ASCENDING)),
    (_NAMED, _LONGEST, (f.TIMESTAMP, DESCENDING)),
    (_SHORTEST, (f.TIMESTAMP, ASCENDING)),
    (_LONGEST, (f.TIMESTAMP, DESCENDING)),
    # function_statistics: the same, function by function
    ((f.QUALIFIED_NAME, ASCENDING), (f.STATUS, ASCENDING), _SHORTEST),
    ((f.QUALIFIED_NAME, ASCENDING), (f.STATUS, ASCENDING), (f.TIMESTAMP, ASCENDING), _SHORTEST),
    ((f.QUALIFIED_NAME, ASCENDING), _SHORTEST),
    ((f.QUALIFIED_NAME, ASCENDING), _LONGEST),
    ((f.QUALIFIED_NAME, ASCENDING), _SHORTEST, (f.TIMESTAMP, ASCENDING)),
    ((f.QUALIFIED_NAME, ASCENDING), _LONGEST, (f.TIMESTAMP, DESCENDING)),
)
_EVENTS = (((f.NAME, ASCENDING), _NEWEST), ((f.TRACE_ID, ASCENDING), _NEWEST))
_LOGS = (((f.LOGGER, ASCENDING), _NEWEST), ((f.TRACE_ID, ASCENDING), _NEWEST))
_ROLLUPS = ((_NAMED, (f.HOUR, ASCENDING)), ((f.QUALIFIED_NAME, ASCENDING), (f.HOUR, ASCENDING)))

# What queries need of single fields in the collection group, which Firestore indexes only on request.
_SINGLE: dict[str, tuple[str, ...]] = {
    f.TIMESTAMP: (ASCENDING, DESCENDING),
    f.TRACE_ID: (ASCENDING,),
    f.STATUS: (ASCENDING,),
    f.QUALIFIED_NAME: (ASCENDING,),
    f.DURATION_NS: (ASCENDING, DESCENDING),
    f.HOUR: (ASCENDING,),
}
_OF_ROLLUPS = (f.COUNTS, f.BUCKETS, f.ZEROS, f.FINISHED, f.INSTANCE, f.WRITTEN_AT)


def index_file(collection: str | None = None) -> dict[str, Any]:
    """The file's content, for the collection of spans that is given, else that of the setting, and those beside it."""
    options = options_of({"collection": collection})
    groups = _groups(options)
    return {
        "indexes": [_composite(group, columns, options) for group, indexes, _ in groups for columns in indexes],
        "fieldOverrides": [one for group, _, unindexed in groups for one in _overrides(group, unindexed)],
    }


def _groups(options: Options) -> tuple[tuple[str, Any, tuple[str, ...]], ...]:
    return (
        (options.collection, _SPANS, f.NOT_INDEXED),
        (options.events, _EVENTS, _but(f.NAME)),
        (options.logs, _LOGS, _but(f.NAME)),
        (options.rollups, _ROLLUPS, _OF_ROLLUPS),
    )


def _but(name: str) -> tuple[str, ...]:
    return tuple(one for one in f.NOT_INDEXED if one != name)


def _composite(group: str, columns: tuple[tuple[str, str], ...], options: Options) -> dict[str, Any]:
    shard = ((f.SHARD, ASCENDING),) if options.shards and columns[-1] == _NEWEST else ()
    return {
        "collectionGroup": group,
        "queryScope": _GROUP,
        "fields": [
            {"fieldPath": name, ("arrayConfig" if order == CONTAINS else "order"): order}
            for name, order in (*shard, *columns)
        ],
    }


def _overrides(group: str, unindexed: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"collectionGroup": group, "fieldPath": name, "indexes": []} for name in sorted(unindexed)
    ]
    for name, orders in _SINGLE.items():
        indexes = [{"order": order, "queryScope": _GROUP} for order in orders]
        found.append({"collectionGroup": group, "fieldPath": name, "indexes": indexes})
    return [*found, {"collectionGroup": group, "fieldPath": f.EXPIRE_AT, "ttl": True, "indexes": []}]
