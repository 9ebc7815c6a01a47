"""Beside an application that sets OpenTelemetry up by itself, and beside clients that are traced, nothing doubles.

Every test starts a real child process under the real launcher.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import Ended, launch_script, stored_events, stored_spans

from .matrix import needs

EVERY = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "", "PYTHONWARNINGS": "default"}


def launch(code: str, **variables: str) -> Ended:
    """Launch a program that must end well, with every instrumentor that is installed."""
    ended = launch_script(code, **{**EVERY, **variables})
    assert ended.status == 0, ended
    return ended


OWN_INSTRUMENTATION = {
    "flask": """
        from flask import Flask
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
        app = Flask("app")
        app.get("/items")(lambda: "42")
        FlaskInstrumentor().instrument_app(app)
        print(app.test_client().get("/items").text)
        """,
    "fastapi": """
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        app = FastAPI()
        app.get("/items")(lambda: 42)
        FastAPIInstrumentor.instrument_app(app)
        print(TestClient(app).get("/items").text)
        """,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "framework",
    [
        pytest.param("flask", marks=needs("flask", "opentelemetry.instrumentation.flask")),
        pytest.param("fastapi", marks=needs("fastapi", "httpx", "opentelemetry.instrumentation.fastapi")),
    ],
)
def test_application_that_instruments_itself_is_traced_once(framework: str) -> None:
    """One server span a request, and one sentence."""
    ended = launch(OWN_INSTRUMENTATION[framework])
    assert ended.stdout == "42\n"
    assert [span.kind for span in stored_spans() if "http.route" in span.attributes] == ["server"]
    assert sum("already instrumented" in line for line in ended.complaints) == 1, ended.stderr


OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_tracker import traced

own = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(own))
trace.set_tracer_provider(provider)

@traced
def work(): ...

work()
print(len(own.get_finished_spans()), trace.get_tracer_provider() is provider)
"""


def test_application_with_a_provider_of_its_own_after_the_launcher_is_traced_once() -> None:
    """OpenTelemetry keeps the first provider, and says so in one sentence."""
    ended = launch(OWN_PROVIDER)
    assert ended.stdout == "0 False\n"
    assert ended.complaints == ["Overriding of current TracerProvider is not allowed"]
    assert [span.qualified_name for span in stored_spans()] == ["__main__.work"]


def test_provider_that_is_there_first_is_joined() -> None:
    """A `configure()` behind it adds our destinations to the application's own."""
    code = OWN_PROVIDER.replace("@traced", "from otel_tracker import configure\nconfigure()\n\n@traced")
    ended = launch(code, OTEL_PYTHON_DISTRO="none", OTEL_PYTHON_CONFIGURATOR="none")
    assert ended.stdout == "1 True\n"
    assert [span.qualified_name for span in stored_spans()] == ["__main__.work"]


SQLITE = """
import sqlite3
from otel_tracker import flush, span, track

with span("request"):
    connection = sqlite3.connect("shop.db")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE orders (number INTEGER)")
    track("order.placed")
assert flush()
cursor.execute("INSERT INTO orders VALUES (1)")
connection.close()
"""


@needs("opentelemetry.instrumentation.sqlite3")
def test_sqlite_store_does_not_trace_itself() -> None:
    """The program's statements have spans; those that store them have not."""
    ended = launch(SQLITE)
    assert ended.stderr == ""
    assert sorted(span.name for span in stored_spans()) == ["CREATE", "INSERT", "request"]
    assert len(stored_events()) == 1


REQUESTS = """
import requests, sys
from otel_tracker import flush, span, track

with span("request"):
    track("order.placed")
    requests.get(sys.argv[1] + "/shop").close()
flush()
with span("later"):
    ...
"""
EXPECTED = {"GET", "later", "request"}


@pytest.mark.slow
@needs("requests", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.requests")
def test_otlp_exporter_does_not_trace_itself() -> None:
    """With the instrumentors of its HTTP clients active: the program's request has a span, the exporter's have none."""
    from otlp_endpoint import endpoint

    with endpoint() as server:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_TRACES_EXPORTER": "otlp,sqlite"}
        ended = launch_script(REQUESTS, server.url, **{**EVERY, **variables})
    assert ended.status == 0, ended
    assert {span.name for span in stored_spans()} == {span.name for span, _, _ in server.spans} == EXPECTED
    urls = [str(value) for span in stored_spans() for value in span.attributes.values()]
    assert [url for url in urls if "/v1/" in url] == []


CONFIG_FILE = """
file_format: "1.0"
resource:
  attributes:
    - {name: service.name, value: shop}
tracer_provider:
  processors:
    - batch:
        exporter:
          otel_tracker_sqlite: {path: declared.db, max_bytes: 64MiB, max_age_days: 7}
    - simple:
        exporter:
          otel_tracker_jsonl: {path: declared.jsonl}
logger_provider:
  processors:
    - batch:
        exporter:
          otel_tracker_sqlite: {path: declared.db}
"""
DECLARED = """
from otel_tracker import span, track
with span("work"):
    track("order.placed")
"""


@pytest.mark.slow
@needs("opentelemetry.configuration")
@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal that a program can be ended with")
def test_declarative_configuration_loses_nothing_on_sigterm_either() -> None:
    """The SDK's own batch processors stand in front of the exporters then; they are flushed all the same."""
    Path("otel.yaml").write_text(CONFIG_FILE, encoding="utf-8")
    ended = launch_script(f"{DECLARED}\nimport os\nos.kill(os.getpid(), 15)", OTEL_CONFIG_FILE="otel.yaml")
    assert (ended.status, ended.stderr) == (-15, "")
    assert [span.name for span in stored_spans("declared.db")] == ["work"]
    assert [event.name for event in stored_events("declared.db")] == ["order.placed"]


@needs("opentelemetry.configuration")
def test_declarative_configuration_takes_our_exporters_and_their_options() -> None:
    """`OTEL_CONFIG_FILE` names them by their entry points; each option is a key."""
    Path("otel.yaml").write_text(CONFIG_FILE, encoding="utf-8")
    ended = launch(DECLARED, OTEL_CONFIG_FILE="otel.yaml")
    assert ended.stderr == ""
    for location in ("declared.db", "declared.jsonl"):
        (span,) = stored_spans(location)
        assert (span.name, span.resource["service.name"]) == ("work", "shop")
    assert [event.name for event in stored_events("declared.db")] == ["order.placed"]
    assert not Path("otel-tracker.db").exists()


@needs("opentelemetry.configuration")
def test_declarative_configuration_goes_on_with_a_trace_and_baggage_of_the_environment() -> None:
    """As without it: the first span is a child of TRACEPARENT, named baggage entries are on spans and events."""
    propagators = "propagator:\n  composite: [{tracecontext: {}}, {baggage: {}}]\n"
    Path("otel.yaml").write_text(CONFIG_FILE + propagators, encoding="utf-8")
    given = {"TRACEPARENT": f"00-{77:032x}-{78:016x}-01", "BAGGAGE": "tenant=t1"}
    ended = launch(DECLARED, OTEL_CONFIG_FILE="otel.yaml", OTEL_TRACKER_CONTEXT_BAGGAGE_KEYS="tenant", **given)
    assert ended.stderr == ""
    (span,) = stored_spans("declared.db")
    assert (span.trace_id, span.parent_span_id) == (f"{77:032x}", f"{78:016x}")
    assert span.attributes["tenant"] == "t1"
    assert [event.properties["tenant"] for event in stored_events("declared.db")] == ["t1"]
