"""`otel-tracker convert`: real stores, real files, real interruptions."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from otel_tracker.records import EventRecord, SpanRecord
from otel_tracker.stores import find_place, open_store

from .helpers import EVENTS, LATER, MS, NOON_NS, SPANS, json_lines, plain_environment, program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .conftest import Run

Record = SpanRecord | EventRecord
KILLED_CONVERSIONS = Path(__file__).with_name("killed_conversions.py")
FORMATS = {"sqlite": ("x.db", None), "record": ("x.jsonl", "record"), "otlp": ("y.jsonl", "otlp")}


def held(path: Path | str) -> Counter[str]:
    """Everything that a store holds, as often as it holds it."""
    with open_store(path) as reader:
        return Counter(json.dumps(stored.record.to_dict(), sort_keys=True) for stored in reader.stored())


def written(path: Path, target_format: str | None, records: Iterable[Record]) -> Path:
    """A store of this format with these records."""
    with closing(find_place(path).open_writer(target_format)) as writer:
        writer.store(records)
    return path


def many(count: int) -> list[Record]:
    """Spans, some stored when they started and again when they ended, and events of which many are alike."""
    records: list[Record] = []
    for number in range(count):
        span = replace(
            LATER, trace_id=f"{number // 10 + 1:032x}", span_id=f"{number + 1:016x}", start_ns=NOON_NS + number
        )
        if number % 3 == 0:
            records.append(replace(span, end_ns=None, status="started", result=None, has_result=False))
        records.append(replace(span, args={"n": number, "text": "x" * 200}))
        if number % 2 == 0:
            records.append(EventRecord("cart.paid", NOON_NS + number % 50 * MS, properties={"amount": number % 5}))
    return records


@pytest.mark.slow
@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_every_format_becomes_every_other(run: Run, tmp_path: Path, source: str, target: str) -> None:
    """What the target holds is what the source holds; a second time adds nothing."""
    (tmp_path / "in").mkdir()
    name, source_format = FORMATS[source]
    path = written(tmp_path / "in" / name, source_format, [*SPANS, *EVENTS, EVENTS[0]])
    name, target_format = FORMATS[target]
    options = [] if target_format is None else ["--format", target_format]
    result = run("convert", path, name, *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"Converted 4 spans and 3 events from {path} to {tmp_path / name}.\n"
    assert held(tmp_path / name) == held(path)
    again = run("convert", path, name, "--json")
    assert held(tmp_path / name) == held(path)
    counts = json_lines(again.stdout)[0]
    assert (counts["spans"], counts["events"], counts["spans_there"], counts["events_there"]) == (0, 0, 4, 3)
    assert [name for name in os.listdir(tmp_path) if name.endswith(".convert")] == []


def test_format_is_the_one_that_the_target_holds(run: Run, tmp_path: Path) -> None:
    """Without --format a target keeps to one format; the two are never mixed in one file."""
    written(tmp_path / "a.db", None, SPANS)
    written(tmp_path / "b.jsonl", "otlp", [LATER])
    assert run("convert", "a.db", "b.jsonl").returncode == 0
    assert not (tmp_path / "b.jsonl").exists()
    assert len((tmp_path / "b.traces.jsonl").read_text().splitlines()) == len(SPANS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["y.traces.jsonl", "y.logs.jsonl"])
@pytest.mark.parametrize("options", [["--format", "otlp"], pytest.param([], marks=pytest.mark.slow)])
def test_a_target_named_by_its_signal_is_the_whole_store(
    run: Run, tmp_path: Path, name: str, options: list[str]
) -> None:
    """Both files of the format otlp are filled, and converting again by any of the store's names adds nothing."""
    written(tmp_path / "a.db", None, [*SPANS, *EVENTS])
    if not options:
        written(tmp_path / "y.jsonl", "otlp", [LATER])
    first = run("convert", "a.db", name, *options)
    assert (first.returncode, first.stderr) == (0, "")
    assert f"to {tmp_path / 'y.jsonl'}" in first.stdout
    for again in (name, "y.jsonl", "y.traces.jsonl", "y.logs.jsonl"):
        counts = json_lines(run("convert", "a.db", again, "--json", *options).stdout)[0]
        assert (counts["spans"], counts["events"], counts["spans_there"], counts["events_there"]) == (0, 0, 4, 2)
    assert held(tmp_path / "y.jsonl") == held(tmp_path / "a.db")
    assert sorted(os.listdir(tmp_path)) == ["a.db", "y.logs.jsonl", "y.traces.jsonl"]


