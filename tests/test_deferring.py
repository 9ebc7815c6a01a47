"""An activation waits for an import, happens once, and is never in the way of that import."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_tracker.deferring import defer


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, to import modules from; none of them stays imported."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    yield Path.cwd()
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


@pytest.fixture
def activated() -> list[str]:
    return []


@pytest.fixture
def waiting(activated: list[str]) -> Callable[[str], str]:
    """Make a library that something waits for, and the module of the instrumentor, which imports it."""

    def make(case: str) -> str:
        library, own = f"fake_library_{case}", f"fake_instrumentor_{case}"
        Path(f"{library}.py").write_text("VALUE = 1\n", encoding="utf-8")
        Path(f"{own}.py").write_text(f"import {library}\nREADY = True\n", encoding="utf-8")
        defer(
            lambda: activated.append(own if importlib.import_module(own).READY else ""), until=library, own_module=own
        )
        return library

    return make


def test_it_waits_for_the_library_and_happens_once(waiting: Callable[[str], str], activated: list[str]) -> None:
    """The importing module sees the library activated."""
    library = waiting("once")
    assert activated == []
    importlib.import_module(library)
    assert activated == ["fake_instrumentor_once"]
    importlib.reload(sys.modules[library])
    importlib.import_module(library)
    assert activated == ["fake_instrumentor_once"]


def test_it_waits_for_its_own_module_when_the_program_imports_that_first(
    waiting: Callable[[str], str], activated: list[str]
) -> None:
    """The library is imported in the middle of it: there is nothing to activate yet."""
    waiting("own")
    importlib.import_module("fake_instrumentor_own")
    assert activated == ["fake_instrumentor_own"]


def test_circular_imports_activate_once(activated: list[str]) -> None:
    """The library's package imports a part of itself, which imports the package."""
    Path("fake_circle").mkdir()
    Path("fake_circle/__init__.py").write_text("from fake_circle import part\nREADY = True\n", encoding="utf-8")
    Path("fake_circle/part.py").write_text("import fake_circle\n", encoding="utf-8")
    defer(lambda: activated.append(str(sys.modules["fake_circle"].READY)), until="fake_circle", own_module="fake_own")
    importlib.import_module("fake_circle.part")
    assert activated == ["True"]


def test_failed_import_leaves_it_waiting_for_the_next(activated: list[str]) -> None:
    """A library whose import raises was not imported."""
    module = Path("fake_broken.py")
    module.write_text("raise RuntimeError('not yet')\n", encoding="utf-8")
    defer(lambda: activated.append("done"), until="fake_broken", own_module="fake_own")
    with pytest.raises(RuntimeError, match="not yet"):
        importlib.import_module("fake_broken")
    assert activated == []
    module.write_text("VALUE = 'a longer text than before'\n", encoding="utf-8")
    importlib.invalidate_caches()
    importlib.import_module("fake_broken")
    assert activated == ["done"]


def test_failing_activation_does_not_fail_the_import(caplog: pytest.LogCaptureFixture) -> None:
    """The program's import goes on; the failure is one sentence."""
    Path("fake_innocent.py").write_text("VALUE = 1\n", encoding="utf-8")
    defer(lambda: 1 / 0, until="fake_innocent", own_module="fake_own")
    assert importlib.import_module("fake_innocent").VALUE == 1
    (record,) = caplog.records
    assert "activating fake_own (ZeroDivisionError)" in record.getMessage()


def test_threads_that_import_together_activate_once_and_see_it_done(activated: list[str]) -> None:
    """None of them goes on before the activation has ended."""
    Path("fake_shared.py").write_text("import time\ntime.sleep(0.05)\n", encoding="utf-8")
    defer(lambda: activated.append("done"), until="fake_shared", own_module="fake_own")
    seen: list[list[str]] = []

    def use() -> None:
        importlib.import_module("fake_shared")
        seen.append(list(activated))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [["done"]] * 8
