"""The scripts in ``benchmarks/`` run, so that the figures in the pages can be measured again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs the folder benchmarks of the repository"),
]


def run(tmp_path: Path, script: str, *arguments: object) -> str:
    """What a script printed; whether a bar was met says nothing at this size, so status 1 is fine."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == "" or "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_scale_prints_every_question_with_its_plan_and_leaves_nothing(tmp_path: Path) -> None:
    """A small store goes the whole way: written, asked beside four writers, removed."""
    printed = run(tmp_path, "scale.py", "--spans", 2_000, "--work", tmp_path)
    for part in ("newest 100", "one trace", "percentiles", "USING INDEX", "in one pass"):
        assert part in printed
    assert list(tmp_path.iterdir()) == []


def test_jsonl_statistics_prints_its_rate(tmp_path: Path) -> None:
    """A small file is counted, beside a plain parser of JSON."""
    assert "spans/s" in run(tmp_path, "jsonl_statistics.py", *("--spans", 2_000))
