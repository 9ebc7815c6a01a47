"""Each setting has one value in force, found in a fixed order; a bad value is one sentence and never an error."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
from support import run_script

from otel_tracker import setting_sources, setting_values, settings
from otel_tracker.errors import SettingError, UnknownSettingError
from otel_tracker.settings import CAPTURE_ARGS, CAPTURE_MAX_LENGTH, EXPORTERS, REDACT_KEYS, SQLITE_PATH, TABLE


def write_file(text: str, folder: str = ".") -> Path:
    path = Path(folder, settings.SETTINGS_FILE_NAME)
    path.write_text(text, encoding="utf-8")
    setting_sources.forget_file()
    return path


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "otel_tracker"]


def test_argument_goes_before_environment_before_file_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source is used only where none that goes before it says anything."""
    assert SQLITE_PATH.read() == "otel-tracker.db"
    write_file("sqlite: {path: of-file.db}")
    assert SQLITE_PATH.read() == "of-file.db"
    monkeypatch.setenv("OTEL_TRACKER_SQLITE_PATH", "of-environment.db")
    assert SQLITE_PATH.read() == "of-environment.db"
    settings.set_arguments({"sqlite_path": "of-configure.db"})
    assert SQLITE_PATH.read() == "of-configure.db"
    assert SQLITE_PATH.read("of-caller.db") == "of-caller.db"
    settings.set_arguments({"sqlite_path": None})
    assert SQLITE_PATH.read() == "of-environment.db"


def test_blank_variable_is_as_good_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The specification says so for every variable of OpenTelemetry's."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "  ")
    assert EXPORTERS.read() == ("sqlite",)
    assert not EXPORTERS.is_set()


def test_bad_value_is_one_sentence_once_and_the_default_holds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence names the variable, the value, what was expected and the way out."""
    monkeypatch.setenv("OTEL_TRACKER_CAPTURE_MAX_LENGTH", "ten")
    assert [CAPTURE_MAX_LENGTH.read(), CAPTURE_MAX_LENGTH.read()] == [1000, 1000]
    assert said(caplog) == [
        (
            "OTEL_TRACKER_CAPTURE_MAX_LENGTH is 'ten'; expected a whole number of characters from 0. "
            "Set it to 1000, or unset it."
        )
    ]


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
@pytest.mark.parametrize("value", [object(), -1, 1.5, b"\xff", [], {}, "", "\0", "x" * 100_000])
def test_no_value_whatever_makes_a_setting_raise(setting: settings.Setting[object], value: object) -> None:
    """A setting answers with a value of its own type, or with its default."""
    answer = setting.read(value)
    assert setting.default is None or type(answer) is type(setting.default)


@pytest.mark.parametrize(
    "source",
    ["OTEL_TRACKER_CAPTURE_ARGS", "configure(capture_args=...)", "capture_args in otel-tracker.yaml"],
)
def test_bad_value_is_said_with_where_it_stands(
    source: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A person has to know which of the three places to mend."""
    if source.startswith("OTEL"):
        monkeypatch.setenv(source, "maybe")
    elif source.startswith("configure"):
        settings.set_arguments({"capture_args": "maybe"})
    else:
        write_file("capture:\n  args: maybe\n")
    assert CAPTURE_ARGS.read() is True
    assert said(caplog) == [f"{source} is 'maybe'; expected true or false. Set it to false, or unset it for true."]


