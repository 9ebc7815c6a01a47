"""Everything that a user can name is documented, and the generated parts of the pages are up to date."""

from __future__ import annotations

import dataclasses
import re
from importlib.metadata import distribution, requires

import click
import pytest

import otel_tracker
from otel_tracker import errors
from otel_tracker.cli.app import COMMANDS, cli
from otel_tracker.events import track
from otel_tracker.lifecycle import configure, flush, shutdown
from otel_tracker.propagation import child_environment, propagate
from otel_tracker.query import StoreReader
from otel_tracker.records import EventRecord, LogRecord, MetricRecord, SpanRecord
from otel_tracker.settings import TABLE
from otel_tracker.stats import Statistics
from otel_tracker.tracing.options import TracedOptions

from .generated import GENERATED, parts_of
from .pages import PAGES, ROOT, blocks_of, text_of

ALL = "\n".join(text_of(page) for page in PAGES)
DOCS = {page.removeprefix("docs/").removesuffix(".md"): text_of(page) for page in PAGES}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def test_readme_has_at_most_150_lines() -> None:
    """The first page can be read in one go."""
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("command", ['pip install ".[all]" && otel-tracker demo', 'pip install -e ".[dev]" && pytest'])
def test_readme_shows_the_install_commands_in_a_shell_block(command: str) -> None:
    """They can be copied as they stand; .ci/run looks for them too."""
    assert f"{command}\n" in [block.text for block in blocks_of("README.md") if block.language == "sh"]


@pytest.mark.parametrize("name", otel_tracker.__all__)
def test_public_name_is_in_the_index(name: str) -> None:
    """docs/README.md names every public name; each but the version is also explained elsewhere."""
    assert f"`{name}`" in text_of("docs/README.md")
    others = "\n".join(text for page, text in DOCS.items() if page != "README")
    assert name == "__version__" or re.search(rf"\b{name}\b", others)


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_setting_is_documented(setting: object) -> None:
    """Name and variable stand on the page of settings."""
    assert f"`{setting.name}`" in DOCS["settings"]  # type: ignore[attr-defined]
    assert f"`{setting.variable}`" in DOCS["settings"]  # type: ignore[attr-defined]


def test_variable_that_the_pages_name_exists() -> None:
    """No page names a variable of ours that is no setting."""
    named = set(re.findall(r"\bOTEL_TRACKER_[A-Z_]*[A-Z]\b", ALL))
    assert named <= {setting.variable for setting in TABLE}


def test_generated_parts_are_up_to_date() -> None:
    """Tables of settings and of secrets are those of the code; `python tests/docs/generated.py` writes them."""
    found = {name: part for page in PAGES for name, part in parts_of(text_of(page)).items()}
    assert found == {name: make() for name, make in GENERATED.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_command_shows_its_help_and_options(name: str) -> None:
    """The page of commands has a section for each, with its help (compared by test_code_blocks) and every option."""
    assert f"## `{name}`" in DOCS["command-line"]
    assert f"$ otel-tracker {name} --help" in DOCS["command-line"]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in DOCS["command-line"]


@pytest.mark.parametrize("option", TracedOptions.__annotations__)
def test_option_of_traced_is_documented(option: str) -> None:
    """Every keyword of the decorator has a row."""
    assert re.search(rf"^\|.*`{option}`.*\|", DOCS["tracing"], re.MULTILINE)


@pytest.mark.parametrize("function", [child_environment, configure, flush, propagate, shutdown, track])
def test_function_is_shown_in_use(function: object) -> None:
    """Every function appears with its parentheses."""
    assert f"{function.__name__}(" in ALL  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", [name for name in vars(StoreReader) if not name.startswith("_")])
def test_method_of_a_reader_is_documented(method: str) -> None:
    """Every public method of what `open_store` returns stands on the page of queries."""
    assert method in DOCS["querying"] or method in ("close", "location")


def test_parameter_of_a_query_is_documented() -> None:
    """Every parameter of the five questions stands on the page of queries."""
    questions = (
        StoreReader.query_executions,
        StoreReader.get_statistics,
        StoreReader.function_statistics,
        StoreReader.events,
        StoreReader.logs,
    )
    names = {name for question in questions for name in question.__annotations__} - {"return"}
    assert [name for name in sorted(names) if not re.search(rf"`{name}`|\b{name}=", DOCS["querying"])] == []


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Statistics)])
def test_field_of_statistics_is_documented(field: str) -> None:
    """Every field has a row."""
    assert f"`{field}`" in DOCS["querying"]


