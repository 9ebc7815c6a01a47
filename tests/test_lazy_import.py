"""Importing and decorating cost nothing and do nothing; work begins with `configure()` or the first use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import run_script

import otel_tracker

WATCH = """
    import json, os, sys, threading

    opened, read = [], []

    class Watched(type(os.environ)):
        def __getitem__(self, key):
            read.append(key)
            return super().__getitem__(key)

    os.environ.__class__ = Watched

    def watch(event, args):
        if event in ("os.mkdir", "os.remove", "sqlite3.connect", "subprocess.Popen", "socket.connect", "os.fork"):
            opened.append(event)
        if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(str(args[0]))

    sys.addaudithook(watch)

    def report():
        print(json.dumps({
            "modules": sorted(sys.modules), "opened": opened, "threads": threading.active_count(),
            "read": [key for key in read if key.startswith("OTEL_TRACKER_")], "files": os.listdir(),
        }))
"""
HEAVY = (
    "opentelemetry.sdk",
    "opentelemetry.instrumentation",
    "opentelemetry.semconv",
    "otel_tracker_exporters",
    "flask",
    "fastapi",
    "django",
    "starlette",
    "pydantic",
    "numpy",
    "pandas",
    "yaml",
    "click",
    "rich",
    "sqlite3",
    "asyncio",
)


def watched(code: str, **variables: str) -> dict[str, Any]:
    """What a fresh interpreter did in the course of the code."""
    ended = run_script(WATCH + code + "\n    report()\n", PYTHONDONTWRITEBYTECODE="1", **variables)
    assert (ended.status, ended.stderr) == (0, "")
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report


def heavy(report: dict[str, Any]) -> list[str]:
    return [name for name in report["modules"] if name in HEAVY or name.startswith(tuple(f"{each}." for each in HEAVY))]


def test_import_loads_no_sdk_no_framework_and_no_store() -> None:
    """Not even the OpenTelemetry API: every public name is fetched at its first use."""
    report = watched("    import otel_tracker")
    assert heavy(report) == []
    assert [name for name in report["modules"] if name.startswith("otel_tracker")] == [
        "otel_tracker",
        "otel_tracker.version",
    ]
    assert not [name for name in report["modules"] if name.startswith("opentelemetry")]


DECORATE = """
    from otel_tracker import Sensitive, disable, enable, span, track, traced

    @traced
    def plain(a, b=2): return a

    @traced("name", capture_result=True)
    async def later(): ...

    @traced
    class Cart:
        def total(self): return 1

    @traced
    def steps():
        yield 1
"""


def test_decorating_starts_no_thread_and_touches_no_file() -> None:
    """No setting is read either, so that a program may still choose its environment after its imports."""
    report = watched(DECORATE, OTEL_TRACKER_CONFIG_FILE="missing.yaml", OTEL_TRACKER_CAPTURE_ARGS="nonsense")
    assert heavy(report) == []
    assert (report["opened"], report["threads"], report["files"], report["read"]) == ([], 1, ["app.py"], [])


def test_calls_without_configuration_start_and_store_nothing() -> None:
    """A library may be decorated; whether anything is recorded is its users' decision."""
    calls = """
    assert plain(1) == 1 and Cart().total() == 1 and list(steps()) == [1]
    with span("block", n=1):
        track("event", n=1)
    """
    report = watched(DECORATE + calls)
    assert heavy(report) == []
    assert (report["opened"], report["threads"], report["files"]) == ([], 1, ["app.py"])


def test_reading_a_store_loads_no_sdk() -> None:
    """`otel-tracker query` shall be quick."""
    report = watched("""
    from otel_tracker import open_store
    open("empty.jsonl", "w").close()
    with open_store("empty.jsonl") as reader:
        assert list(reader.query_executions()) == [] and reader.get_statistics("f").total == 0
    """)
    unwanted = (
        "opentelemetry.sdk",
        "opentelemetry.instrumentation",
        "flask",
        "fastapi",
        "django",
        "rich",
        "click",
        "yaml",
    )
    assert [name for name in report["modules"] if name.startswith(unwanted)] == []


@pytest.mark.parametrize("name", otel_tracker.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    """Each name in `__all__` is there, under its own name."""
    value = getattr(otel_tracker, name)
    assert value is getattr(otel_tracker, name)
    assert name == "__version__" or value.__name__ == name
    assert name in dir(otel_tracker)


def test_all_names_are_lazy_ones() -> None:
    """A name that is public but has no home would fail at its first use."""
    assert set(otel_tracker.__all__) == {*otel_tracker._HOMES, "__version__"}
    assert otel_tracker.__all__ == sorted(otel_tracker.__all__)
    names: dict[str, object] = {}
    exec("from otel_tracker import *", names)
    assert set(otel_tracker.__all__) <= set(names)


def test_unknown_name_is_an_attribute_error() -> None:
    """`hasattr` and `from otel_tracker import nothing` behave as everywhere."""
    assert not hasattr(otel_tracker, "nothing")
    with pytest.raises(ImportError, match="nothing"):
        exec("from otel_tracker import nothing", {})


def test_module_runs_as_the_command() -> None:
    """`python -m otel_tracker` works where the script is not on the path."""
    ended = run_script(
        "import runpy, sys; sys.argv[1:] = ['--version']; runpy.run_module('otel_tracker', run_name='__main__')"
    )
    assert ended.status == 0
    assert otel_tracker.__version__ in ended.stdout