@pytest.mark.slow
def test_two_conversions_of_one_store_are_kept_apart_by_whatever_name(run: Run, tmp_path: Path) -> None:
    """While one is at work with the store, another that names the file of a signal is refused."""
    fcntl = pytest.importorskip("fcntl", reason="locks as POSIX has them")
    written(tmp_path / "a.db", None, SPANS)
    with (tmp_path / ".y.jsonl.convert.lock").open("w") as held_by_another:
        fcntl.flock(held_by_another, fcntl.LOCK_EX)
        for name in ("y.jsonl", "y.traces.jsonl", "y.logs.jsonl"):
            result = run("convert", "a.db", name, "--format", "otlp")
            assert (result.returncode, result.stdout) == (1, "")
            assert "Another conversion is at work with y.jsonl." in result.stderr
    assert sorted(os.listdir(tmp_path)) == [".y.jsonl.convert.lock", "a.db"]


OTLP = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "other"}}]},
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": f"EEE19B7EC3C1B17{number}",
                            "name": "work",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "kind": 2,
                        }
                        for number in range(3)
                    ]
                }
            ],
        }
    ]
}
METRICS = {
    "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}]}}]}]}]
}


@pytest.mark.parametrize("kind", ["line", "no newline", "document", "gzip"])
def test_files_of_other_programs_are_read(run: Run, tmp_path: Path, kind: str) -> None:
    """OTLP JSON as the collector writes it, pretty-printed, compressed, with several spans in a line."""
    path = tmp_path / ("their.jsonl.gz" if kind == "gzip" else "their.json")
    text = (
        json.dumps(OTLP, indent=2) if kind == "document" else json.dumps(OTLP) + ("" if kind == "no newline" else "\n")
    )
    path.write_bytes(gzip.compress(text.encode()) if kind == "gzip" else text.encode())
    result = run("convert", path, "ours.db")
    assert result.returncode == 0, result.stderr
    with open_store(tmp_path / "ours.db") as reader:
        spans = list(reader.query_executions())
    assert sorted(span.span_id for span in spans) == [f"eee19b7ec3c1b17{number}" for number in range(3)]
    assert {(span.kind, span.duration_ms) for span in spans} == {("server", 1000.0)}