def test_secret_value_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a complaint nor the effective settings repeat a secret."""
    secret = replace(CAPTURE_MAX_LENGTH, name="pin", variable="OTEL_TRACKER_PIN", secret=True)
    with pytest.raises(SettingError) as caught:
        secret.checked("hunter2", secret.variable)
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)
    monkeypatch.setenv("OTEL_TRACKER_PIN", "1234")
    monkeypatch.setattr(settings, "TABLE", (*TABLE, secret))
    assert settings.effective()["pin"] == "***"


def test_effective_settings_are_those_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of the table appears, with the value that is used."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jsonl, console")
    effective = settings.effective()
    assert list(effective) == [setting.name for setting in TABLE]
    assert effective["exporters"] == ("jsonl", "console")
    assert effective["capture_max_length"] == 1000


@pytest.mark.parametrize("text", ["true", " TRUE ", "1", "yes", "on", True])
def test_true_is_read_in_all_usual_spellings(text: object) -> None:
    """What other tools take for true is taken here."""
    assert setting_values.parse_bool(text) is True


@pytest.mark.parametrize("text", ["false", " False ", "0", "no", "off", False])
def test_false_is_read_in_all_usual_spellings(text: object) -> None:
    """What other tools take for false is taken here."""
    assert setting_values.parse_bool(text) is False


@pytest.mark.parametrize("value", ["", "maybe", "2", None])
def test_what_is_neither_true_nor_false_is_refused(value: object) -> None:
    """A typing error is not taken for false."""
    with pytest.raises(ValueError):
        setting_values.parse_bool(value)


@pytest.mark.parametrize("value", ["-1", "1.5", "", "ten", True, None, 1.5])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    """True is not 1, and 1.5 is not cut to 1."""
    with pytest.raises((ValueError, TypeError)):
        setting_values.parse_whole(value)


@pytest.mark.parametrize("value", ["a, b,,", ["a", " b "], ("a", "b"), "a,b"])
def test_names_come_as_text_or_list(value: object) -> None:
    """Commas separate; blanks around a name and empty names do not count."""
    assert setting_values.parse_names(value) == ("a", "b")


def test_path_object_is_text_for_a_setting() -> None:
    """`configure(sqlite_path=Path(...))` is how people write it."""
    assert SQLITE_PATH.read(Path("folder", "x.db")) == os.path.join("folder", "x.db")


def test_unknown_argument_names_those_that_exist_and_changes_nothing() -> None:
    """A misspelt keyword is the caller's mistake: it is raised, before any other keyword takes effect."""
    with pytest.raises(UnknownSettingError, match=r"configure\(\) got sqlite_pth=; expected one of .*sqlite_path"):
        settings.set_arguments({"sqlite_path": "x.db", "sqlite_pth": "y.db"})
    assert SQLITE_PATH.read() == "otel-tracker.db"
    assert issubclass(UnknownSettingError, TypeError)


def test_settings_file_takes_areas_and_full_names() -> None:
    """`sqlite: {path: x}` and `sqlite_path: x` mean the same; a list is a list."""
    write_file("exporters: [sqlite, jsonl]\nsqlite:\n  path: a.db\njsonl_path: b.jsonl\nredact: {keys: [iban, pin]}\n")
    assert EXPORTERS.read() == ("sqlite", "jsonl")
    assert SQLITE_PATH.read() == "a.db"
    assert settings.JSONL_PATH.read() == "b.jsonl"
    assert REDACT_KEYS.read() == ("iban", "pin")


def test_unknown_name_in_the_file_is_said_and_the_rest_is_used(caplog: pytest.LogCaptureFixture) -> None:
    """A typing error in one line costs one line."""
    write_file("sqlite: {pth: a.db}\ncapture: {args: false}\n")
    assert CAPTURE_ARGS.read() is False
    (sentence,) = said(caplog)
    assert sentence.startswith("sqlite_pth in ")
    assert "is no setting; expected one of capture_args" in sentence