def test_keys_of_records_are_documented() -> None:
    """Every key that a record can have in its JSON stands in the tables, and as a column of a view."""
    span = SpanRecord(
        trace_id="0" * 32,
        span_id="0" * 16,
        name="n",
        start_ns=0,
        end_ns=1,
        parent_span_id="1" * 16,
        function="f",
        module="m",
        args={"a": 1},
        result=1,
        has_result=True,
        error={"type": "t"},
        attributes={"a": 1},
        events=({"name": "e"},),
        links=({"trace_id": "0" * 32},),
        status_message="s",
        scope="s",
        resource={"a": 1},
    )
    event = EventRecord(
        name="n",
        time_ns=0,
        trace_id="0" * 32,
        span_id="0" * 16,
        properties={"a": 1},
        body="b",
        error={"type": "t"},
        resource={"a": 1},
    )
    log = LogRecord(0, "INFO", "b", "l", "0" * 32, "0" * 16, {"a": 1}, {"type": "t"}, {"a": 1})
    metric = MetricRecord(
        name="n",
        time_ns=0,
        unit="s",
        description="d",
        start_ns=0,
        attributes={"a": 1},
        value=1,
        count=1,
        sum=1.0,
        min=1.0,
        max=1.0,
        buckets=((None, 1),),
        exponential={"scale": 1},
        quantiles=((0.5, 1.0),),
        temporality="delta",
        exemplars=({"value": 1},),
        scope="s",
        resource={"a": 1},
    )
    for record, view in ((span, "executions"), (event, "events"), (log, "logs"), (metric, "metrics")):
        columns = re.search(rf"^\| `{view}` \| (.*) \|$", DOCS["stores"], re.MULTILINE)
        assert columns is not None
        keys = [key for key in record.to_dict() if key not in ("schema", "type")]
        assert columns[1].replace("`", "").split(", ") == keys
        page = DOCS["metrics" if record is metric else "stores"]
        assert [key for key in keys if f"`{key}`" not in page] == []


@pytest.mark.parametrize(
    "error", [name for name, kind in vars(errors).items() if isinstance(kind, type) and name != "OtelTrackerError"]
)
def test_error_is_documented(error: str) -> None:
    """Every error class has a row."""
    assert f"| `{error}` |" in DOCS["troubleshooting"]


def test_entry_points_are_documented() -> None:
    """Stores and exporters by their short name, distro, configurator, program, and the options of the launcher."""
    for point in distribution("otel-tracker").entry_points:
        if point.group in ("opentelemetry_traces_exporter", "opentelemetry_logs_exporter", "otel_tracker_store"):
            assert f"`{point.name.removeprefix('otel_tracker_')}`" in DOCS["stores"]
        elif point.group == "opentelemetry_metrics_exporter":
            assert f"`{point.name}`" in DOCS["metrics"]
        elif point.group == "opentelemetry_distro":
            assert f"OTEL_PYTHON_DISTRO={point.name}" in DOCS["launching"]
        elif point.group == "opentelemetry_configurator":
            assert f"OTEL_PYTHON_CONFIGURATOR={point.name}" in DOCS["launching"]
        elif point.group == "console_scripts":
            assert f"$ {point.name} --help" in DOCS["command-line"]
        elif point.group == "otel_tracker_doctor":
            assert f"otel-tracker doctor {point.name}" in DOCS["command-line"]
        elif point.group == "otel_tracker_indexes":
            assert f"otel-tracker {point.name} indexes" in DOCS["command-line"]
        else:
            assert point.group == "opentelemetry_environment_variables", f"{point.group} is documented nowhere"
            assert "--tracker_" in DOCS["launching"]


def test_extras_are_documented() -> None:
    """The README's table has every extra, and no other."""
    extras = set(re.findall(r"extra == ['\"]([\w-]+)['\"]", "\n".join(requires("otel-tracker") or ())))
    table = text_of("README.md").partition("| extra | adds |")[2].partition("\n\n")[0]
    shown = set(re.findall(r"`([\w-]+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    assert shown == extras


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    """Every link to a page, a file or a heading of ours resolves."""
    text = text_of(page)
    outside_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for target in _LINK.findall(outside_code):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / path if path else ROOT / page
        assert linked.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in _anchors(linked.read_text(encoding="utf-8")), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_page_is_in_the_index(page: str) -> None:
    """docs/README.md leads to every page."""
    if page not in ("README.md", "docs/README.md"):
        assert f"({page.removeprefix('docs/')})" in text_of("docs/README.md")


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_page_names_no_folder_of_ours(page: str) -> None:
    """Paths are the reader's: nothing of the machine on which the outputs were made."""
    assert not re.search(r"/(?:work|tmp|root|home|Users|usr)/", text_of(page))


def test_changelog_has_an_unreleased_section() -> None:
    """Keep a Changelog: what is not released yet stands on top."""
    headings = [heading for heading in _HEADING.findall(text_of("CHANGELOG.md")) if not heading.startswith("Changelog")]
    assert headings[0] == "[Unreleased]"
    assert set(headings[1:]) <= {"Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"}


def _anchors(text: str) -> set[str]:
    """The anchors that a code host makes of headings: lower case, without punctuation, blanks as hyphens."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}
