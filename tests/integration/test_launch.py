"""Under the real ``opentelemetry-instrument`` a program is traced without a change, and runs whatever is wrong with us.

Every test starts real child processes: what a user types, with a real program, and looks at what it printed, how it
ended, and what the store holds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from support import (
    Ended,
    install_fake_distribution,
    launch_script,
    launcher,
    run,
    span_names,
    stored_events,
    stored_spans,
)

from otel_tracker.records import SpanRecord
from otel_tracker_exporters.sqlite.writer import SqliteWriter

from .matrix import needs

PROGRAM = """
from otel_tracker import span, track, traced

@traced
def total(items, password="hunter2"):
    track("cart.totalled", n=len(items))
    return sum(items)

print(total([1, 2]))
"""


def launch(code: str = PROGRAM, *arguments: str, **variables: str) -> Ended:
    """Launch a program that must end well."""
    ended = launch_script(code, *arguments, **variables)
    assert ended.status == 0, ended
    return ended


def test_plain_script_is_traced_and_stored() -> None:
    """Spans and events, with arguments bounded and redacted, delivered by a normal exit."""
    ended = launch(OTEL_SERVICE_NAME="shop")
    assert (ended.stdout, ended.stderr) == ("3\n", "")
    (span,), (event,) = stored_spans(), stored_events()
    assert (span.qualified_name, span.status) == ("__main__.total", "completed")
    assert span.args == {"items": [1, 2], "password": "[redacted]"}
    assert (event.name, event.properties, event.trace_id) == ("cart.totalled", {"n": 2}, span.trace_id)
    assert span.resource == event.resource
    assert (span.resource["service.name"], span.resource["telemetry.distro.name"]) == ("shop", "otel-tracker")
    assert span.resource["telemetry.auto.version"]
    assert sorted(os.listdir()) == ["app.py", "otel-tracker.db"]


@pytest.mark.parametrize(
    ("ending", "status"), [("sys.exit(3)", 3), ("raise RuntimeError('the end')", 1), ("os.kill(os.getpid(), 2)", -2)]
)
def test_program_that_ends_otherwise_is_stored_too_and_keeps_its_exit_status(ending: str, status: int) -> None:
    """`sys.exit`, an exception that nobody catches, and Ctrl-C."""
    ended = launch_script(f"import os, sys\n{PROGRAM}\n{ending}\n")
    assert ended.status == status
    assert span_names() == ["__main__.total"]
    assert len(stored_events()) == 1


def test_settings_are_options_of_the_launcher() -> None:
    """`opentelemetry-instrument --tracker_sqlite_path x.db python app.py`."""
    Path("app.py").write_text(PROGRAM, encoding="utf-8")
    options = ["--tracker_sqlite_path", "x.db", "--tracker_capture_args", "false", "--service_name", "shop"]
    assert run(*launcher(), *options, sys.executable, "app.py").status == 0
    (span,) = stored_spans("x.db")
    assert (span.args, span.resource["service.name"]) == ({}, "shop")


def test_misspelt_exporter_is_one_sentence_that_names_the_right_one() -> None:
    """The stock launcher switches everything off and says nothing that helps."""
    ended = launch(OTEL_TRACES_EXPORTER="sqlte")
    assert ended.stdout == "3\n"
    (sentence,) = ended.complaints
    assert "OTEL_TRACES_EXPORTER names 'sqlte'" in sentence
    assert "Did you mean sqlite?" in sentence
    assert os.listdir() == ["app.py"]


@pytest.mark.slow
def test_one_wrong_name_leaves_the_other_destinations_alone() -> None:
    """Short and entry-point names stand side by side, and each destination gets everything once."""
    ended = launch(OTEL_TRACES_EXPORTER="sqlite,nonsense,otel_tracker_jsonl,jsonl")
    assert len(ended.complaints) == 1
    assert "'nonsense'" in ended.stderr
    assert span_names("otel-tracker.db") == span_names("otel-tracker.jsonl") == ["__main__.total"]
    assert len(Path("otel-tracker.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_console_prints_and_stores_nothing() -> None:
    """The SDK's own exporters work by their own names."""
    ended = launch(OTEL_TRACES_EXPORTER="console")
    assert '"name": "__main__.total"' in ended.stdout
    assert '"event_name": "cart.totalled"' in ended.stdout
    assert os.listdir() == ["app.py"]


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_SAMPLER": "always_off"}],
)
def test_switched_off_program_runs_and_stores_no_span(variables: dict[str, str]) -> None:
    """Three standard ways to say no; an unsampled execution still tracks its events, without ids."""
    ended = launch(**variables)
    assert (ended.stdout, ended.stderr) == ("3\n", "")
    if "OTEL_TRACES_SAMPLER" in variables:
        assert stored_spans() == []
        assert [(event.name, event.trace_id) for event in stored_events()] == [("cart.totalled", "")]
    else:
        assert os.listdir() == ["app.py"]