@pytest.mark.parametrize(
    "text",
    ["sqlite: [", "- a\n- b\n", "just text", "? !!python/object/apply:os.mkdir [made]\n", "a: &a [*a]\n", "{" * 1000],
)
def test_unusable_file_is_one_sentence_and_its_settings_are_ignored(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the file holds, nothing is raised and nothing in it is executed."""
    write_file(text)
    assert SQLITE_PATH.read() == "otel-tracker.db"
    assert len(said(caplog)) == 1
    assert "\n" not in said(caplog)[0]
    assert not Path("made").exists()


def test_empty_file_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A file of comments is a file without settings."""
    write_file("# nothing yet\n")
    assert SQLITE_PATH.read() == "otel-tracker.db"
    assert said(caplog) == []


def test_bytes_that_are_no_text_are_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """A file in another encoding is ignored, not fatal."""
    Path(settings.SETTINGS_FILE_NAME).write_bytes(b"\xff\xfe\x00")
    assert SQLITE_PATH.read() == "otel-tracker.db"
    assert len(said(caplog)) == 1


@pytest.mark.parametrize(("place", "fault"), [("missing.yaml", "does not exist"), (".", "cannot be used")])
def test_named_file_that_is_none_is_one_sentence(
    place: str, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who names a file expects it to be read, so silence would mislead."""
    monkeypatch.setenv("OTEL_TRACKER_CONFIG_FILE", place)
    assert SQLITE_PATH.read() == "otel-tracker.db"
    (sentence,) = said(caplog)
    assert sentence.startswith(
        (f"The settings file {place} cannot be used", f"The settings file {place} does not exist")
    )


def test_named_file_replaces_the_one_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable and the argument of configure() both name it."""
    write_file("sqlite: {path: project.db}")
    Path("other.yaml").write_text("sqlite: {path: other.db}", encoding="utf-8")
    Path("third.yaml").write_text("sqlite: {path: third.db}", encoding="utf-8")
    monkeypatch.setenv("OTEL_TRACKER_CONFIG_FILE", "other.yaml")
    setting_sources.forget_file()
    assert SQLITE_PATH.read() == "other.db"
    settings.set_arguments({"config_file": Path("third.yaml")})
    assert SQLITE_PATH.read() == "third.db"


@pytest.mark.parametrize("mark", ["pyproject.toml", "setup.py", ".git"])
def test_file_is_looked_for_upwards_to_the_projects_root(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the project is another project's."""
    write_file("sqlite: {path: outside.db}")
    Path("project", "package").mkdir(parents=True)
    monkeypatch.chdir("project/package")
    setting_sources.forget_file()
    assert SQLITE_PATH.read() == "outside.db"
    Path("..", mark).touch()
    setting_sources.forget_file()
    assert SQLITE_PATH.read() == "otel-tracker.db"
    write_file("sqlite: {path: inside.db}", folder="..")
    assert SQLITE_PATH.read() == "inside.db"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a file away")
def test_file_of_a_stranger_configures_nothing() -> None:
    """In a shared folder such as /tmp anybody could otherwise decide where our data goes."""
    path = write_file("sqlite: {path: theirs.db}")
    os.chown(path, 12_345, 12_345)
    assert SQLITE_PATH.read() == "otel-tracker.db"


def test_working_directory_that_is_gone_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons outlive the folder that they were started in."""
    Path("gone").mkdir()
    monkeypatch.chdir("gone")
    os.rmdir("../gone")
    setting_sources.forget_file()
    assert SQLITE_PATH.read() == "otel-tracker.db"


def test_table_is_complete_and_uniform() -> None:
    """Names and variables are unique, ours are built from the name, and each row says what it does."""
    assert len({setting.name for setting in TABLE}) == len({setting.variable for setting in TABLE}) == len(TABLE)
    for setting in TABLE:
        ours = setting.variable == f"OTEL_TRACKER_{setting.name.upper()}"
        assert ours or setting.variable in ("OTEL_TRACES_EXPORTER", "OTEL_SERVICE_NAME")
        assert setting.sentence.endswith((".", ")"))
        assert setting.fix.endswith(".")


def test_module_prints_the_table_of_the_documentation(caplog: pytest.LogCaptureFixture) -> None:
    """The documentation's table is generated, so that it cannot lag behind."""
    printed = run_script("import runpy; runpy.run_module('otel_tracker.settings', run_name='__main__')")
    assert (printed.status, printed.stderr) == (0, "")
    assert printed.stdout.rstrip("\n") == settings.markdown_table()
    rows = printed.stdout.splitlines()[2:]
    assert [row.split(" | ")[1].strip("`") for row in rows] == [setting.variable for setting in TABLE]
    assert logging.getLogger("otel_tracker").level == logging.NOTSET


@pytest.mark.parametrize(
    ("text", "expected_bytes"),
    [("0", 0), ("1024", 1024), ("256MiB", 268435456), ("1.5 GB", 1_500_000_000), ("1gib", 2**30), ("10 b", 10)],
)
def test_bytes_are_plain_or_have_a_unit(text: str, expected_bytes: int) -> None:
    """Both families of units mean what they say: MiB is 2^20 and MB is 10^6."""
    assert setting_values.parse_bytes(text) == expected_bytes


@pytest.mark.parametrize("text", ["-1", "", "many", "1 TiBs", "1e9", "MiB", "1,5MB"])
def test_bytes_that_are_none_are_one_sentence(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is no number of bytes says what was expected, and the default is used."""
    assert settings.SQLITE_MAX_BYTES.read(text) == 2**30
    assert said(caplog) == [
        f"the argument sqlite_max_bytes= is {text!r}; expected a number of bytes such as 1GiB. "
        "Set it to 1GiB, or to 0 for no limit."
    ]


@pytest.mark.parametrize(("text", "days"), [("30", 30.0), ("0", 0.0), ("0.5", 0.5)])
def test_days_may_have_a_fraction(text: str, days: float) -> None:
    """Half a day is an age as well; 0 is no limit."""
    assert settings.SQLITE_MAX_AGE_DAYS.read(text) == days


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "a week"])
def test_days_that_are_none_are_refused(text: str) -> None:
    """An age is a finite number."""
    with pytest.raises(SettingError, match="a number of days"):
        settings.SQLITE_MAX_AGE_DAYS.checked(text, "x")


def test_jsonl_format_is_one_that_exists(caplog: pytest.LogCaptureFixture) -> None:
    """Upper case is understood, another name is one sentence."""
    assert settings.JSONL_FORMAT.read("OTLP") == "otlp"
    assert settings.JSONL_FORMAT.read("xml") == "record"
    assert "expected record or otlp" in said(caplog)[0]
