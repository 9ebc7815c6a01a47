"""What the store tests share: a way to write records into each kind of store, and to make records."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from otel_tracker.query import StoreReader
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, Record, SpanRecord
from otel_tracker.stores import open_store
from otel_tracker.timestamps import format_time
from otel_tracker_exporters.jsonl.writer import JsonlWriter
from otel_tracker_exporters.sqlite.writer import SqliteWriter

BEGIN_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
SUFFIXES = {"sqlite": ".db", "jsonl": ".jsonl"}
WRITING_PROCESS = Path(__file__).with_name("writing_process.py")

_numbers = count(1)


def make_span(number: int | None = None, **fields: Any) -> SpanRecord:
    """A span of its own trace, ``number`` seconds after `BEGIN_NS`, that took 10 ms."""
    number = next(_numbers) if number is None else number
    start_ns = fields.pop("start_ns", BEGIN_NS + number * SECOND_NS)
    values: dict[str, Any] = {
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "name": "shop.total",
        "function": "total",
        "module": "shop",
        "start_ns": start_ns,
        "end_ns": start_ns + 10_000_000,
        **fields,
    }
    return SpanRecord(**values)


def make_event(number: int, **fields: Any) -> EventRecord:
    """An event ``number`` seconds after `BEGIN_NS`."""
    return EventRecord(**{"name": "checkout.completed", "time_ns": BEGIN_NS + number * SECOND_NS, **fields})


def make_log(number: int, **fields: Any) -> LogRecord:
    """A log record ``number`` seconds after `BEGIN_NS`."""
    values = {"severity": "WARNING", "body": "slow query", "logger": "shop.db", **fields}
    return LogRecord(**{"time_ns": BEGIN_NS + number * SECOND_NS, **values})


def make_metric(number: int, **fields: Any) -> MetricRecord:
    """A counter's increase by 1 in the second that ends ``number`` seconds after `BEGIN_NS`."""
    time_ns = BEGIN_NS + number * SECOND_NS
    kind = fields.get("kind", "counter")
    values = {"kind": kind, "start_ns": time_ns - SECOND_NS, **fields}
    if kind == "counter":
        values = {"value": 1, "temporality": "delta", **values}
    return MetricRecord(**{"name": "shop.orders", "time_ns": time_ns, **values})


def ids(records: Sequence[SpanRecord] | Iterator[SpanRecord]) -> list[str]:
    return [record.span_id for record in records]


@dataclass
class StoreUnderTest:
    """A store's file, how records get into it, and how they are asked for."""

    kind: str
    path: Path
    writers: list[SqliteWriter | JsonlWriter] = field(default_factory=list)
    readers: list[StoreReader] = field(default_factory=list)
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def new_writer(self, path: Path | None = None) -> SqliteWriter | JsonlWriter:
        location = str(path or self.path)
        writer = SqliteWriter(location) if self.kind == "sqlite" else JsonlWriter(location)
        self.writers.append(writer)
        return writer

    def write(self, *records: Record) -> bool:
        """One batch, through a writer of the store's own."""
        writer = self.writers[0] if self.writers else self.new_writer()
        return writer.write(records)

    def reader(self) -> StoreReader:
        reader = open_store(self.path)
        self.readers.append(reader)
        return reader

    def start_process(self, *arguments: object) -> subprocess.Popen[str]:
        """A child that runs ``writing_process.py`` on this store."""
        command = [sys.executable, "-W", "ignore::DeprecationWarning", str(WRITING_PROCESS), self.kind, str(self.path)]
        child = subprocess.Popen([*command, *map(str, arguments)], text=True, stdout=subprocess.PIPE)
        self.children.append(child)
        return child

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        for closable in (*self.writers, *self.readers):
            closable.close()


def left_beside(path: Path) -> list[str]:
    """The names of what lies in a store's folder."""
    return sorted(os.listdir(path.parent))


FULL_SPAN = SpanRecord(
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    parent_span_id="00f067aa0ba902b7",
    name="shop.cart.Cart.total",
    kind="server",
    function="Cart.total",
    module="shop.cart",
    status="failed",
    start_ns=BEGIN_NS + 123_456_789,
    end_ns=BEGIN_NS + 987_654_321,
    args={"items": [1, 2.5, None, True, {"deep": ["x"]}], "empty": {}},
    result=None,
    has_result=True,
    error={"type": "ValueError", "message": "bad", "traceback": "Traceback ...\n"},
    attributes={"http.route": "/cart", "n": -1},
    events=({"name": "exception", "time": format_time(BEGIN_NS), "attributes": {"a": 1}},),
    links=({"trace_id": "1" * 32, "span_id": "2" * 16},),
    status_code="ERROR",
    status_message="bad",
    scope="otel_tracker",
    resource={"service.name": "shop"},
)
FULL_EVENT = EventRecord(
    name="checkout.completed",
    time_ns=BEGIN_NS + 1,
    severity="ERROR",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    properties={"event_name": "x", "amount": 9.5, "list": [1, {"a": None}]},
    body={"text": "b"},
    error={"type": "E", "message": "m"},
    resource={"service.name": "shop"},
)

FULL_LOG = LogRecord(
    time_ns=BEGIN_NS + 1,
    severity="ERROR",
    body="payment failed",
    logger="shop.pay",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    attributes={"code.line.number": 7, "list": [1, {"a": None}]},
    error={"type": "E", "message": "m", "traceback": "Traceback ...\n"},
    resource={"service.name": "shop"},
)

FULL_METRIC = MetricRecord(
    name="shop.duration",
    time_ns=BEGIN_NS + 1,
    kind="histogram",
    unit="s",
    description="How long the shop takes",
    start_ns=BEGIN_NS - 1,
    attributes={"region": "eu", "n": 1, "list": [1, {"a": None}]},
    count=3,
    sum=7.5,
    min=0.5,
    max=6.25,
    buckets=((1.0, 1), (5.0, 1), (None, 1)),
    temporality="delta",
    exemplars=(
        {
            "value": 6.25,
            "time": format_time(BEGIN_NS),
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "b7ad6b7169203331",
            "attributes": {"user": "x"},
        },
        {"value": 1, "time": format_time(BEGIN_NS)},
    ),
    scope="shop.lib",
    resource={"service.name": "shop"},
)
FULL_EXPONENTIAL = MetricRecord(
    name="shop.size",
    time_ns=BEGIN_NS + 2,
    kind="exponential_histogram",
    count=4,
    sum=-1.5,
    exponential={
        "scale": -3,
        "zero_count": 1,
        "zero_threshold": 0.25,
        "positive": {"offset": 1, "counts": [0, 2]},
        "negative": {"offset": -7, "counts": [1]},
    },
    temporality="cumulative",
)
FULL_SUMMARY = MetricRecord(
    name="rpc", time_ns=BEGIN_NS + 3, kind="summary", count=2, sum=3.0, quantiles=((0.5, 1.0), (0.99, 2.0))
)


def let_others_pass(folder: Path) -> None:
    """Temporary folders are private, and the child is somebody else when the tests run as root."""
    for parent in folder.parents:
        if os.access(parent, os.W_OK) and parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
