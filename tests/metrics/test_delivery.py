"""Metrics arrive where they should, in every kind of process and end, exactly once, and hold nobody up.

Readers and providers are set up once a process, so that nearly every test here is a process of its own.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from importlib.util import find_spec

import pytest
from support import Ended, run_script, stored_metrics

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

WORK = """
import os, signal, sys, threading, time
from otel_tracker import configure, counter, flush, gauge, shutdown, timed, traced, up_down_counter

orders = counter("orders")
"""


def run(code: str, *arguments: str, status: int = 0, **variables: str) -> Ended:
    """Run a script that has `orders`; it must end so, and say nothing."""
    ended = run_script(WORK + code, *arguments, **{"PYTHONWARNINGS": QUIET, **variables})
    assert (ended.status, ended.stderr) == (status, "")
    return ended


QUIET = "error,ignore:This process:DeprecationWarning"  # since 3.12 of every fork beside threads


def counted(location: str = "otel-tracker.db") -> Counter[str]:
    """The sum of all points of ``orders``, by the label ``by``."""
    found: Counter[str] = Counter()
    for point in stored_metrics(location):
        if point.name == "orders":
            found[str(point.attributes.get("by", ""))] += int(point.value or 0)
    return found


def test_exit_of_a_script_stores_what_it_has_counted() -> None:
    """In the default store, as increases, with the resource that its spans have."""
    run(
        "orders.add(7); configure(service_name='shop'); orders.add(1, by='a'); orders.add(2, by='a'); gauge('g').set(4)"
    )
    points = {point.name: point for point in stored_metrics()}
    assert counted() == {"a": 3}
    assert (points["orders"].temporality, points["orders"].kind) == ("delta", "counter")
    assert points["g"].value == 4
    assert points["orders"].resource["service.name"] == "shop"
    assert points["orders"].resource["telemetry.distro.name"] == "otel-tracker"


def test_flush_and_shutdown_deliver_metrics_too() -> None:
    """Each time what was added since; after `shutdown` nothing."""
    ended = run("""
configure()
orders.add(1)
print(flush())
orders.add(2)
print(flush())
orders.add(4)
print(shutdown())
orders.add(8)
print(threading.active_count())
""")
    assert ended.stdout.split() == ["True", "True", "True", "1"]
    assert sorted(point.value or 0 for point in stored_metrics()) == [1, 2, 4]


@pytest.mark.slow
def test_points_are_stored_while_the_program_runs() -> None:
    """Every so often, as the standard variable says; the rest is what a SIGKILL takes."""
    run(
        """
configure()
orders.add(3)
from otel_tracker import open_store
for _ in range(2_000):
    time.sleep(0.005)
    if os.path.exists("otel-tracker.db") and list(open_store("otel-tracker.db").metrics()):
        os.kill(os.getpid(), signal.SIGKILL)
""",
        status=-9,
        OTEL_METRIC_EXPORT_INTERVAL="20",
    )
    assert counted() == {"": 3}


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["0", "-5", "soon", "inf"])
def test_interval_that_makes_no_sense_is_said_and_changes_nothing_else(interval: str) -> None:
    ended = run_script(WORK + "configure(); orders.add(1)", OTEL_METRIC_EXPORT_INTERVAL=interval)
    assert ended.status == 0
    (sentence,) = ended.complaints
    assert sentence.startswith(f"OTEL_METRIC_EXPORT_INTERVAL is '{interval}'; expected a number of milliseconds")
    assert counted() == {"": 1}


@needs_fork
def test_forked_child_counts_for_itself_alone() -> None:
    """Nothing that its parent had counted, delivered or not; and its own reader runs."""
    run(
        """
configure()
orders.add(10, by="parent")
flush()
orders.add(5, by="parent")
up_down_counter("level").add(3)
if os.fork() == 0:
    orders.add(1, by="child")
    up_down_counter("level").add(1)
    from otel_tracker import open_store
    for _ in range(2_000):
        time.sleep(0.005)
        if any(point.attributes.get("by") == "child" for point in open_store("otel-tracker.db").metrics()):
            os._exit(0)
    os._exit(1)
