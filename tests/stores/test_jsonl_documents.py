"""One JSON document as a jsonl store: read whole up to a size, refused beyond it, and told from a file of lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otel_tracker.errors import StoreUnreadableError
from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker_exporters.jsonl import documents, files
from otel_tracker_exporters.jsonl.lines import encode_line
from otel_tracker_exporters.jsonl.reader import JsonlReader

from .helpers import ids, make_span
from .jsonl_support import OTLP_EXAMPLE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.jsonl"


def lines(*records: SpanRecord | EventRecord) -> bytes:
    return b"".join(map(encode_line, records))


def read(path: Path) -> tuple[list[str], int]:
    """The span ids found, newest first, and the number of lines passed over."""
    with JsonlReader(str(path)) as reader:
        return ids(reader.query_executions(limit=None)), reader.skipped_lines


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n\n"])
def test_a_document_over_several_lines_is_read_whole(
    path: Path, indent: int | None, newline: bytes, mark: bytes, end: bytes
) -> None:
    """The protocol's examples are such files; every query and every span of it is there."""
    content = json.dumps(OTLP_EXAMPLE, indent=indent).encode().replace(b"\n", newline)
    path = path.with_suffix(".json")
    path.write_bytes(mark + content + end)
    with JsonlReader(str(path)) as reader:
        assert [span.name for span in reader.query_executions()] == [f"GET /{n}" for n in (4, 3, 2, 1, 0)]
        assert reader.skipped_lines == 0
        assert sum(entry.total for entry in reader.function_statistics()) == 5
        assert len(reader.get_trace(f"{3:032x}")) == 1
        found = list(reader.stored())
        if indent or end:  # a line without its end may still grow
            assert len(found) == 5
            assert [len(list(reader.stored(stored.position))) for stored in found] == [4, 3, 2, 1, 0]


def test_a_broken_first_line_costs_no_other(path: Path) -> None:
    """What looks like the beginning of a document and is none is one line passed over."""
    for first in (b"{", b"{ ", b'{"resourceSpans": [', b"\xef\xbb\xbf{"):
        path.write_bytes(first + b"\n" + lines(make_span(1)) + b"}\n")
        assert read(path) == (ids([make_span(1)]), 2)


@pytest.mark.parametrize("indent", [None, 0, 1])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_document_that_is_too_large_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, end: bytes
) -> None:
    """A file is taken into memory whole only up to the length of a line; whoever asks is told so, and what to do."""
    _limit_documents(monkeypatch, 300)
    path.write_bytes(json.dumps(OTLP_EXAMPLE, indent=indent).encode() + end)
    with JsonlReader(str(path)) as reader:
        for ask in (
            lambda: list(reader.query_executions()),
            lambda: list(reader.events()),
            lambda: reader.function_statistics(),
            lambda: reader.get_trace("01"),
            lambda: list(reader.stored()),
            lambda: list(reader.tail(timeout_s=0)),
        ):
            with pytest.raises(StoreUnreadableError, match=r"is one JSON document of .* Split it into lines"):
                ask()


@pytest.mark.parametrize("first", [b"{", b'{"resourceSpans": [', b'{"x": "' + b"y" * 100_000 + b'"}', b"{" * 300_000])
@pytest.mark.parametrize("last", [b"", b"}\n", b"{}}\n", b'{"torn'])
def test_a_large_file_of_lines_is_no_document(
    path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, last: bytes
) -> None:
    """However broken or long its first line and its last are, all others are read."""
    _limit_documents(monkeypatch, 200_000)
    spans = [make_span(number) for number in range(700)]
    path.write_bytes(first + b"\n" + lines(*spans) + last)
    assert read(path)[0] == ids(reversed(spans))


def _limit_documents(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    for module in (documents, files):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", size_bytes)
    monkeypatch.setattr(documents, "HEAD_BYTES", size_bytes // 2)
    monkeypatch.setattr(files, "_BLOCK_BYTES", size_bytes // 2)
