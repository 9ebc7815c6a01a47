"""What the hostile tests share: a ledger of what was answered, every question that can be asked, the real exporters."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from otel_tracker.errors import StoreNotFoundError, StoreUnreadableError, UnknownStoreError
from otel_tracker.query import StoreReader
from otel_tracker.records import SpanRecord
from otel_tracker.stores import open_store

from ..helpers import BEGIN_NS, SECOND_NS, StoreUnderTest, make_span

REFUSALS = (StoreUnreadableError, StoreNotFoundError, UnknownStoreError)
"""What a reader may raise; whatever else it raises fails the test."""

Write = Callable[[Sequence[int], str], bool]


@dataclass
class Ledger:
    """Writes spans through ``write`` and remembers which were answered with True and which with False."""

    write: Write
    stored: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    next_number: int = 0

    def batch(self, size: int = 3, text: str = "") -> bool:
        """One batch of spans that were never written before; its answer is noted."""
        numbers = range(self.next_number, self.next_number + size)
        self.next_number += size
        answer = self.write(numbers, text)
        assert answer is True or answer is False
        (self.stored if answer else self.refused).update(numbers)
        return answer

    def batches_until(self, wanted: bool, *, size: int = 10, text: str = "", most: int = 500) -> int:
        """Write until the answer is the wanted one; how many batches that took."""
        for count in range(1, most + 1):
            if self.batch(size, text) is wanted:
                return count
        raise AssertionError(f"{most} batches were answered with {not wanted}")

    def check(self, *paths: Path) -> None:
        """What was answered True is there, in one of the stores; what was answered False is not."""
        found = set[int]().union(*map(numbers_in, paths))
        assert sorted(self.stored - found) == [], "answered True, and not there"
        assert sorted(found & self.refused) == [], "answered False, and there"


def through_writer(store: StoreUnderTest) -> Write:
    """Records, through the store's writer: the one that it opened first."""

    def write(numbers: Sequence[int], text: str) -> bool:
        return store.write(*(make_span(number, attributes={"text": text}) for number in numbers))

    return write


def through_exporter(exporter: SpanExporter) -> Write:
    """Spans of the SDK, through a store's exporter."""

    def write(numbers: Sequence[int], text: str) -> bool:
        return exporter.export([sdk_span(number, text) for number in numbers]) is SpanExportResult.SUCCESS

    return write


def sdk_span(number: int, text: str = "") -> ReadableSpan:
    """What `make_span` makes, as the SDK hands it to an exporter."""
    start_ns = BEGIN_NS + number * SECOND_NS
    return ReadableSpan(
        name="shop.total",
        context=SpanContext(number + 1, number + 1, is_remote=False, trace_flags=TraceFlags(1)),
        resource=Resource({"service.name": "shop"}),
        attributes={"text": text},
        instrumentation_scope=InstrumentationScope("shop"),
        start_time=start_ns,
        end_time=start_ns + 10_000_000,
    )


@lru_cache(maxsize=4)  # looked up once: whoever changes to another user may not be allowed to read it afterwards
def _exporter_type(kind: str) -> Any:
    (entry_point,) = entry_points(group="opentelemetry_traces_exporter", name=f"otel_tracker_{kind}")
    return entry_point.load()


def span_exporter(kind: str, path: Path, **options: object) -> SpanExporter:
    """The installed exporter of a kind of store."""
    exporter: SpanExporter = _exporter_type(kind)(path=path, **options)
    return exporter


class TracedProgram:
    """A program with a real provider and batch processor in front of a store; counts what its functions gave back."""

    def __init__(self, kind: str, path: Path) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        processor = BatchSpanProcessor(span_exporter(kind, path), schedule_delay_millis=20, export_timeout_millis=5_000)
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("shop")

    def run(self, name: str, calls: int = 20, text: str = "") -> None:
        """Call a traced function, whose results and exceptions must come through, then wait for the export."""
        for number in range(calls):
            assert self._double(name, number, text) == 2 * number
            with pytest.raises(TypeError, match="NoneType"):
                self._double(name, None, text)
        assert self.provider.force_flush(10_000)

    def _double(self, name: str, number: int | None, text: str) -> int:
        with self._tracer.start_as_current_span(name, attributes={"text": text}):
            return number * 2  # type: ignore[operator]