sys.exit(os.wait()[1])
""",
        OTEL_METRIC_EXPORT_INTERVAL="300",
    )
    assert counted() == {"parent": 15, "child": 1}
    levels = {point.resource["service.instance.id"]: point.value for point in stored_metrics() if point.name == "level"}
    assert sorted(map(str, levels.values())) == ["1", "3"]


@needs_fork
def test_parent_goes_on_counting_for_every_destination_after_forks() -> None:
    """A reader whose thread has ended before anybody waits for it is begun again, too."""
    run("""
configure(exporters="sqlite,jsonl")
orders.add(1, by="before")
for _ in range(5):
    if os.fork() == 0:
        os._exit(0)
    os.wait()
orders.add(1, by="after")
""")
    for location in ("otel-tracker.db", "otel-tracker.jsonl"):
        assert counted(location) == {"before": 1, "after": 1}


@pytest.mark.slow
@needs_fork
def test_each_generation_of_forks_counts_for_itself() -> None:
    run("""
configure()
for generation in range(3):
    orders.add(1, by=str(generation))
    if os.fork() != 0:
        os.wait()
        break
""")
    assert counted() == {"0": 1, "1": 1, "2": 1}


HELD_LOCKS = """
configure(exporters="none")
from opentelemetry import metrics
from otel_tracker.metric_readers import ExportingReader
from otel_tracker.metric_reading import add_reader
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
provider = metrics.get_meter_provider()
reader = ExportingReader(ConsoleMetricExporter(open(os.devnull, "w")), is_local=True)
add_reader(provider, reader)
orders.add(1, by="a")
consumer = provider._measurement_consumer
storage = consumer._reader_storages[reader]
(match,) = storage._instrument_view_instrument_matches.popitem()[1]
(aggregation,) = match._attributes_aggregation.values()
storage._instrument_view_instrument_matches.clear()
meter = next(iter(provider._meters.values()))
locks = [consumer._lock, storage._lock, match._lock, aggregation._lock, reader._export_lock]
locks += [lock for lock in vars(meter).values() if isinstance(lock, type(threading.Lock()))]
held = threading.Event()

def hold():
    for lock in locks:
        lock.acquire()
    held.set()
    threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
if os.fork() == 0:
    signal.alarm(20)
    orders.add(1, by="a")
    counter("new").add(1)
    done = flush(5)
    os._exit(0 if done else 1)
status = os.wait()[1]
os._exit(status != 0)
"""


@needs_fork
def test_locks_that_another_thread_held_do_not_hang_a_child() -> None:
    """All that a measurement and a collection take, held at the moment of the fork."""
    run(HELD_LOCKS)


SIGTERM_WHILE_LOCKED = """
from opentelemetry import metrics
configure()

class One(int):
    def __radd__(self, total):  # the SDK adds up inside a lock
        os.kill(os.getpid(), signal.SIGTERM)
        return int(total) + int(self)

metrics.get_meter("any").create_counter("orders").add(One(1))
time.sleep(20)
"""


@needs_fork
def test_sigterm_inside_a_lock_of_the_sdk_waits_for_it_to_be_given_back() -> None:
    """The handler runs in the thread that holds it; the measurement is counted, and the process ends by the signal."""
    run(SIGTERM_WHILE_LOCKED, status=-15)
    assert counted() == {"": 1}


SIGTERM = """
configure()
for number in range(10**9):
    orders.add(1)
    os.write(1, b".")
    if number == 20_000:
        threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
