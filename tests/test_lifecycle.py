"""`configure()` stores what a plain script does; `flush()` and `shutdown()` deliver it, and keep their deadline.

Providers and destinations are set up once a process, so that nearly every test here is a process of its own.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from support import Ended, run_script, span_names, stored_events, stored_spans

from otel_tracker import configure, flush, lifecycle, shutdown
from otel_tracker.errors import UnknownSettingError

WORK = """
from otel_tracker import configure, flush, shutdown, span, track, traced

@traced
def work(n=1):
    track("work.done", n=n)
    return n
"""


def run(code: str, *arguments: str, **variables: str) -> Ended:
    """Run a script that may call `work()`; it must end well."""
    ended = run_script(WORK + code, *arguments, **variables)
    assert ended.status == 0, ended.stderr
    return ended


def test_plain_script_stores_spans_and_events_in_sqlite() -> None:
    """One call, no setting, and nothing to do at the end: leaving the program delivers."""
    ended = run("configure(); work(7)")
    assert (ended.stdout, ended.stderr) == ("", "")
    (span,) = stored_spans()
    (event,) = stored_events()
    assert (span.function, span.module, span.args) == ("work", "__main__", {"n": 7})
    assert (event.name, event.properties) == ("work.done", {"n": 7})
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    assert sorted(os.listdir()) == ["app.py", "otel-tracker.db"]
    assert os.stat("otel-tracker.db").st_mode & 0o777 == 0o600


def test_resource_names_the_distribution_and_the_service() -> None:
    """The service comes from the argument, the rest from the standard variable and from us."""
    run("configure(service_name='shop'); work()", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    resource = stored_spans()[0].resource
    assert resource["service.name"] == "shop"
    assert resource["telemetry.distro.name"] == "otel-tracker"
    assert resource["deployment.environment.name"] == "test"
    assert stored_events()[0].resource == resource


def test_arguments_choose_destinations_and_places() -> None:
    """Text with commas or a list; a second call changes no destination, but capture."""
    run("""
configure(exporters=["sqlite", "jsonl"], sqlite_path="a.db", jsonl_path="sub/b.jsonl")
work()
configure()
configure(capture_args=False, sqlite_path="never.db")
work()
""")
    for location in ("a.db", "sub/b.jsonl"):
        assert [span.args for span in stored_spans(location)] == [{"n": 1}, {}]
        assert len(stored_events(location)) == 2
    assert not Path("never.db").exists()


def test_settings_file_configures_too() -> None:
    """Without any argument or variable."""
    Path("otel-tracker.yaml").write_text("exporters: jsonl\njsonl: {path: from-file.jsonl}\n", encoding="utf-8")
    run("configure(); work()")
    assert span_names("from-file.jsonl") == ["__main__.work"]


def test_provider_that_is_already_there_is_used_and_keeps_its_own_exporters() -> None:
    """Each span goes once to theirs and once to ours, however often configure() is called."""
    ended = run("""
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
theirs = InMemorySpanExporter()
provider = TracerProvider(resource=Resource({"service.name": "theirs"}))
provider.add_span_processor(SimpleSpanProcessor(theirs))
trace.set_tracer_provider(provider)
configure()
configure()
assert trace.get_tracer_provider() is provider
work()
assert shutdown()
work()
print(len(theirs.get_finished_spans()))
""")
    assert (ended.stdout, ended.stderr) == ("2\n", "")
    (span,) = stored_spans()
    assert span.resource["service.name"] == "theirs"
    assert [event.resource["service.name"] for event in stored_events()] == ["theirs"]


def test_provider_that_takes_no_processors_is_one_sentence() -> None:
    """A provider of another kind than the SDK's is left alone, and the program runs."""
    ended = run("""
from opentelemetry import trace
class Theirs(trace.NoOpTracerProvider): ...
trace.set_tracer_provider(Theirs())
configure()
work()
""")
    assert ended.complaints[0].startswith("The provider Theirs that is already set takes no processors")
    assert "Call otel_tracker.configure() before the other set-up" in ended.complaints[0]
    assert len(ended.complaints) == 1


def test_misspelt_destination_is_one_sentence_and_the_rest_works() -> None:
    """On stderr, because nobody has set up logging."""
    ended = run("configure(exporters='sqlte,jsonl'); work()")
    assert len(ended.complaints) == 1
    assert "'sqlte'" in ended.stderr
    assert "Did you mean sqlite?" in ended.stderr
    assert span_names("otel-tracker.jsonl") == ["__main__.work"]


