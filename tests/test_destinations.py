"""Names become exporters: ours, the SDK's and anybody's, and a name that is wrong costs nobody else anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from support import install_fake_distribution

from otel_tracker import destinations, settings
from otel_tracker.destinations import event_destinations, metric_destinations, span_destinations
from otel_tracker_exporters.jsonl import JsonlLogExporter, JsonlSpanExporter
from otel_tracker_exporters.sqlite import SqliteLogExporter, SqliteSpanExporter

Install = Callable[[str, str], None]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [record.getMessage() for record in caplog.records if record.name == "otel_tracker"]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs another package with exporters: its module's code, and its entry points."""

    def install_package(code: str, entry_points: str) -> None:
        folder = install_fake_distribution(tmp_path / "packages", "fakeexporter", {"fakeexporter": code}, entry_points)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "fakeexporter", raising=False)

    return install_package


def named(*names: str) -> tuple[list[type], list[type]]:
    """The exporters' types for spans and for events."""
    settings.set_arguments({"exporters": list(names)})
    made = [*span_destinations()], [*event_destinations()]
    for destination in (*made[0], *made[1]):
        destination.exporter.shutdown()
    return [type(each.exporter) for each in made[0]], [type(each.exporter) for each in made[1]]


def test_default_is_sqlite_for_spans_and_events(said: Callable[[], list[str]]) -> None:
    """Nothing needs to be set, and nothing is created before something is to be stored."""
    spans, events = span_destinations(), event_destinations()
    assert [(each.name, type(each.exporter)) for each in spans] == [("sqlite", SqliteSpanExporter)]
    assert [(each.name, type(each.exporter)) for each in events] == [("sqlite", SqliteLogExporter)]
    assert not list(Path().iterdir())
    assert said() == []


def test_events_follow_every_destination_of_spans(said: Callable[[], list[str]]) -> None:
    """In the order in which they are named."""
    spans, events = named("jsonl", "console", "sqlite")
    assert spans == [JsonlSpanExporter, ConsoleSpanExporter, SqliteSpanExporter]
    assert events == [JsonlLogExporter, ConsoleLogRecordExporter, SqliteLogExporter]
    assert said() == []


def test_full_entry_point_name_means_the_same() -> None:
    """The short form is ours, the long one is everybody's."""
    assert named("otel_tracker_sqlite") == ([SqliteSpanExporter], [SqliteLogExporter])


@pytest.mark.parametrize(
    "names", [("jsonl", "jsonl"), ("jsonl", "otel_tracker_jsonl"), ("otel_tracker_jsonl", "jsonl")]
)
def test_destination_that_is_named_twice_is_one(names: tuple[str, str]) -> None:
    """Each span would be stored twice otherwise."""
    assert named(*names) == ([JsonlSpanExporter], [JsonlLogExporter])


@pytest.mark.parametrize("names", [("none",), ("None",), ("none", "none")])
def test_none_is_no_destination(names: tuple[str, ...], said: Callable[[], list[str]]) -> None:
    """The specification's word for it."""
    assert named(*names) == ([], [])
    assert said() == []


def test_misspelt_name_is_one_sentence_and_the_others_work(said: Callable[[], list[str]]) -> None:
    """It is said once, although spans and events both meet it."""
    assert named("sqlte", "jsonl") == ([JsonlSpanExporter], [JsonlLogExporter])
    (sentence,) = said()
    assert sentence.startswith(
        "OTEL_TRACES_EXPORTER names 'sqlte', which no installed package provides; expected one of "
    )
    assert "console, " in sentence
    assert sentence.endswith("Did you mean sqlite? It is left out; any others that are named work.")


def test_name_that_is_like_no_other_has_no_guess(said: Callable[[], list[str]]) -> None:
    """A wrong guess would mislead."""
    assert named("x" * 300) == ([], [])
    (sentence,) = said()
    assert sentence.endswith("Mend the name or take it out. It is left out; any others that are named work.")
    assert len(sentence) < 400


