"""Every query that a reader makes has its index in the file, which no emulator asks for and production refuses without.

The rules are those of https://firebase.google.com/docs/firestore/query-data/index-overview: an index holds the fields
that are compared for equality, then the order, then what is summed; the direction counts; several indexes that go on
alike after their equalities are used together; a query of a collection group needs indexes of that scope.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from otel_tracker.query import StoreReader
from otel_tracker_exporters.firestore import asking, fields, index_file
from otel_tracker_exporters.firestore.connection import Connection
from otel_tracker_exporters.firestore.reader import FirestoreReader

Columns = tuple[tuple[str, str], ...]

DIRECTIONS = {0: "ASCENDING", 1: "ASCENDING", 2: "DESCENDING"}
START, END = "2026-01-01T00:00:00.5Z", "2026-01-03T00:00:00Z"
DURATIONS = {False: 1, True: 10**9}


class Recorder:
    """Stands for the server: keeps what it is asked and answers with many executions of one function."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, tuple[str, ...]]] = []
        self.names = 0

    def streamed(self, query: Any) -> list[Any]:
        message = query._to_protobuf()
        self.asked.append((message, ()))
        orders = {one.field.field_path: DIRECTIONS[one.direction] for one in message.order_by}
        found: dict[str, Any] = {}
        if "duration_ns" in orders:
            found = {"duration_ns": DURATIONS[orders["duration_ns"] == "DESCENDING"]}
        elif "qualified_name" in orders and self.names < 2:
            self.names += 1
            found = {"qualified_name": f"shop.f{self.names}", "names": ["f"]}
        elif message.limit == 1 and "trace_id" in orders and not self.names:
            self.names += 1
            found = {"trace_id": "ab" * 16, "timestamp": None}
        return [SimpleNamespace(id="x" * 48, to_dict=lambda: found)] if found else []

    def counted(self, query: Any) -> Any:
        message = query._to_protobuf()
        summed = tuple(one.sum.field.field_path for one in message.aggregations if "sum" in one)
        self.asked.append((message.structured_query, summed))
        return [[SimpleNamespace(alias="n", value=100_000), SimpleNamespace(alias="s", value=10**12)]]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder in the place of the server, behind Google's own client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        firestore = pytest.importorskip("google.cloud.firestore")
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.firestore_v1.aggregation import AggregationQuery

        client = firestore.Client(project="p", credentials=AnonymousCredentials())
    found = Recorder()
    monkeypatch.setattr(Connection, "client", lambda self: client)
    monkeypatch.setattr(asking, "_streamed", found.streamed)
    monkeypatch.setattr(AggregationQuery, "get", lambda self, **_: found.counted(self))
    yield found
    client.close()


