"""Routes under hostile conditions: odd words, odd files, destinations that fail, and samples that must stay whole."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from routed import Got
from support import Ended, run_script, stored_events

from otel_tracker import track, track_duration
from otel_tracker.routing import Branch

BEGIN = """
import json, logging, sys, threading, time
from otel_tracker import configure, flush, identify, shutdown, track, track_duration, track_error, track_event

class Keeping(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []
    def emit(self, record):
        self.records.append(record)

events = logging.getLogger("otel_tracker.events")
events.setLevel(logging.DEBUG)
kept = Keeping()
events.addHandler(kept)

def say(**values):
    print(json.dumps(values, default=repr), flush=True)

"""
NAMES = ("user.in", "user.out", "order.a.b", "apple", "beet", "cat", "error.x")
TRACKS = f"""
configure()
for name in {NAMES!r}:
    track(name)
assert flush()
say(logged=[record.getMessage() for record in kept.records])
"""


def program(code: str, **variables: str) -> Ended:
    """Run a program with a handler on the logger of events; it ends well, and its stores lie in files of ours."""
    paths = {"OTEL_TRACKER_SQLITE_PATH": "x.db", "OTEL_TRACKER_JSONL_PATH": "x.jsonl"}
    ended = run_script(BEGIN + dedent(code), **paths, **variables)
    assert ended.status == 0, ended
    return ended


def said(ended: Ended) -> dict[str, Any]:
    """What it said last."""
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def stored(name: str) -> list[str]:
    return [event.name for event in stored_events(name)] if Path(name).exists() else []


# --- words and files -------------------------------------------------------------------------------------------------


def test_globs_mean_what_they_say() -> None:
    """Classes, marks, stars over dots, and exact names; the case counts."""
    ended = program(TRACKS, OTEL_TRACKER_EVENTS_ROUTES="logging=[ab]*,c?t,ORDER.*,user.in;jsonl=order*,*.x;sqlite=*")
    assert said(ended)["logged"] == ["user.in", "apple", "beet", "cat"]
    assert stored("x.jsonl") == ["order.a.b", "error.x"]
    assert stored("x.db") == list(NAMES)
    assert ended.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("routes", ["", " ", ";", " ; ;"])
def test_empty_routes_are_none(routes: str) -> None:
    """Every destination gets every event, and nothing is said."""
    ended = program(TRACKS, OTEL_TRACKER_EVENTS_ROUTES=routes)
    assert (stored("x.db"), ended.stderr) == (list(NAMES), "")


@pytest.mark.parametrize(
    "routes",
    [
        "jsonl=user.*;jsonl=error.*",
        pytest.param("=user.*", marks=pytest.mark.slow),
        pytest.param("jsonl=user.* sample=lots", marks=pytest.mark.slow),
        pytest.param("jsonl=user.* level=loud", marks=pytest.mark.slow),
        pytest.param("jsonl=a colour=red", marks=pytest.mark.slow),
    ],
)
def test_routes_that_make_no_sense_are_one_sentence(routes: str) -> None:
    """It names the variable, quotes the value, says what was expected; the program's events are stored all the same."""
    ended = program(TRACKS, OTEL_TRACKER_EVENTS_ROUTES=routes)
    (sentence,) = ended.complaints
    assert "OTEL_TRACKER_EVENTS_ROUTES" in sentence
    assert "expected" in sentence
    assert stored("x.db") == list(NAMES)


SEED = """
telemetry:
  enabled: true
  debug: false

  destinations:
    jsonl:
      enabled: true
      events:
        - user.*
        - order.*
        - user.*

    logging:
      enabled: true
      level: INFO
      events:
        - error.*
        - system.*

  sampling:
    enabled: false
    rate: 1.0  # 100% of events
"""


def test_seeds_file_works_as_it_stands() -> None:
    """A file in the telemetry module's shape: a pattern that is there twice makes no event twice."""
    Path("otel-tracker.yaml").write_text(SEED)
    ended = program(TRACKS)
    assert stored("x.jsonl") == ["user.in", "user.out", "order.a.b"]
    assert said(ended)["logged"] == ["error.x"]
    assert ended.stderr == ""


def test_argument_goes_before_environment_and_environment_before_file() -> None:
    """As for every setting; the routes of one source are taken as a whole."""
    Path("otel-tracker.yaml").write_text(SEED)
    ended = program(TRACKS, OTEL_TRACKER_EVENTS_ROUTES="logging=cat")
    assert (said(ended)["logged"], Path("x.jsonl").exists()) == (["cat"], False)
    code = TRACKS.replace("configure()", "configure(events_routes={'logging': ['beet']})")
    ended = program(code, OTEL_TRACKER_EVENTS_ROUTES="logging=cat")
    assert (said(ended)["logged"], Path("x.jsonl").exists()) == (["beet"], False)


@pytest.mark.parametrize(
    "text",
    [
        "telemetry: []",
        "telemetry: yes please",
        "telemetry: {destinations: [jsonl, logging]}",
        "telemetry: {destinations: {jsonl: {events: {a: 1}}}}",
        "telemetry: {destinations: {jsonl: {sampling: {enabled: true, rate: lots}}}}",
        "telemetry: {destinations: {7: {events: [a]}}}",
        "telemetry: {sampling: {enabled: true, rate: 20}}",
        "telemetry:\n\tdestinations: 1",
        "telemetry: {destinations: {jsonl: !!python/object/apply:os.getcwd []}}",
    ],
)
@pytest.mark.slow
def test_odd_files_are_said_and_stop_nothing(text: str) -> None:
    """Whatever the file holds, the program runs, its events are stored, and what is wrong is said in sentences."""
    Path("otel-tracker.yaml").write_text(text)
    ended = program(TRACKS)
    assert stored("x.db") == list(NAMES)
    assert ended.complaints, "not a word"
    assert all("Traceback" not in line and "otel-tracker failed while" not in line for line in ended.complaints)


@pytest.mark.parametrize("text", ["", "telemetry: {}", "telemetry: {destinations: null, sampling: null}"])
@pytest.mark.slow
def test_empty_files_say_nothing(text: str) -> None:
    """A file whose parts are empty is as none."""
    Path("otel-tracker.yaml").write_text(text)
    ended = program(TRACKS)
    assert (stored("x.db"), ended.complaints) == (list(NAMES), [])


def test_file_that_is_off_makes_no_event() -> None:
    """``enabled: false`` at the top."""
    Path("otel-tracker.yaml").write_text(SEED.replace("enabled: true", "enabled: false", 1))
    ended = program(TRACKS)
    assert (stored("x.db"), stored("x.jsonl"), said(ended)["logged"], ended.stderr) == ([], [], [], "")


# --- the destination `logging` ---------------------------------------------------------------------------------------


def test_logging_takes_any_property_and_writes_one_line() -> None:
    """Names that `logging` reserves, percent signs and line breaks: each event is one record, of one line."""
    ended = program(
        """
        configure(exporters="none", events_routes={"logging": {"events": ["*"], "level": "WARNING"}})
        reserved = ("message", "args", "name", "msg", "levelname", "levelno", "exc_info", "exc_text", "stack_info",
                    "asctime", "created", "lineno", "pathname", "module", "taskName", "thread", "self", "extra")
        track_event("reserved", {name: 1 for name in reserved})
        track("100%s %d", text="%s %(name)s", n=1)
        track("broken", text="first\\nCRITICAL second\\r\\x1b[31m third\\u2028fourth")
        track("plain", n=1, text="two words", flag=True)
        assert flush()
        lines = [record.getMessage() for record in kept.records]
        say(lines=lines, levels=[record.levelname for record in kept.records],
            names=[record.name for record in kept.records],
            extra=kept.records[3].__dict__["n"] if len(kept.records) > 3 else None,
            formatted=[logging.Formatter("%(asctime)s %(message)s %(args)s").format(record) for record in kept.records])
        """
    )
    found = said(ended)
    assert ended.stderr == ""
    assert len(found["lines"]) == 4, found
    assert found["lines"][1].startswith("100%s %d")
    assert "%(name)s" in found["lines"][1]
    assert [line.split()[0] for line in found["lines"]] == ["reserved", "100%s", "broken", "plain"]
    assert all(f"{name}=1" in found["lines"][0] for name in ("message", "args", "name", "exc_info"))
    assert all(len(line.splitlines()) == 1 and "\x1b" not in line for line in found["lines"]), found["lines"]
    assert set(found["levels"]) == {"WARNING"}
    assert set(found["names"]) == {"otel_tracker.events"}
    assert found["extra"] == 1


def test_failed_events_are_errors_for_logging() -> None:
    """Also where the level is lower; others are as it says."""
    ended = program(
        """
        configure(exporters="none", events_routes="logging=* level=DEBUG")
        @track_duration("job")
        @track_error("oops")
        def job():
            raise ValueError("no")
        try:
            job()
        except ValueError:
            pass
        assert flush()
        say(found=sorted([record.getMessage().split()[0], record.levelname] for record in kept.records))
        """
    )
    assert said(ended)["found"] == [["job.failed", "ERROR"], ["job.started", "DEBUG"], ["oops", "ERROR"]]
    assert ended.stderr == ""


def test_handler_that_blocks_holds_nobody_up() -> None:
    """1,000 events are promptly tracked, stored elsewhere, and the process ends although the handler never returns."""
    ended = program(
        """
        class Blocking(logging.Handler):
            def createLock(self):
                self.lock = None  # else logging's own end, which takes the lock, would wait for ever
            def emit(self, record):
                threading.Event().wait()
        events.addHandler(Blocking())
        configure(events_routes="logging=*", delivery_exit_timeout_s=0.5)
        track("first")
        begin = time.monotonic()
        for number in range(1_000):
            track("e", number=number)
        took = time.monotonic() - begin
        say(is_prompt=took < 5)
        """,
    )
    assert said(ended) == {"is_prompt": True}
    assert len(stored("x.db")) == 1_001


def test_handlers_that_raise_log_and_track_feed_nothing() -> None:
    """Each is called once an event; what it logs and tracks in turn does not come back, nor does its exception."""
    ended = program(
        """
        calls = []
        class Odd(logging.Handler):
            def emit(self, record):
                if record.name == "otel_tracker.events":
                    calls.append(record.getMessage())
                    track("from.handler")
                    track_event("again", {"of": record.getMessage()})
                    identify("handler")
                    logging.getLogger("somebody").error("logged by the handler")
                    threading.Thread(target=track, args=("from.thread",)).start()
                    raise RuntimeError("handler")
        odd = Odd()
        logging.getLogger().addHandler(odd)
        configure(events_routes="logging=*;sqlite=*")
        track("one")
        track("two")
        for _ in range(6):
            flush()
        say(calls=calls)
        """
    )
    calls = Counter(said(ended)["calls"])
    assert calls["one"] == calls["two"] == 1
    assert sum(calls.values()) < 40
    assert stored("x.db")[:2] == ["one", "two"]
    assert "again" in stored("x.db")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("stores_logs", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_log_handler_of_opentelemetry_on_the_root_makes_no_loop(stores_logs: str) -> None:
    """An event becomes one record of the standard library, and at most one log record of that; there it ends."""
    ended = program(
        """
        import warnings
        warnings.simplefilter("ignore")
        try:
            from opentelemetry.instrumentation.logging.handler import LoggingHandler
        except ImportError:
            from opentelemetry.sdk._logs import LoggingHandler
        configure(events_routes="logging=*")
        logging.getLogger().addHandler(LoggingHandler())
        track("one", n=1)
        logging.getLogger("somebody").error("plain %s", "text")
        for _ in range(6):
            flush()
        say(logged=[record.getMessage() for record in kept.records])
        """,
        OTEL_TRACKER_LOGS_STORE=stores_logs,
        PYTHONWARNINGS="ignore",
    )
    assert said(ended)["logged"] == ["one n=1"]
    assert stored("x.db") == ["one"]
    # CPython 3.12.0 to 3.12.2 let the SDK's handler start no thread at exit (open-telemetry/opentelemetry-python#4752).
    assert ended.stderr == "" or "can't create new thread at interpreter shutdown" in ended.stderr


# --- before and after, and other destinations ------------------------------------------------------------------------


def test_events_before_and_after_are_nothing_and_between_are_stored() -> None:
    """Before `configure()`, after `shutdown()`, at exit, and after a second `configure()` nothing is said or lost."""
    ended = program(
        """
        import atexit
        @track_duration("job")
        def job(): ...
        track("before")
        job()
        configure()
        track("between")
        job()
        atexit.register(track, "at exit")
        assert shutdown()
        track("after")
        job()
        configure()
        track("again")
        identify("u")
        """
    )
    assert stored("x.db") == ["between", "job.started", "job.completed"]
    assert len(ended.complaints) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("off", ["OTEL_SDK_DISABLED", "OTEL_TRACKER_EVENTS_ENABLED"])
def test_what_is_off_is_off(off: str) -> None:
    """Routes and defaults notwithstanding."""
    value = "true" if off == "OTEL_SDK_DISABLED" else "false"
    code = TRACKS.replace("assert flush()", "flush()")
    ended = program(
        code, **{off: value}, OTEL_TRACKER_EVENTS_ROUTES="logging=*;jsonl=*", OTEL_TRACKER_EVENTS_DEFAULT="sqlite"
    )
    assert (stored("x.db"), stored("x.jsonl"), said(ended)["logged"], ended.stderr) == ([], [], [], "")


@pytest.mark.parametrize("default", ["loging", "jsonl"])
def test_default_that_is_no_route(default: str) -> None:
    """An unknown one is said; a known one gets what fits no route."""
    ended = program(
        TRACKS, OTEL_TRACKER_EVENTS_ROUTES="sqlite=user.*;logging=nothing", OTEL_TRACKER_EVENTS_DEFAULT=default
    )
    assert stored("x.db") == ["user.in", "user.out"]
    if default == "jsonl":
        assert stored("x.jsonl") == list(NAMES[2:])
        assert ended.stderr == ""
    else:
        (sentence,) = ended.complaints
        assert "OTEL_TRACKER_EVENTS_DEFAULT" in sentence
        assert "loging" in sentence


# --- samples ---------------------------------------------------------------------------------------------------------


class Raising(LogRecordProcessor):
    """A destination that fails."""

    def on_emit(self, log_record: Any) -> None:
        raise RuntimeError("destination")

    def shutdown(self) -> None:
        raise RuntimeError("destination")

    def force_flush(self, timeout_millis: int = 0) -> bool:
        raise RuntimeError("destination")


def assert_whole(names: list[str]) -> int:
    """As many ends as starts of every name, some of them at least; gives how many calls there were."""
    ends: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    for name in names:
        prefix, _, last = name.rpartition(".")
        (starts if last == "started" else ends)[prefix] += 1
    assert starts == ends
    return starts.total()


def test_destination_that_raises_takes_nothing_from_the_others(routed: Callable[..., Got]) -> None:
    """Neither an event nor the flush nor the end."""
    got = routed("a=*", Branch("x", Raising(), None, takes_every_event=True, is_default=False))
    for _ in range(3):
        track("e")
    logs_internal._LOGGER_PROVIDER.force_flush()
    assert got() == {"a": ["e"] * 3, "b": ["e"] * 3, "c": ["e"] * 3}


@pytest.mark.parametrize("sampler_ratio", [1.0, 0.3, 0.0])
def test_sample_of_calls_is_whole_where_spans_are_sampled_as_well(
    routed: Callable[..., Got], sampler_ratio: float
) -> None:
    """Two samplers over each other: started without end or end without start never, at any destination."""
    got = routed("a=* sample=0.5;b=*.started,*.completed,*.failed sample=0.2")
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(sampler_ratio)), shutdown_on_exit=False)
    trace.set_tracer_provider(provider)

    @track_duration("outer")
    def outer(number: int) -> None:
        inner(number)
        inner(number)

    @track_duration("inner")
    def inner(number: int) -> None:
        if number % 3 == 0:
            raise ValueError

    for number in range(300):
        try:
            outer(number)
        except ValueError:
            pass
    found = got()
    whole = {name: assert_whole(found[name]) for name in "abc"}
    assert whole["c"] == 200 * 3 + 100 * 2
    assert 0.3 * whole["c"] < whole["a"] < 0.7 * whole["c"]
    assert 0.05 * whole["c"] < whole["b"] < 0.4 * whole["c"]
    assert not Counter(found["b"]) - Counter(found["a"])