@pytest.mark.slow
@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_beyond_64_mib_is_refused_with_the_way_out(run: Run, tmp_path: Path, indent: int | None) -> None:
    """Nothing reads it as an empty store or as broken lines, whoever asks; a target is not begun."""
    span = json.dumps(OTLP["resourceSpans"][0]["scopeSpans"][0]["spans"][0], indent=indent)  # type: ignore[index]
    line_feed = "\n" if indent else ""
    with (tmp_path / "their.json").open("w") as file:
        file.write(f'{{{line_feed} "resourceSpans": [{{"scopeSpans": [{{"spans": [{line_feed}')
        file.write(f",{line_feed}".join([span] * (70_000_000 // len(span))))
        file.write(f"{line_feed}]}}]}}]{line_feed}}}")
    for command in ("convert their.json b.db", "query --store their.json", "stats --store their.json"):
        result = run(*command.split())
        assert (result.returncode, result.stdout) == (1, "")
        assert "their.json is one JSON document of" in result.stderr
        assert "Split it into lines" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == ["their.json"]


def test_what_cannot_be_converted_is_counted(run: Run, tmp_path: Path) -> None:
    """Garbage is passed over, and said to be; points of a metric are converted."""
    path = written(tmp_path / "a.jsonl", "record", SPANS)
    with path.open("a") as file:
        file.write("garbage\n" + json.dumps(METRICS) + "\n")
    result = run("convert", "a.jsonl", "b.db", "--json")
    assert json_lines(result.stdout)[0] == {
        "source": str(path),
        "target": str(tmp_path / "b.db"),
        "format": None,
        "resumed": False,
        "spans": 4,
        "events": 0,
        "logs": 0,
        "metrics": 1,
        "spans_there": 0,
        "events_there": 0,
        "logs_there": 0,
        "metrics_there": 0,
        "unwritable": 0,
        "unfinished": 0,
        "skipped_lines": 1,
        "skipped_rows": 0,
    }
    sentence = run("convert", "a.jsonl", "b.db").stdout
    assert "4 spans and 1 metric point were there already" in sentence
    assert "1 line that cannot be read was passed over" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("source_format", ["record", "otlp"])
@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_last_line_without_its_newline_is_converted(run: Run, tmp_path: Path, source_format: str, count: int) -> None:
    """As a query counts it; a second time, also when the line has its newline and more behind it, nothing doubles."""
    path = written(tmp_path / "a.jsonl", source_format, SPANS[:count])
    file = path if source_format == "record" else tmp_path / "a.traces.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    for target in ("b.jsonl", "c.db"):
        result = run("convert", path, target, "--json")
        counts = json_lines(result.stdout)[0]
        assert (result.returncode, counts["spans"], counts["skipped_lines"]) == (0, count, 0)
        again = json_lines(run("convert", path, target, "--json").stdout)[0]
        assert (again["spans"], again["spans_there"]) == (0, count)
    file.write_bytes(whole)
    written(path, source_format, EVENTS)
    for target in ("b.jsonl", "c.db"):
        assert run("convert", path, target).returncode == 0
        assert held(tmp_path / target) == held(path)


def test_half_a_last_line_is_counted(run: Run, tmp_path: Path) -> None:
    """What a crash has torn is passed over, and said to be, in a plain file and in a compressed one."""
    content = written(tmp_path / "a.jsonl", "record", SPANS).read_bytes()[:-30]
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress(content * 20)[:-40])
    result = run("convert", "a.jsonl", "b.db")
    assert result.stdout.endswith("b.db; 1 line that cannot be read was passed over.\n")
    assert result.stdout.startswith("Converted 3 spans and 0 events")
    assert json_lines(run("convert", "z.jsonl.gz", "c.db", "--json").stdout)[0]["skipped_lines"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("target_format", ["record", "otlp"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_target_whose_last_line_was_cut_is_completed(
    run: Run, tmp_path: Path, target_format: str, is_whole: bool
) -> None:
    """A line that lacks its newline is there, half a line is not: each time the target ends with everything once."""
    path = written(tmp_path / "a.db", None, SPANS)
    for count in (1, 3):
        target = tmp_path / f"b{count}.jsonl"
        written(target, target_format, SPANS[:count])
        file = target if target_format == "record" else target.with_suffix(".traces.jsonl")
        file.write_bytes(file.read_bytes()[: -1 if is_whole else -20])
        result = run("convert", path, target, "--json")
        assert result.returncode == 0, result.stderr
        assert json_lines(result.stdout)[0]["spans_there"] == (count if is_whole else count - 1)
        assert held(target) == held(path)


def nested(depth: int) -> dict[str, object]:
    """A map in a map, and so on."""
    return {"k": nested(depth - 1) if depth > 1 else 1}


YEAR_1600_NS = -11_676_096_000 * 1_000_000_000


@pytest.mark.parametrize(
    ("unfit", "target", "sentence"),
    [
        (replace(LATER, start_ns=YEAR_1600_NS), "b.db", "1600-01-01T00:00:00.000000000Z is no time from 1677-09-21"),
        (EventRecord("late", -YEAR_1600_NS), "b.db", "2340-01-02T00:00:00.000000000Z is no time from 1677-09-21"),
        (replace(LATER, resource=nested(90)), "b.jsonl", "more than 60 containers inside each other"),
        (replace(LATER, args={"a": nested(70)}), "b.jsonl", "more than 60 containers inside each other"),
        (EventRecord("deep", NOON_NS, body=nested(70)), "b.jsonl", "more than 60 containers inside each other"),
    ],
)
def test_what_the_target_cannot_hold_is_said_and_ends_with_1(
    run: Run, tmp_path: Path, unfit: Record, target: str, sentence: str
) -> None:
    """A record beyond a known bound is left out and counted, with the bound in the sentence, and no other is lost."""
    written(tmp_path / "a.jsonl", "record", [LATER, unfit, EVENTS[0]])
    options = ["--format", "otlp"] if target.endswith(".jsonl") else []
    result = run("convert", "a.jsonl", target, *options)
    assert result.returncode == 1
    assert "1 record could not be written" in result.stdout
    assert sentence in result.stderr
    assert "report" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not held(tmp_path / target) - held(tmp_path / "a.jsonl")
    assert held(tmp_path / target).total() == 2


def test_a_store_is_replayed_to_an_endpoint(run: Run, tmp_path: Path) -> None:
    """Every span and event arrives; what has not ended does not, and is said to be left out."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")
    from otlp_endpoint import endpoint

    running = replace(LATER, span_id="05" * 8, end_ns=None, status="started")
    written(tmp_path / "a.jsonl", "record", [running, *SPANS, SPANS[0], *EVENTS])
    with endpoint() as collector:
        result = run("convert", "a.jsonl", collector.url)
        assert (result.returncode, result.stderr) == (0, "")
        assert {span.span_id.hex() for span, _, _ in collector.spans} == {span.span_id for span in SPANS}
        assert len(collector.spans) == len(SPANS)
        assert sorted(log.event_name for log, _ in collector.logs) == ["cart.opened", "user.left"]
    assert result.stdout == (
        f"Converted 4 spans and 2 events from {tmp_path / 'a.jsonl'} to {collector.url}; "
        "1 span was there already; 1 span without an end cannot be sent.\n"
    )
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.slow
def test_an_endpoint_that_fails_half_way_gets_the_rest_later(run: Run, tmp_path: Path) -> None:
    """The sentence says what happened; the same command goes on, and every span has arrived once."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otlp")
    from otlp_endpoint import endpoint

    spans = [replace(LATER, span_id=f"{number:016x}") for number in range(1, 1501)]
    written(tmp_path / "a.jsonl", "record", spans)
    with endpoint(200, 200, 400, 200) as collector:
        failed = run("convert", "a.jsonl", collector.url)
        assert failed.returncode == 1
        assert "the same command goes on from there" in failed.stderr
        assert sorted(os.listdir(tmp_path)) == [".a.jsonl.convert", "a.jsonl"]
        result = run("convert", "a.jsonl", collector.url, "--json")
        assert json_lines(result.stdout)[0]["resumed"] is True
        assert json_lines(result.stdout)[0]["spans"] == len(spans)
        arrived = Counter(span.span_id.hex() for span, _, _ in collector.spans)
    assert set(arrived) == {span.span_id for span in spans}
    assert sum(arrived.values()) - len(arrived) <= 512  # the batch that was refused is recorded by the endpoint too
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["a.db", "a.db"], 2, "belongs to the store that is converted"),
        (["a.db", "b.db", "--format", "otlp"], 2, "has no format 'otlp'"),
        (["a.db", "b.jsonl", "--format", "csv"], 2, "expected one of record, otlp"),
        (["missing.db", "b.jsonl"], 1, "There is no store at"),
        (["a.db", "b.txt"], 1, "expected a file ending in"),
        (["a.db", "notes.txt"], 1, "notes.txt is no store"),
        (["a.db", "notes.jsonl"], 1, "Name another file"),
        (["a.db", "other.db"], 1, "other.db"),
        (["a.db", "folder"], 1, "folder is a directory"),
        (["http://127.0.0.1:1", "b.db"], 1, "can only be written"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, tmp_path: Path, arguments: list[str], status: int, sentence: str
) -> None:
    """One sentence, and no file is touched."""
    written(tmp_path / "a.db", None, SPANS)
    (tmp_path / "notes.txt").write_text("milk\n")
    (tmp_path / "notes.jsonl").write_text("milk\n")
    (tmp_path / "other.db").write_text("milk\n" * 1000)
    (tmp_path / "folder").mkdir()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    result = run("convert", *arguments)
    assert result.returncode == status, result.stderr
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_folders_of_the_target_are_made(run: Run, tmp_path: Path) -> None:
    """As an exporter makes them: for their owner alone."""
    written(tmp_path / "a.db", None, SPANS)
    assert run("convert", "a.db", "deep/er/b.jsonl").returncode == 0
    assert held(tmp_path / "deep" / "er" / "b.jsonl") == held(tmp_path / "a.db")
    if os.name == "posix":
        assert (tmp_path / "deep").stat().st_mode & 0o077 == 0


def test_text_from_telemetry_cannot_act(run: Run, tmp_path: Path) -> None:
    """A path with escapes in it is shown as what it is."""
    written(tmp_path / "a.db", None, SPANS)
    result = run("convert", "a.db", "b\x1b[2J.db")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert r"b\x1b[2J.db" in result.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals exist on POSIX only")
def test_progress_shows_on_a_terminal(tmp_path: Path) -> None:
    """A terminal at standard error sees how far it is; standard output has the sentence alone."""
    written(tmp_path / "a.jsonl", "record", many(2_000))
    ours, theirs = os.openpty()
    try:
        process = subprocess.run(
            program("convert", "a.jsonl", "b.db"),
            cwd=tmp_path,
            env=plain_environment(TERM="xterm"),
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert process.returncode == 0
    assert process.stdout.startswith(b"Converted ")
    assert b"Converting" in shown
    assert b"records" in shown


def start(tmp_path: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """A conversion as a process of its own."""
    return subprocess.Popen(
        program("convert", *arguments),
        cwd=tmp_path,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_killed_at_many_moments_it_ends_as_in_one_go(tmp_path: Path, run: Run, source: str, target: str) -> None:
    """A conversion that is killed again and again loses nothing and doubles nothing."""
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    path = written(tmp_path / "in" / FORMATS[source][0], FORMATS[source][1], many(1_500))
    name, target_format = FORMATS[target]
    killed = subprocess.run(
        [sys.executable, KILLED_CONVERSIONS, path, tmp_path / "out" / name, target_format or ""],
        env=plain_environment(),
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert int(killed.stdout) >= 3
    assert run("convert", path, name, *(["--format", target_format] if target_format else [])).returncode == 0
    assert held(tmp_path / "out" / name) == held(tmp_path / name)
    assert [file for file in os.listdir(tmp_path / "out") if ".convert" in file] == []


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C of another process is POSIX")
def test_ctrl_c_leaves_what_the_same_command_goes_on_from(tmp_path: Path) -> None:
    """It ends with 130 and says so; the next run does the rest."""
    path = written(tmp_path / "a.jsonl", "record", many(6_000))
    process = start(tmp_path, path, "b.jsonl")
    begin_s = time.monotonic()
    while not (tmp_path / ".b.jsonl.convert").exists() and time.monotonic() - begin_s < 30:
        time.sleep(0.0005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == b"What was converted so far is kept; the same command goes on from there.\n"
    result = subprocess.run(
        program("convert", path, "b.jsonl"), env=plain_environment(), check=True, cwd=tmp_path, capture_output=True
    )
    assert b"went on" in result.stdout
    assert held(tmp_path / "b.jsonl") == held(path)


@pytest.mark.slow
def test_others_may_write_the_source_meanwhile(tmp_path: Path, run: Run) -> None:
    """What was there is converted; the next run takes the rest."""
    path = written(tmp_path / "a.jsonl", "record", many(500))
    code = (
        "import os, sys, time\n"
        "from otel_tracker.stores import find_place\n"
        "from otel_tracker.records import EventRecord\n"
        "writer = find_place(sys.argv[1]).open_writer()\n"
        "print('ready', flush=True)\n"
        "end_s, number = time.monotonic() + 30, 0\n"
        "while time.monotonic() < end_s and not os.path.exists(sys.argv[2]):\n"
        "    number += 1\n"
        "    writer.store([EventRecord('n', number)])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(tmp_path / "stop")], stdout=subprocess.PIPE, env=plain_environment()
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        before = held(path)
        assert run("convert", path, "b.db").returncode == 0
        assert (
            not before
            - held(tmp_path / "b.db")
            - Counter({key: count for key, count in before.items() if '"started"' in key})
        )
        (tmp_path / "stop").touch()
        other.wait(30)
    assert run("convert", path, "b.db").returncode == 0
    events = {key: count for key, count in held(path).items() if '"type": "event"' in key}
    assert {key: count for key, count in held(tmp_path / "b.db").items() if '"type": "event"' in key} == events