def test_standard_sampler_keeps_about_its_share_and_whole_traces() -> None:
    """`OTEL_TRACES_SAMPLER=parentbased_traceidratio`: a trace is kept with all its spans or not at all."""
    code = """
    from otel_tracker import span, traced

    @traced
    def inner(): ...

    for _ in range(400):
        with span("outer"):
            inner()
    """
    launch(code, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")
    traces: dict[str, list[str]] = {}
    for span in stored_spans():
        traces.setdefault(span.trace_id, []).append(span.name)
    assert 40 < len(traces) < 180  # 100 expected; beyond these bounds once in 10**10 runs
    assert {tuple(names) for names in traces.values()} == {("outer", "__main__.inner")}


@pytest.mark.slow
def test_collector_that_is_not_there_delays_nothing_but_the_exit() -> None:
    """`otlp` without a collector: the program's work is done, it ends well, and another destination has it all."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    ended = launch(OTEL_TRACES_EXPORTER="otlp,sqlite", **variables)
    assert ended.stdout == "3\n"
    assert span_names() == ["__main__.total"]
    assert len(stored_events()) == 1


def test_wrong_settings_are_one_sentence_each() -> None:
    """A setting of the wrong type, an unknown name in the file: the program runs and is traced."""
    Path("otel-tracker.yaml").write_text("sqlite: {pth: x.db}\n", encoding="utf-8")
    ended = launch(OTEL_TRACKER_CAPTURE_MAX_LENGTH="ten", OTEL_TRACKER_CAPTURE_ARGS="perhaps")
    assert len(ended.complaints) == 3, ended.stderr
    assert "OTEL_TRACKER_CAPTURE_MAX_LENGTH is 'ten'; expected a whole number of characters from 0." in ended.stderr
    assert "OTEL_TRACKER_CAPTURE_ARGS is 'perhaps'; expected true or false." in ended.stderr
    assert "sqlite_pth in " in ended.stderr
    assert stored_spans()[0].args["items"] == [1, 2]


def test_debug_level_shows_what_is_in_force() -> None:
    """Once, and without any secret of the environment."""
    ended = launch(OTEL_TRACKER_LOG_LEVEL="debug", OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer hunter2hunter2")
    shown = [line for line in ended.complaints if "effective settings" in line]
    assert len(shown) == 1
    assert "'exporters': ('sqlite',)" in shown[0]
    assert "hunter2hunter2" not in ended.stderr


UNUSABLE = {
    "a directory": ("folder", "folder is a directory; expected"),
    "below a regular file": ("app.py/x.db", "app.py/x.db cannot be"),
    "where nobody may write": ("/proc/otel-tracker.db", "/proc/otel-tracker.db cannot be"),
    "no database": ("text.db", "text.db is no SQLite database; expected a file that otel-tracker made."),
    "a damaged database": ("damaged.db", "damaged.db is "),
    "another program's database": ("theirs.db", "theirs.db is an SQLite database of another program"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_store_is_one_sentence_and_nothing_is_harmed(case: str) -> None:
    """The program runs to its end with its own exit status, and what lay there still does."""
    path, sentence = UNUSABLE[case]
    _make_unusable()
    before = _contents()
    ended = launch(OTEL_TRACKER_SQLITE_PATH=path)
    assert ended.stdout == "3\n"
    assert len(ended.complaints) == 1, ended.stderr
    assert sentence in ended.stderr
    assert {name: data for name, data in _contents().items() if name != "app.py"} == before


def test_unusable_jsonl_file_is_one_sentence() -> None:
    """As for SQLite."""
    Path("folder.jsonl").mkdir()
    ended = launch(OTEL_TRACES_EXPORTER="jsonl", OTEL_TRACKER_JSONL_PATH="folder.jsonl")
    assert ended.stdout == "3\n"
    assert len(ended.complaints) == 1, ended.stderr
    assert "folder.jsonl is a directory; expected a JSONL file." in ended.stderr
    assert os.listdir("folder.jsonl") == []


def test_jsonl_file_with_garbage_and_a_torn_line_is_appended_to() -> None:
    """Garbage stays, a torn last line is closed off, and the new records can be read."""
    Path("otel-tracker.jsonl").write_bytes(b'\xff\x00 garbage\n{"schema": 1, "type": "span", "na')
    ended = launch(OTEL_TRACES_EXPORTER="jsonl")
    assert ended.stderr == ""
    assert span_names("otel-tracker.jsonl") == ["__main__.total"]
    assert Path("otel-tracker.jsonl").read_bytes().startswith(b"\xff\x00 garbage\n")


def _make_unusable() -> None:
    Path("folder").mkdir()
    Path("text.db").write_text("dear diary, " * 1000, encoding="utf-8")
    with sqlite3.connect("theirs.db") as connection:
        connection.execute("CREATE TABLE contacts (name TEXT)")
    connection.close()
    writer = SqliteWriter(os.path.abspath("damaged.db"))
    assert writer.write([SpanRecord("a" * 32, "b" * 16, "f", 0, 1)])
    writer.close()
    with open("damaged.db", "r+b") as file:
        file.seek(16)
        file.write(b"\xff" * 5000)


def _contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in Path().iterdir()}


CONTEXT = """
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
from otel_tracker import span, traced

@traced
def work(where): ...

async def main():
    with span("asyncio"):
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, work, "run_in_executor")
        await asyncio.to_thread(work, "to_thread")
        await asyncio.gather(later())