@pytest.mark.parametrize("is_traced", [True, False], ids=["traced", "outside"])
def test_sample_of_interleaved_calls_is_whole(routed: Callable[..., Got], is_traced: bool) -> None:
    """Tasks, generators that threads hand on, async generators that others close: a start has its end, or neither."""
    got = routed("a=* sample=0.5")
    if is_traced:
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))

    @track_duration("task")
    async def task(number: int) -> None:
        for _ in range(number % 4):
            await asyncio.sleep(0)

    @track_duration("gen")
    def gen() -> Iterator[int]:
        yield 1
        yield 2

    @track_duration("agen")
    async def agen() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        await asyncio.gather(*(task(number) for number in range(200)))
        for number in range(100):
            running = agen()
            await asyncio.ensure_future(running.__anext__())
            if number % 2:
                await asyncio.ensure_future(running.aclose())
            else:
                await running.aclose()

    asyncio.run(main())
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for _ in range(100):
            running = gen()
            one.submit(next, running).result()
            other.submit(list, running).result()
    assert assert_whole(got()["c"]) == 400
    assert 100 < assert_whole(got()["a"]) < 300


def test_starts_that_never_end_cost_bounded_memory(routed: Callable[..., Got]) -> None:
    """Names made up for each start, outside of any trace, in one thread after the other."""
    routed("a=nothing sample=0.5;b=nothing;c=nothing")

    def starts(first: int) -> None:
        for number in range(first, first + 2_500):
            track(f"x{number}.started")

    def measure(first: int) -> int:
        thread = threading.Thread(target=starts, args=(first,))
        thread.start()
        thread.join()
        starts(first + 100_000)
        gc.collect()
        return sys.getallocatedblocks()

    measure(0)
    measure(2_500)
    before = measure(5_000)
    assert measure(7_500) - before < 4_000
