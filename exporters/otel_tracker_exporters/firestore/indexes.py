"""What ``firestore.indexes.json`` has to hold: the composite indexes of the queries, and what is not indexed at all.

Without the exemptions every field has two index entries a document, which cost storage and bound the writes to a
collection; without the composite indexes production refuses the queries (the emulator asks for none). Deploy it with
``firebase deploy --only firestore:indexes``. https://firebase.google.com/docs/reference/firestore/indexes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from otel_tracker_exporters.firestore import fields as f
from otel_tracker_exporters.firestore.options import Options, options_of

ASCENDING, DESCENDING, CONTAINS = "ASCENDING", "DESCENDING", "CONTAINS"
_GROUP = "COLLECTION_GROUP"

_NEWEST = (f.TIMESTAMP, DESCENDING)
_SHORTEST, _LONGEST = (f.DURATION_NS, ASCENDING), (f.DURATION_NS, DESCENDING)
_NAMED = (f.NAMES, CONTAINS)

_OLDEST = (f.TIMESTAMP, ASCENDING)
_STATUS = (f.STATUS, ASCENDING)

# What may follow the fields that are compared for equality: the order, then the field that is summed.
_BY_TIME = (_NEWEST,)
_BY_DURATION = (_SHORTEST,), (_LONGEST,), (_SHORTEST, _OLDEST), (_LONGEST, _NEWEST)
_SUMS = (_SHORTEST,), (_OLDEST, _SHORTEST)

_SPANS: tuple[tuple[tuple[str, str], ...], ...] = (
    # query_executions, and how many there are: newest first; two equalities are answered by two of these together
    *((one, *_BY_TIME) for one in (_NAMED, _STATUS, (f.KIND, ASCENDING), (f.TRACE_ID, ASCENDING))),
    ((f.QUALIFIED_NAME, ASCENDING), *_BY_TIME),
    (_NAMED, _STATUS, *_BY_TIME),
    ((f.FUNCTION_NAME, ASCENDING), *_BY_TIME),
    ((f.FUNCTION_NAME, ASCENDING), _STATUS, *_BY_TIME),
    # get_statistics and function_statistics: sums by status
    *((_STATUS, *end) for end in _SUMS),
    *((_NAMED, _STATUS, *end) for end in _SUMS),
    *(((f.QUALIFIED_NAME, ASCENDING), _STATUS, *end) for end in _SUMS),
    ((f.KIND, ASCENDING), *_SUMS[1]),
    # the shortest, the longest, and how many took no longer
    *((_NAMED, *end) for end in _BY_DURATION),
    *(((f.QUALIFIED_NAME, ASCENDING), *end) for end in _BY_DURATION),
    *(((f.KIND, ASCENDING), *end) for end in _BY_DURATION),
    *_BY_DURATION[2:],
)
_OF_SHARDS = (_BY_TIME, *_BY_DURATION[:2])
"""What single fields answer where there are no shards."""

_EVENTS = (((f.NAME, ASCENDING), _NEWEST), ((f.TRACE_ID, ASCENDING), _NEWEST))
_LOGS = (((f.LOGGER, ASCENDING), _NEWEST), ((f.TRACE_ID, ASCENDING), _NEWEST))
_ROLLUPS = ((_NAMED, (f.HOUR, ASCENDING)), ((f.QUALIFIED_NAME, ASCENDING), (f.HOUR, ASCENDING)))

# What queries need of single fields in the collection group, which Firestore indexes only on request.
_SINGLE_OF_SPANS: dict[str, tuple[str, ...]] = {
    f.TIMESTAMP: (DESCENDING,),
    f.TRACE_ID: (ASCENDING,),
    f.STATUS: (ASCENDING,),
    f.QUALIFIED_NAME: (ASCENDING,),
    f.DURATION_NS: (ASCENDING, DESCENDING),
}
_SINGLE_OF_OTHERS: dict[str, tuple[str, ...]] = {f.TIMESTAMP: (DESCENDING,)}
_SINGLE_OF_ROLLUPS: dict[str, tuple[str, ...]] = {f.HOUR: (ASCENDING,)}
_OF_ROLLUPS = (f.COUNTS, f.BUCKETS, f.ZEROS, f.FINISHED, f.INSTANCE, f.WRITTEN_AT)


@dataclass(frozen=True, slots=True)
class _Group:
    """One collection: its composite indexes, its indexes of single fields, and the fields without any."""

    name: str
    composites: tuple[tuple[tuple[str, str], ...], ...]
    singles: Mapping[str, tuple[str, ...]]
    unindexed: tuple[str, ...]
    is_sharded: bool = False


def index_file(collection: str | None = None) -> dict[str, Any]:
    """The file's content, for the collection of spans that is given, else that of the setting, and those beside it."""
    groups = _groups(options_of({"collection": collection}))
    return {
        "indexes": [_composite(group, columns) for group in groups for columns in group.composites],
        "fieldOverrides": [one for group in groups for one in _overrides(group)],
    }


def _groups(options: Options) -> tuple[_Group, ...]:
    spans = _Group(options.collection, _SPANS, _SINGLE_OF_SPANS, f.NOT_INDEXED)
    events = _Group(options.events, _EVENTS, _SINGLE_OF_OTHERS, f.NOT_INDEXED_OF_EVENTS)
    logs = _Group(options.logs, _LOGS, _SINGLE_OF_OTHERS, f.NOT_INDEXED_OF_LOGS)
    rollups = _Group(options.rollups, _ROLLUPS, _SINGLE_OF_ROLLUPS, _OF_ROLLUPS)
    if options.shards:
        spans, events, logs = _sharded(spans, _OF_SHARDS), _sharded(events, (_BY_TIME,)), _sharded(logs, (_BY_TIME,))
    return spans, events, logs, rollups


def _sharded(group: _Group, alone: tuple[tuple[tuple[str, str], ...], ...]) -> _Group:
    """The shard in front of everything: an index that begins with the time is what bounds the writes."""
    composites = tuple(((f.SHARD, ASCENDING), *columns) for columns in (*alone, *group.composites))
    return replace(group, composites=composites, singles={**group.singles, f.TIMESTAMP: ()})


def _composite(group: _Group, columns: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {
        "collectionGroup": group.name,
        "queryScope": _GROUP,
        "fields": [
            {"fieldPath": name, ("arrayConfig" if order == CONTAINS else "order"): order} for name, order in columns
        ],
    }


def _overrides(group: _Group) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"collectionGroup": group.name, "fieldPath": name, "indexes": []} for name in sorted(group.unindexed)
    ]
    for name, orders in group.singles.items():
        indexes = [{"order": order, "queryScope": _GROUP} for order in orders]
        found.append({"collectionGroup": group.name, "fieldPath": name, "indexes": indexes})
    return [*found, {"collectionGroup": group.name, "fieldPath": f.EXPIRE_AT, "ttl": True, "indexes": []}]
