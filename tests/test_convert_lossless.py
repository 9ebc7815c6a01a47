"""No format loses anything: whatever a record may hold comes back from every other store as it was."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import event_records, log_records, metric_records, span_records

from otel_tracker.convert import Conversion, Converted, Progress, conversion
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, Record, SpanRecord
from otel_tracker.stores import find_place, open_store
from otel_tracker.timestamps import format_time

FORMATS = {"sqlite": (".db", None), "record": (".jsonl", "record"), "otlp": (".jsonl", "otlp")}
# Three ways in every run, one out of each format and one into each; the others where the slow tests run.
QUICK_WAYS = {("record", "sqlite"), ("sqlite", "otlp"), ("otlp", "record")}
WAYS = [
    pytest.param(*way, marks=[] if way in QUICK_WAYS else pytest.mark.slow, id="-".join(way))
    for way in itertools.product(FORMATS, FORMATS)
]

spans = st.lists(span_records(), max_size=5, unique_by=lambda span: (span.trace_id, span.span_id))
events = st.lists(event_records(), max_size=4)
logs = st.lists(log_records(), max_size=4)
points = st.lists(metric_records(), max_size=4)


def contents(records: Iterable[Record]) -> Counter[str]:
    """The records as JSON, where 1, 1.0 and true are three values."""
    return Counter(json.dumps(record.to_dict(), sort_keys=True) for record in records)


def counted(converted: Converted) -> tuple[int, int, int, int]:
    counts = converted.counts
    return counts.spans, counts.events, counts.logs, counts.metrics


class StopError(Exception):
    """Ends a conversion between two batches."""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("change", ["nothing", "deleted", "copied", "added to", "emptied"])
def test_whatever_happens_to_the_target_between_two_runs(
    name: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted conversion ends with everything in the target once, deleted or replaced as it may have been."""
    monkeypatch.setattr(conversion, "BATCH_RECORDS", 10)
    span = SpanRecord("ab" * 16, "", "work", 1, 2)
    records = [
        record
        for number in range(1, 50)
        for record in (
            replace(span, span_id=f"{number:016x}"),
            EventRecord("cart.paid", number % 5) if number % 2 else LogRecord(number % 4, body="paid"),
        )
    ]
    with closing(find_place(tmp_path / "a.jsonl").open_writer()) as writer:
        writer.store(records)
    suffix, target_format = FORMATS[name]
    target = tmp_path / f"b{suffix}"
    with pytest.raises(StopError):
        Conversion(str(tmp_path / "a.jsonl"), str(target), target_format).run(_stop_after(60))
    added = EventRecord("added", 7)
    for file in [path for path in tmp_path.glob("b*") if path.is_file()]:
        if change == "deleted":
            file.unlink()
        elif change == "copied":
            shutil.copy2(file, tmp_path / "copy")
            (tmp_path / "copy").replace(file)
        elif change == "emptied" and suffix != ".db":
            file.write_bytes(b"")
    if change == "added to":
        with closing(find_place(target).open_writer(target_format)) as writer:
            writer.store([added])
    converted = Conversion(str(tmp_path / "a.jsonl"), str(target), target_format).run()
    if change in ("nothing", "added to"):
        assert converted.is_resumed
    with open_store(target) as reader:
        found = contents(stored.record for stored in reader.stored())
    assert found == contents([*records, added] if change == "added to" else records)
    assert [path for path in tmp_path.iterdir() if ".convert" in path.name] == []


@pytest.mark.parametrize("stop_after", [1, 10, 11, 14])
@pytest.mark.parametrize("ending", ["", "newline", "another"])
def test_a_last_line_without_its_newline_is_written_once(
    stop_after: int, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the conversion was interrupted, and whether or not the line is complete when it goes on."""
    monkeypatch.setattr(conversion, "BATCH_RECORDS", 5)
    records = [EventRecord("cart.paid", number % 5) for number in range(11)]
    source, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    with closing(find_place(source).open_writer()) as writer:
        writer.store(records)
    with source.open("rb+") as file:
        file.truncate(source.stat().st_size - 1)
    with suppress(StopError):
        Conversion(str(source), str(target)).run(_stop_after(stop_after))
    if ending:
        source.write_bytes(source.read_bytes() + b"\n")
    if ending == "another":
        with closing(find_place(source).open_writer()) as writer:
            writer.store(records[:3])
        records += records[:3]
    Conversion(str(source), str(target)).run()
    with open_store(target) as reader:
        assert contents(stored.record for stored in reader.stored()) == contents(records)


def _stop_after(records: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.records >= records:
            raise StopError

    return on_progress


@pytest.mark.parametrize("depth", [24, 31, 32, 33, 60])
def test_values_survive_however_deep_they_are(depth: int, tmp_path: Path) -> None:
    """Up to 60 containers inside each other come back from every format, wherever in a record they are."""
    deep: Any = {"k": [depth]}
    for number in range(depth - 2):
        deep = [deep] if number % 2 else {"k": deep, "": 1.0}
    span = SpanRecord("ab" * 16, "cd" * 8, "work", 1, 2)
    event = EventRecord("cart.paid", 3)
    inside = {"a": deep}
    records = [
        replace(span, args={"a": deep, "b": 1}, result=deep, has_result=True),
        replace(span, span_id="01" * 8, attributes=inside, resource=inside),
        replace(span, span_id="02" * 8, events=[{"name": "e", "time": format_time(1), "attributes": inside}]),
        replace(
            span, span_id="03" * 8, links=[{"trace_id": "0a" * 16, "span_id": "0b" * 8, "attributes": {"a": deep}}]
        ),
        replace(event, properties=inside),
        replace(event, body=deep, resource=inside),
        LogRecord(4, body=deep, attributes=inside, resource=inside),
    ]
    path = tmp_path / "a.jsonl"
    with closing(find_place(path).open_writer()) as writer:
        writer.store(records)
    for number, name in enumerate(("otlp", "sqlite", "otlp", "record")):
        source, path = path, tmp_path / f"{number}{FORMATS[name][0]}"
        converted = Conversion(str(source), str(path), FORMATS[name][1]).run()
        assert converted.counts.unwritable == 0
        with open_store(path) as reader:
            assert contents(stored.record for stored in reader.stored()) == contents(records)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), WAYS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(spans=spans, events=events, logs=logs, points=points)
def test_records_survive_the_way_there_and_back(
    first: str,
    second: str,
    spans: list[SpanRecord],
    events: list[EventRecord],
    logs: list[LogRecord],
    points: list[MetricRecord],
) -> None:
    """Stored in one format, converted to another and back again: equal, and as often as before."""
    events, logs, points = [*events, *events[:1]], [*logs, *logs[:1]], [*points, *points[:1]]
    records = [*spans, *events, *logs, *points]
    with tempfile.TemporaryDirectory() as folder:
        places = [
            (Path(folder) / f"{number}{FORMATS[name][0]}", FORMATS[name][1])
            for number, name in enumerate((first, second, first))
        ]
        with closing(find_place(places[0][0]).open_writer(places[0][1])) as writer:
            writer.store(records)
            assert writer.unwritable == 0
        if not records:
            return
        for (source, _), (target, target_format) in pairwise(places):
            converted = Conversion(str(source), str(target), target_format).run()
            assert counted(converted) == (len(spans), len(events), len(logs), len(points))
            assert counted(Conversion(str(source), str(target), target_format).run()) == (0, 0, 0, 0)
        for path, _ in places:
            with open_store(path) as reader:
                assert contents(stored.record for stored in reader.stored()) == contents(records)
