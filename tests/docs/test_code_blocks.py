"""Every block of README.md and docs/ runs, and prints what the page says."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .pages import EXAMPLE_PAGES, PAGES, Block, blocks_of, differs
from .running import results_of

NOT_RUN = {
    ("README.md", 'pip install ".[all]" && otel-tracker demo'): "installs; .ci/run runs it in a fresh environment",
    ("README.md", 'pip install -e ".[dev]" && pytest'): "installs, and would run this test; .ci/run runs it",
    ("docs/stores.md", "[project.entry-points.opentelemetry_traces_exporter]"): "a part of the reader's own pyproject",
    ("docs/how-it-works.md", "your function"): "a drawing",
    (
        "docs/events.md",
        'export OTEL_TRACKER_EVENTS_ROUTES="logging=error.*,system.* level=WARNING;jsonl=payment.* sample=0.1"',
    ): ("would change what the blocks after it store; tests/test_routing.py sets such routes"),
    ("docs/events.md", "telemetry:"): "a part of the reader's settings file; tests/test_routing.py reads such a file",
    ("docs/firestore.md", "rules_version = '2';"): "security rules, which Google's servers run",
    ("docs/launching.md", 'file_format: "1.0"'): "needs one more package; test_compatibility.py runs such a file",
}
"""Blocks that nothing here runs, by page and first line, with the reason."""

NEEDED = {
    "README.md": ("flask",),
    "docs/command-line.md": ("flask",),
    "docs/converting.md": ("opentelemetry.exporter.otlp.proto.http",),
    "docs/frameworks.md": ("flask", "fastapi", "django", "httpx"),
    "docs/logs.md": ("opentelemetry.instrumentation.logging",),
    "docs/troubleshooting.md": ("flask",),
    "docs/umami.md": ("httpx",),
    "examples/django_orders/README.md": ("django",),
    "examples/fastapi_chat/README.md": ("fastapi", "uvicorn", "websockets.asyncio"),
    "examples/flask_shop/README.md": ("flask",),
}
"""What a page's blocks need beside the core install."""

LONG = {
    "docs/capture-and-privacy.md",
    "docs/command-line.md",
    "docs/converting.md",
    "docs/delivery.md",
    "docs/events.md",
    "docs/frameworks.md",
    "docs/launching.md",
    "docs/logs.md",
    "docs/metrics.md",
    "docs/migrating/telemetry.md",
    "docs/process-tracker.md",
    "docs/settings.md",
    "docs/stores.md",
    "docs/troubleshooting.md",
    *EXAMPLE_PAGES,
}
"""Pages whose many commands take several seconds."""

_MARKS: dict[bool, Any] = {True: pytest.mark.slow, False: ()}
_INSTRUMENTORS = {name: f"opentelemetry.instrumentation.{name}" for name in ("flask", "fastapi", "django")}


@pytest.mark.skipif(os.name != "posix", reason="the pages' commands are written for a POSIX shell")
@pytest.mark.parametrize("page", [pytest.param(page, marks=_MARKS[page in LONG]) for page in (*PAGES, *EXAMPLE_PAGES)])
def test_blocks_run_and_print_what_the_page_says(page: str) -> None:
    """A reader who copies the blocks of a page one after another sees what the page shows."""
    _skip_without(page)
    results = results_of(page)
    faults = [fault for block in blocks_of(page) for fault in _faults(block, results)]
    assert not faults, "\n\n".join([*faults, f"`python tests/docs/write_outputs.py {page}` writes what is printed."])


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLE_PAGES])
def test_block_that_is_not_run_has_a_reason(page: str) -> None:
    """Nothing on a page is left out in silence."""
    idle = {(page, block.text.partition("\n")[0]) for block in blocks_of(page) if not block.is_run}
    assert idle == {key for key in NOT_RUN if key[0] == page}


@pytest.mark.parametrize("page", PAGES)
def test_file_that_a_page_shows_is_used_by_it(page: str) -> None:
    """A block that is written to a file is run or read by something that comes after it."""
    blocks = blocks_of(page)
    for position, block in enumerate(blocks):
        if block.file_name.endswith(".py"):
            module = block.file_name.removesuffix(".py")
            assert any(module in later.text for later in blocks[position + 1 :] if later.language == "console")


def test_comparison_notices_another_output() -> None:
    """Ids, times, durations and widths may differ; anything else may not."""
    shown = "2026-11-24 00:27:01.513  failed     0.7  shop.total  4505c811df33c85600a3779384f9568f"
    assert not differs(shown, "2027-01-01 10:00:00.001  failed  12.5  shop.total  526a841e588e83f9265134e941dc5b48")
    assert differs(shown, shown.replace("failed", "completed"))
    assert differs(shown, "")
    assert differs("25.0", "25.1")
    assert not differs("one\n...\nfour", "one\ntwo\nthree\nfour")
    assert differs("one\n...\nfour", "one\ntwo")


def _skip_without(page: str) -> None:
    for package in NEEDED.get(page, ()):
        if not (_is_installed(package) and _is_installed(_INSTRUMENTORS.get(package, package))):
            pytest.skip(f"{page} needs {package}, which is not installed")
    if page in EXAMPLE_PAGES and not (shutil.which("curl") and Path("/proc/self/stat").exists()):
        pytest.skip(f"{page} needs curl, and its server is found through /proc")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package around it is missing
        return False


def _faults(block: Block, results: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a block, a sentence each."""
    mine = [result for result in results if result["line"] == block.line]
    where = f"{block.page}:{block.line}"
    faults = [f"{where}: {result.get('command', '')}\n{result['error']}" for result in mine if result["error"]]
    if block.is_output:
        return [*faults, *_difference(where, block.text, mine[0]["printed"], exactly=False)]
    for (command, expected), result in zip(block.commands(), mine, strict=block.language == "console"):
        is_help = command.endswith("--help")
        faults += _difference(f"{where}: {command}", expected, result["printed"], exactly=is_help)
    return faults


def _difference(where: str, expected: str, printed: str, *, exactly: bool) -> list[str]:
    if not differs(expected, printed, exactly=exactly):
        return []
    return [f"{where}\n--- the page says\n{expected}\n--- but it prints\n{printed}"]
