"""Whole programs in processes of their own: the original's README, the SDK disabled, platforms that freeze."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_tracker import open_store

SEED = Path(os.environ.get("OTEL_TRACKER_SEEDS", "")) / "process-tracker.md"
OWN_IMPORT, OUR_IMPORT = "from goblinfish.metrics.trackers import", "from otel_tracker import"

# What the README's blocks leave open; and nobody waits.
PRELUDE = """
import asyncio, random
random.randrange = lambda *bounds: 10
"""
HANDLER = """
from otel_tracker import ProcessTracker, {imports}
{set_up}
tracker = ProcessTracker()

@tracker
def handler(event, context):
    with tracker.timer("query"):
        tracker.set_identifier("order", event["order"])

handler({{"order": 7}}, None)
import os, sys
{then}
os._exit(0)  # as if frozen for good
"""


def run(folder: Path, program: str, **variables: str) -> str:
    """Run a program there; gives what it printed."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "OTEL_TRACKER_SQLITE_PATH": "x.db", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("imports", ["span", "configure"])
def test_record_comes_with_the_sdk_disabled(tmp_path: Path, imports: str) -> None:
    """From before the import on, and also for a program that calls `configure()`."""
    program = HANDLER.format(imports=imports, set_up=f"{imports}()" * (imports == "configure"), then="")
    printed = run(tmp_path, program.replace("os._exit(0)", ""), OTEL_SDK_DISABLED="true")
    assert list(json.loads(printed)["latencies"]) == ["query", "handler"]
    assert json.loads(printed)["order"] == 7
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_LAMBDA_FUNCTION_NAME",
        pytest.param("K_SERVICE", marks=pytest.mark.slow),
        pytest.param("FUNCTION_TARGET", marks=pytest.mark.slow),
    ],
)
def test_record_and_spans_are_out_before_the_platform_freezes_the_process(tmp_path: Path, variable: str) -> None:
    """When the handler has returned they are on the pipe and in the store; nothing runs after that."""
    printed = run(tmp_path, HANDLER.format(imports="configure", set_up="configure()", then=""), **{variable: "shop"})
    assert json.loads(printed)["order"] == 7
    with open_store(str(tmp_path / "x.db")) as store:
        assert {record.name for record in store.query_executions()} == {"query", "__main__.handler"}
        (event,) = store.events("otel_tracker.process.completed")
        assert event.properties["order"] == 7


def test_nothing_is_flushed_where_nothing_is_configured(tmp_path: Path) -> None:
    """The SDK is not even imported for it."""
    then = "assert 'opentelemetry.sdk.trace' not in sys.modules and 'otel_tracker.lifecycle' not in sys.modules"
    printed = run(tmp_path, HANDLER.format(imports="span", set_up="", then=then), AWS_LAMBDA_FUNCTION_NAME="shop")
    assert json.loads(printed)["order"] == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_child_that_leaves_the_entry_point_writes_no_second_record(tmp_path: Path) -> None:
    """A run has one record; runs that begin in the child have theirs."""
    program = """
import os, sys
from otel_tracker import ProcessTracker
tracker = ProcessTracker(lambda text: print(text, flush=True))

@tracker("inner")
def inner(): tracker.set_metric("is_child", True)

@tracker
def main():
    if os.fork() == 0:
        inner()
        sys.exit()
    os.wait()

main()
"""
    first, second = (json.loads(line) for line in run(tmp_path, program).splitlines())
    assert (list(first["latencies"]), first["metrics"]) == (["inner"], {"is_child": True})
    assert (list(second["latencies"]), second["metrics"]) == (["main"], {})


@pytest.mark.skipif(not SEED.is_file(), reason="OTEL_TRACKER_SEEDS names no folder with the README of the original")
def test_every_block_of_its_readme_runs_with_the_import_line_changed(tmp_path: Path) -> None:
    """One after another in one process, the functions that a block defines called; the records are those it shows."""
    blocks = list(re.findall(r"```python\n(.*?)```", SEED.read_text(encoding="utf-8"), re.DOTALL))
    runnable = [block.replace(OWN_IMPORT, OUR_IMPORT) for block in blocks if _compiles(block)]
    assert (len(blocks), len(runnable)) == (10, 9)
    program = PRELUDE
    for block in runnable:
        program += f"{block}\n"
        program += "if 'some_other_function' in globals(): some_function()\n" if "def some_function" in block else ""
    program += "@tracker\nasync def main(): return await get_person_data()\nprint(asyncio.run(main()))\n"
    program = program.replace("tracker = ProcessTracker(my_log_formatter)", "ProcessTracker(my_log_formatter)")
    *printed, person = run(tmp_path, program).splitlines()
    assert person == "{'person_data': ('Professor Plum', {})}"
    records = [json.loads(line) for line in printed]
    names = [list(record["latencies"]) for record in records]
    assert names[-1] == ["get_person_data", "main"]
    assert ["some_other_function", "some_process_name", "some_function"] in names


def _compiles(block: str) -> bool:
    try:
        ast.parse(block)
    except SyntaxError:
        return False
    return True