def test_bad_value_is_one_sentence_and_its_default_is_used() -> None:
    """Neither an argument nor a variable of the wrong type stops anything."""
    ended = run("configure(capture_args='perhaps'); work()", OTEL_TRACKER_CAPTURE_MAX_LENGTH="ten")
    assert len(ended.complaints) == 2
    assert "configure(capture_args=...) is 'perhaps'; expected true or false." in ended.stderr
    assert "OTEL_TRACKER_CAPTURE_MAX_LENGTH is 'ten'; expected a whole number" in ended.stderr
    assert stored_spans()[0].args == {"n": 1}


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_SAMPLER": "sometimes"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
        {"OTEL_BSP_SCHEDULE_DELAY": "soon"},
        {"OTEL_PYTHON_ID_GENERATOR": "nonsense"},
        {"OTEL_RESOURCE_ATTRIBUTES": "===,,="},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_bad_value_of_a_standard_variable_does_not_switch_everything_off(variables: dict[str, str]) -> None:
    """The SDK raises for some of them and logs for others; the program runs and is traced in either case."""
    ended = run("configure(); work()", **variables)
    assert span_names() == ["__main__.work"]
    assert len(stored_events()) == 1
    assert ended.stderr


def test_limit_that_is_no_number_leaves_the_program_alone() -> None:
    """The SDK cannot even be imported then."""
    ended = run("configure(); print(work(3), flush(), shutdown())", OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="many")
    assert ended.stdout == "3 True True\n"
    (sentence,) = ended.complaints
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer but got many" in sentence


def test_unknown_argument_is_raised_and_nothing_is_set_up() -> None:
    """The one mistake that is raised: it is in the program's own text."""
    with pytest.raises(UnknownSettingError, match="configure\\(\\) got sqlite_pth=; expected one of"):
        configure(sqlite_pth="x.db")
    assert lifecycle._installation is None


def test_disabled_sdk_sets_up_nothing() -> None:
    """The specification's switch; the program is what it was."""
    ended = run("configure(); print(work(3), flush(), shutdown())", OTEL_SDK_DISABLED="TRUE")
    assert (ended.stdout, ended.stderr) == ("3 True True\n", "")
    assert os.listdir() == ["app.py"]


def test_flush_delivers_before_the_end() -> None:
    """What has ended can be read while the program goes on."""
    ended = run("""
from otel_tracker import open_store
configure(exporters="sqlite,jsonl")
work()
assert flush()
for location in ("otel-tracker.db", "otel-tracker.jsonl"):
    with open_store(location) as reader:
        print(len(list(reader.query_executions())), len(list(reader.events())))
""")
    assert ended.stdout.splitlines() == ["1 1", "1 1"]


def test_flush_says_that_a_store_refuses_what_goes_out_at_the_next_start() -> None:
    """A file of a newer version takes nothing: the span waits until it does, and the other store has it at once."""
    ended = run("""
configure(exporters="sqlite")
work()
print(flush(), shutdown())
""")
    assert ended.stdout == "True True\n"
    with closing(sqlite3.connect("otel-tracker.db")) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("PRAGMA user_version = 99")
    ended = run("""
configure(exporters="sqlite,jsonl")
work()
print(flush(), flush())
""")
    assert ended.stdout == "False False\n"
    assert len(ended.complaints) == 1
    assert span_names("otel-tracker.jsonl") == ["__main__.work"]
    with closing(sqlite3.connect("otel-tracker.db")) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert run("configure(exporters='sqlite')\nwork()").stderr == ""
    assert span_names() == ["__main__.work"] * 3
    assert len(stored_events()) == 3


def test_shutdown_closes_the_stores_and_leaves_nothing_beside_them() -> None:
    """Later spans go nowhere, a second shutdown does nothing, and a late configure() says so."""
    ended = run("""
import os, threading
configure(exporters="sqlite,jsonl")
work()
before = threading.active_count()
print(shutdown(), shutdown(), sorted(os.listdir()))
print([t.name for t in threading.enumerate() if t.name.startswith(("OtelBatch", "otel-tracker"))])
work()
configure()
work()
print(flush() in (True, False))
""")
    assert ended.stdout.splitlines() == ["True True ['app.py', 'otel-tracker.db', 'otel-tracker.jsonl']", "[]", "True"]
    assert ended.complaints == ["configure() after shutdown() changes no destinations; start a new process for that."]
    assert span_names() == span_names("otel-tracker.jsonl") == ["__main__.work"]