def ask_everything(reader: StoreReader, recorder: Recorder) -> None:
    """Each kind of question with each combination of what it may be asked with."""
    for times in ({}, {"start_time": START}, {"end_time": END}, {"start_time": START, "end_time": END}):
        names: tuple[str | None, ...] = (None, "f", "shop.*")
        for name, status, kind, trace in itertools.product(names, (None, "failed"), (None, "server"), (None, "a" * 32)):
            list(reader.query_executions(name, status=status, kind=kind, trace_id=trace, **times))
        for name, trace in itertools.product(names, (None, "a" * 32)):
            list(reader.events(name, trace_id=trace, **times))
            list(reader.logs(name, trace_id=trace, **times))
        for name, kind in itertools.product(names, (None, "server")):
            recorder.names = 0
            reader.function_statistics(function_name=name, kind=kind, **times)
        for name in ("f", "shop.*", "*"):
            recorder.names = 0
            reader.get_statistics(name, **times)
    recorder.names = 0
    reader.get_trace("ab")
    list(reader._read_failures(["a" * 32, "b" * 32]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("shards", [0, 2])
def test_every_query_has_its_index(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    """None that the reader makes is refused in production once the file is deployed; with shards neither."""
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_SHARDS", str(shards))
    reader = FirestoreReader("firestore://p/function_tracking")
    ask_everything(reader, recorder)
    shapes = {shape_of(message, summed) for message, summed in recorder.asked}
    assert len(shapes) > 50
    served = indexes_by_group()
    assert not sorted(str(shape) for shape in shapes if not is_served(*shape, served))


def test_a_missing_index_is_noticed(recorder: Recorder) -> None:
    """The rules here are strict enough: without any one of a few indexes a query goes unserved."""
    reader = FirestoreReader("firestore://p/function_tracking")
    ask_everything(reader, recorder)
    shapes = {shape_of(message, summed) for message, summed in recorder.asked}
    served = indexes_by_group()
    spans = served["function_tracking"]
    for missing in ((("kind", "ASCENDING"), ("duration_ns", "DESCENDING"), ("timestamp", "DESCENDING")),
                    (("timestamp", "DESCENDING"),), (("names", "CONTAINS"), ("timestamp", "DESCENDING"))):  # fmt: skip
        fewer = {**served, "function_tracking": spans - {missing}}
        assert missing in spans
        assert not all(is_served(*shape, fewer) for shape in shapes)


@pytest.mark.parametrize("shards", [0, 4])
def test_file_is_one_that_firebase_takes(monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    """Nothing twice, nothing single among the composite ones, and few enough for two collections in a database."""
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_SHARDS", str(shards))
    content = index_file()
    assert len({str(one) for one in content["indexes"]}) == len(content["indexes"]) <= 100
    assert all(len(one["fields"]) >= 2 for one in content["indexes"])
    assert all(
        len({column["fieldPath"] for column in one["fields"]}) == len(one["fields"]) for one in content["indexes"]
    )
    overrides = content["fieldOverrides"]
    assert len({(one["collectionGroup"], one["fieldPath"]) for one in overrides}) == len(overrides) <= 100


def test_no_index_begins_with_the_time_where_there_are_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that grows with the time bounds the writes to a collection, which is what shards are for."""
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_SHARDS", "4")
    for group, indexes in indexes_by_group().items():
        for columns in indexes if not group.endswith("_rollups") else ():
            assert "timestamp" not in dict(columns) or columns[0][0] == fields.SHARD, (group, columns)


def indexes_by_group() -> dict[str, set[Columns]]:
    """The indexes of the file, those of single fields too."""
    content = index_file()
    found: dict[str, set[Columns]] = {}
    for one in content["indexes"]:
        columns = tuple((each["fieldPath"], each.get("order", each.get("arrayConfig"))) for each in one["fields"])
        found.setdefault(one["collectionGroup"], set()).add(columns)
    for one in content["fieldOverrides"]:
        for index in one["indexes"]:
            assert index["queryScope"] == "COLLECTION_GROUP"
            found.setdefault(one["collectionGroup"], set()).add(((one["fieldPath"], index["order"]),))
    return found


def shape_of(message: Any, summed: tuple[str, ...]) -> tuple[str, frozenset[tuple[str, str]], Columns, tuple[str, ...]]:
    """What decides which indexes serve a query: collection, equalities, order, sums."""
    (source,) = message.from_
    assert source.all_descendants
    operators = type(message).FieldFilter.Operator
    where = message.where
    filters = [one.field_filter for one in where.composite_filter.filters] or (
        [where.field_filter] if where.field_filter.op else []
    )
    equal, ranged = set(), set()
    for one in filters:
        name = one.field.field_path
        if one.op == operators.ARRAY_CONTAINS:
            equal.add((name, "CONTAINS"))
        elif one.op in (operators.EQUAL, operators.IN):
            equal.add((name, "ASCENDING"))
        else:
            ranged.add(name)
    order = [(one.field.field_path, DIRECTIONS[one.direction]) for one in message.order_by]
    direction = order[-1][1] if order else "ASCENDING"
    order += [(name, direction) for name in sorted(ranged - {name for name, _ in order})]  # as the server adds them
    return source.collection_id, frozenset(equal), tuple(one for one in order if one[0] != "__name__"), summed


def is_served(
    group: str,
    equal: frozenset[tuple[str, str]],
    order: Columns,
    summed: tuple[str, ...],
    served: dict[str, set[Columns]],
) -> bool:
    """Whether indexes answer a query, alone or several together."""
    end = (*order, *((name, "ASCENDING") for name in summed if name not in dict(order)))
    if not equal and not end:
        return True
    covered: set[tuple[str, str]] = set()
    is_ended = False
    for columns in served.get(group, ()):
        head, tail = columns[: len(columns) - len(end)], columns[len(columns) - len(end) :]
        if tail == end and set(head) <= equal:
            covered |= set(head)
            is_ended = True
    return is_ended and covered == equal