@traced
async def later():
    work("task")

with span("threads"):
    thread = threading.Thread(target=work, args=("thread",))
    thread.start()
    thread.join()
    timer = threading.Timer(0, work, ("timer",))
    timer.start()
    timer.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work, "submit").result()
        list(pool.map(work, ["map"]))

asyncio.run(main())
"""


def test_threads_executors_and_tasks_continue_the_trace() -> None:
    """Whoever starts them is the parent of what they do."""
    ended = launch(CONTEXT)
    assert ended.stderr == ""
    spans = {span.args.get("where", span.name): span for span in stored_spans()}
    parents = dict.fromkeys(("thread", "timer", "submit", "map"), spans["threads"])
    parents |= dict.fromkeys(("run_in_executor", "to_thread", "__main__.later"), spans["asyncio"])
    parents["task"] = spans["__main__.later"]
    assert {name: spans[name].parent_span_id for name in parents} == {
        name: parent.span_id for name, parent in parents.items()
    }
    assert len({span.trace_id for span in spans.values()}) == 2


FASTAPI = """
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from otel_tracker import track, traced

app = FastAPI()

@traced
def price(sku: str) -> int:
    track("price.asked", sku=sku)
    return 42

@app.get("/items/{sku}")
def item(sku: str):
    return {"price": price(sku)}

@app.get("/items/{sku}/async")
async def item_later(sku: str):
    return {"price": price(sku)}

@app.get("/broken")
def broken():
    raise RuntimeError("no stock")

client = TestClient(app, raise_server_exceptions=False)
paths = ("/items/A1?token=hunter2hunter2", "/items/B2/async", "/broken", "/nowhere")
print([client.get(path).status_code for path in paths])
"""

FLASK = """
from flask import Flask
from otel_tracker import track, traced

app = Flask(__name__)

@traced
def price(sku: str) -> int:
    track("price.asked", sku=sku)
    return 42

@app.get("/items/<sku>")
def item(sku: str):
    return {"price": price(sku)}

@app.get("/items/<sku>/async")
def item_again(sku: str):
    return {"price": price(sku)}

@app.get("/broken")
def broken():
    raise RuntimeError("no stock")

