"""Documents of somebody else's in the same collection: they are passed over, and no question fails for them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from stores.helpers import BEGIN_NS, make_event, make_span

from otel_tracker import open_store
from otel_tracker.query import StoreReader
from otel_tracker_exporters.firestore import STORE, statistics
from otel_tracker_exporters.firestore.decoding import FAULTS, event_of, log_of, span_of
from otel_tracker_exporters.firestore.rollups import Histogram, merged

from .support import client_of

NOW = datetime.fromtimestamp(BEGIN_NS // 10**9, timezone.utc) + timedelta(hours=1)
OWN = {
    "function_name": "f", "names": ["f", "m.f"], "qualified_name": "m.f", "module": "m", "status": "completed",
    "timestamp": NOW, "duration_ns": 5, "start_time_ns": BEGIN_NS, "end_time_ns": BEGIN_NS + 5, "kind": "internal",
    "trace_id": "a" * 32, "span_id": "b" * 16, "name": "n", "logger": "l", "time_ns": BEGIN_NS,
}  # fmt: skip
NAMES = (*OWN, "input", "output", "error", "custom_fields", "attributes", "events", "links", "resource", "json_text",
         "input_form", "scope", "severity", "properties", "body", "status_code", "parent_span_id")  # fmt: skip
STRANGE = (5, 1e300, float("inf"), "x", None, True, b"x", [1], [{}], {"a": 1}, {"type": 1}, NOW, "[" * 100_000, "[1]")


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_field_holds_is_a_whole_record_or_none(name: str) -> None:
    """What is decoded can be compared, sorted and shown as every record; all else is one of the known faults."""
    for value in STRANGE:
        fields = {**OWN, name: value}
        for decode in (lambda found: span_of("x" * 48, found), event_of, log_of):
            try:
                record: Any = decode(fields)
            except FAULTS:
                continue
            assert record.to_dict()
            assert sorted([record.span_id, ""])
            assert "traceback" not in record.error


def test_rollup_of_somebody_else_changes_nothing() -> None:
    """Percentiles are taken from those that can be read."""
    own = {"finished": 2, "zeros": 0, "buckets": {"7": 2}}
    strange: list[dict[str, Any]] = [{"buckets": {"a": 1}}, {"buckets": 5}, {"finished": "x"}, {"zeros": None}]
    assert merged([*strange, own, *strange]) == Histogram({7: 2}, 0, 2)


@pytest.mark.slow
@pytest.mark.xdist_group("firestore")
@pytest.mark.parametrize("shards", ["0", "2"])
@pytest.mark.parametrize("scanned", [1_000, 0], ids=["scanned", "counted"])
def test_no_question_fails_for_them(
    firestore_project: str, monkeypatch: pytest.MonkeyPatch, scanned: int, shards: str
) -> None:
    """Queries, traces and statistics answer with what is otel-tracker's own."""
    monkeypatch.setattr(statistics, "SCANNED", scanned)
    monkeypatch.setenv("OTEL_TRACKER_FIRESTORE_SHARDS", shards)
    location = f"firestore://{firestore_project}/function_tracking"
    assert STORE.open_writer is not None
    writer = STORE.open_writer(location, None)
    spans = [make_span(number, function="f", module="m") for number in range(3)]
    assert writer.write([*spans, make_event(1)])
    writer.close()
    with client_of(firestore_project) as client:
        batch = client.batch()
        for number, name in enumerate(("timestamp", "names", "qualified_name", "duration_ns", "status", "error")):
            for value in ("x", 7, [1]):
                document = {**OWN, "kind": "foreign", "shard": number % 2, name: value}
                batch.set(client.collection("function_tracking").document(), document)
        batch.set(client.collection("function_tracking").document(), {"timestamp": NOW, "shard": 0})
        batch.set(client.collection("function_tracking_events").document(), {"timestamp": NOW, "name": 5, "shard": 0})
        batch.set(client.collection("function_tracking_rollups").document(), {"hour": NOW, "buckets": {"x": 1}})
        batch.commit()
    with open_store(location) as reader:
        ask(reader, spans)


def ask(reader: StoreReader, spans: list[Any]) -> None:
    found = list(reader.query_executions(limit=None))
    assert [span for span in found if span.kind != "foreign"] == spans[::-1]
    assert [span.name for span in reader.events()] == [make_event(1).name]
    assert reader.get_trace("a" * 32)
    assert reader.get_statistics("m.*").total >= 3
    assert reader.get_statistics("*").total >= 3
    assert "m.f" in {one.function_name for one in reader.function_statistics(limit=None)}