"""


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("turn", range(3))
def test_sigterm_in_the_midst_of_measurements_loses_none(turn: int) -> None:
    ended = run(SIGTERM, status=-15)
    said = ended.stdout.count(".")
    assert said <= counted()[""] <= said + 1


DEAD_ENDPOINT = """
configure()
orders.add(1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("opentelemetry.exporter"), reason="needs the extra otlp")
def test_endpoint_that_does_not_answer_costs_no_more_than_the_exit_s_time() -> None:
    """And nothing of what the other destinations get."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin_s = time.monotonic()
        run_script(
            WORK + DEAD_ENDPOINT,
            OTEL_METRICS_EXPORTER="otlp,sqlite",
            OTEL_TRACES_EXPORTER="sqlite",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
            OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S="0.5",
        )
        took_s = time.monotonic() - begin_s
    assert counted() == {"": 1}
    assert took_s < 10


@pytest.mark.slow
def test_one_destination_that_is_misspelt_leaves_the_others_alone() -> None:
    ended = run_script(WORK + "configure(); orders.add(1)", OTEL_METRICS_EXPORTER="jsonl,sqlit")
    (sentence,) = ended.complaints
    assert sentence.startswith("OTEL_METRICS_EXPORTER names 'sqlit'")
    assert counted("otel-tracker.jsonl") == {"": 1}


@pytest.mark.slow
def test_none_stores_no_metrics() -> None:
    run("configure(); orders.add(1); traced(lambda: 1)()", OTEL_METRICS_EXPORTER="none")
    assert stored_metrics() == []


@pytest.mark.slow
def test_console_prints_metrics_when_it_is_named_for_them() -> None:
    """And only then."""
    code = "configure(exporters='console'); orders.add(1)"
    assert run(code).stdout == ""
    assert '"orders"' in run(code, OTEL_METRICS_EXPORTER="console").stdout


JOINED = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

own = InMemoryMetricReader()
provider = MeterProvider([own], resource=Resource({"service.name": "theirs"}))
metrics.set_meter_provider(provider)
configure()
orders.add(2)
assert own.get_metrics_data() is not None
"""


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("", marks=pytest.mark.slow),
        "shutdown(); orders.add(4); assert own.get_metrics_data() is not None",
    ],
)
def test_provider_of_somebody_else_s_gets_our_readers(end: str) -> None:
    """Its own readers go on, also after our `shutdown`; what it measures is stored with its resource."""
    run(JOINED + end)
    assert counted() == {"": 2}
    assert stored_metrics()[0].resource["service.name"] == "theirs"


@pytest.mark.slow
def test_tracer_provider_of_somebody_else_s_does_not_keep_metrics_from_being_stored() -> None:
    run("""
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider(resource=Resource({"service.name": "theirs"})))
configure()
orders.add(2)
""")
    assert stored_metrics()[0].resource["service.name"] == "theirs"


@pytest.mark.slow
def test_meter_provider_that_takes_no_readers_is_said_in_one_sentence() -> None:
    ended = run_script(
        WORK
        + """
from opentelemetry import metrics
class Own(metrics.NoOpMeterProvider):
    pass
metrics.set_meter_provider(Own())
configure()
orders.add(1)
"""
    )
    assert (ended.status, len(ended.complaints)) == (0, 1), ended.stderr
    (sentence,) = ended.complaints
    assert sentence.startswith("The meter provider Own that is already set takes no readers")


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("prometheus_client"), reason="needs the extra prometheus")
def test_prometheus_reads_where_its_variables_say() -> None:
    """A page with what was counted, as long as the program runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    ended = run_script(
        WORK
        + """
import urllib.request
configure()
orders.add(3, by="a")
print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics").read().decode())
""",
        port,
        OTEL_METRICS_EXPORTER="prometheus,sqlite",
        OTEL_EXPORTER_PROMETHEUS_PORT=port,
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
        PYTHONWARNINGS="default",
    )
    assert ended.status == 0, ended.stderr
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("orders"))
    assert 'by="a"' in line
    assert line.endswith(" 3.0")
    assert counted() == {"a": 3}


def test_frozen_platform_gets_metrics_before_it_freezes() -> None:
    """A handler's counts are stored when it returns."""
    ended = run(
        """
from otel_tracker import ProcessTracker, open_store
configure()
tracker = ProcessTracker(lambda record: None)
@tracker
def handler():
    orders.add(1)
for _ in range(2):
    handler()
    print(sum(int(point.value) for point in open_store("otel-tracker.db").metrics(name="orders")))
""",
        AWS_LAMBDA_FUNCTION_NAME="shop",
    )
    assert ended.stdout.split() == ["1", "2"]
