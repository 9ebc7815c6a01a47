"""Every example runs offline, prints what its docstring says, and leaves nothing behind."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .pages import ROOT, differs
from .running import environment

EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


def test_there_are_examples() -> None:
    """An empty list would make the tests below pass."""
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_its_docstring_says(path: Path, tmp_path: Path) -> None:
    """What follows "You will see" is what it prints; it writes nothing outside the folder that it removes."""
    folder, temporary = tmp_path / "cwd", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", str(path)],
        cwd=folder,
        env={**environment(), "TMPDIR": str(temporary), "TEMP": str(temporary)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not differs(_promised(path), done.stdout), done.stdout
    assert [*folder.iterdir(), *temporary.iterdir()] == []


@pytest.mark.slow
@pytest.mark.xdist_group("firestore")
def test_firestore_example_prints_what_its_docstring_says(
    firestore_project: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Against the emulator; it leaves nothing on this machine."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # Google's packages warn of old Pythons
    test_example_prints_what_its_docstring_says(ROOT / "examples" / "firestore_tracking.py", tmp_path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short(path: Path) -> None:
    """An example is read at a glance: under 40 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def _promised(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    _, found, after = docstring.partition("You will see")
    assert found, f"the docstring of {path.name} does not say what one sees"
    return textwrap.dedent(after.partition(":\n")[2].strip("\n"))
