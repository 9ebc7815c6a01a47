"""Whole processes: what is loaded, OTEL_SDK_DISABLED, fork, and the end of the interpreter."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest


def run_child(source: str, **environment: str) -> str:
    """What a fresh interpreter prints; it must not print a warning or a traceback."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


LOADED = "import sys; print(*sorted(name for name in sys.modules))"


NOT_LOADED = ("opentelemetry.sdk", "flask", "fastapi", "django", "sqlite3", "otel_tracker_exporters", "starlette")


def _loaded(output: str, forbidden: Sequence[str]) -> list[str]:
    return [name for name in output.split() if any(name == one or name.startswith(one + ".") for one in forbidden)]


def test_import_loads_neither_sdk_nor_framework_nor_store() -> None:
    """Importing the package loads only the package."""
    output = run_child(f"import otel_tracker; {LOADED}")
    assert "otel_tracker" in output.split()
    assert _loaded(output, (*NOT_LOADED, "asyncio", "click", "rich", "yaml")) == []


def test_decorating_and_calling_load_neither_sdk_nor_framework_nor_store() -> None:
    """Decorating and calling functions needs the API alone."""
    source = f"""
from otel_tracker import span, track, traced
@traced(capture_result=True)
def f(x): return [x]
@traced
class C:
    def m(self): return 1
with span("s", a=1): f({{"a": 1}}), C().m()
track("e", a=1)
{LOADED}
"""
    assert _loaded(run_child(source), NOT_LOADED) == []


@pytest.mark.parametrize("value", ["true", "TRUE", "True"])
def test_sdk_disabled_at_import_returns_the_same_object(value: str) -> None:
    """With OTEL_SDK_DISABLED the decorators return what they were given."""
    source = """
from otel_tracker import span, track, traced
def f(): return 1
async def c(x): return 1
def g(): yield 1
same = [traced(f) is f, traced()(f) is f, traced("n")(f) is f, traced(capture_args=["x"])(c) is c, traced(g) is g]
class C:
    def m(self): return 1
before = C.m
same += [traced(C) is C, C.m is before]
with span("s") as s: same.append(not s.is_recording())
track("e", a=1)
print(same)
"""
    assert run_child(source, OTEL_SDK_DISABLED=value) == f"{[True] * 8}\n"


def test_sdk_disabled_false_changes_nothing() -> None:
    """Any other value of OTEL_SDK_DISABLED leaves tracing on."""
    source = "from otel_tracker import traced\nf = lambda: 1\nprint(traced(f) is f)"
    assert run_child(source, OTEL_SDK_DISABLED="false") == "False\n"


def test_fresh_process_records_with_a_provider_that_is_set_late() -> None:
    """In a process of its own: decorate, call, set a provider, call; the second call is recorded."""
    source = """
from otel_tracker import traced
@traced
def f(x): return x
f(1)
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
f(2)
print([(s.name, s.attributes["otel_tracker.args.x"]) for s in exporter.get_finished_spans()])
"""
    assert run_child(source) == "[('__main__.f', 2)]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork does not exist on this platform")
def test_forked_processes_make_different_ids() -> None:
    """After a fork, parent and child go on with ids of their own."""
    source = """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from otel_tracker import traced
trace.set_tracer_provider(TracerProvider())
@traced
def ids():
    context = trace.get_current_span().get_span_context()
    return [context.trace_id, context.span_id]
ids()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, repr([ids() for _ in range(3)]).encode())
    os._exit(0)
os.waitpid(child, 0)
theirs, ours = eval(os.read(reader, 4096)), [ids() for _ in range(3)]
flat = [number for pair in theirs + ours for number in pair]
print(len(flat) == len(set(flat)) == 12)
"""
    assert run_child(source) == "True\n"


def test_calls_at_the_end_of_the_process_are_quiet() -> None:
    """Traced functions that run at exit, and generators that are left open, neither print nor raise."""
    source = """
import atexit
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from otel_tracker import span, traced
@traced
def at_exit(): print("at exit")
@traced
def left_open():
    with span("inside"):
        yield 1
class Resource:
    @traced
    def __del__(self): pass
kept = Resource()
atexit.register(at_exit)
generator = left_open()
trace.set_tracer_provider(TracerProvider())
atexit.register(at_exit)
next(generator)
"""
    assert run_child(source) == "at exit\nat exit\n"
