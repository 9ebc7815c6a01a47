"""Routes: which destination gets which events, from every source of settings, and what a sample keeps together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from otel_tracker import open_store, track, track_duration
from otel_tracker.event_routes import Route, Routes, parse_routes

PROGRAM = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s %(message)s", level=logging.INFO)
from otel_tracker import configure, track, track_duration
configure()
track("user.signed_up", plan="pro")
track("payment.done", amount=5)
track("order.shipped")
@track_duration("error.job")
def job():
    raise ValueError("no")
try:
    job()
except ValueError:
    pass
"""
YAML = """
telemetry:
  enabled: true
  debug: false
  destinations:
    jsonl:
      enabled: true
      events:
        - user.*
        - payment.*
    logging:
      enabled: true
      level: WARNING
      events:
        - error.*
  sampling:
    enabled: false
    rate: 0.0
"""


def run(folder: Path, **variables: str) -> str:
    """Run the program there; gives what it printed."""
    environment = {**os.environ, "OTEL_TRACKER_SQLITE_PATH": "x.db", "OTEL_TRACKER_JSONL_PATH": "x.jsonl", **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def names_in(path: Path) -> list[str]:
    """The names of the events in a store, oldest first."""
    if not path.exists():
        return []
    with open_store(str(path)) as store:
        return [event.name for event in store.events()][::-1]


ALL = ["user.signed_up", "payment.done", "order.shipped", "error.job.started", "error.job.failed"]


def test_without_routes_every_destination_gets_every_event(tmp_path: Path) -> None:
    """What was stored before there were routes still is."""
    assert run(tmp_path, OTEL_TRACES_EXPORTER="sqlite,jsonl") == ""
    assert names_in(tmp_path / "x.db") == names_in(tmp_path / "x.jsonl") == ALL


@pytest.mark.parametrize("source", ["environment", "file"])
def test_routes_say_who_gets_what(tmp_path: Path, source: str) -> None:
    """A routed destination is active and gets what its globs fit; a store that no route names gets everything."""
    if source == "file":
        (tmp_path / "otel-tracker.yaml").write_text(YAML)
        printed = run(tmp_path)
    else:
        routes = "jsonl=user.*, payment.* ; logging=error.* level=WARNING"
        printed = run(tmp_path, OTEL_TRACKER_EVENTS_ROUTES=routes)
    assert names_in(tmp_path / "x.db") == ALL
    assert names_in(tmp_path / "x.jsonl") == ["user.signed_up", "payment.done"]
    first, second = printed.splitlines()
    assert first == "otel_tracker.events WARNING error.job.started"
    assert second.startswith("otel_tracker.events ERROR error.job.failed duration_ms=")
    assert second.endswith("error.type=ValueError error.message=no")


def test_default_gets_what_fits_no_route(tmp_path: Path) -> None:
    """An event that no route wants goes to no routed destination but the default one."""
    printed = run(
        tmp_path,
        OTEL_TRACKER_EVENTS_ROUTES="jsonl=user.*;sqlite=payment.*",
        OTEL_TRACKER_EVENTS_DEFAULT="logging",
    )
    assert names_in(tmp_path / "x.db") == ["payment.done"]
    assert names_in(tmp_path / "x.jsonl") == ["user.signed_up"]
    assert [line.split()[2] for line in printed.splitlines()] == ALL[2:]


def test_destination_that_is_not_enabled_gets_no_events(tmp_path: Path) -> None:
    """Its spans are not touched."""
    run(tmp_path, OTEL_TRACES_EXPORTER="sqlite,jsonl", OTEL_TRACKER_EVENTS_ROUTES="jsonl enabled=false")
    assert names_in(tmp_path / "x.jsonl") == []
    assert names_in(tmp_path / "x.db") == ALL
    with open_store(str(tmp_path / "x.jsonl")) as store:
        assert [record.function for record in store.query_executions()] == ["job"]


@pytest.mark.parametrize(("variable", "value"), [("TELEMETRY_ENABLED", "false"), ("TELEMETRY_DEBUG", "true")])
def test_variables_of_the_telemetry_module_work(tmp_path: Path, variable: str, value: str) -> None:
    """Off means no event; debug prints each as well."""
    printed = run(tmp_path, **{variable: value})
    is_on = variable == "TELEMETRY_DEBUG"
    assert names_in(tmp_path / "x.db") == (ALL if is_on else [])
    assert [name in printed for name in ALL] == [is_on] * len(ALL)


def test_unknown_destination_of_a_route_is_one_sentence(tmp_path: Path) -> None:
    """The others work."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "OTEL_TRACKER_EVENTS_ROUTES": "loging=*;jsonl=user.*", "OTEL_TRACKER_JSONL_PATH": "x.jsonl"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    (sentence,) = [line for line in done.stdout.splitlines() if "loging" in line]
    assert "OTEL_TRACKER_EVENTS_ROUTES names 'loging'" in sentence
    assert "Did you mean logging?" in sentence
    assert names_in(tmp_path / "x.jsonl") == ["user.signed_up"]


def test_logging_destination_does_not_feed_itself(tmp_path: Path) -> None:
    """A handler that tracks what it handles makes one more event elsewhere, and none for itself."""
    (tmp_path / "app.py").write_text(
        "import logging\n"
        "from otel_tracker import configure, flush, track\n"
        "class Tracking(logging.Handler):\n"
        "    def emit(self, record):\n"
        "        track('handled', of=record.getMessage())\n"
        "logging.getLogger().addHandler(Tracking())\n"
        "configure(sqlite_path='x.db', events_routes={'logging': ['*']})\n"
        "logging.getLogger('otel_tracker.events').setLevel('INFO')\n"
        "track('first')\n"
        "for _ in range(5): assert flush()\n"
    )
    subprocess.run([sys.executable, "app.py"], cwd=tmp_path, check=True, timeout=60)
    with open_store(str(tmp_path / "x.db")) as store:
        found = [(event.name, dict(event.properties)) for event in store.events()][::-1]
    assert found == [("first", {}), ("handled", {"of": "first"})]


def test_text_and_mapping_say_the_same() -> None:
    """Routes are read alike from every source."""
    expected = Routes(
        {
            "umami": Route("umami", ("user.*", "payment.*"), sample_ratio=0.5),
            "logging": Route("logging", ("error.*",), level="warning"),
            "jsonl": Route("jsonl", is_enabled=False),
        }
    )
    assert (
        parse_routes("umami=user.*, payment.* sample=0.5; logging = error.* level=WARNING;jsonl enabled=no") == expected
    )
    mapping = {
        "umami": {"events": ["user.*", "payment.*"], "sampling": {"enabled": True, "rate": 0.5}},
        "logging": {"events": "error.*", "level": "WARNING"},
        "jsonl": False,
    }
    assert parse_routes(mapping) == expected
    assert parse_routes(expected) is expected


@pytest.mark.parametrize(
    "value",
    [7, "umami=a;umami=b", "=a", "umami=a sample=2", "umami=a size=2", "umami=a loud", {"umami": {"level": "loud"}}],
)
def test_routes_that_make_no_sense_are_refused(value: object) -> None:
    """What cannot be read is said by the settings, as for every other one."""
    with pytest.raises((ValueError, TypeError)):
        parse_routes(value)


def test_level_is_the_least_severity(routed: Any) -> None:
    """Of a destination with a level only what is as severe."""
    got = routed("a=* level=ERROR")

    @track_duration("job")
    def job() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        job()
    assert got()["a"] == ["job.failed"]
    assert got()["b"] == ["job.started", "job.failed"]


@pytest.mark.parametrize("is_traced", [True, False])
def test_sample_keeps_whole_traces_and_no_end_without_its_start(routed: Any, is_traced: bool) -> None:
    """A tenth of 2,000 calls, give or take, and of each of them both events or none; another destination gets all."""
    got = routed("a=* sample=0.1;b=* sample=0.5")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("x")

    def call(number: int) -> None:
        track(f"job{number}.started")
        track(f"job{number}.step") if is_traced else None
        track(f"job{number}.completed")

    for number in range(2_000):
        if is_traced:
            with tracer.start_as_current_span("call"):
                call(number)
        else:
            call(number)
    found = got()
    assert len(found["c"]) == 2_000 * (3 if is_traced else 2)
    for name, low, high in (("a", 120, 290), ("b", 850, 1_150)):
        started = {event.removesuffix(".started") for event in found[name] if event.endswith(".started")}
        completed = {event.removesuffix(".completed") for event in found[name] if event.endswith(".completed")}
        assert started == completed
        assert low < len(started) < high
    assert set(found["a"]) <= set(found["b"])


def test_sample_of_recursive_calls_keeps_pairs(routed: Any) -> None:
    """Calls inside each other, of the same name and in other threads, do not mix up their pairs."""
    got = routed("a=* sample=0.5")

    def call(depth: int) -> None:
        track("job.started")
        if depth:
            call(depth - 1)
        track("job.completed")

    threads = [threading.Thread(target=lambda: [call(3) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = got()["a"]
    assert found.count("job.started") == found.count("job.completed") > 0


def test_sample_of_calls_whose_ends_nobody_tells_keeps_a_share(routed: Any) -> None:
    """Neither all of them nor none, though each follows another that seems to be open."""
    got = routed("a=* sample=0.5")
    for _ in range(4_000):
        track("session.started")
    assert 1_000 < len(got()["a"]) < 3_000


def test_events_follow_the_sampled_share_of_spans(routed: Any) -> None:
    """A trace that the usual sampler keeps at a ratio keeps its events at the same ratio."""
    got = routed("a=* sample=0.25")
    kept = 0
    for _ in range(400):
        with TracerProvider(shutdown_on_exit=False).get_tracer("x").start_as_current_span("call") as current:
            track("e")
            kept += current.get_span_context().trace_id & ((1 << 64) - 1) < (1 << 62)
    assert len(got()["a"]) == kept


def test_event_names_without_end_cost_bounded_memory(routed: Any) -> None:
    """Names that are made up for each event are not all remembered."""
    routed("a=user.*")
    import opentelemetry._logs._internal as logs_internal

    router = logs_internal._LOGGER_PROVIDER._multi_log_record_processor._log_record_processors[0]  # type: ignore[union-attr]
    for number in range(10_000):
        track(f"user.{number}")
    for number in range(10):
        track(f"user.{number}" + "x" * 10_000)
    assert len(router._by_name) <= 4_096
    assert max(map(len, router._by_name)) < 1_000


@given(st.text(max_size=80) | st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.text(max_size=9)))
def test_any_routes_are_read_or_refused(value: Any) -> None:
    """No text and no mapping does anything but give routes or ValueError."""
    try:
        routes = parse_routes(value)
    except ValueError:
        return
    for route in routes:
        assert isinstance(route.matches("user.x"), bool)
    assert json.dumps(repr(routes))


def test_what_is_logged_while_something_is_delivered_is_not_delivered(routed: Any) -> None:
    """An HTTP client's debug messages cannot feed the exporter that uses it."""
    from opentelemetry._logs import get_logger
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    got = routed("a=user.*")
    get_logger("urllib3").emit(body="outside")
    with suppress_instrumentation():
        get_logger("urllib3").emit(body="inside")
        track("user.seen")
    assert {name: len(names) for name, names in got().items()} == {"a": 2, "b": 2, "c": 2}
