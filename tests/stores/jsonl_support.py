"""What the tests of the JSONL writer share: all files of a store, processes that write to it, a deadline."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_tracker_exporters.jsonl.names import put_aside_files

from .helpers import BEGIN_NS, SECOND_NS

OTLP_EXAMPLE = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": f"{number + 1:032X}",
                            "spanId": f"{number + 1:016X}",
                            "name": f"GET /{number}",
                            "startTimeUnixNano": str(BEGIN_NS + number * SECOND_NS),
                            "endTimeUnixNano": str(BEGIN_NS + number * SECOND_NS + 5),
                        }
                        for number in range(5)
                    ]
                }
            ],
        }
    ]
}
"""A document of five spans, as another program writes it."""

ROTATING_PROCESS = Path(__file__).with_name("rotating_process.py")


def files_of(path: Path) -> list[Path]:
    """The files that were put aside, oldest first, and the one that is written."""
    return [*(file.path for file in put_aside_files(path)), *([path] if path.exists() else [])]


def content_of(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:  # it has just been compressed
        return gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())


def spans_in(path: Path) -> list[int]:
    """The numbers of `make_span`, in the order of the lines; fails on a line that is no JSON."""
    return [int(json.loads(line)["span_id"], 16) - 1 for line in content_of(path).splitlines() if line.strip()]


def spans_of(path: Path) -> list[int]:
    """The same for all files of the store."""
    return [number for file in files_of(path) for number in spans_in(file)]


def how_often(path: Path) -> Counter[int]:
    return Counter(spans_of(path))


def wait_until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Poll until the claim holds; fail at the deadline."""
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not come to that in time"
        time.sleep(0.005)


@contextmanager
def rotating_processes(path: Path, *tasks: tuple[object, ...]) -> Iterator[list[subprocess.Popen[str]]]:
    """A child for each ``(max_bytes, backups, first, size, batch)``, ready to begin; all are gone afterwards."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(ROTATING_PROCESS), str(path)]
    children = [
        subprocess.Popen([*command, *map(str, task)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for task in tasks
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        yield children
    finally:
        for child in children:
            child.kill()
            child.communicate()


def let_go(*children: subprocess.Popen[str]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()


def finish(children: list[subprocess.Popen[str]]) -> None:
    """Let all run to their end, which is a good one."""
    let_go(*children)
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of its own; skips where nobody may mount one."""
    folder.mkdir()
    if not _is_mounted(folder, size):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=True)


def _is_mounted(folder: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
