"""The public names have the types that users' editors and checkers rely on."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RIGHT_USE = Path("tests", "typing", "api.py")
WRONG_USE = Path("tests", "typing", "wrong.py")


def mypy(file: Path, cache: Path) -> dict[int, str]:
    """What mypy (strict) reports to a user, whose settings are not this project's: the messages by line."""
    options = ("--config-file=", "--strict", "--python-version=3.10", "--no-error-summary", f"--cache-dir={cache}")
    output = _run("mypy", *options, str(file))
    found: dict[int, str] = {}
    for line in output.splitlines():
        match = re.match(r"(?P<path>[^:]+):(?P<line>\d+): error: (?P<text>.*)", line)
        if match:
            assert Path(match["path"]) == file, line
            found.setdefault(int(match["line"]), match["text"])
        else:
            assert ": note:" in line, output
    return found


def pyright(file: Path) -> dict[int, str]:
    """What pyright reports (strict, by a comment in the file): the messages by line."""
    output = _run("pyright", "--outputjson", "--pythonpath", sys.executable, "--pythonversion", "3.10", str(file))
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] >= 1, output
    errors = [entry for entry in report["generalDiagnostics"] if entry["severity"] == "error"]
    assert all(Path(entry["file"]) == ROOT / file for entry in errors), output
    return {entry["range"]["start"]["line"] + 1: entry["message"] for entry in reversed(errors)}


def expected_lines(file: Path) -> set[int]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# error")}


@pytest.mark.slow
def test_mypy_accepts_the_right_use(tmp_path: Path) -> None:
    """Mypy in strict mode finds nothing in a file that uses every public name as intended."""
    assert mypy(RIGHT_USE, tmp_path) == {}


@pytest.mark.slow
def test_mypy_reports_each_wrong_use(tmp_path: Path) -> None:
    """Mypy in strict mode reports exactly the lines that misuse a name."""
    found = mypy(WRONG_USE, tmp_path)
    assert set(found) == expected_lines(WRONG_USE), found


def test_pyright_accepts_the_right_use() -> None:
    """Pyright in strict mode finds nothing in a file that uses every public name as intended."""
    assert pyright(RIGHT_USE) == {}


@pytest.mark.slow
def test_pyright_reports_each_wrong_use() -> None:
    """Pyright in strict mode reports exactly the lines that misuse a name."""
    found = pyright(WRONG_USE)
    assert set(found) == expected_lines(WRONG_USE), found


def _run(tool: str, *arguments: str) -> str:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout
