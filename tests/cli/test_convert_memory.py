"""`otel-tracker convert`: how much memory it takes, measured by the kernel."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stores import find_place

from .helpers import LATER, NOON_NS, plain_environment

MIB = 1024 * 1024

CONVERT = """
import sys
from otel_tracker.convert import Conversion
converted = Conversion(sys.argv[1], sys.argv[2], sys.argv[3] or None).run()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(converted.counts.spans + converted.counts.events, int(peak.split()[1]) * 1024)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, which says a process's peak"),
]


def converted(source: Path, target: Path, target_format: str) -> tuple[int, int]:
    """How many records a conversion wrote in a process of its own, and how many bytes that took at most."""
    command = [sys.executable, "-c", CONVERT, source, target, target_format]
    result = subprocess.run(command, env=plain_environment(), check=True, capture_output=True, text=True, timeout=120)
    records, peak = result.stdout.split()
    return int(records), int(peak)


@pytest.mark.parametrize("source_format", ["record", "otlp", ""])
def test_large_records_take_no_more_memory_together_than_alone(tmp_path: Path, source_format: str) -> None:
    """60 MB of spans and events with 1 MB each go through about 64 MiB, into every format."""
    large = "x" * 1_000_000
    source = tmp_path / ("a.jsonl" if source_format else "a.db")
    with closing(find_place(source).open_writer(source_format or None)) as writer:
        for number in range(30):
            span: SpanRecord = replace(LATER, span_id=f"{number + 1:016x}", args={"text": large})
            writer.store([span, EventRecord("cart.paid", NOON_NS + number, properties={"text": large})])
    for name, target_format in (("b.db", ""), ("b.jsonl", "record"), ("c.jsonl", "otlp")):
        for written in (60, 0):
            records, peak = converted(source, tmp_path / name, target_format)
            assert records == written
            assert peak < 80 * MIB
        for file in tmp_path.glob(f"{name[0]}.*"):
            file.unlink()