# --- questions --------------------------------------------------------------------------------------------------------

QUESTIONS: dict[str, Callable[[StoreReader], Any]] = {
    "executions": lambda reader: numbers_of(reader.query_executions(limit=None)),
    "newest": lambda reader: numbers_of(reader.query_executions("total", status="completed", limit=10)),
    "events": lambda reader: len(list(reader.events(limit=None))),
    "functions": lambda reader: reader.function_statistics(),
    "statistics": lambda reader: reader.get_statistics("t*l").total,
    "trace": lambda reader: len(reader.get_trace(f"{1:032x}")),
    "stored": lambda reader: numbers_of(stored.record for stored in reader.stored()),
    "tail": lambda reader: len(list(reader.tail(last=2, poll_s=0.01, timeout_s=0.0))),
}


@dataclass(frozen=True)
class Refusal:
    """The sentence with which a question was refused."""

    sentence: str


def ask_everything(path: Path) -> dict[str, Any]:
    """The answer to every question, or the sentence that came instead; each with a reader of its own."""
    return {name: ask(path, name) for name in QUESTIONS}


def ask(path: Path, question: str = "executions") -> Any:
    """One answer, or the `Refusal`."""
    try:
        with open_store(path) as reader:
            return QUESTIONS[question](reader)
    except REFUSALS as error:
        assert_is_sentence(str(error), path)
        return Refusal(str(error))


def numbers_in(path: Path) -> set[int]:
    """The numbers of the spans in a store; every other question must be answered as well."""
    answers = ask_everything(path)
    refusals = {name: answer.sentence for name, answer in answers.items() if isinstance(answer, Refusal)}
    assert not refusals, refusals
    numbers: set[int] = answers["executions"]
    assert answers["stored"] >= numbers
    return numbers


def numbers_of(records: Iterator[Any]) -> set[int]:
    spans = (record for record in records if isinstance(record, SpanRecord))
    return {(span.start_ns - BEGIN_NS) // SECOND_NS for span in spans}


def assert_is_sentence(text: str, path: Path) -> None:
    """It names the place, ends like a sentence and says what a person, not a programmer, understands."""
    assert path.stem in text
    assert text.endswith(".")
    assert 30 < len(text) < 500
    assert "\n" not in text
    for word in ("Traceback", "failed while", "Error", "Errno", "please report it"):
        assert word not in text, text


def assert_said_once(sentences: Sequence[str], path: Path, cause: str = "") -> None:
    """One sentence was logged, which names the cause, and no flood."""
    said = list(sentences)
    assert len(said) == 1, said
    assert_is_sentence(said[0], path)
    assert cause in said[0].lower(), said


# --- the state of the files -------------------------------------------------------------------------------------------


def assert_is_whole(kind: str, path: Path, most_torn_lines: int = 0) -> None:
    """No torn row; no more torn lines than that."""
    if kind == "sqlite":
        assert quick_check(path) == "ok"
    else:
        torn = torn_lines(path)
        assert len(torn) <= most_torn_lines, torn[:5]


def quick_check(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA quick_check").fetchone()[0])


def torn_lines(path: Path) -> list[bytes]:
    """The lines of a JSONL store, of all its files, that are no JSON object."""
    return [line[:80] for line in jsonl_lines(path) if not _is_object(line)]


def jsonl_lines(path: Path) -> Iterator[bytes]:
    """The lines that are not blank of all files of a JSONL store, those that were put aside first."""
    for file in sorted(path.parent.glob(f"{path.stem}*.jsonl*")):
        if file.name.endswith((".jsonl", ".jsonl.gz")):
            content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            yield from (line for line in content.split(b"\n") if line.strip())


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