client = app.test_client()
paths = ("/items/A1?token=hunter2hunter2", "/items/B2/async", "/broken", "/nowhere")
print([client.get(path).status_code for path in paths])
"""


@pytest.mark.slow
@needs("fastapi", "httpx", "opentelemetry.instrumentation.fastapi")
def test_fastapi_request_is_one_server_span_with_the_stable_names() -> None:
    """No send and receive spans; what the endpoint calls stands below, also when it runs in a thread."""
    # Warnings of the test client's own dependencies are not ours.
    ended = launch(FASTAPI, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="", PYTHONWARNINGS="default")
    assert ended.stdout == "[200, 200, 500, 404]\n"
    _check_requests("/items/{sku}", "/items/{sku}/async")


@needs("flask", "opentelemetry.instrumentation.flask")
def test_flask_request_is_one_server_span_with_the_stable_names() -> None:
    """The same as FastAPI, to the attribute."""
    ended = launch(FLASK, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="", PYTHONWARNINGS="default")
    assert ended.stdout == "[200, 200, 500, 404]\n"
    _check_requests("/items/<sku>", "/items/<sku>/async")


def _check_requests(*routes: str) -> None:
    spans = stored_spans()
    servers = [span for span in spans if span.kind == "server"]
    assert [span.attributes["url.path"] for span in servers] == ["/items/A1", "/items/B2/async", "/broken", "/nowhere"]
    assert [span.attributes["http.response.status_code"] for span in servers] == [200, 200, 500, 404]
    assert {span.attributes["http.request.method"] for span in servers} == {"GET"}
    assert [span.name for span in servers[:3]] == [f"GET {routes[0]}", f"GET {routes[1]}", "GET /broken"]
    assert [span.attributes["http.route"] for span in servers[:2]] == list(routes)
    assert [span.status for span in servers] == ["completed", "completed", "failed", "completed"]
    assert not [name for span in servers for name in span.attributes if name in ("http.method", "http.status_code")]
    assert "hunter2hunter2" not in json.dumps([span.to_dict() for span in spans])

    functions = [span for span in spans if span.kind != "server"]
    assert [span.qualified_name for span in functions] == ["__main__.price", "__main__.price"]
    assert [span.parent_span_id for span in functions] == [servers[0].span_id, servers[1].span_id]
    assert [event.trace_id for event in stored_events()] == [servers[0].trace_id, servers[1].trace_id]


DJANGO = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")  # where manage.py sets it
import django
from django.conf import settings
django.setup()
from django.test import Client
print(Client().get("/items/A1").status_code, settings.ROOT_URLCONF)
"""
DJANGO_SETTINGS = """
from django.http import HttpResponse
from django.urls import path
from otel_tracker import traced
SECRET_KEY = "x"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "site_settings"

@traced
def price(sku): return 42

def item(request, sku): return HttpResponse(str(price(sku)))

urlpatterns = [path("items/<str:sku>", item)]
"""


@pytest.mark.slow
@needs("django", "opentelemetry.instrumentation.django")
def test_django_is_traced() -> None:
    """One server span a request, with the stable names, and our function below it."""
    Path("site_settings.py").write_text(DJANGO_SETTINGS, encoding="utf-8")
    every = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "", "PYTHONWARNINGS": "default"}
    ended = launch(DJANGO, DJANGO_SETTINGS_MODULE="site_settings", **every)
    assert ended.stdout == "200 site_settings\n"
    server, function = stored_spans()
    assert (server.kind, server.attributes["http.request.method"]) == ("server", "GET")
    assert (function.qualified_name, function.parent_span_id) == ("site_settings.price", server.span_id)


BROKEN_INSTRUMENTOR = """
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

class Broken(BaseInstrumentor):
    def instrumentation_dependencies(self): return []
    def _instrument(self, **options): raise RuntimeError("no\\nluck")
    def _uninstrument(self, **options): ...
"""


def test_broken_instrumentor_is_one_sentence_and_the_others_work() -> None:
    """The stock launcher stops at the first one that raises."""
    folder = install_fake_distribution(
        Path("packages"),
        "aaa_broken",
        {"aaa_broken": BROKEN_INSTRUMENTOR},
        "[opentelemetry_instrumentor]\naaa_broken = aaa_broken:Broken\n",
    )
    ended = launch(CONTEXT, PYTHONPATH=str(folder.resolve()))
    assert len(ended.complaints) == 1, ended.stderr
    assert "The instrumentor aaa_broken failed (RuntimeError: no luck); the others work." in ended.stderr
    assert len({span.trace_id for span in stored_spans()}) == 2


OTHER_DISTRO = """
import os
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class Distro(BaseDistro):
    def _configure(self, **options): os.environ.setdefault("OTEL_TRACES_EXPORTER", "console")

class Configurator(_OTelSDKConfigurator): ...
"""


