"""Imports follow the picture in the design: what users call, then spans, then records, stores and faces."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# `events` makes event records. The other two reach for the global logger provider: `providers` sets or joins it,
# `lifecycle` flushes and closes it.
LOGS_API_USERS = {
    "otel_tracker.emitting",
    "otel_tracker.lean_events",
    "otel_tracker.routing",
    "otel_tracker.providers",
    "otel_tracker.lifecycle",
    "otel_tracker.replaying",
    "otel_tracker.delivery.log_codec",
}

# What decorated programs pay for at import time, and what must not come with it.
HEAVY = ("opentelemetry.sdk", "opentelemetry.instrumentation", "otel_tracker_exporters", "flask", "django", "fastapi")
HEAVY_READING = ("opentelemetry.sdk", "opentelemetry.instrumentation", "otel_tracker.tracing", "otel_tracker.events")


def test_import_contracts_are_kept() -> None:
    """Every contract in pyproject.toml holds, and every module has its place in one."""
    _need("importlinter")
    checked = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_only_the_events_module_and_the_set_up_touch_the_logs_api() -> None:
    """Whoever looks for where events come from has one module to read."""
    _need("grimp")
    import grimp

    graph = grimp.build_graph(
        "otel_tracker", "otel_tracker_exporters", "opentelemetry._logs", include_external_packages=True, cache_dir=None
    )
    found = {
        importer
        for module in graph.find_descendants("opentelemetry._logs") | {"opentelemetry._logs"}
        for importer in graph.find_modules_that_directly_import(module)
        if importer.startswith("otel_tracker")
    }
    assert found == LOGS_API_USERS


@pytest.mark.parametrize(
    "statement",
    [
        "import otel_tracker",
        "from otel_tracker import traced, span, track, configure, flush, shutdown, enable, disable, Sensitive",
        "import otel_tracker; otel_tracker.traced(lambda x: x)(1); otel_tracker.track('shop.opened')",
    ],
)
def test_what_users_import_and_call_loads_no_sdk_no_framework_and_no_store(statement: str) -> None:
    """A library may decorate its functions: programs that never configure anything don't pay for an SDK."""
    assert _loaded(statement, HEAVY) == []


@pytest.mark.parametrize("store", ["sqlite", "jsonl"])
def test_finding_a_store_and_its_reader_loads_no_sdk(store: str) -> None:
    """Questions about stored records are answered without OpenTelemetry's SDK."""
    statement = f"from otel_tracker_exporters.{store} import STORE, reader; import otel_tracker.stores"
    assert _loaded(statement, HEAVY_READING) == []


def _loaded(statement: str, packages: tuple[str, ...]) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after the statement."""
    program = (
        f"{statement}\nimport sys\n"
        f"print(*sorted(p for p in {packages!r} if any(m == p or m.startswith(p + '.') for m in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def _need(tool: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