def test_missing_extra_is_said_with_the_command_that_installs_it(
    said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`otlp` needs a package that the core does not install."""
    monkeypatch.setattr(destinations, "entry_points", lambda **_: ())
    assert named("otlp") == ([], [])
    (sentence,) = said()
    assert sentence == (
        "OTEL_TRACES_EXPORTER names otlp, which needs opentelemetry-exporter-otlp-proto-http. "
        'Run: pip install "otel-tracker[otlp]".'
    )


def test_otlp_is_http_unless_the_protocol_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the specification choose; the signal's own goes first."""
    exporter = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter", reason="needs the extra otlp"
    )
    assert named("otlp")[0] == [exporter.OTLPSpanExporter]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert destinations._candidates("otlp", destinations.TRACES_GROUP) == ["otlp_proto_grpc"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    assert named("otlp")[0] == [exporter.OTLPSpanExporter]


def test_exporter_that_cannot_be_made_is_one_sentence_and_the_others_work(
    said: Callable[[], list[str]], install: Install
) -> None:
    """Whatever another package's code does when it is loaded or called."""
    install(
        """
        class Exporter:
            def __init__(self):
                raise RuntimeError("no\\nendpoint")
        """,
        "[opentelemetry_traces_exporter]\nmade = fakeexporter:Exporter\ngone = fakeexporter:Missing\n",
    )
    assert named("made", "gone", "jsonl")[0] == [JsonlSpanExporter]
    made, gone = said()
    assert made == (
        "OTEL_TRACES_EXPORTER names made, whose exporter cannot be made (RuntimeError: no endpoint). "
        "The other destinations work."
    )
    assert gone == (
        "OTEL_TRACES_EXPORTER names gone, whose exporter cannot be made "
        "(AttributeError: module 'fakeexporter' has no attribute 'Missing'). The other destinations work."
    )


def test_destination_that_takes_only_spans_gets_only_spans(said: Callable[[], list[str]], install: Install) -> None:
    """That it takes no events is no mistake of the user's."""
    install(
        """
        from opentelemetry.sdk.trace.export import SpanExporter
        class Exporter(SpanExporter): ...
        """,
        "[opentelemetry_traces_exporter]\nspans_only = fakeexporter:Exporter\n",
    )
    spans, events = named("spans_only")
    assert [each.__name__ for each in spans] == ["Exporter"]
    assert events == []
    assert said() == []


def test_generic_name_of_another_package_does_not_take_ours(install: Install) -> None:
    """Somebody else's entry point `sqlite` is not what our users mean."""
    install("class Exporter: ...", "[opentelemetry_traces_exporter]\nsqlite = fakeexporter:Exporter\n")
    assert named("sqlite")[0] == [SqliteSpanExporter]


def test_logs_variable_sends_events_elsewhere(monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]) -> None:
    """The standard variable goes before the rule that events follow spans."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", " jsonl ,nonsense,")
    assert named("sqlite") == ([SqliteSpanExporter], [JsonlLogExporter])
    (sentence,) = said()
    assert sentence.startswith("OTEL_LOGS_EXPORTER names 'nonsense'")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    assert named("sqlite") == ([SqliteSpanExporter], [])


def metrics_of(names: str) -> list[str]:
    """The classes of the exporters that metrics have; ``names`` are those of spans."""
    settings.set_arguments({"exporters": names})
    made = metric_destinations()
    for destination in made:
        destination.exporter.shutdown()
    return [type(destination.exporter).__name__ for destination in made]


@pytest.mark.parametrize(
    ("names", "exporters"),
    [
        ("sqlite", ["SqliteMetricExporter"]),
        ("console,jsonl,umami,otel_tracker_sqlite", ["JsonlMetricExporter", "SqliteMetricExporter"]),
        ("console", []),
        ("none", []),
    ],
)
def test_metrics_follow_spans_to_local_stores_and_never_to_the_console(
    names: str, exporters: list[str], said: Callable[[], list[str]]
) -> None:
    """Without a variable of their own; what does not take them is passed over."""
    assert metrics_of(names) == exporters
    assert said() == []


def test_metrics_go_where_their_variable_says(monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]) -> None:
    """It goes before that rule; an unknown name is said and dropped, the others work."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console, nonsense,none")
    assert metrics_of("sqlite") == ["ConsoleMetricExporter"]
    (sentence,) = said()
    assert sentence.startswith("OTEL_METRICS_EXPORTER names 'nonsense'")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    assert metrics_of("sqlite") == []


def test_exporters_take_their_place_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the working directory at the start."""
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_PATH", "folder/x.db")
    (destination,) = span_destinations()
    assert destination.exporter.path == str(Path.cwd() / "folder" / "x.db")