@pytest.fixture
def other_distribution() -> dict[str, str]:
    """The variables of a child in which another vendor's distribution is found before ours."""
    folder = install_fake_distribution(
        Path("packages"),
        "aaa_vendor",
        {"aaa_vendor": OTHER_DISTRO},
        "[opentelemetry_distro]\naaa_vendor = aaa_vendor:Distro\n"
        "[opentelemetry_configurator]\naaa_vendor = aaa_vendor:Configurator\n",
    )
    return {"PYTHONPATH": str(folder.resolve())}


def test_ours_is_chosen_beside_another_distribution_by_the_two_variables(other_distribution: dict[str, str]) -> None:
    """What `otel-tracker run` sets."""
    ours = {"OTEL_PYTHON_DISTRO": "otel_tracker", "OTEL_PYTHON_CONFIGURATOR": "otel_tracker"}
    assert launch(**other_distribution, **ours).stdout == "3\n"
    assert span_names() == ["__main__.total"]
    assert len(stored_events()) == 1


def test_another_distribution_that_goes_first_leaves_the_program_alone(other_distribution: dict[str, str]) -> None:
    """Which of the two the launcher takes is not ours to say; the decorated program runs under either."""
    ended = launch(**other_distribution)
    assert ended.stdout.splitlines()[0] == "3"
    assert "Traceback" not in ended.stderr
    assert '"name": "__main__.total"' in ended.stdout


def test_the_other_distro_with_our_configurator_works_too(other_distribution: dict[str, str]) -> None:
    """The two are chosen apart from one another."""
    launch(
        **other_distribution,
        OTEL_PYTHON_DISTRO="aaa_vendor",
        OTEL_PYTHON_CONFIGURATOR="otel_tracker",
        OTEL_TRACES_EXPORTER="sqlite",
    )
    assert span_names() == ["__main__.total"]


@needs("opentelemetry.distro")
def test_upstreams_own_distro_beside_ours_is_overruled_by_the_two_variables() -> None:
    """`opentelemetry-distro` comes with many tutorials."""
    assert "distro" in {point.name for point in entry_points(group="opentelemetry_distro")}
    launch(OTEL_PYTHON_DISTRO="otel_tracker", OTEL_PYTHON_CONFIGURATOR="otel_tracker")
    assert span_names() == ["__main__.total"]


def test_our_distro_is_the_only_one_here() -> None:
    """A normal installation has one distro and one configurator, so that the launcher takes ours."""
    for group in ("opentelemetry_distro", "opentelemetry_configurator"):
        names = {point.name for point in entry_points(group=group)}
        if importlib.util.find_spec("opentelemetry.distro") is None:
            assert names == {"otel_tracker"}
        else:
            assert "otel_tracker" in names


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.configuration") is not None,
    reason="opentelemetry-configuration is installed",
)
def test_declarative_configuration_without_its_package_is_one_sentence() -> None:
    """`OTEL_CONFIG_FILE` needs a package that nobody has by default."""
    Path("otel.yaml").write_text('file_format: "1.0"\n', encoding="utf-8")
    ended = launch(OTEL_CONFIG_FILE="otel.yaml")
    assert ended.stdout == "3\n"
    assert len(ended.complaints) == 1, ended.stderr
    assert ended.stderr.startswith("OTEL_CONFIG_FILE cannot be used (")
    assert "pip install" in ended.stderr
    assert "nothing is traced" in ended.stderr


def test_limit_that_is_no_number_leaves_the_program_alone() -> None:
    """The SDK cannot be imported then; that is said, without a traceback of the launcher's."""
    ended = launch(OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="many")
    assert ended.stdout == "3\n"
    assert len(ended.complaints) == 1, ended.stderr
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in ended.stderr


def test_configure_in_a_launched_program_adds_nothing() -> None:
    """Code that configures itself may be launched as well: each span is stored once."""
    code = "from otel_tracker import configure\nconfigure(exporters='jsonl')\n" + PROGRAM
    ended = launch(code, OTEL_TRACES_EXPORTER="jsonl")
    assert ended.stderr == ""
    assert len(Path("otel-tracker.jsonl").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.slow
def test_child_processes_share_one_store() -> None:
    """A subprocess is instrumented again; nothing is lost or torn, and a reader sees all."""
    code: Any = """
    import subprocess, sys
    from otel_tracker import traced

    @traced
    def work(n): ...

    if len(sys.argv) == 1:
        children = [subprocess.Popen([sys.executable, __file__, str(n)]) for n in range(2)]
        assert [child.wait() for child in children] == [0, 0]
    for n in range(50):
        work(n)
    """
    launch(code)
    assert len(stored_spans()) == 150
