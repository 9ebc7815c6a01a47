"""Statistics of a jsonl store: the bytes of a line are taken for what the line says, and each span counts once."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import records, span_records

from otel_tracker.query import SpanFilter
from otel_tracker.records import STATUSES, EventRecord, SpanRecord
from otel_tracker.stats import Statistics, tally
from otel_tracker_exporters.jsonl import scanning
from otel_tracker_exporters.jsonl.lines import encode_line, parse_line
from otel_tracker_exporters.jsonl.otlp_encoding import encode_span_line
from otel_tracker_exporters.jsonl.reader import JsonlReader
from otel_tracker_exporters.jsonl.scanning import StatisticsScan

from .helpers import BEGIN_NS, FULL_EVENT, FULL_SPAN, make_span

HOSTILE = SpanRecord(
    "1" * 32,
    "2" * 16,
    '","status":"failed","start":"2026',
    1,
    2,
    function='"}\\',
    module='\\"{"',
    args={'","status":"aborted': "}}}{\\", "}": ["{", '"']},
)


def scanned(lines: bytes, wanted: SpanFilter, group_as: str | None = None) -> tuple[list[Statistics], int]:
    """The statistics of some lines, and how many lines were parsed for them."""
    parsed: list[bytes] = []

    def parse(line: bytes) -> Iterable[SpanRecord]:
        parsed.extend([line] if line else [])
        return [record for record in parse_line(line).records if isinstance(record, SpanRecord)]

    scan = StatisticsScan(wanted, group_as, parse)
    scan.add_block(lines)
    return ordered(scan.statistics()), len(parsed)


def parsed_statistics(lines: bytes, wanted: SpanFilter, group_as: str | None = None) -> list[Statistics]:
    """The same with every line parsed."""
    with patch.object(scanning, "_LINE", scanning.re.compile(rb"(?!)")):
        found, _ = scanned(lines, wanted, group_as)
    return found


def ordered(statistics: Iterable[Statistics]) -> list[Statistics]:
    return sorted(statistics, key=lambda entry: entry.function_name)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(records, max_size=5), st.none() | st.sampled_from(["total", "*a*", "0"]), st.booleans())
@example(
    [HOSTILE, replace(HOSTILE, span_id="3" * 16, end_ns=None, status="started"), FULL_SPAN, FULL_EVENT], None, True
)
def test_what_the_bytes_say_is_what_the_record_says(
    found: list[SpanRecord | EventRecord], name: str | None, is_one_group: bool
) -> None:
    """Whatever names, times and values a record has: the same numbers as by parsing, to the nanosecond."""
    lines = b"".join(map(encode_line, found))
    wanted = SpanFilter(function_name=name)
    group_as = "all" if is_one_group else None
    assert scanned(lines, wanted, group_as)[0] == parsed_statistics(lines, wanted, group_as)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(span_records(), max_size=5, unique_by=lambda span: (span.trace_id, span.span_id)))
def test_statistics_are_those_of_the_records(found: list[SpanRecord]) -> None:
    """The answer is the one that counting the records themselves would give."""
    bounded = [span for span in found if span.end_ns is None or abs(span.end_ns - span.start_ns) < 2**63]
    assert scanned(b"".join(map(encode_line, bounded)), SpanFilter())[0] == ordered(tally(bounded, None))


@given(span_records(), st.integers(-1, 1), st.integers(-1, 1))
def test_time_bounds_are_exact_to_the_nanosecond(span: SpanRecord, before_ns: int, after_ns: int) -> None:
    """The first nanosecond counts and the last does not, as in every query."""
    wanted = SpanFilter(start_ns=span.start_ns + before_ns, end_ns=span.start_ns + after_ns)
    found, _ = scanned(encode_line(span), wanted)
    assert bool(found) == wanted.matches(span)


def test_lines_of_ours_are_not_parsed() -> None:
    """Spans of every status, with escapes and letters of any language, are taken from their bytes."""
    spans = [make_span(n, status=status) for n, status in enumerate(STATUSES)]
    spans += [replace(span, span_id=f"{n:016x}", end_ns=None) for n, span in enumerate(spans, 10)]
    odd = [
        make_span(30, name="größe \N{SNOWMAN}"),
        make_span(31, name='a "quoted" \\ name', args={"text": 'line\nbreak "q" \\'}),
        FULL_SPAN,
        make_span(32, function="", module="", kind="client", parent_span_id="0" * 16),
    ]
    _, parsed = scanned(b"".join(map(encode_line, [*spans, *odd, FULL_EVENT])), SpanFilter())
    assert parsed == 0


def test_braces_in_texts_are_left_to_the_parser() -> None:
    """A text with a brace in it could hide that a line is torn; such a line is parsed."""
    found, parsed = scanned(encode_line(make_span(1, args={"a": "}"})), SpanFilter())
    assert ([entry.total for entry in found], parsed) == ([1], 1)


@pytest.mark.parametrize("span", [FULL_SPAN, HOSTILE, make_span(1, args={"a": "}", "b": {"c": {"d": "\\}"}}})])
def test_a_line_torn_at_any_byte_is_not_counted(span: SpanRecord) -> None:
    """However much like a whole line the rest of a torn one looks."""
    line = encode_line(span)[:-1]
    torn = [line[:end] for end in range(1, len(line))]
    assert scanned(b"\n".join(torn), SpanFilter())[0] == []
    joined = [part + line for part in torn]  # somebody wrote on behind it
    assert scanned(b"\n".join(joined), SpanFilter())[0] == parsed_statistics(b"\n".join(joined), SpanFilter())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"2026', b'"2O26'),
        (b'"start":"2026-09', b'"start":"2026-02-30T10:00:00.000000000Z","start":"2026-09'),
        (b'"start":"2026-09-21', b'"start":"2026-09-31'),
        (b'"trace_id":"0', b'"trace_id":"F'),
        (b'"trace_id":"0', b'"trace_id":"g'),
        (b'"span_id":"b', b'"span_id":" '),
        (b"Z", b"z"),
        (b'.123456789Z","end"', b'.12345678_Z","end"'),
        (b'.123456789Z","end"', b'.+12345678Z","end"'),
        (b'"kind":"server"', b'"kind":server'),
        (b'"status":"failed"', b'"status":"lost"'),
        (b'"name":"', b'"name":"\\q'),
        (b'"name":"', b'"name":"\x01'),
        (b'"name":"', b'"name":"\xff'),
        (b'"attributes"', b'"\x00ttributes"'),
        (b'"duration_ms":', b'"duration_ms":x'),
        (b'"schema":1', b'"schema":2'),
        (b'"schema":1', b'"schema":0'),
        (b"{", b"\xef\xbb\xbf{"),
    ],
    ids=range(19),
)
def test_lines_that_others_have_changed_mean_what_the_parser_says(old: bytes, new: bytes) -> None:
    """What only looks like a line of ours gives the same answer as by parsing."""
    line = encode_line(FULL_SPAN)
    changed = line.replace(old, new, 1)
    assert changed != line
    lines = changed + encode_line(make_span(2))
    assert scanned(lines, SpanFilter())[0] == parsed_statistics(lines, SpanFilter())


def test_a_span_counts_once_whatever_the_repeats(tmp_path: Path) -> None:
    """Start and end, a batch written twice, several files, both formats: one execution, and the last word counts."""
    spans = [make_span(n) for n in range(500)]
    starts = [replace(span, status="started", end_ns=None) for span in spans]
    lost = [replace(span, status="aborted", end_ns=None) for span in spans]
    slower = [replace(span, end_ns=span.start_ns + 20_000_000) for span in spans]
    everything = [*lost, *spans, *starts, *starts, *spans]
    random.Random(1).shuffle(everything)
    path = tmp_path / "shop.jsonl"
    (tmp_path / "shop-20260101T000000.000000001Z.jsonl").write_bytes(b"".join(map(encode_line, everything[::2])))
    path.write_bytes(b"".join(map(encode_line, [*everything[1::2], *starts[:400]])))
    (tmp_path / "shop.traces.jsonl").write_bytes(b"".join(map(encode_span_line, slower)))
    with JsonlReader(str(path)) as reader:
        found = reader.get_statistics("total")
    assert (found.total, found.completed, found.running, found.aborted) == (500, 500, 0, 0)
    assert (found.min_ms, found.p50_ms, found.max_ms) == (20.0, 20.0, 20.0)


def test_running_and_aborted_executions_are_counted_as_such(tmp_path: Path) -> None:
    """A start without an end runs; with an abortion, the abortion counts, whichever came last."""
    running = make_span(1, status="started", end_ns=None)
    begun = make_span(2, status="started", end_ns=None)
    aborted = replace(begun, status="aborted")
    path = tmp_path / "shop.jsonl"
    path.write_bytes(b"".join(map(encode_line, [running, aborted, begun])))
    with JsonlReader(str(path)) as reader:
        found = reader.get_statistics("total")
    assert (found.total, found.aborted, found.running, found.p50_ms) == (1, 1, 1, None)


def test_durations_are_exact_to_the_nanosecond(tmp_path: Path) -> None:
    """Also across a second, over years, and backwards."""
    durations_ns = [1, 999_999_999, 10**9 + 1, -1, 3 * 10**17 + 7]
    begins_ns = [BEGIN_NS + 999_999_999 - n for n in range(5)]
    spans = [
        make_span(n, start_ns=begin_ns, end_ns=begin_ns + duration_ns, function=f"f{n}")
        for n, (begin_ns, duration_ns) in enumerate(zip(begins_ns, durations_ns, strict=True))
    ]
    path = tmp_path / "shop.jsonl"
    path.write_bytes(b"".join(map(encode_line, spans)))
    with JsonlReader(str(path)) as reader:
        found = reader.function_statistics()
    assert {entry.function_name: entry.max_ms for entry in found} == {
        f"shop.f{n}": duration_ns / 1e6 for n, duration_ns in enumerate(durations_ns)
    }


def test_span_names_with_an_id_in_each_are_forgotten_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of names has a bound; the answer is the same."""
    monkeypatch.setattr(scanning, "_MAX_DESCRIPTIONS", 10)
    spans = [make_span(n, name=f"GET /{n % 50}", function="", module="") for n in range(200)]
    lines = b"".join(map(encode_line, spans))
    found, parsed = scanned(lines, SpanFilter())
    assert (found, parsed) == (ordered(tally(spans, None)), 0)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(1, 3000), st.lists(span_records(), min_size=1, max_size=6))
def test_lines_are_whole_wherever_blocks_end(block_bytes: int, found: list[SpanRecord]) -> None:
    """A file is read in blocks, which end in the middle of lines."""
    import tempfile

    expected, _ = scanned(b"".join(map(encode_line, found)), SpanFilter())
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("otel_tracker_exporters.jsonl.files._BLOCK_BYTES", block_bytes),
    ):
        path = Path(folder, "shop.jsonl")
        path.write_bytes(b"".join(map(encode_line, found)))
        with JsonlReader(str(path)) as reader:
            assert ordered(reader.function_statistics(limit=None)) == expected
            assert reader.skipped_lines == 0