def test_flush_and_shutdown_without_configuration_do_nothing() -> None:
    """A library may call them without knowing."""
    assert flush() is True
    assert shutdown() is True


HANGING = """
import threading, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

class Hanging(SpanExporter):
    def export(self, spans):
        threading.Event().wait()

import otel_tracker.destinations as destinations
make = destinations.span_destinations
import otel_tracker.providers as providers
providers.span_destinations = lambda: [*make(), destinations.Destination("hanging", Hanging())]
configure()
work()
for action in (flush, shutdown):
    began = time.monotonic()
    print(action(timeout_s=0.3), time.monotonic() - began < 2, flush=True)
"""


def test_flush_and_shutdown_keep_their_deadline_before_an_exporter_that_hangs() -> None:
    """They say False, and what another destination could take is stored."""
    ended = run(HANGING)
    assert ended.stdout.splitlines() == ["False True", "False True"]
    assert span_names() == ["__main__.work"]


def test_exporter_that_raises_makes_flush_false_at_most() -> None:
    """Nothing that another package does reaches the caller."""
    ended = run("""
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

class Raising(SpanProcessor):
    def force_flush(self, timeout_millis=30000):
        raise RuntimeError("no")
    def shutdown(self):
        raise RuntimeError("no")

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(Raising())
trace.set_tracer_provider(provider)
configure()
work()
print(flush(), shutdown())
""")
    assert ended.stdout == "False True\n"  # only what is ours is shut down
    assert len(ended.complaints) == 1
    assert "otel-tracker failed while flushing (RuntimeError)" in ended.stderr
    assert span_names() == ["__main__.work"]


def test_threads_and_executors_continue_the_trace() -> None:
    """configure() does what the launcher does: context follows into threads."""
    run("""
import threading
from concurrent.futures import ThreadPoolExecutor
configure()
with span("outer"):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
""")
    outer, *inner = stored_spans()
    assert [(each.name, each.parent_span_id, each.trace_id) for each in inner] == [
        ("__main__.work", outer.span_id, outer.trace_id)
    ] * 2


def test_many_threads_that_configure_together_set_up_once() -> None:
    """A span is stored once, whoever came first."""
    run("""
import threading
together = threading.Barrier(8)
def start():
    together.wait()
    configure(exporters="jsonl")
threads = [threading.Thread(target=start) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
work()
""")
    assert len(Path("otel-tracker.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_spans_reach_a_local_store_within_about_a_second_without_any_flush() -> None:
    """A SIGKILL can take no more than about the last second."""
    began = time.monotonic()
    ended = run("""
import os, time
from otel_tracker import open_store
configure(exporters="jsonl")
work()
deadline = time.monotonic() + 5
while not os.path.exists("otel-tracker.jsonl") and time.monotonic() < deadline:
    time.sleep(0.01)
while not open("otel-tracker.jsonl").read().count("\\n") == 2 and time.monotonic() < deadline:
    time.sleep(0.01)
os._exit(0 if time.monotonic() < deadline else 1)
""")
    assert ended.status == 0
    assert time.monotonic() - began < 30
    assert span_names("otel-tracker.jsonl") == ["__main__.work"]


def test_debug_level_shows_the_effective_settings_once() -> None:
    """For the person who wonders what is in force."""
    ended = run("configure(log_level='debug'); configure(); work()", OTEL_TRACES_EXPORTER="jsonl")
    shown = [line for line in ended.complaints if "effective settings" in line]
    assert len(shown) == 1
    assert "'exporters': ('jsonl',)" in shown[0]


def test_nothing_is_imported_by_a_first_span_event_or_context(tmp_path: Path) -> None:
    """A fork while another thread is in the middle of an import would leave the child without that import for ever."""
    program = (
        "import sys\n"
        "from otel_tracker import configure, context, flush, set_context, span, traced, track, track_duration\n"
        "configure(sqlite_path='x.db')\n"
        "@track_duration('job')\n"
        "def work(items): return items\n"
        "before = set(sys.modules)\n"
        "with span('request'):\n"
        "    set_context(user_id='u1')\n"
        "    with context(shard=1):\n"
        "        work([{'a': object()}])\n"
        "        track('done', items=[1, {2: 'x'}])\n"
        "print(sorted(name for name in set(sys.modules) - before if 'otel_tracker' in name or name == 'orjson'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
